"""A training run that tells when it has come to a certain place and waits there to be killed.

    python killed_run.py OUT_DIR PLACE MARKER

PLACE is "update" (gradients are there, weights have not moved), "save" (half of the state is written) or "swap" (the
old state is moved away and the new one is not yet in its place). MARKER is a file that is made there.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from tiny_system import PROFILE, TINY, tiny_model, tiny_studies

from r2gen_lib.training import run_state as resume
from r2gen_lib.training.trainer import train


def pause(marker: Path) -> None:
    marker.touch()
    time.sleep(600)


def pause_at(place: str, marker: Path) -> None:
    """The second save of the run, at step 8, or the update after it."""
    write, rename = resume.save_file, Path.rename
    calls = []

    def slow_write(tensors, file):
        write(tensors, file)
        calls.append(file)
        if place == "save" and len(calls) == 2:
            pause(marker)

    def slow_rename(source, target):
        if place == "swap" and len(calls) == 2 and Path(target).name == "state" and "-old-" not in str(target):
            pause(marker)
        return rename(source, target)

    resume.save_file, Path.rename = slow_write, slow_rename
    if place == "update":
        import torch

        step = torch.optim.AdamW.step
        steps = []

        def slow_step(self, *args):
            steps.append(1)
            if len(steps) == 7:
                pause(marker)
            return step(self, *args)

        torch.optim.AdamW.step = slow_step


if __name__ == "__main__":
    out, place, marker = sys.argv[1:]
    pause_at(place, Path(marker))
    train(tiny_model("delta"), tiny_studies(), TINY, PROFILE, out, progress=False)
