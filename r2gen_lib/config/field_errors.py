"""What pydantic finds wrong in a setting, as one R2GenError in the words of the others."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from pydantic import ValidationError

from r2gen_lib.errors import R2GenError, short

#: A field of format 1 (``serialization``) -> where it stands now.
MOVED: Mapping[str, str] = {
    "optim.layernorm_start": "mapper.start_gain",
    "optim.max_report_tokens": "target.max_tokens",
    "optim.mask_token_0": "target.mask_token_0",
    "optim.noisy_frozen_encoder": "vision.noisy_when_frozen",
    "visual_token_pool": "mapper.pool",
    "visual_token_bias": "mapper.bias",
    "visual_token_rank": "mapper.rank",
    "visual_token_scale": "mapper.scale",
}
Kind = TypeVar("Kind", bound=type)


def named_errors(kind: Kind) -> Kind:
    """Decorate a pydantic dataclass: its errors are R2GenError, by the path of the field (``optim.learning_rate``)."""
    init = kind.__init__

    @functools.wraps(init)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            init(self, *args, **kwargs)
        except ValidationError as error:
            raise R2GenError(described(error, kind, part_name(kind))) from None

    kind.__init__ = __init__
    return kind


def part_name(kind: type) -> str:
    """The part of a preset that is of this kind: ``OptimConfig`` -> "optim"; of a preset itself: ""."""
    return "" if kind.__name__ == "Preset" else kind.__name__.removesuffix("Config").lower()


def described(error: ValidationError, kind: type, part: str = "") -> str:
    """Every field that is wrong: its path, what was found, what is expected; and at last what to do."""
    found = [_one(each, kind, part) for each in error.errors(include_url=False)]
    return f"{'; '.join(found)}. Correct it; help(r2gen_lib.config.{kind.__name__}) says what every setting means."


def _one(error: Mapping[str, Any], kind: type, part: str) -> str:
    names = [field.name for field in fields(kind)]
    place, *rest = error["loc"] or ("",)
    if isinstance(place, int) and place < len(names):  # of an argument that was given by its place
        place = names[place]
    path = ".".join(str(step) for step in (part, place, *rest) if step != "")
    match error["type"]:
        case "missing":
            return f"{path}: found nothing, expected a value"
        case "unexpected_keyword_argument":
            return f"{path}: unknown field" + (f" (it is {MOVED[path]} now)" if path in MOVED else "")
        case "value_error":
            return f"{path or 'preset'}: {error['ctx']['error']}"
        case _:
            return f"{path}: found {short(error['input'], 100)}, expected {_expected(error['msg'])}"


def _expected(message: str) -> str:
    """pydantic's "Input should be greater than 0" -> "a number greater than 0"."""
    words = message.removeprefix("Input should be ").removeprefix("String should have ")
    return re.sub(r"^(greater|less)", r"a number \1", words)
