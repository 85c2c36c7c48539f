"""Checkpoints of the public R2GenGPT code become models of ours: strictly, with the settings they were made with."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch

from r2gen_lib.config import LoraConfig, Preset, get_preset
from r2gen_lib.config.original_behaviour import with_original_behaviour
from r2gen_lib.errors import CheckpointError, R2GenError
from r2gen_lib.model.checkpoint import Trained
from r2gen_lib.model.encoder import FROM_PRESET
from r2gen_lib.model.fused_qkv_lora import merge_lora
from r2gen_lib.model.llm import LanguageModel
from r2gen_lib.model.original.file import OriginalFile, read_original
from r2gen_lib.model.original.tensor_names import convert
from r2gen_lib.model.strict_loading import load_strictly

#: The kind of model that ``make`` gives.
Model = TypeVar("Model", bound=Trained)
CHECKS = ("vision_model", "llama_model", "end_sym", "global_only", "vis_r", "vis_alpha")


def load_original_checkpoint(model: Trained, path: str | Path, *, skip_checks: Collection[str] = ()) -> None:
    """Load a ``.pth`` of the public R2GenGPT code into a model of the same mode and sizes.

    Args:
        model: in delta mode its preset must have ``lora.query_value``; ``R2GenGPT.from_original`` makes such a model.
        skip_checks: settings (of ``CHECKS``) in the file that need not agree with the model's preset.

    Raises:
        CheckpointError: the file is not the original's or not safe to read, its settings or its tensors are not the
            model's; the message lists what is missing, unknown or of another shape. The model is left as it was.
    """
    _load(model, read_original(path), skip_checks)


def model_from_original(
    make: Callable[..., Model],
    source: str | Path | OriginalFile,
    preset: str | Preset,
    *,
    merge: bool = False,
    original_behaviour: bool = False,
    skip_checks: Collection[str] = (),
    **parts: Any,
) -> Model:
    """What ``R2GenGPT.from_original`` does; ``make`` is ``R2GenGPT.from_preset``, ``parts`` are arguments of it."""
    original = source if isinstance(source, OriginalFile) else read_original(source)
    preset = with_original_behaviour(preset) if original_behaviour else get_preset(preset)
    if original.mode == "delta":
        preset = replace(preset, lora=_lora(original))
    elif merge:
        raise CheckpointError(f"{original.path}: holds no LoRA to merge ({original.mode} mode). Leave merging out.")
    if original.mode == "deep" and parts.get("vision_weights") == FROM_PRESET:
        parts["vision_weights"] = None  # the file holds the whole encoder
    model = make(preset, original.mode, **parts)
    _load(model, original, skip_checks)
    return _merged(model) if merge else model


def _load(model: Trained, original: OriginalFile, skip_checks: Collection[str]) -> None:
    if original.mode != model.mode:
        raise CheckpointError(
            f"{original.path}: holds what {original.mode} mode trains, the model is in {model.mode} mode. "
            f"Make the model in {original.mode} mode."
        )
    _check_settings(model, original, skip_checks)
    _check_windows(model, str(original.path))
    trainable = model.trainable_parameters()
    tensors = convert(original.tensors, trainable, str(original.path))
    load_strictly(model, tensors, str(original.path), set(trainable))


def _check_settings(model: Trained, original: OriginalFile, skip_checks: Collection[str]) -> None:
    unknown = set(skip_checks) - set(CHECKS)
    if unknown:
        raise R2GenError(f"skip_checks: found {', '.join(sorted(unknown))}, expected some of {', '.join(CHECKS)}.")
    preset, config = model.preset, original.config
    if config.get("llm_use_lora"):
        raise CheckpointError(f"{original.path}: has a LoRA on its language model (llm_use_lora), which isn't read.")
    expected: dict[str, Any] = {
        "vision_model": preset.vision.model_name,
        "llama_model": preset.language.source,
        "end_sym": model.tokenizer.eos_token,
        "global_only": preset.mapper.pool == 1,
    }
    if model.mode == "delta":
        if not preset.lora.query_value:
            raise CheckpointError(
                f"{original.path}: its LoRAs are on query and value, the model's is on qkv. Make the model with "
                "R2GenGPT.from_original, or from a preset with lora.query_value."
            )
        expected |= {"vis_r": preset.lora.rank, "vis_alpha": preset.lora.alpha}
    differ = [
        f"{name} {config.get(name)!r} (the model's: {value!r})"
        for name, value in expected.items()
        if name not in skip_checks and _comparable(config.get(name)) != _comparable(value)
    ]
    if differ:
        raise CheckpointError(
            f"{original.path}: was trained with other settings: {'; '.join(differ)}. Use a preset that has the same. "
            "If one means the same under another name, such as a folder's, skip its check by its name."
        )


def _comparable(value: Any) -> Any:
    """Names of models without their owner, tag, case and dashes: "microsoft/swin-base" is "swin_base"."""
    if not isinstance(value, str) or not re.search(r"\w", value) or value.startswith("<"):
        return value
    last = re.split(r"[/\\]", value.rstrip("/\\"))[-1].lower().replace("-", "_")
    return last.split(".")[0] if last.startswith(("swin", "vit")) else last


def _check_windows(model: Trained, path: str) -> None:
    """Refuse a grid that shifted windows don't tile: there transformers pads before the shift, timm after it."""
    for module in model.vision.swin.modules():
        if not (hasattr(module, "window_size") and hasattr(module, "shift_size") and any(module.shift_size)):
            continue
        if any(side % window for side, window in zip(module.input_resolution, module.window_size, strict=True)):
            raise CheckpointError(
                f"{path}: a grid of {tuple(module.input_resolution)} tokens isn't a multiple of the window "
                f"{tuple(module.window_size)}; there timm and transformers compute different things. Change image_size."
            )


def _lora(original: OriginalFile) -> LoraConfig:
    """The LoRA that the file's settings name."""
    config: Mapping[str, Any] = original.config
    lacking = [name for name in ("vis_r", "vis_alpha") if not isinstance(config.get(name), int)]
    if lacking:
        raise CheckpointError(
            f"{original.path}: has a LoRA, but its settings lack {', '.join(lacking)}, without which its weight is "
            "unknown. Put them in with the code that saved it."
        )
    return LoraConfig(config["vis_r"], config["vis_alpha"], float(config.get("lora_dropout", 0.1)), query_value=True)


@torch.no_grad()
def _merged(model: Model) -> Model:
    """The same model with its LoRA added into the encoder's weights: deep mode, whose checkpoint holds the encoder."""
    language = LanguageModel(model.language, model.tokenizer, model.language_identity)
    merge_lora(model.vision)
    merged = type(model)(model.preset, "deep", model.vision, language)
    merged.mapper.load_state_dict(model.mapper.state_dict())
    return merged
