"""What made a run: versions, hardware, date, and which weights. Kept in ``scores.json`` and shown on the run's page."""

from __future__ import annotations

import argparse
import hashlib
import shlex
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from r2gen_lib.environment import gpu, machine, versions
from r2gen_lib.files import sha256_of

if TYPE_CHECKING:
    from r2gen_lib.model.r2gengpt import R2GenGPT

_PACKAGES = ("torch", "transformers", "timm", "numpy", "spacy", "negspacy", "pycocoevalcap")


def environment_facts() -> dict[str, str]:
    """Date, versions and hardware, in words."""
    facts = {"date": datetime.now().astimezone().isoformat(timespec="seconds")}
    here, known = machine(), versions(*_PACKAGES)
    facts |= {"r2gen-course": known.pop("r2gen-course"), "Python": f"{here.python} on {here.system} {here.processor}"}
    hardware = [f"{here.cores} CPU cores", f"{here.memory_gb} GB memory", *filter(None, [gpu()])]
    return facts | known | {"hardware": ", ".join(hardware)}


def model_facts(model: R2GenGPT, decoding: dict[str, Any]) -> dict[str, Any]:
    """Preset, mode, device and what the decoding was, the preset's and what was asked for otherwise."""
    facts = {"preset": model.preset.name, "mode": model.mode, "device": str(model.device)}
    facts["language model"] = model.preset.language.source
    used = asdict(model.preset.decoding) | decoding
    return facts | {"decoding used": used}


def run_facts(args: argparse.Namespace) -> dict[str, str]:
    """The options of ``r2gen evaluate``: command, data, split, checkpoint and its hash.

    Args:
        args: with ``argv``, ``data``, ``split`` and ``checkpoint``.
    """
    from r2gen_lib.model.checkpoint import resolve

    facts = {"command": shlex.join(["r2gen", *args.argv])}
    facts |= {name: str(getattr(args, name)) for name in ("data", "split", "checkpoint")}
    return facts | {"checkpoint sha256": checkpoint_hash(resolve(args.checkpoint))}


def text_in_words(section: str, cleaning: str) -> str:
    """Which text was scored, "section findings, cleaning gentle"; what is not known is left out."""
    return ", ".join(f"{name} {value}" for name, value in (("section", section), ("cleaning", cleaning)) if value)


def settings_of_today(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a ``scores.json`` with ``section`` and ``cleaning``, whenever it was written.

    Older ones tell them in a sentence ("section findings, cleaning gentle", the setting ``text``), and the section
    again as ``section scored``; a sentence of another form is taken for the section.
    """
    told = dict(settings)
    text, section = str(told.pop("text", "")), told.pop("section scored", None)
    parts = dict(part.split(" ", 1) for part in text.split(", ") if part.startswith(("section ", "cleaning ")))
    cleaning = told.pop("cleaning", None) or parts.get("cleaning", "")
    section = told.pop("section", None) or section or parts.get("section", "" if parts else text)
    return {"section": section, "cleaning": cleaning, **told}


def checkpoint_hash(folder: str | Path) -> str:
    """SHA-256 over a checkpoint's files (names and contents): equal for equal checkpoints, wherever they lie.

    A card beside them (``README.md``) and training curves (``history*.csv``) are no part of the checkpoint.

    Args:
        folder: as ``model.checkpoint.resolve`` gives it.
    """
    digest = hashlib.sha256()
    aside = {".md", ".csv"}
    for path in sorted(path for path in Path(folder).iterdir() if path.is_file() and path.suffix not in aside):
        digest.update(f"{path.name} {sha256_of(path)}\n".encode())
    return digest.hexdigest()
