"""A preset as what JSON can hold, and back: how checkpoints and runs keep it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from typing import Any

from r2gen_lib.config import (
    DecodingConfig,
    LanguageConfig,
    LoraConfig,
    OptimConfig,
    Preset,
    PromptConfig,
    VisionConfig,
)
from r2gen_lib.errors import R2GenError


def preset_to_dict(preset: Preset) -> dict:
    """The preset as plain dicts, lists and numbers, ready for JSON."""
    plain = replace(
        preset,
        vision=replace(preset.vision, model_kwargs=dict(preset.vision.model_kwargs)),
        language=replace(preset.language, shape=dict(preset.language.shape)),
    )
    return _listed(asdict(plain))


def preset_from_dict(values: Mapping[str, Any]) -> Preset:
    """The inverse of ``preset_to_dict``. Raises R2GenError that names an unknown or missing field."""
    parts = dict(
        vision=VisionConfig,
        language=LanguageConfig,
        prompt=PromptConfig,
        optim=OptimConfig,
        decoding=DecodingConfig,
        lora=LoraConfig,
        language_lora=LoraConfig,
    )
    built = {k: _build(parts[k], v) if k in parts and v is not None else v for k, v in values.items()}
    return _build(Preset, built)


def _build(kind: type, values: Mapping[str, Any]) -> Any:
    unknown = set(values) - {f.name for f in fields(kind)}
    if unknown:
        names = ", ".join(sorted(unknown))
        raise R2GenError(f"{kind.__name__}: unknown field(s) {names}; was it saved by a newer r2gen?")
    try:
        return kind(**{key: _tupled(value) for key, value in values.items()})
    except TypeError as error:
        raise R2GenError(f"{kind.__name__}: {error}") from error


def _listed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _listed(item) for key, item in value.items()}
    return [_listed(item) for item in value] if isinstance(value, (tuple, list)) else value


def _tupled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _tupled(item) for key, item in value.items()}
    return tuple(_tupled(item) for item in value) if isinstance(value, (tuple, list)) else value
