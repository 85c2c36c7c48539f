"""Checkpoints: only what was trained, as safetensors, with the config and the fingerprints of what was not.

A checkpoint is a folder of two files, ``config.json`` and ``trainable.safetensors``. It appears whole or not
at all, holds no pickle, and is refused by a model with another frozen part.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from r2gen_lib import __version__
from r2gen_lib.assets import repository_data
from r2gen_lib.config import Preset
from r2gen_lib.config.serialization import FORMAT, check_format, preset_from_dict, preset_to_dict
from r2gen_lib.errors import AssetError, CheckpointError, R2GenError
from r2gen_lib.files import new_folder, usual_permissions
from r2gen_lib.model.lora_names import name_without_lora
from r2gen_lib.model.mapper_size import resized
from r2gen_lib.model.sharding import unsharded
from r2gen_lib.model.strict_loading import load_strictly, read_tensors

CONFIG, TENSORS = "config.json", "trainable.safetensors"


class Trained(Protocol):
    """What a checkpoint needs of a model: ``r2gengpt.R2GenGPT`` is one."""

    preset: Preset
    mode: str
    vision: nn.Module
    language_identity: str

    def trainable_parameters(self) -> dict[str, nn.Parameter]: ...

    def save_trainable(self, folder: str | Path, notes: Mapping[str, Any] | None = None) -> Path: ...


def save_trainable(model: Trained, folder: str | Path, notes: Mapping[str, Any] | None = None) -> Path:
    """Write the trainable tensors (fp32) and the config that makes them meaningful.

    Args:
        notes: anything JSON can hold, kept in ``config.json`` for the reader (steps, losses).

    Raises:
        CheckpointError: the folder holds something that is not a checkpoint, or cannot be written.
    """
    config = {
        "format": FORMAT,
        "r2gen": __version__,
        "mode": model.mode,
        "language": model.language_identity,
        "encoder": frozen_hash(model),
        "preset": preset_to_dict(unsharded(model.preset)),
        "notes": dict(notes or {}),
    }
    tensors = {name: p.detach().float().cpu().contiguous() for name, p in model.trainable_parameters().items()}
    return _write(folder, config, tensors)


def _write(folder: str | Path, config: Mapping[str, Any], tensors: dict[str, Tensor]) -> Path:
    """Both files of a checkpoint, or neither."""
    with folder_writer(folder, marker=CONFIG) as temporary:
        save_file(tensors, temporary / TENSORS, metadata={"format": "pt"})
        (temporary / CONFIG).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    return Path(folder)


def load_trainable(model: Trained, folder: str | Path) -> None:
    """Read a checkpoint into a model of the same preset, mode and frozen parts.

    Raises:
        CheckpointError: another preset or mode, other frozen weights, or tensors missing, unknown or of
            another shape; the message lists them. The model is left as it was.
    """
    config = read_config(folder)
    _check_field(folder, "preset", config["preset"]["name"], model.preset.name, "Make the model from that preset.")
    _check_field(folder, "mode", config["mode"], model.mode, "Make the model in that mode.")
    advice = "It was trained in front of other weights; train again, or load those weights."
    _check_field(folder, "language", config["language"], model.language_identity, advice)
    _check_field(folder, "encoder", config["encoder"], frozen_hash(model), advice)
    load_strictly(model, read_tensors(Path(folder) / TENSORS), str(folder), set(model.trainable_parameters()))


def load_mapper(model: Trained, folder_or_name: str | Path) -> None:
    """Start a model's mapper from that of a checkpoint in any mode, such as delta from a shallow one.

    One that shows another number of tokens, or has another rank, is resized (``mapper_size``).

    Raises:
        CheckpointError: no such checkpoint, of another preset or language model, or its mapper cannot be made of this
            shape. The model is left as it was.
    """
    folder = resolve(folder_or_name)
    config = read_config(folder)
    _check_field(folder, "preset", config["preset"]["name"], model.preset.name, "Start from one of that preset.")
    _check_field(folder, "language", config["language"], model.language_identity, "Its mapper speaks to another model.")
    tensors = read_tensors(folder / TENSORS)
    prefix = "mapper."
    mapper = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    load_strictly(model.mapper, resized(mapper, model.mapper.state_dict(), str(folder)), str(folder))


def save_halved(folder_or_name: str | Path, out: str | Path) -> Path:
    """A copy of a checkpoint with its tensors in fp16: half the bytes of fp32. A model that loads it has fp32 numbers
    as before, rounded to fp16's eleven bits.

    Args:
        folder_or_name: the checkpoint; its curve, ``history.csv``, is not copied.
        out: the copy's folder, new or empty.

    Raises:
        CheckpointError: no checkpoint, a number that fp16 can't hold, or ``out`` holds something or cannot be written.
    """
    folder, out = resolve(folder_or_name), Path(out)
    config = read_config(folder)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise CheckpointError(f"{out}: holds something already, which would be lost. Give a new folder.")
    tensors = {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in read_tensors(folder / TENSORS).items()
    }
    too_large = [name for name, tensor in tensors.items() if not tensor.isfinite().all()]
    if too_large:
        raise CheckpointError(
            f"{folder / TENSORS}: {', '.join(sorted(too_large))} has numbers that are not finite or beyond fp16's "
            "65,504. Keep it as it is."
        )
    return _write(out, config, tensors)


def read_config(folder: str | Path) -> dict[str, Any]:
    """``config.json`` of a checkpoint, with ``preset`` and ``mode`` checked to be there.

    Its ``preset`` is as its format has it: ``saved_preset`` reads every format.
    """
    path = Path(folder) / CONFIG
    if not path.is_file():
        raise CheckpointError(
            f"{folder}: no {CONFIG} in it, so it is not a checkpoint. Give a folder that training made."
        )
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path}: not readable JSON ({error}). Train again, or restore the file.") from error
    config = config if isinstance(config, dict) else {}
    try:
        check_format(config.get("format", FORMAT))
    except R2GenError as error:
        raise CheckpointError(f"{path}: {error}") from None
    missing = {"format", "mode", "language", "encoder", "preset"} - set(config)
    if missing or "name" not in config["preset"]:
        raise CheckpointError(f"{path}: field(s) {', '.join(sorted(missing)) or 'preset.name'} missing.")
    return config


def saved_preset(folder: str | Path) -> Preset:
    """The preset a checkpoint was trained with."""
    config = read_config(folder)
    try:
        return preset_from_dict(config["preset"], config["format"])
    except R2GenError as error:
        raise CheckpointError(f"{Path(folder) / CONFIG}: {error}") from None


def resolve(folder_or_name: str | Path) -> Path:
    """A folder as given, or a shipped checkpoint by its name, such as ``"laptop-shallow"``."""
    if Path(folder_or_name).is_dir():
        return Path(folder_or_name)
    try:
        return repository_data(f"weights/{folder_or_name}")
    except AssetError as error:
        raise CheckpointError(
            f"checkpoint {folder_or_name}: neither a folder of that path nor data/weights/{folder_or_name}. "
            "Give the folder that training wrote (it holds config.json)."
        ) from error


def frozen_hash(model: Trained) -> str | None:
    """SHA-256 over what of the encoder does not train: parameters, and the statistics of batch norms. None if nothing
    is left: a deep mode's checkpoint holds every parameter."""
    state = model.vision.state_dict(keep_vars=True)
    frozen = {name_without_lora(name): tensor for name, tensor in state.items() if not tensor.requires_grad}
    if not frozen:
        return None
    digest = hashlib.sha256()
    for name, parameter in sorted(frozen.items()):
        digest.update(f"{name} {tuple(parameter.shape)}\n".encode())
        digest.update(parameter.detach().float().cpu().contiguous().numpy().data)
    return digest.hexdigest()


@contextmanager
def folder_writer(folder: str | Path, marker: str) -> Iterator[Path]:
    """Yield a temporary folder that takes ``folder``'s place on success and vanishes on any error.

    Permissions are those of ``folder`` if it was there, else as the process's umask says; files' always are as it says.

    Raises:
        CheckpointError: ``folder`` exists and holds no ``marker`` file (it isn't ours to replace), or it cannot be
            written (a full disk, say); what was there before is there still.
    """
    folder = Path(folder)
    if folder.exists() and not (folder / marker).is_file() and not (folder.is_dir() and not any(folder.iterdir())):
        raise CheckpointError(f"{folder}: exists and is not a checkpoint (no {marker}). Give another folder.")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = new_folder(folder)
    except OSError as error:
        raise CheckpointError(f"{folder}: cannot be written ({error}). Give a folder you may write to.") from error
    old = None
    try:
        yield temporary
        usual_permissions(temporary)
        if folder.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{folder.name}-old-", dir=folder.parent))
            folder.rename(old / folder.name)
        temporary.rename(folder)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{folder}: cannot be written ({error}). What it held before is kept. Free some space and call again, "
            "or give another folder."
        ) from error
    finally:
        if old and not folder.exists() and (old / folder.name).exists():
            (old / folder.name).rename(folder)
        for rest in filter(None, (temporary, old)):
            shutil.rmtree(rest, ignore_errors=True)


def mend(folder: Path) -> None:
    """Undo what a ``folder_writer`` left that was killed: put back what it had moved away, remove the rest."""
    pattern = rf"\.{re.escape(folder.name)}-(old-)?[a-z0-9_]{{8}}"
    rests = [rest for rest in folder.parent.iterdir() if re.fullmatch(pattern, rest.name)]
    for old in (rest / folder.name for rest in rests):
        if old.exists() and not folder.exists():
            old.rename(folder)
    for rest in rests:
        shutil.rmtree(rest, ignore_errors=True)


def _check_field(folder: str | Path, field: str, found: Any, expected: Any, advice: str) -> None:
    if found != expected:
        raise CheckpointError(f"{folder}: {field} is {found!r}, the model's is {expected!r}. {advice}")
