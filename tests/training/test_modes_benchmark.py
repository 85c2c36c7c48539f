"""benchmarks/modes.py: three modes from one start, at equal steps and at equal time; a stopped run goes on."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pandas as pd
import pytest
from tiny_system import tiny_model, tiny_studies

from r2gen_lib.config import MODES
from r2gen_lib.errors import R2GenError

pytestmark = pytest.mark.usefixtures("empty_cache")
FILE = Path(__file__).parents[2] / "benchmarks" / "modes.py"


@pytest.fixture(scope="module")
def modes():
    spec = importlib.util.spec_from_file_location("benchmark_of_modes", FILE)
    module = sys.modules["benchmark_of_modes"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def learners(modes):
    studies = tiny_studies()
    return [modes.Learner.make(tiny_model(mode), studies[:12], studies[12:16], seed=0) for mode in MODES]


def test_the_mode_that_is_behind_has_the_turn(modes, monkeypatch):
    """A step of deep is made to take twice as long: at equal time the others have made twice as many."""
    cost = {"shallow": 1.0, "delta": 1.0, "deep": 2.0}
    step = modes.Learner.step

    def counted(learner):
        before = learner.seconds
        step(learner)
        learner.seconds = before + cost[learner.model.mode]

    monkeypatch.setattr(modes.Learner, "step", counted)
    rows = modes.compare(learners(modes), steps=3).set_index(["at", "mode"])
    assert (rows.loc["equal steps", "steps"] == 3).all()
    spent = rows.loc["equal time", "seconds"]
    assert spent.max() - spent.min() <= cost["deep"]
    assert rows.loc[("equal time", "shallow"), "steps"] > 3
    assert rows.loc[("equal time", "deep"), "val_loss"] == rows.loc[("equal steps", "deep"), "val_loss"]
    assert rows.loc[("equal time", "shallow"), "val_loss"] != rows.loc[("equal steps", "shallow"), "val_loss"]


def test_rows_made_otherwise_are_not_mixed(modes, tmp_path):
    file = tmp_path / "modes.csv"
    row = dict(mode="deep", seed=0, at="equal steps", steps=6, seconds=1.0, val_loss=3.0, val_loss_shuffled=3.1)
    pd.DataFrame([row | {"val_studies": 8}])[modes.COLUMNS].to_csv(file, index=False)
    assert set(modes.kept_rows(file, 6, 8)["seed"]) == {0}
    with pytest.raises(R2GenError, match="--steps"):
        modes.kept_rows(file, 7, 8)
    file.write_text("a,b\n1,2\n")
    with pytest.raises(R2GenError, match="found the columns"):
        modes.kept_rows(file, 6, 8)
