"""Figures for notebooks 03 to 05: what is learnt, at what cost, and how it reads. See also ``plots``."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from r2gen_lib.errors import DataError
from r2gen_lib.former_names import HISTORY
from r2gen_lib.metrics.names import score_name
from r2gen_lib.plots.lessons import KINDS
from r2gen_lib.plots.style import BLUE, FROZEN, GREEN, GREY, INK, RED, REMARK, TRAINED

_MODES = (GREY, BLUE, RED, GREEN)


def token_strip(
    tokens: Sequence[str], kinds: Sequence[str], counts: Sequence[bool], title: str = "", letters: int = 96
) -> Figure:
    """A sequence token by token: the colour says what a token is, a dot under it that its prediction counts.

    Args:
        tokens: ``L`` short texts.
        kinds: ``L`` of "prompt", "picture", "report", "end", "padding".
        counts: ``L`` flags: does the loss use what this position predicts (the *next* token)?
        title: over the figure.
        letters: width of a line, in letters.
    """
    places, line, left = [], 0, 0.0
    for token in tokens:
        width = len(token) + 1.2
        if left and left + width > letters:
            line, left = line + 1, 0.0
        places.append((left, line, width))
        left += width + 0.35
    figure, ax = plt.subplots(figsize=(10.5, 0.75 + 0.47 * (line + 1)), layout="constrained")
    for (left, line, width), token, kind, counted in zip(places, tokens, kinds, counts, strict=True):
        ax.add_patch(Rectangle((left, -2.4 * line), width, 1.5, facecolor=KINDS[kind], edgecolor="#777777", lw=0.6))
        ax.text(left + width / 2, -2.4 * line + 0.75, token, ha="center", va="center", fontsize=8, family="monospace",
                parse_math=False)  # fmt: skip
        if counted:
            ax.plot(left + width / 2, -2.4 * line - 0.35, "o", color=RED, markersize=4)
    ax.set(xlim=(-0.5, letters + 2), ylim=(-2.4 * line - 0.9, 1.8))
    ax.axis("off")
    used = [kind for kind in KINDS if kind in kinds]
    handles = [Patch(facecolor=KINDS[kind], edgecolor="#777777", label=kind) for kind in used]
    handles.append(plt.Line2D([], [], color=RED, marker="o", linestyle="", label="its prediction counts in the loss"))
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), title=title or None, fontsize=9)
    return figure


def token_losses(tokens: Sequence[str], losses: Mapping[str, Sequence[float]], title: str = "") -> Figure:
    """How surprising each report token was: bars in nats, one colour a model.

    Args:
        tokens: ``T`` report tokens, the end included.
        losses: words for a model -> its ``T`` cross-entropies.
        title: over the figure.
    """
    figure, ax = plt.subplots(figsize=(10.5, 3.2), layout="constrained")
    x, width = np.arange(len(tokens)), 0.84 / len(losses)
    for i, (name, values) in enumerate(losses.items()):
        colour = (GREY, RED, BLUE)[i % 3]
        ax.bar(x + (i - (len(losses) - 1) / 2) * width, values, width, label=name, color=colour)
    ax.set_xticks(x, list(tokens), rotation=90, fontsize=8, family="monospace", parse_math=False)
    ax.set(ylabel="loss (nats)")
    ax.set_title(title, loc="left")
    ax.margins(x=0.01)
    figure.legend(loc="outside upper right", ncols=len(losses))
    return figure


def recipe_curves(sweep: pd.DataFrame, rows: Mapping[str, str], title: str = "") -> Figure:
    """Validation loss against the studies seen, a line a recipe, its name at its end; dashed: shuffled pictures.

    Args:
        sweep: columns ``row``, ``studies``, ``val_loss`` and ``val_loss_shuffled`` (data/convergence.csv), or what
            these were called before.
        rows: a recipe of ``sweep`` -> the words for it.
        title: over the figure.

    Raises:
        DataError: ``sweep`` has no such recipe.
    """
    figure, ax = plt.subplots(figsize=(8.4, 4.0), layout="constrained")
    sweep = sweep.rename(columns=HISTORY)
    for i, (name, words) in enumerate(rows.items()):
        curve = sweep[sweep["row"] == name]
        if curve.empty:
            raise DataError(f"recipe_curves: no recipe {name!r}; the table has {', '.join(sweep['row'].unique())}.")
        colour, marker = _MODES[i % len(_MODES)], "os^D"[i % 4]
        ax.plot(curve["studies"], curve["val_loss"], color=colour, marker=marker, label=words)
        ax.plot(curve["studies"], curve["val_loss_shuffled"], color=colour, linestyle="--", linewidth=1, alpha=0.7)
    ax.plot([], [], color=INK, linestyle="--", linewidth=1, label="the same with shuffled pictures")
    ax.set(xlabel="studies seen", ylabel="validation loss (nats a token)")
    ax.set_title(title, loc="left")
    ax.grid(alpha=0.3)
    figure.legend(loc="outside right upper", fontsize=9)
    return figure


def part_bars(seconds: Mapping[str, float], title: str = "", unit: str = "s") -> Figure:
    """What each part of a step takes, as horizontal bars from top to bottom."""
    figure, ax = plt.subplots(figsize=(7.4, 0.8 + 0.42 * len(seconds)), layout="constrained")
    names = list(seconds)
    bars = ax.barh(names, list(seconds.values()), color=[_MODES[i % 4] for i in range(len(names))], height=0.62)
    ax.bar_label(bars, fmt=f" %.2f {unit}", fontsize=9)
    ax.invert_yaxis()
    ax.margins(x=0.15)
    ax.set(xlabel="seconds" if unit == "s" else unit, title=title)
    return figure


def low_rank_drawing(rows: int, columns: int, rank: int) -> Figure:
    """``W + B A`` with every rectangle's sides to one scale: what is frozen, and the two thin ones that train."""
    figure, ax = plt.subplots(figsize=(9.6, 4.6), layout="constrained")
    gap, height = 0.42 * rows, rows
    parts = [("W", 0.0, columns, rows, FROZEN), ("B", columns + gap, rank, rows, TRAINED)]
    parts.append(("A", columns + 1.6 * gap + rank, columns, rank, TRAINED))
    for name, left, wide, high, colour in parts:
        bottom = (height - high) / 2
        ax.add_patch(Rectangle((left, bottom), wide, high, facecolor=colour, edgecolor=INK, lw=1))
        state = "frozen" if name == "W" else "trained"
        words = f"{name}: {high:,} x {wide:,}\n{high * wide:,} numbers,\n{state}"
        ax.text(left + wide / 2, bottom - 0.03 * height, words, ha="center", va="top", fontsize=10)
    for sign, x in (("+", columns + gap / 2), ("·", columns + gap + rank + 0.3 * gap)):
        ax.text(x, height / 2, sign, ha="center", va="center", fontsize=20)
    ax.set(xlim=(-0.03 * rows, 2 * columns + rank + 1.7 * gap), ylim=(-0.24 * rows, 1.04 * rows), aspect="equal")
    ax.axis("off")
    return figure


def mode_panels(table: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """One small panel a column, one bar a mode from zero up, so that modes can be compared column by column.

    Args:
        table: one row a mode.
        panels: column -> the panel's title.
    """
    figure, axes = plt.subplots(1, len(panels), figsize=(2.65 * len(panels), 3.1), layout="constrained")
    for ax, (column, words) in zip(np.atleast_1d(axes), panels.items(), strict=True):
        values = table[column].astype(float)
        bars = ax.bar(values.index, values, color=_MODES[: len(values)], width=0.66)
        ax.bar_label(bars, labels=[_short(value) for value in values], fontsize=8, padding=2)
        ax.margins(y=0.15)
        ax.set_title(words)
        ax.tick_params(axis="x", labelsize=9)
    return figure


def _short(value: float) -> str:
    for size, letter in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def singular_values(spectra: Mapping[str, Sequence[float]], rank: int | None = None, floor: float = 1e-9) -> Figure:
    """Singular values in falling order, each spectrum relative to its largest; a line where LoRA's rank ends."""
    figure, ax = plt.subplots(figsize=(6.6, 3.2), layout="constrained")
    for (name, values), colour in zip(spectra.items(), _MODES[1:], strict=False):
        values = np.asarray(values, dtype=float)
        ax.semilogy(np.arange(1, len(values) + 1), np.maximum(values / values.max(), floor), color=colour, label=name)
    if rank is not None:
        ax.axvline(rank + 0.5, color=GREY, linestyle=":")
        ax.text(rank + 6, floor**0.5, f"LoRA's rank, {rank}, ends here", color=REMARK, fontsize=9)
    ax.set(xlabel="number of the singular value", ylabel="relative to the largest")
    ax.legend(loc="center right")
    return figure


def _paragraphs(texts: Mapping[str, str], letters: int) -> list[tuple[str, list[str]]]:
    return [
        (name, textwrap.wrap(text, letters, break_long_words=False) or ["(nothing)"]) for name, text in texts.items()
    ]


def _write(ax: Axes, rows: Sequence[tuple[str, list[str]]], height: float) -> None:
    """Headings in colour and their lines, from the top down; one line is 0.205 inch."""
    ax.axis("off")
    line, top = 0.205 / height, 0.98
    for i, (name, lines) in enumerate(rows):
        ax.text(0, top, name, color=(BLUE, RED, GREEN)[i % 3], fontsize=9, weight="bold", va="top",
                transform=ax.transAxes)  # fmt: skip
        ax.text(0, top - line, "\n".join(lines), fontsize=9, va="top", linespacing=1.25, parse_math=False,
                transform=ax.transAxes)  # fmt: skip
        top -= line * (1.5 + len(lines))


def interval_plot(rows: Mapping[str, tuple[float, float, float]], label: str = "", title: str = "") -> Figure:
    """Point and interval for each row: name -> (value, low, high); a dotted line at 0 where it is in sight."""
    figure, ax = plt.subplots(figsize=(6.8, 0.9 + 0.45 * len(rows)), layout="constrained")
    for i, (value, low, high) in enumerate(rows.values()):
        ax.plot([low, high], [i, i], color=GREY, linewidth=3, solid_capstyle="butt")
        ax.plot(value, i, "o", color=RED)
        ax.text(value, i - 0.16, f"{value:.3f} [{low:.3f}, {high:.3f}]", ha="center", va="bottom", fontsize=8)
    if min(low for _, low, _ in rows.values()) < 0.02:
        ax.axvline(0, color=INK, linestyle=":", linewidth=1)
    ax.set_yticks(range(len(rows)), list(rows))
    ax.set(xlabel=label, title=title, ylim=(len(rows) - 0.5, -0.75))
    ax.margins(x=0.12)
    return figure


def score_intervals(scores: pd.DataFrame, low: pd.DataFrame, high: pd.DataFrame, title: str = "") -> Figure:
    """Scores with their intervals, the model beside its controls: a panel a score, a line a system.

    Args:
        scores, low, high: of ``evaluation.score_table.ScoreTable``, a row a system, the first one the model's.
        title: over the figure.
    """
    columns = 3
    rows = -(-len(scores.columns) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(10, 0.5 + 1.6 * rows), sharey=True, layout="constrained")
    for ax, name in zip(np.ravel(axes), scores.columns, strict=False):
        for i, system in enumerate(scores.index):
            colour = GREY if i else RED
            ax.plot([low.loc[system, name], high.loc[system, name]], [i, i], color=colour, linewidth=3, alpha=0.6)
            ax.plot(scores.loc[system, name], i, "o", color=colour, markersize=5)
        ax.axvline(scores[name].iloc[0], color=RED, linestyle=":", linewidth=1)
        ax.set(title=score_name(name), xlim=(0, None))
        ax.set_yticks(range(len(scores)), list(scores.index))
    for ax in np.ravel(axes)[len(scores.columns) :]:
        ax.axis("off")
    np.ravel(axes)[0].invert_yaxis()
    figure.suptitle(title, fontsize=10)
    return figure


def worth_lines(table: pd.DataFrame, title: str = "") -> Figure:
    """What picture and words are worth for the rest of a report, with intervals, by how many words are given.

    Args:
        table: of ``evaluation.words_or_picture.worth_table``.
        title: over the figure.
    """
    figure, ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
    styles = {"picture": (RED, "-"), "picture, no words": (GREY, "--"), "words": (BLUE, "-")}
    for shift, (name, (colour, line)) in zip((-0.12, 0.12, 0), styles.items(), strict=True):
        places = np.asarray(table.index) + shift
        ax.plot(places, table[name], line, color=colour, marker="o", markersize=5, label=name)
        ax.vlines(places, table[f"{name} low"], table[f"{name} high"], color=colour, linewidth=2, alpha=0.6)
    ax.axhline(0, color=INK, linestyle=":", linewidth=1)
    ax.set_xticks(list(table.index), [f"{k}\n({int(n)})" for k, n in table.studies.items()])
    ax.set(xlabel="true words given (studies that are longer)", ylabel="worth, nats a word of the rest")
    ax.set_title(title, fontsize=10)
    figure.legend(loc="outside right upper", fontsize=9)
    return figure


def protocol_shifts(table: pd.DataFrame, title: str = "") -> Figure:
    """How far each setting of the scoring protocol moves each score, in percent of it: a row a score, a mark a setting.

    Args:
        table: ``evaluation.scoring_protocol.protocol_table``'s; its first row is what is moved.
        title: over the figure.
    """
    start = table["score"].iloc[0]
    shifts = 100 * table["moved by"].iloc[1:] / start.where(start > 0)  # (settings, scores); of a score of 0 none
    figure, ax = plt.subplots(figsize=(8.4, 1.2 + 0.42 * len(start)), layout="constrained")
    for (setting, row), marker, colour in zip(shifts.iterrows(), "osD^", (*_MODES[1:], INK), strict=False):
        ax.plot(row, range(len(row)), marker, color=colour, label=setting, markersize=7, alpha=0.85)
    ax.axvline(0, color=INK, linestyle=":", linewidth=1)
    ax.set_yticks(range(len(start)), [score_name(name) for name in start.index])
    ax.invert_yaxis()
    ax.grid(axis="x", alpha=0.3)
    ax.set(xlabel="change in percent of the score")
    ax.set_title(title, loc="left")
    figure.legend(loc="outside right upper", fontsize=9)
    return figure
