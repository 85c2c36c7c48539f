"""Reads the ``.pth`` files of the public R2GenGPT code, and runs nothing that is in them.

Such a file is a zip whose ``data.pkl`` is a pickled dict: "model" (the tensors that trained), "config" (Lightning's
``AttributeDict`` of the command line), "epoch", "step". torch's weights-only unpickler reads it: it knows how to make
tensors, numbers, texts and containers, and refuses every other name. The one type of Lightning's is read as an
ordinary dict; Lightning itself is neither needed nor imported.
"""

from __future__ import annotations

import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from packaging.version import Version
from torch import Tensor
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from r2gen_lib.errors import CheckpointError

_DICTS = (  # what the original's settings are pickled as, by the version of Lightning
    "lightning.pytorch.utilities.parsing.AttributeDict",
    "lightning.fabric.utilities.data.AttributeDict",
    "lightning_fabric.utilities.data.AttributeDict",
    "pytorch_lightning.utilities.parsing.AttributeDict",
    "argparse.Namespace",
)
_TORCH = "2.6"  # the first whose weights-only unpickler takes a stand-in by name


@dataclass(frozen=True)
class OriginalFile:
    """What a ``.pth`` of the original holds.

    Attributes:
        path: of the file.
        tensors: what trained, on the CPU, under the original's names.
        config: the settings it was trained with, as plain values; empty if the file has none.
    """

    path: Path
    tensors: dict[str, Tensor]
    config: dict[str, Any]

    @property
    def mode(self) -> str:
        """The mode whose tensors it holds: "delta" if there is a LoRA, "deep" if there is an encoder, or "shallow"."""
        if any(n.startswith("visual_encoder.") and ".lora_A." in n for n in self.tensors):
            return "delta"
        return "deep" if any(name.startswith("visual_encoder.") for name in self.tensors) else "shallow"


def read_original(path: str | Path) -> OriginalFile:
    """A ``.pth`` of the original.

    Raises:
        CheckpointError: no such file, not what the original saves, a pickle that names anything but tensors and plain
            values (nothing of it was run), or tensors that are not finite.
    """
    path = Path(path)
    saved = _read(path)
    tensors = saved.get("model") if isinstance(saved, Mapping) else None
    if not isinstance(tensors, Mapping) or not tensors or not all(map(_is_weight, tensors.items())):
        raise CheckpointError(
            f"{path}: found no tensors under 'model', expected what R2GenGPT's save_checkpoint writes. "
            "Give a file from its checkpoints/ folder."
        )
    broken = [name for name, tensor in tensors.items() if not tensor.isfinite().all()]
    if broken:
        names = ", ".join(sorted(broken))
        raise CheckpointError(f"{path}: NaN or infinity in {names}. fp16 training broke it; take an earlier file.")
    config = saved.get("config")
    settings = dict(config) if isinstance(config, Mapping) else {}
    settings |= getattr(config, "__dict__", {})  # where a Namespace's are
    return OriginalFile(path, dict(tensors), settings)


def _read(path: Path) -> Any:
    """The unpickled file: containers, numbers, texts and tensors."""
    if not path.is_file():
        raise CheckpointError(f"{path}: found no file, expected a .pth that R2GenGPT saved. Check the path.")
    if Version(torch.__version__) < Version(_TORCH):
        raise CheckpointError(f"{path}: reading it safely takes torch {_TORCH} or newer, found {torch.__version__}.")
    if not zipfile.is_zipfile(path):
        raise CheckpointError(f"{path}: not a zip, as torch.save writes, or not whole. Copy or download it again.")
    try:
        foreign = sorted(set(get_unsafe_globals_in_checkpoint(path)) - set(_DICTS))
    except Exception as error:  # whatever a damaged or hostile file makes of the scanner
        raise CheckpointError(f"{path}: its pickle cannot be scanned ({error}). Nothing of it was run.") from error
    if foreign:
        raise CheckpointError(
            f"{path}: its pickle names {', '.join(foreign)}, expected nothing but tensors and plain settings. "
            "Refused; nothing of it was run. Don't load this file with torch.load unless you trust who made it."
        )
    try:
        with safe_globals([(OrderedDict, name) for name in _DICTS]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise CheckpointError(f"{path}: cannot be read ({error}). Nothing of it was run. Download it again.") from error


def _is_weight(item: tuple[Any, Any]) -> bool:
    name, tensor = item
    return (
        isinstance(name, str)
        and isinstance(tensor, Tensor)
        and tensor.layout is torch.strided
        and tensor.device.type == "cpu"
        and tensor.is_floating_point()
    )
