"""What a notebook does: train here, then start processes that are forked from this one.

launched_from_a_kernel.py OUT_FOLDER: each process writes its number and the sum of all numbers + 1.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from accelerate import notebook_launcher

from r2gen_lib.training.processes import Processes


def count_up(folder: str) -> None:
    """Write what this process knows of the others."""
    processes = Processes.launched()
    total = processes.sum(torch.tensor([float(processes.index + 1)])).item()
    Path(folder, f"{processes.index}.txt").write_text(f"{processes.count} {total:g}")


if __name__ == "__main__":
    assert Processes.launched().count == 1  # as after a cell that trained
    notebook_launcher(count_up, (sys.argv[1],), num_processes=2, rdzv_backend="c10d", rdzv_endpoint="localhost:0")
