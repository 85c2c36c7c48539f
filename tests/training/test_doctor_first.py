"""Training asks the doctor before it does anything, and leaves out only the checks that are named."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tiny_system import PROFILE, TINY, tiny_model, tiny_studies

from r2gen_lib.data.study import Picture
from r2gen_lib.errors import DataError
from r2gen_lib.training.trainer import train

pytestmark = pytest.mark.usefixtures("empty_cache")
SHORT = replace(PROFILE, train_steps=1, eval_every=1, checkpoint_every=1)


def fit(studies, out_dir, **options):
    return train(tiny_model(), studies, TINY, SHORT, out_dir, progress=False, **options)


def test_data_with_a_problem_are_refused_before_anything_is_made(tmp_path):
    studies = tiny_studies(9)
    torn = [replace(study, patient="P1") for study in studies]
    missing = [replace(studies[0], pictures=(Picture("frontal", tmp_path / "gone.png"),)), *studies[1:]]
    empty = [replace(studies[0], report=" "), *studies[1:]]
    for bad, name in ((torn, "patient_in_two_splits"), (missing, "missing_pictures"), (empty, "empty_reports")):
        with pytest.raises(DataError, match=f"1 of the doctor's checks failed.\n  {name}: 1 "):
            fit(bad, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_check_is_skipped_by_its_name_and_by_nothing_else(tmp_path):
    torn = [replace(study, patient="P1") for study in tiny_studies(9)]
    for skip in (["empty_reports"], ["all"], []):
        with pytest.raises(DataError):
            fit(torn, tmp_path / "run", skip_checks=skip)
    assert fit(torn, tmp_path / "run", skip_checks=["patient_in_two_splits"]).checkpoint.is_dir()


def test_the_policy_for_missing_views_comes_first(tmp_path):
    lateral = [replace(tiny_studies(9)[0], id="L", pictures=(Picture("lateral", tmp_path / "gone.png"),))]
    with pytest.raises(DataError, match="study L: no frontal view"):
        fit(lateral + tiny_studies(9), tmp_path / "run")
    assert fit(lateral + tiny_studies(9), tmp_path / "run", missing_view="skip").checkpoint.is_dir()
