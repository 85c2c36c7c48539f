from __future__ import annotations

import os
import random
import subprocess
import sys
import types
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from r2gen_lib import assets, environment, notebook
from r2gen_lib.assets import checkout
from r2gen_lib.errors import R2GenError
from r2gen_lib.notebook import describe_profile, setup


@pytest.fixture(autouse=True)
def _figure_settings():
    with plt.rc_context():
        yield


def test_setup_prints_versions_device_and_profile(capsys):
    found = setup("ci", seed=3)
    out = capsys.readouterr().out
    for word in (f"torch {torch.__version__}", f"device {found.device}", "profile ci (", "seed 3"):
        assert word in out
    arithmetic = next(line for line in out.splitlines() if line.startswith("CPU "))
    assert f"{torch.get_num_threads()} thread" in arithmetic and "computes in " in arithmetic
    for private in (str(Path.home()) + "/", str(checkout())):
        assert private not in out


@pytest.mark.parametrize(
    ("cpuinfo", "bf16", "dtype"),
    [
        (
            "model name\t: Tiny CPU 7\nflags\t: avx2 avx512f avx512_bf16 amx_bf16\n",
            "amx_bf16 and avx512_bf16",
            "bfloat16",
        ),
        ("model name\t: Tiny CPU 7\nflags\t: avx2\n", "no bf16 instructions", "float32"),
    ],
)
def test_the_line_on_arithmetic_names_what_the_cpu_can(monkeypatch, cpuinfo, bf16, dtype):
    monkeypatch.setattr(environment, "_cpuinfo", lambda: cpuinfo)
    line = notebook.describe_arithmetic(torch.device("cpu"))
    assert line.startswith("CPU Tiny CPU 7, ") and bf16 in line and line.endswith(f"computes in {dtype}")
    monkeypatch.setattr(environment, "_cpuinfo", lambda: "")  # as on a Mac
    assert environment.cpu_model() and environment.bf16_instructions() == ()


@pytest.mark.parametrize(
    "first, variables, found",
    [
        ("", {}, "2000 True"),
        ("import torch", {}, "None False"),
        ("import torch", {"OMP_WAIT_POLICY": "PASSIVE"}, "None True"),
        ("", {"GOMP_SPINCOUNT": "7"}, "7 True"),
    ],
    ids=["alone", "torch first", "torch first, with a policy", "with a count"],
)
def test_threads_wait_briefly_unless_the_user_says_otherwise(first, variables, found):
    code = f"{first}\nimport os, r2gen_lib\nprint(os.environ.get('GOMP_SPINCOUNT'), r2gen_lib.THREADS_WAIT_BRIEFLY)"
    clean = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    run = subprocess.run([sys.executable, "-c", code], env=clean | variables, capture_output=True, text=True)
    assert run.stdout.split() == found.split(), run.stderr


def test_setup_says_when_torch_was_loaded_too_early(capsys, monkeypatch):
    setup("ci")
    assert "torch was loaded" not in capsys.readouterr().out
    monkeypatch.setattr(notebook, "THREADS_WAIT_BRIEFLY", False)
    setup("ci")
    assert "torch was loaded before r2gen_lib" in capsys.readouterr().out


def test_setup_seeds_every_generator():
    def draw():
        setup("ci", seed=5)
        return random.random(), np.random.rand(), torch.rand(1).item()

    assert draw() == draw()


def test_profile_from_the_environment(monkeypatch):
    monkeypatch.setenv("R2GEN_PROFILE", "ci")
    assert setup().profile.name == "ci"
    monkeypatch.setenv("R2GEN_PROFILE", "huge")
    with pytest.raises(R2GenError, match="found 'huge'"):
        setup()


def test_profile_in_words():
    assert "all studies to train on" in describe_profile(setup("paper").profile)


def test_files_go_to_the_runs_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("R2GEN_RUN_DIR", str(tmp_path / "run"))
    found = setup("ci")
    assert not (tmp_path / "run").exists()  # nothing is made before it is used
    assert found.folder("train") == tmp_path / "run" / "train" and found.folder("train").is_dir()
    monkeypatch.delenv("R2GEN_RUN_DIR")
    assert setup("ci").out_dir.parent == checkout() / "runs" / "by_hand"


def test_results_can_go_elsewhere_and_to_drive(monkeypatch, tmp_path, capsys):
    monkeypatch.delenv("R2GEN_RUN_DIR", raising=False)
    monkeypatch.setenv("R2GEN_RUNS", str(tmp_path / "mine"))
    assert setup("ci").out_dir.parent == tmp_path / "mine" / "by_hand"
    monkeypatch.delenv("R2GEN_RUNS")
    for module in (assets, notebook):
        monkeypatch.setattr(module, "DRIVE", tmp_path / "drive" / "MyDrive")
    assert notebook.mount_drive() is None  # not in Colab
    for name in ("google.colab", "google.colab.drive"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    sys.modules["google.colab.drive"].mount = lambda where: (Path(where) / "MyDrive").mkdir(parents=True)
    assert notebook.mount_drive() == tmp_path / "drive" / "MyDrive" / "r2gen" / "runs"
    found = setup("ci")
    assert found.out_dir.parent == tmp_path / "drive" / "MyDrive" / "r2gen" / "runs" / "by_hand"
    assert "files are kept in Google Drive, r2gen/runs/by_hand/" in capsys.readouterr().out
