"""Figures of the course: plain arrays, tables or studies in, a matplotlib Figure out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from r2gen_lib.former_names import HISTORY
from r2gen_lib.metrics.names import score_name
from r2gen_lib.plots.style import BLUE, GREEN, GREY, RED, REMARK, STYLE, VIOLET
from r2gen_lib.plots.system import system_drawing

__all__ = [
    "STYLE",
    "loss_curve",
    "score_bars",
    "system_drawing",
    "token_words",
]

_CURVES = {
    "train_loss": "training batches",
    "val_loss": "validation studies",
    "val_loss_shuffled": "validation, shuffled pictures",
}


def loss_curve(
    history: pd.DataFrame, columns: Mapping[str, str] | None = None, smooth: int = 10, title: str = ""
) -> Figure:
    """Loss against training steps; rows where a column is empty are skipped in that column.

    Args:
        history: column ``step`` and one column a curve.
        columns: column -> the words for its curve; by default those that training writes, today or before. A
            column of which every step is known is drawn faintly, with its running mean over ``smooth`` steps on top.
        smooth: steps.
        title: over the figure.
    """
    if columns is None:
        history = history.rename(columns=HISTORY)
        columns = {column: words for column, words in _CURVES.items() if column in history}
    figure, ax = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
    colours = (GREY, RED, BLUE, GREEN, VIOLET)
    for (column, words), colour in zip(columns.items(), colours, strict=False):
        curve = history[["step", column]].dropna()
        if len(curve) > 3 * smooth:  # one value a step: noisy
            ax.plot(curve["step"], curve[column], color=colour, alpha=0.3, linewidth=0.8)
            mean = curve[column].rolling(smooth, min_periods=1).mean()
            ax.plot(curve["step"], mean, color=colour, label=f"{words} (mean of {smooth} steps)")
        else:
            ax.plot(curve["step"], curve[column], color=colour, marker="o", markersize=4, label=words)
    ax.set(xlabel="training step", ylabel="loss (nats per token)", title=title)
    ax.legend()
    return figure


def score_bars(scores: pd.DataFrame, metrics: Sequence[str] | None = None, title: str = "") -> Figure:
    """Scores of the model as bars, with the controls as ghost bars: what the pictures did not bring.

    Intervals are drawn where the table has them (columns ``<metric> low`` and ``<metric> high``), with no numbers then.

    Args:
        scores: one row a system, the first being the model; one column a metric
            (``evaluation.score_table.ScoreTable.frame``).
        metrics: columns to draw; by default those of the language metrics that are there.
        title: over the figure.
    """
    known = ("Bleu_1", "Bleu_2", "Bleu_3", "Bleu_4", "METEOR", "ROUGE_L", "CIDEr")
    metrics = list(metrics or [m for m in known if m in scores.columns])
    figure, ax = plt.subplots(figsize=(max(5.0, 1.35 * len(metrics)), 3.6), layout="constrained")
    width, x = 0.84 / len(scores), np.arange(len(metrics))
    for i, (name, row) in enumerate(scores[metrics].iterrows()):
        look = {"color": RED}
        if i:
            look = {"facecolor": "none", "edgecolor": GREY, "linestyle": ("--", ":", "-.", "-")[(i - 1) % 4]}
        left, values = x + (i - (len(scores) - 1) / 2) * width, row.to_numpy(float)
        bars = ax.bar(left, values, 0.9 * width, label=name, **look)
        if all(f"{metric} {end}" in scores for metric in metrics for end in ("low", "high")):
            low, high = ([scores.loc[name, f"{m} {end}"] for m in metrics] for end in ("low", "high"))
            reach = np.clip([values - low, np.subtract(high, values)], 0, None)  # a bootstrap may miss its own score
            ax.errorbar(left, values, reach, fmt="none", ecolor=REMARK, elinewidth=1, capsize=2)
        else:
            ax.bar_label(bars, fmt="%.2f", fontsize=7, color=REMARK if i else RED, padding=1)
    ax.set_xticks(x, [score_name(m) for m in metrics])
    ax.set(ylabel="score")
    ax.margins(y=0.12)
    figure.legend(loc="outside upper center", ncols=min(3, len(scores)), fontsize=9, title=title or None)
    return figure


def token_words(
    picture: np.ndarray, words: Sequence[str], strength: Sequence[float] | None = None, title: str = ""
) -> Figure:
    """A word for each visual token, laid over the region of the picture that it stands for.

    Args:
        picture: grey ``(H, W)``, as square as the model sees it.
        words: ``N`` words in reading order over a square grid (49 for 7 x 7).
        strength: ``N`` numbers in 0..1, such as cosine similarities: the stronger, the darker the ground.
        title: over the figure.

    Raises:
        ValueError: ``N`` is no square number.
    """
    side = round(len(words) ** 0.5)
    if side * side != len(words):
        raise ValueError(f"token_words: found {len(words)} words, expected a square number such as 49.")
    values = np.full(len(words), 0.5) if strength is None else np.clip(np.asarray(strength, float), 0, 1)
    figure, ax = plt.subplots(figsize=(6.2, 6.4), layout="constrained")
    height, width = picture.shape
    _show(ax, picture)
    for k, (word, value) in enumerate(zip(words, values, strict=True)):
        row, column = divmod(k, side)
        shown = _printable(word, letters=max(5, 70 // side))
        ground = (0, 0, 0, 0.4 + 0.5 * value)
        box = {"boxstyle": "round,pad=0.15", "facecolor": ground, "linewidth": 0}
        where = ((column + 0.5) * width / side - 0.5, (row + 0.5) * height / side - 0.5)
        look = {"color": "white", "fontsize": min(11, 63 / side), "ha": "center", "va": "center"}
        ax.text(*where, shown, bbox=box, parse_math=False, **look)
    for k in range(1, side):
        ax.axhline(k * height / side - 0.5, color="white", linewidth=0.3, alpha=0.6)
        ax.axvline(k * width / side - 0.5, color="white", linewidth=0.3, alpha=0.6)
    ax.set_title(title)
    return figure


def _printable(word: str, letters: int) -> str:
    """A vocabulary entry as at most ``letters`` letters that the figure's font has."""
    word = "".join(c if ord(c) < 0x250 else "□" for c in " ".join(word.split())) or "(space)"
    return word if len(word) <= letters else word[: letters - 1] + "…"


def _show(ax: Axes, picture: np.ndarray) -> None:
    ax.imshow(picture, cmap="gray")
    ax.set_xticks([])
    ax.set_yticks([])
