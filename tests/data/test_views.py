from __future__ import annotations

import logging
from pathlib import Path

import pytest

from r2gen_lib.data.study import Picture, Study
from r2gen_lib.data.views import MISSING_VIEW, with_views
from r2gen_lib.errors import DataError

BOTH = ("frontal", "lateral")


def study(name: str, *views: str) -> Study:
    return Study(
        name, "train", "A report.", pictures=tuple(Picture(view, Path(f"{name}_{view}.png")) for view in views)
    )


WHOLE, FRONTAL, OTHER, NONE = study("A", *BOTH), study("B", "frontal"), study("C", "other"), study("D")


@pytest.mark.parametrize("policy", MISSING_VIEW)
def test_studies_that_have_the_views_are_left_alone(policy, caplog):
    assert with_views([WHOLE, FRONTAL], ("frontal",), policy) == [WHOLE, FRONTAL]
    assert with_views([], BOTH, policy) == [] and not caplog.records


def test_error_names_the_first_few_and_counts_the_rest():
    with pytest.raises(DataError, match="study B: no lateral view; it has frontal"):
        with_views([WHOLE, FRONTAL], BOTH)
    many = [study(f"S{n}", "frontal") for n in range(3000)]
    with pytest.raises(DataError, match=r"3,000 studies lack a view: S0 \(no lateral\), .*, \.\.\.\. Ask") as caught:
        with_views([WHOLE, *many], BOTH)
    assert "missing_view='skip'" in str(caught.value) and len(str(caught.value)) < 400


def test_skip_leaves_them_out_and_says_how_many(caplog):
    with caplog.at_level(logging.WARNING, "r2gen_lib"):
        assert with_views([FRONTAL, WHOLE, NONE], BOTH, "skip") == [WHOLE]
    assert "2 of 3 studies lack a view, and are left out: B (no lateral), D (no frontal, no lateral)" in caplog.text
    with pytest.raises(DataError, match="leaves no study: 2 of 2"):
        with_views([FRONTAL, NONE], BOTH, "skip")


def test_blank_is_a_black_picture(caplog):
    kept, filled, other = with_views([WHOLE, FRONTAL, OTHER], BOTH, "blank")
    assert kept is WHOLE and filled.picture("frontal") == FRONTAL.picture("frontal")
    for picture in (filled.picture("lateral"), other.picture("frontal"), other.picture("lateral")):
        assert picture.path is None and not picture.load().any()
    assert "2 of 3 studies lack a view, where a black picture stands in" in caplog.text


def test_other_is_the_first_picture_of_the_study(caplog):
    filled, other = with_views([FRONTAL, OTHER], BOTH, "other")
    assert filled.picture("lateral").path == filled.picture("frontal").path == Path("B_frontal.png")
    assert other.picture("frontal").path == other.picture("lateral").path == Path("C_other.png")
    assert "2 of 2 studies lack a view, where their first picture stands in" in caplog.text


@pytest.mark.parametrize("policy", ["blank", "other"])
def test_nothing_stands_in_for_a_study_without_pictures(policy):
    with pytest.raises(DataError, match="study D: no frontal view; it has no pictures"):
        with_views([FRONTAL, NONE], BOTH, policy)


def test_an_unknown_policy():
    with pytest.raises(DataError, match="missing_view='drop': expected one of error, skip, blank, other"):
        with_views([WHOLE], BOTH, "drop")
