"""What made a run: versions, hardware, date, and which weights. Kept in ``scores.json`` and told on the run's page."""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import shlex
from dataclasses import asdict
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from r2gen_lib import __version__
from r2gen_lib.files import sha256_of

if TYPE_CHECKING:
    from r2gen_lib.model.r2gengpt import R2GenGPT

_PACKAGES = ("torch", "transformers", "timm", "numpy", "spacy", "negspacy", "pycocoevalcap")


def environment_facts() -> dict[str, str]:
    """Date, versions and hardware, in words."""
    facts = {"date": datetime.now().astimezone().isoformat(timespec="seconds"), "r2gen-course": __version__}
    facts["Python"] = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    return facts | {name: _version(name) for name in _PACKAGES} | {"hardware": hardware()}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def hardware() -> str:
    """Cores, memory and GPU, where there is one that is used."""
    import psutil
    import torch

    memory = psutil.virtual_memory().total / 2**30
    words = f"{os.cpu_count()} CPU cores, {memory:.0f} GB memory"
    return f"{words}, {torch.cuda.get_device_name()}" if torch.cuda.is_available() else words


def model_facts(model: R2GenGPT, decoding: dict[str, Any]) -> dict[str, Any]:
    """Preset, mode, device and what the decoding was, the preset's and what was asked for otherwise."""
    facts = {"preset": model.preset.name, "mode": getattr(model, "mode", "unknown"), "device": str(model.device)}
    facts["language model"] = model.preset.language.source
    used = asdict(model.preset.decoding) | decoding
    return facts | {"decoding used": used}


def run_facts(args: argparse.Namespace) -> dict[str, str]:
    """What ``r2gen evaluate`` was told: command, data, split, section and cleaning, checkpoint and its hash.

    Args:
        args: with ``argv``, ``data``, ``split``, ``section``, ``clean`` and ``checkpoint``.
    """
    from r2gen_lib.model.checkpoint import resolve

    facts = {"command": shlex.join(["r2gen", *args.argv]), "data": args.data, "split": args.split}
    facts |= {"section scored": args.section, "cleaning": args.clean, "checkpoint": args.checkpoint}
    facts = {name: str(value) for name, value in facts.items()}
    return facts | {"checkpoint sha256": checkpoint_hash(resolve(args.checkpoint))}


def checkpoint_hash(folder: str | Path) -> str:
    """SHA-256 over a checkpoint's files (names and contents): equal for equal checkpoints, wherever they lie.

    Args:
        folder: as ``model.checkpoint.resolve`` gives it.
    """
    digest = hashlib.sha256()
    for path in sorted(path for path in Path(folder).iterdir() if path.is_file()):
        digest.update(f"{path.name} {sha256_of(path)}\n".encode())
    return digest.hexdigest()
