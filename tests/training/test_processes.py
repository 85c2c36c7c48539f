"""Two processes over gloo train as one process does at the same global batch."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tiny_system import tiny_studies

SCRIPT = Path(__file__).with_name("two_processes.py")
COMMAND = ["train", "--profile", "ci", "--steps", "2", "--train-studies", "8", "--val-studies", "2"]


@pytest.mark.usefixtures("empty_cache")
def test_two_processes_as_one(tmp_path):
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    subprocess.run([*launch, SCRIPT, tmp_path / "two", "2"], check=True, timeout=500)
    subprocess.run([sys.executable, SCRIPT, tmp_path / "one", "4"], check=True, timeout=500)
    one, two = (pd.read_csv(tmp_path / name / "history.csv") for name in ("one", "two"))
    assert one.shape == two.shape and one["train_loss"].notna().sum() == 12
    for column in ("step", "train_loss", "val_loss", "val_loss_shuffled", "rate"):
        np.testing.assert_allclose(two[column], one[column], atol=1e-4, err_msg=column)
    held_out = [study.id for study in tiny_studies(25) if study.split == "val"]
    shares = [(tmp_path / f"two-scored-{rank}").read_text().split() for rank in (0, 1)]
    assert all(shares), "a process had nothing to score"
    evaluations = one["val_loss"].notna().sum()
    assert Counter(shares[0] + shares[1]) == dict.fromkeys(held_out, evaluations)


def test_processes_forked_from_a_kernel_that_has_trained_know_one_another(tmp_path):
    script = SCRIPT.with_name("launched_from_a_kernel.py")
    subprocess.run([sys.executable, script, tmp_path], check=True, timeout=500)
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {"0.txt": "2 3", "1.txt": "2 3"}


@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["--shard"]], ids=["whole", "sharded"])
def test_the_command_under_torchrun(tmp_path, options):
    """``r2gen train`` as a user launches it on two GPUs, here on two CPU processes, with the laptop's own models."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    launch += ["-m", "r2gen_lib.cli", *COMMAND, *options, "--batch", "2", "--out", tmp_path / "two"]
    done = subprocess.run(launch, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("best step") == 1, "one process speaks"
    alone = [sys.executable, "-m", "r2gen_lib.cli", *COMMAND, "--batch", "2", "--accumulate", "2"]
    one_thread = os.environ | {"OMP_NUM_THREADS": "1"}  # as torchrun gives each process: bf16 sums depend on it
    subprocess.run([*alone, "--out", tmp_path / "one"], check=True, timeout=500, env=one_thread)
    one, two = (pd.read_csv(tmp_path / name / "history.csv") for name in ("one", "two"))
    assert one["train_loss"].notna().sum() == 2
    for column in ("train_loss", "val_loss"):  # the same batches, so that bf16 rounds alike
        np.testing.assert_allclose(two[column], one[column], atol=1e-5, err_msg=column)
