"""A run survives a full disk, and says at once that a folder cannot be written."""

from __future__ import annotations

import errno
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from tiny_system import COMPARED, PROFILE, fit, tiny_model

from r2gen_lib.errors import CheckpointError
from r2gen_lib.model import checkpoint
from r2gen_lib.training import run_state as resume
from r2gen_lib.training.run import Run

pytestmark = pytest.mark.usefixtures("empty_cache")


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
    pd.testing.assert_frame_equal(history[COMPARED], whole[COMPARED])


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
