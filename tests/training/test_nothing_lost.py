"""A run survives what happens to runs: kill -9, a full disk, a folder that cannot be written, NaN, Ctrl-C."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_system import PROFILE, TINY, tiny_model, tiny_studies

from r2gen_lib.errors import CheckpointError, R2GenError
from r2gen_lib.model import checkpoint
from r2gen_lib.model.r2gengpt import R2GenGPT
from r2gen_lib.stopping import Stopped, as_ctrl_c
from r2gen_lib.training import run as loop
from r2gen_lib.training import run_state as resume
from r2gen_lib.training import validation
from r2gen_lib.training.run import Run
from r2gen_lib.training.trainer import train

pytestmark = pytest.mark.usefixtures("empty_cache")
COLUMNS = ["step", "train_loss", "val_loss", "val_loss_shuffled", "rate"]


def fit(model, out_dir, preset=TINY, profile=PROFILE, **options):
    return train(model, tiny_studies(), preset, profile, out_dir, progress=False, **options)


def with_optim(**changes):
    return replace(TINY, optim=replace(TINY.optim, **changes))


def test_kill_9_at_three_places(tmp_path, monkeypatch):
    """In an update, in the middle of a save, and in the instant between the old state and the new one."""
    whole = fit(tiny_model("delta"), tmp_path / "whole").history
    script = Path(__file__).with_name("killed_run.py")
    places = ("update", "save", "swap")
    runs = {
        place: subprocess.Popen([sys.executable, script, tmp_path / place, place, tmp_path / f"{place}.marker"])
        for place in places
    }
    try:
        for place, process in runs.items():
            deadline = time.monotonic() + 240
            while not (tmp_path / f"{place}.marker").exists():
                assert process.poll() is None and time.monotonic() < deadline, f"{place}: never came there"
                time.sleep(0.1)
            process.send_signal(signal.SIGKILL)
            process.wait()
    finally:
        for process in runs.values():
            process.kill()
    start, resumed_from = Run.start, []
    monkeypatch.setattr(Run, "start", lambda run, go: (start(run, go), resumed_from.append(run.step)))
    for place in places:
        history = fit(tiny_model("delta"), tmp_path / place).history
        pd.testing.assert_frame_equal(history[COLUMNS], whole[COLUMNS])
        left = sorted(path.name for path in (tmp_path / place).iterdir())
        assert left == ["best", "history.csv", "loss.png", "state"], place
    assert resumed_from == [4, 4, 4]


def no_space(*args, **kwargs):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("where", ["state.safetensors", "state.json", "best", "history.csv", "swap"])
def test_a_full_disk_leaves_the_last_good_state(where, tmp_path, monkeypatch):
    """The disk is full at step 8's save; when there is room again, the run goes on as if nothing had happened."""
    whole = fit(tiny_model(), tmp_path / "whole").history
    out = tmp_path / "run"
    saves = []

    def filled(run):
        with monkeypatch.context() as patch:
            if run.step == 8:
                fill_disk(where, patch)
            saves.append(run.step)
            return save(run) if where != "best" else look(run)

    save, look = Run._save, Run._validate
    with monkeypatch.context() as patch:
        patch.setattr(Run, "_save" if where != "best" else "_validate", filled)
        with pytest.raises(CheckpointError, match=r"run.*No space left on device.*Free some space and call again"):
            fit(tiny_model(), out)
    assert saves[-1] == 8
    checkpoint.read_config(out / "best")
    assert not [path for path in out.iterdir() if path.name.startswith(".")]
    history = fit(tiny_model(), out).history
    pd.testing.assert_frame_equal(history[COLUMNS], whole[COLUMNS])


def fill_disk(where, patch):
    if where == "state.safetensors":
        patch.setattr(resume, "save_file", no_space)
    elif where == "state.json":
        patch.setattr(Path, "write_text", no_space)
    elif where == "best":
        patch.setattr(checkpoint, "save_file", no_space)
    elif where == "history.csv":
        patch.setattr(os, "replace", no_space)
    else:
        rename = Path.rename
        patch.setattr(Path, "rename", lambda a, b: no_space() if Path(b).name == "state" and "old" not in str(b)
                      and "old" not in str(a) else rename(a, b))  # fmt: skip


@pytest.fixture
def mounted(tmp_path):
    """Mounts a tmpfs with these options; only root may, elsewhere the test is skipped."""
    folders = []

    def mount(options):
        folder = tmp_path / f"mounted{len(folders)}"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("this user may not mount a file system")
        folders.append(folder)
        return folder

    yield mount
    for folder in folders:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_is_really_full(mounted):
    disk = mounted("size=512k")
    fit(tiny_model(), disk / "run", profile=replace(PROFILE, train_steps=4))
    with pytest.raises(OSError), open(disk / "filler", "wb", buffering=0) as stream:
        while True:
            stream.write(b"x" * 4096)
    with pytest.raises(CheckpointError, match="No space left on device|[Cc]annot be written"):
        fit(tiny_model(), disk / "other", profile=replace(PROFILE, train_steps=4))
    checkpoint.read_config(disk / "run" / "best")


def test_a_folder_that_cannot_be_written_is_named_before_any_work(mounted, monkeypatch):
    disk = mounted("size=1m")
    (disk / "run").mkdir()
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    monkeypatch.setattr(Run, "_update", lambda run: pytest.fail("trained"))
    with pytest.raises(CheckpointError, match=r"run: cannot be written \(.*Read-only file system.*another out_dir"):
        fit(tiny_model(), disk / "run")


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
    result = fit(model, tmp_path, with_optim(non_finite="skip"))
    table = result.history.set_index("step")
    assert list(table.index[table["skipped"] == 1]) == [0, 5]
    assert np.isfinite(result.best["val_loss"]) and table["val_loss"].notna().sum() == 4
    assert all(torch.isfinite(p).all() for p in model.trainable_parameters().values())


def test_more_than_so_many_skipped_in_a_row_stop(tmp_path, monkeypatch):
    poison(None, monkeypatch, {1, 2, 5, 6, 7})
    with pytest.raises(R2GenError, match="3 steps in a row.*max_skipped.*at step 7"):
        fit(tiny_model(), tmp_path, with_optim(non_finite="skip", max_skipped=2))


def test_a_validation_loss_that_is_no_number_is_never_the_best(tmp_path, monkeypatch):
    values = iter([3.0, 3.0, float("nan"), 1.0, 2.0, 2.0, 2.5, 2.5])
    monkeypatch.setattr(validation, "mean_loss", lambda *args, **kwargs: next(values))
    result = fit(tiny_model(), tmp_path, with_optim(non_finite="skip"))
    assert result.best["step"] == 8
    values = iter([float("nan")] * 2)
    with pytest.raises(R2GenError, match="validation loss is nan at step 0"):
        fit(tiny_model(), tmp_path / "other", with_optim(non_finite="stop"))
    assert not (tmp_path / "other" / "best").exists()


@pytest.mark.parametrize("field", ["non_finite", "select_by"])
def test_unknown_choices(field, tmp_path):
    with pytest.raises(R2GenError, match=f"optim.{field}: found 'maybe', expected '"):
        fit(tiny_model(), tmp_path, with_optim(**{field: "maybe"}))


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
    pd.testing.assert_frame_equal(history[COLUMNS], whole[COLUMNS])


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
