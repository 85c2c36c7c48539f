"""Figures for notebook 06: what fits where, and how long it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from r2gen_lib.plots.style import BLUE, FROZEN, GREEN, GREY, INK, RED, TRAINED

_PARTS = {"weights": FROZEN, "state": TRAINED, "working": BLUE, "runtime": GREY}
_WORDS = {
    "weights": "weights (nearly all frozen)",
    "state": "gradients and AdamW's moments",
    "working": "activations, logits, keys and values",
    "runtime": "runtime",
}


def memory_bars(table: pd.DataFrame, limits: Mapping[str, float], title: str = "") -> Figure:
    """Stacked bars of gigabytes by part, a group a mode, with lines where devices end.

    Args:
        table: indexed by (mode, setting); columns "weights", "state", "working", "runtime" in GB.
        limits: device -> its GB; each is a dashed line.
        title: over the figure.
    """
    figure, ax = plt.subplots(figsize=(10.5, 0.9 + 0.3 * len(table)), layout="constrained")
    modes = list(dict.fromkeys(mode for mode, _ in table.index))
    places = np.array([i + 0.7 * modes.index(mode) for i, (mode, _) in enumerate(table.index)])
    left = np.zeros(len(table))
    for part, colour in _PARTS.items():
        values = table[part].to_numpy(dtype=float)
        ax.barh(places, values, 0.78, left=left, color=colour, edgecolor="white", lw=0.5, label=_WORDS[part])
        left += values
    paper = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}  # a device's line ends before a number
    for place, total in zip(places, left, strict=True):
        ax.text(total, place, f" {total:.1f}", va="center", fontsize=8, bbox=paper, zorder=3)
    for name, gigabytes in limits.items():
        ax.axvline(gigabytes, color=INK, ls="--", lw=0.9)
        ax.text(gigabytes, places[0] - 0.75, f"{name} ", ha="right", va="bottom", fontsize=8)
    ax.set_yticks(places, [f"{mode}, {setting}" for mode, setting in table.index], fontsize=8)
    ax.set_ylim(places[-1] + 0.7, places[0] - 1.7)
    ax.set_xlim(0, max(left.max(), *limits.values()) * 1.06)
    ax.set(xlabel="GB (1e9 bytes) at the peak of a training step")
    ax.set_title(title, loc="left")
    figure.legend(loc="outside lower center", ncols=len(_PARTS), fontsize=8)
    return figure


def hour_bars(table: pd.DataFrame, title: str = "") -> Figure:
    """Hours by device on a logarithmic axis, a group of bars a device, a bar a data set.

    Args:
        table: one row a device, one column a data set, in hours; NaN where it does not fit.
        title: over the figure.
    """
    figure, ax = plt.subplots(figsize=(8.4, 0.9 + 0.5 * len(table)), layout="constrained")
    height, colours = 0.8 / table.shape[1], (BLUE, RED, GREEN)
    smallest = np.nanmin(table.to_numpy(dtype=float))
    for i, column in enumerate(table):
        places = np.arange(len(table)) + (i - (table.shape[1] - 1) / 2) * height
        values = table[column].to_numpy(dtype=float)
        ax.barh(places, np.nan_to_num(values), height, color=colours[i % 3], label=column)
        _hours_written(ax, places, values, smallest / 2)
    ax.set_xscale("log")
    ax.set_xlim(smallest / 2, np.nanmax(table.to_numpy(dtype=float)) * 4)
    ax.set_yticks(range(len(table)), list(table.index))
    ax.invert_yaxis()
    ax.set(xlabel="hours (logarithmic)")
    ax.set_title(title, loc="left")
    ax.legend(loc="lower right", fontsize=8)
    return figure


def _hours_written(ax: plt.Axes, places: Sequence[float], values: Sequence[float], start: float) -> None:
    for place, value in zip(places, values, strict=True):
        missing = np.isnan(value)
        words = " does not fit" if missing else f" {60 * value:.0f} min" if value < 2 else f" {value:.0f} h"
        ax.text(start if missing else value, place, words, va="center", fontsize=8)
