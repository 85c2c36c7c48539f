"""A preset as what JSON can hold, and back: how checkpoints and runs keep it, and what files of before said."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from r2gen_lib.config.field_errors import MOVED, described
from r2gen_lib.config.schema import Preset
from r2gen_lib.errors import R2GenError
from r2gen_lib.former_names import preset_name_of_today

#: Of what ``preset_to_dict`` gives. 1 had the mapper's and the target's settings in ``optim`` and in the preset itself.
FORMAT = 2


def preset_to_dict(preset: Preset) -> dict:
    """The preset as plain dicts, lists and numbers, ready for JSON."""
    return _presets().dump_python(preset, mode="json")


def preset_from_dict(values: Mapping[str, Any], format: Any = FORMAT) -> Preset:
    """The inverse of ``preset_to_dict``, also of what an earlier ``format`` gave.

    Raises:
        R2GenError: a later format; or fields that are unknown, missing or of a value that cannot be, by their paths.
    """
    check_format(format)
    if isinstance(values.get("name"), str):
        values = {**values, "name": preset_name_of_today(values["name"])}
    try:  # as JSON, whose lists are tuples to pydantic, while "3" is no number
        return _presets().validate_json(json.dumps(_moved(values) if format == 1 else values))
    except ValidationError as error:
        raise R2GenError(described(error, Preset)) from None


def check_format(format: Any) -> None:
    """Raise R2GenError unless presets of this format can be read."""
    if format not in range(1, FORMAT + 1):
        raise R2GenError(f"format {format}, expected at most {FORMAT}: a newer r2gen wrote it. Update r2gen.")


@cache
def _presets() -> TypeAdapter[Preset]:
    return TypeAdapter(Preset)


def _moved(values: Mapping[str, Any]) -> dict[str, Any]:
    """A preset of format 1 in format 2: every field with the value it has there, at its new place."""
    new = {key: dict(value) if isinstance(value, Mapping) else value for key, value in values.items()}
    for old, place in MOVED.items():
        *part, name = old.split(".")
        holder = new.get(part[0]) if part else new
        if isinstance(holder, dict) and name in holder:
            new_part, new_name = place.split(".")
            new.setdefault(new_part, {})[new_name] = holder.pop(name)
    return new
