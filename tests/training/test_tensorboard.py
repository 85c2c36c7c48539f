"""The curves of a run as TensorBoard reads them: the history's own numbers, each step once."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny_system import PROFILE, TINY, tiny_model, tiny_studies

from r2gen_lib.errors import AssetError
from r2gen_lib.training.run import Run
from r2gen_lib.training.trainer import train

pytestmark = pytest.mark.usefixtures("empty_cache")


def fit(out_dir, profile=PROFILE, tensorboard=True, **options):
    options = {"progress": False, "tensorboard": tensorboard} | options
    return train(tiny_model(), tiny_studies(), TINY, profile, out_dir, **options)


def curves(out_dir) -> dict[str, pd.Series]:
    """Values by step of every curve; TensorBoard's reader keeps a step that was written twice twice."""
    events = EventAccumulator(str(out_dir / "tensorboard"), size_guidance={"scalars": 0}).Reload()
    points = {name: events.Scalars(name) for name in events.Tags()["scalars"]}
    return {name: pd.Series([p.value for p in each], [p.step for p in each]) for name, each in points.items()}


def assert_shows(out_dir, history):
    found = curves(out_dir)
    assert set(found) == set(history.columns) - {"step"} >= {"train_loss", "rate", "val_loss", "val_loss_shuffled"}
    for name, curve in found.items():
        expected = history.set_index("step")[name].dropna()
        assert list(curve.index) == list(expected.index), name
        np.testing.assert_allclose(curve, expected, rtol=1e-6, err_msg=name)


def test_the_curves_are_the_history(tmp_path):
    assert_shows(tmp_path, fit(tmp_path).history)


@pytest.mark.parametrize("before", [True, False])
def test_a_resumed_run_has_each_step_once(before, tmp_path, monkeypatch):
    """Killed in step 6, it goes on from the state of step 4; ``before``: whether it had event files until then."""
    update = Run._update

    def killed(run):
        if run.step == 6:
            raise RuntimeError("killed")
        return update(run)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "_update", killed)
        with pytest.raises(RuntimeError, match="killed"):
            fit(tmp_path, tensorboard=before)
    if before:
        assert list(curves(tmp_path)["train_loss"].index) == [0, 1, 2, 3], "what is not in the state is not shown"
    result = fit(tmp_path)
    assert_shows(tmp_path, result.history)
    fit(tmp_path)  # finished: nothing is added
    assert_shows(tmp_path, result.history)


def test_an_interrupted_run_has_each_step_once(tmp_path, monkeypatch):
    """The state is saved in the middle of a row: the validation loss is there, the training loss comes later."""
    update = Run._update

    def stopped(run):
        if run.step == 8:
            raise KeyboardInterrupt
        return update(run)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "_update", stopped)
        with pytest.raises(KeyboardInterrupt):
            fit(tmp_path)
    assert_shows(tmp_path, fit(tmp_path).history)


def test_a_new_run_does_not_show_the_old_one(tmp_path):
    fit(tmp_path)
    short = replace(PROFILE, train_steps=4)
    assert_shows(tmp_path, fit(tmp_path, short, resume=False).history)
    fit(tmp_path, short, resume=False, tensorboard=False)
    assert not list((tmp_path / "tensorboard").iterdir())


def test_without_the_package_it_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(AssetError, match=r'pip install "r2gen-course\[tensorboard\]"'):
        fit(tmp_path / "run")
    assert not (tmp_path / "run").exists()
    assert fit(tmp_path / "run", tensorboard=False).checkpoint.is_dir()
