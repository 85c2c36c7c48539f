"""A run survives kill -9 at any moment: it goes on, and comes to the history of a run that was left alone."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from tiny_system import COMPARED, fit, tiny_model

from r2gen_lib.training.run import Run

pytestmark = pytest.mark.usefixtures("empty_cache")


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
        pd.testing.assert_frame_equal(history[COMPARED], whole[COMPARED])
        left = sorted(path.name for path in (tmp_path / place).iterdir())
        assert left == ["best", "history.csv", "loss.png", "state"], place
    assert resumed_from == [4, 4, 4]
