"""What stops a run early keeps what was trained: Ctrl-C, SIGTERM, a loss or a gradient that is NaN."""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_system import COMPARED, fit, tiny_model, with_optim

from r2gen_lib.errors import R2GenError
from r2gen_lib.model.r2gengpt import R2GenGPT
from r2gen_lib.stopping import Stopped, as_ctrl_c
from r2gen_lib.training import run as loop
from r2gen_lib.training import validation
from r2gen_lib.training.run import Run

pytestmark = pytest.mark.usefixtures("empty_cache")


@pytest.mark.parametrize("moment", ["update", "held-out"])
def test_ctrl_c_keeps_what_was_trained(moment, tmp_path, monkeypatch, capsys):
    """The step that runs is finished, its state saved, and the interrupt goes on to the notebook."""
    whole = fit(tiny_model("delta"), tmp_path / "whole").history
    update, look = Run._update, Run._validate

    def interrupted(original, step):
        def call(run):
            if run.step == step:
                os.kill(os.getpid(), signal.SIGINT)
            return original(run)

        return call

    with monkeypatch.context() as patch:
        if moment == "update":
            patch.setattr(Run, "_update", interrupted(update, 5))
        else:
            patch.setattr(Run, "_validate", interrupted(look, 4))
        with pytest.raises(KeyboardInterrupt):
            fit(tiny_model("delta"), tmp_path / "run")
    kept = 6 if moment == "update" else 4
    assert len(pd.read_csv(tmp_path / "run" / "history.csv")["train_loss"].dropna()) == kept
    assert f"stopped at step {kept} of 12" in capsys.readouterr().out
    history = fit(tiny_model("delta"), tmp_path / "run").history
    pd.testing.assert_frame_equal(history[COMPARED], whole[COMPARED])


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_sigterm_keeps_what_was_trained_too(tmp_path, monkeypatch, capsys):
    """A scheduler's signal in the middle of a step: the step is done whole, as after Ctrl-C."""
    steps, step = [], loop.take_step

    def told(*arguments):
        steps.append(1)
        if len(steps) == 5:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(*arguments)

    monkeypatch.setattr(loop, "take_step", told)
    with pytest.raises(Stopped) as stopped, as_ctrl_c():
        fit(tiny_model(), tmp_path / "run")
    assert stopped.value.code == 143 and "stopped at step 5 of 12" in capsys.readouterr().out
    assert len(pd.read_csv(tmp_path / "run" / "history.csv")["train_loss"].dropna()) == 5


def test_ctrl_c_before_the_first_step(tmp_path, monkeypatch):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(validation, "mean_loss", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fit(tiny_model(), tmp_path)


def test_a_state_from_before_a_field_existed_goes_on(tmp_path):
    """A new setting with its default does not make a run another run."""
    fit(tiny_model(), tmp_path)
    file = tmp_path / "state" / "state.json"
    saved = json.loads(file.read_text())
    del saved["run"]["preset"]["optim"]["non_finite"]
    file.write_text(json.dumps(saved))
    assert len(fit(tiny_model(), tmp_path).history) == 13


def poison(model, monkeypatch, steps, what="loss"):
    """The loss (or the gradient alone) is NaN at these training steps."""
    forward, count = R2GenGPT.forward, []

    def poisoned(self, *args, **kwargs):
        out = forward(self, *args, **kwargs)
        if self.training:
            count.append(1)
            if len(count) - 1 in steps:
                bad = (
                    out.loss * float("nan") if what == "loss" else out.loss + 0 * (out.loss - out.loss.detach()).sqrt()
                )
                return replace(out, loss=bad)
        return out

    monkeypatch.setattr(R2GenGPT, "forward", poisoned)


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_a_batch_that_is_no_number_is_named_and_stops(what, tmp_path, monkeypatch):
    model = tiny_model()
    poison(model, monkeypatch, {2}, what)
    with pytest.raises(
        R2GenError, match=rf"{what}.* nan at step 2.*studies T\d+, T\d+, T\d+, T\d+.*learning_rate.*skip"
    ):
        fit(model, tmp_path)
    assert all(torch.isfinite(p).all() for p in model.trainable_parameters().values())


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_skipping_counts_and_leaves_the_weights(what, tmp_path, monkeypatch):
    model = tiny_model()
    poison(model, monkeypatch, {0, 5}, what)
    result = fit(model, tmp_path, preset=with_optim(non_finite="skip"))
    table = result.history.set_index("step")
    assert list(table.index[table["skipped"] == 1]) == [0, 5]
    assert np.isfinite(result.best["val_loss"]) and table["val_loss"].notna().sum() == 4
    assert all(torch.isfinite(p).all() for p in model.trainable_parameters().values())


def test_more_than_so_many_skipped_in_a_row_stop(tmp_path, monkeypatch):
    poison(None, monkeypatch, {1, 2, 5, 6, 7})
    with pytest.raises(R2GenError, match="3 steps in a row.*max_skipped.*at step 7"):
        fit(tiny_model(), tmp_path, preset=with_optim(non_finite="skip", max_skipped=2))


def test_a_validation_loss_that_is_no_number_is_never_the_best(tmp_path, monkeypatch):
    values = iter([3.0, 3.0, float("nan"), 1.0, 2.0, 2.0, 2.5, 2.5])
    monkeypatch.setattr(validation, "mean_loss", lambda *args, **kwargs: next(values))
    result = fit(tiny_model(), tmp_path, preset=with_optim(non_finite="skip"))
    assert result.best["step"] == 8
    values = iter([float("nan")] * 2)
    with pytest.raises(R2GenError, match="validation loss is nan at step 0"):
        fit(tiny_model(), tmp_path / "other", preset=with_optim(non_finite="stop"))
    assert not (tmp_path / "other" / "best").exists()


@pytest.mark.parametrize("field", ["non_finite", "select_by"])
def test_unknown_choices(field, tmp_path):
    with pytest.raises(R2GenError, match=f"optim.{field}: found 'maybe', expected '"):
        fit(tiny_model(), tmp_path, preset=with_optim(**{field: "maybe"}))
