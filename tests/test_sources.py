"""The default data set: real reports, simulated pictures."""

from __future__ import annotations

from collections import Counter

import pytest

from r2gen_lib import load_studies
from r2gen_lib.errors import DataError


def test_openi_sim_is_the_benchmark_with_its_split_and_two_views():
    studies = load_studies("openi_sim")
    assert Counter(study.split for study in studies) == {"train": 2069, "val": 296, "test": 590}
    assert all(study.report and study.mesh and study.source == "openi_sim" for study in studies)
    assert all([picture.view for picture in study.pictures] == ["frontal", "lateral"] for study in studies)
    assert all(picture.simulated for study in studies for picture in study.pictures)


def test_limit_counts_studies_of_each_split():
    assert Counter(study.split for study in load_studies(limit=3)) == {"train": 3, "val": 3, "test": 3}


def test_impressions_can_be_the_target_and_studies_without_one_are_left_out():
    studies = load_studies(section="impression")
    assert 2900 < len(studies) < 2955
    assert all(study.report for study in studies)


@pytest.mark.parametrize(("arguments", "named"), [(("openi",), "openi_sim"), ((), "limit")])
def test_mistakes_are_named(arguments, named):
    with pytest.raises(DataError, match=named):
        load_studies(*arguments, **({} if arguments else {"limit": 0}))


def test_a_picture_loads_as_grey_bytes():
    picture = load_studies(limit=1)[0].picture("frontal").load()
    assert picture.shape == (224, 224) and picture.dtype.name == "uint8"
