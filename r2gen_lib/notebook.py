"""The one call every notebook begins with."""

from __future__ import annotations

import importlib
import os
import random
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import timm
import torch
import transformers

from r2gen_lib import THREADS_WAIT_BRIEFLY, __version__, plots
from r2gen_lib.assets import DRIVE, runs_folder
from r2gen_lib.config import Profile, get_profile
from r2gen_lib.environment import bf16_instructions, cpu_model, machine
from r2gen_lib.model.llm import choose_dtype
from r2gen_lib.model.r2gengpt import default_device


@dataclass(frozen=True)
class Setup:
    """What :func:`setup` found.

    Attributes:
        profile: how long things take here (a ``config.Profile``).
        device: where the models run: CUDA if there is a GPU for it, else the CPU.
        seed: what the random generators were started with.
        out_dir: this run's own folder for whatever the notebook writes; `folder` makes it.
    """

    profile: Profile
    device: torch.device
    seed: int
    out_dir: Path

    def folder(self, name: str) -> Path:
        """A folder of that name in ``out_dir``, made if need be."""
        path = self.out_dir / name
        path.mkdir(parents=True, exist_ok=True)
        return path


def setup(profile: str | Profile | None = None, seed: int = 0) -> Setup:
    """Choose profile and device, start the random generators, quieten libraries, and print what was found.

    Args:
        profile: name of a profile; None takes the environment's R2GEN_PROFILE, else "laptop".
        seed: for Python's, NumPy's and torch's generators.

    Raises:
        R2GenError: no such profile.
    """
    found = Setup(get_profile(profile), default_device(), seed, _out_dir())
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    plt.rcParams.update(plots.STYLE)
    here = machine()
    print(
        f"r2gen-course {__version__} | Python {here.python} | torch {torch.__version__} | "
        f"transformers {transformers.__version__} | timm {timm.__version__}"
    )
    print(f"device {describe_device(found.device)} | {here.cores} cores, {here.memory_gb} GB memory")
    print(describe_arithmetic(found.device))
    print(f"profile {describe_profile(found.profile)} | seed {seed}")
    if not THREADS_WAIT_BRIEFLY:
        print(
            "torch was loaded before r2gen_lib: beside busy programs its threads hinder each other. "
            "Restart the kernel and import r2gen_lib first."
        )
    if DRIVE in found.out_dir.parents:
        print(f"files are kept in Google Drive, {found.out_dir.relative_to(DRIVE).as_posix()}")
    return found


def mount_drive() -> Path | None:
    """In Colab: mount Google Drive (it asks), so that ``setup`` keeps checkpoints there. Elsewhere: None.

    Call it before ``setup``. A Colab machine's own disk is gone when the session ends; the Drive stays.
    """
    if "google.colab" not in sys.modules:
        return None
    drive = importlib.import_module("google.colab.drive")

    drive.mount(str(DRIVE.parent))
    return runs_folder()


def describe_device(device: torch.device) -> str:
    """The device in words, with a GPU's name and memory."""
    if device.type != "cuda":
        return str(device)
    properties = torch.cuda.get_device_properties(device)
    return f"{device} ({properties.name}, {properties.total_memory / 2**30:.0f} GB)"


def describe_arithmetic(device: torch.device) -> str:
    """What decides how numbers are rounded: the CPU, its instructions, the threads, and the language model's dtype."""
    bf16 = " and ".join(bf16_instructions()) or "no bf16 instructions"
    dtype = str(choose_dtype("auto", device)).removeprefix("torch.")
    threads = torch.get_num_threads()
    return (
        f"CPU {cpu_model()}, {torch.backends.cpu.get_cpu_capability()}, {bf16} | "
        f"{threads} thread{'s' if threads > 1 else ''} | the language model computes in {dtype}"
    )


def describe_profile(profile: Profile) -> str:
    """The profile in words: how many studies and steps."""
    numbers = {"studies to train on": profile.train_studies, "steps": profile.train_steps}
    numbers |= {"to validate": profile.val_studies, "to test": profile.test_studies}
    return f"{profile.name} (" + ", ".join(f"{n or 'all'} {what}" for what, n in numbers.items()) + ")"


def _out_dir() -> Path:
    """R2GEN_RUN_DIR, which `r2gen course` sets; by hand a folder of its own under ``runs_folder``."""
    if os.environ.get("R2GEN_RUN_DIR"):
        return Path(os.environ["R2GEN_RUN_DIR"])
    name = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    return runs_folder() / "by_hand" / f"{name}_{os.getpid()}"
