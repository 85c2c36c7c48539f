"""Names that older files and commands hold, and what they are called today. What reads such a file takes both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

#: Columns of ``history.csv``, and of the history in a run's state.
HISTORY = {"held_out_loss": "val_loss", "shuffled_loss": "val_loss_shuffled"}
#: Controls: columns of ``reports.csv``, entries of ``scores.json``.
CONTROLS = {"perfect eye": "oracle"}
#: Ends of presets' names in ``config.json`` and in a run's state.
PRESET_ENDS = {"-perfect-eye": "-oracle"}
#: Saliency methods that ``r2gen counterfactual --pointing`` takes.
SALIENCY_METHODS = {"eye": "head"}

Value = TypeVar("Value")


def with_todays_names(entries: Mapping[str, Value], names: Mapping[str, str]) -> dict[str, Value]:
    """``entries`` in their order, those with a name of before under today's."""
    return {names.get(name, name): value for name, value in entries.items()}


def preset_name_of_today(name: str) -> str:
    """A preset's name, with today's end in place of one of before."""
    for old, new in PRESET_ENDS.items():
        if name.endswith(old):
            return name.removesuffix(old) + new
    return name
