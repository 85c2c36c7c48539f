"""What every test runs under: offline, seeded, the ci profile, figures drawn off-screen, the ordinary cache.

The cache (R2GEN_CACHE) is shared on purpose: rendered pictures and the converted language model are made once
for all tests and notebooks. Notebooks write their own files to a folder that is removed at the end.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING

import matplotlib
import numpy as np
import pytest

if TYPE_CHECKING:
    from r2gen_lib.metrics.nlg import LanguageScorer

os.environ["HF_HUB_OFFLINE"] = "1"  # before anything imports huggingface_hub; nbval's kernels inherit it
os.environ.setdefault("GOMP_SPINCOUNT", "2000")  # as r2gen_lib sets it, also where a test imports torch before it
os.environ.setdefault("R2GEN_PROFILE", "ci")
if "PYTEST_XDIST_WORKER_COUNT" in os.environ:  # workers share the cores; kernels and commands that they start, too
    share = (os.cpu_count() or 1) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    os.environ.setdefault("OMP_NUM_THREADS", str(max(share, 1)))
matplotlib.use("Agg")  # not MPLBACKEND: the notebooks' kernels must still draw inline


# A test process that was started in the background or with nohup, or by pytest-xdist, ignores these; and so would every
# process that a test starts.
for name, usual in (("SIGINT", signal.default_int_handler), ("SIGHUP", signal.SIG_DFL)):
    if hasattr(signal, name) and signal.getsignal(getattr(signal, name)) == signal.SIG_IGN:
        signal.signal(getattr(signal, name), usual)


def pytest_configure(config: pytest.Config) -> None:
    config.r2gen_run_dir = tempfile.mkdtemp(prefix="r2gen-test-")
    os.environ["R2GEN_RUN_DIR"] = config.r2gen_run_dir


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(config.r2gen_run_dir, ignore_errors=True)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    random.seed(0)
    np.random.seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


@pytest.fixture(scope="session")
def scorer() -> Iterator[LanguageScorer]:
    """One METEOR process for all tests that don't test the process itself."""
    from r2gen_lib.metrics.nlg import LanguageScorer

    with LanguageScorer(timeout=300) as one:
        yield one


@pytest.fixture
def shared_meteor(scorer, monkeypatch) -> None:
    """Let every scorer of a test use the session's METEOR, whose start takes seconds."""
    from r2gen_lib.metrics import nlg

    if scorer._meteor is None:
        scorer._meteor = nlg.start_meteor()
    monkeypatch.setattr(nlg, "start_meteor", lambda: scorer._meteor)
    monkeypatch.setattr(nlg.LanguageScorer, "close", lambda self: None)


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    """A cache of this test's own, empty."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("R2GEN_CACHE", str(folder))
    return folder
