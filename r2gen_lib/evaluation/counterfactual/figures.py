"""Figures of ``counterfactual``: rates with intervals, and pairs with both reports. Every picture is simulated."""

from __future__ import annotations

import difflib
import textwrap
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from r2gen_lib.evaluation.counterfactual.pairs import CONTROL, Pair
from r2gen_lib.evaluation.counterfactual.run import Counterfactuals
from r2gen_lib.plots.style import BLUE, EDGE, GREY, INK, OUTLINE, RED

_STYLE = {"put in": (RED, "o"), "taken out": (BLUE, "s"), "another exposure": (GREY, "D")}
_LETTERS, _LINE, _POINTS = 78, 0.17, 9  # letters a line of a report, inches a line, size of the letters
_LETTER = 0.602 * _POINTS  # points: the width of every letter of matplotlib's monospaced font


def rate_figure(table: pd.DataFrame, title: str = "") -> Figure:
    """Sensitivity and 1 - selectivity by finding, with 95% intervals.

    Args:
        table: of ``tables.counterfactual_table``.
        title: over the figure.
    """
    findings = list(dict.fromkeys(table.index.get_level_values("finding")))
    changes = [change for change in _STYLE if change in table.index.get_level_values("change")]
    figure, axes = plt.subplots(
        1, 2, figsize=(9.5, 1.5 + 0.55 * len(findings)), sharey=True, sharex=True, layout="constrained"
    )
    for (finding, change), row in table.iterrows():
        colour, marker = _STYLE[change]
        y = findings.index(finding) + 0.22 * (changes.index(change) - (len(changes) - 1) / 2)
        right = (1 - row.specificity, 1 - row["specificity high"], 1 - row["specificity low"])
        left = (row.sensitivity, row["sensitivity low"], row["sensitivity high"])
        for ax, (value, low, high) in zip(axes, (left, right), strict=True):
            ax.plot((low, high), (y, y), color=colour, linewidth=2, alpha=0.6, solid_capstyle="butt")
            ax.plot(value, y, marker, color=colour, markersize=7)
    axes[0].set_yticks(range(len(findings)), [textwrap.fill(name, 18) for name in findings])
    axes[0].set(title="the finding's label flips\n(sensitivity: right is good)", xlabel="share of pairs")
    axes[1].set(title="another label changes\n(1 - selectivity: left is good)", xlabel="share of pairs")
    axes[0].set(xlim=(-0.03, 1.03), ylim=(len(findings) - 0.5, -0.5))
    for ax in axes:
        ax.grid(axis="x", alpha=0.3)
        for edge in np.arange(len(findings) - 1) + 0.5:
            ax.axhline(edge, color="#dddddd", linewidth=0.8)
    words = {change: f"finding {change}" for change in changes}
    words["another exposure"] = "another exposure, no finding changed (control)"
    handles = [plt.Line2D([], [], color=_STYLE[c][0], marker=_STYLE[c][1], label=words[c]) for c in changes]
    figure.legend(handles=handles, loc="outside upper center", ncols=3, fontsize=9)
    figure.supxlabel(textwrap.fill(title, 120), fontsize=9)
    return figure


def telling_pairs(result: Counterfactuals, count: int = 4) -> list[Pair]:
    """For each finding its first pair that flipped, then its first that did not, at most ``count`` in all."""
    rows = [row for row in result.rows.itertuples(index=False) if row.kind != CONTROL]
    own = [pair for pair in result.pairs if pair.kind != CONTROL]
    flipped = [row[result.rows.columns.get_loc("says with")] and not row[result.rows.columns.get_loc("says without")]
               for row in rows]  # fmt: skip
    chosen: dict[tuple[bool, str], Pair] = {}
    for pair, flip in zip(own, flipped, strict=True):
        chosen.setdefault((not flip, pair.finding), pair)
    return [chosen[key] for key in sorted(chosen, key=lambda key: key[0])][:count]


def pair_gallery(result: Counterfactuals, pairs: Sequence[Pair], title: str = "") -> Figure:
    """Pairs one below the other: both pictures, the finding outlined, and both reports with changed words in bold.

    Args:
        result: of ``counterfactual.run_pairs``.
        pairs: some of its pairs, no controls.
        title: over the figure.
    """
    reports = _reports(result)
    texts = [(reports[pair.without], reports[pair.with_]) for pair in pairs]
    wrapped = [sum(len(_lines(text)) for text in both) for both in texts]
    heights = [max(2.3, _LINE * (lines + 4)) for lines in wrapped]
    figure = plt.figure(figsize=(11, sum(heights) + 0.35), layout="constrained")
    title = title or "Simulated radiographs; words that differ are bold, what differs in the picture is outlined"
    figure.suptitle(title, fontsize=10)
    grid = figure.add_gridspec(len(pairs), 3, width_ratios=(1, 1, 2.5), height_ratios=heights)
    for row, (pair, both) in enumerate(zip(pairs, texts, strict=True)):
        shown = pair.with_.draw(truth=True)
        mask = np.max([one.mask for one in shown.truth if one.finding.name == pair.finding], axis=0)
        names = f"without {pair.finding.lower()}", f"with {pair.finding.lower()}"
        for column, picture in enumerate((pair.without.draw().picture, shown.picture)):
            ax = figure.add_subplot(grid[row, column])
            ax.imshow(picture, cmap="gray")
            ax.set_title(f"{pair.without.patient}, {names[column]}", fontsize=8)
            ax.axis("off")
            if column:
                ax.contour(mask, levels=[mask.max() / 3], colors=OUTLINE, linewidths=1.2)
        _write(figure.add_subplot(grid[row, 2]), names, both, heights[row])
    return figure


def _reports(result: Counterfactuals) -> dict:
    """Exposure -> its report."""
    first = result.rows.drop_duplicates(["kind", "finding", "patient"]).set_index(["kind", "finding", "patient"])
    reports = {}
    for pair in result.pairs:
        if pair.kind != CONTROL:
            row = first.loc[(pair.kind, pair.finding, pair.without.patient)]
            reports[pair.without], reports[pair.with_] = row["report without"], row["report with"]
    return reports


def _write(ax: Axes, names: Sequence[str], texts: Sequence[str], inches: float) -> None:
    """Two reports one below the other, in letters of one width, so that a bold word takes no more room."""
    ax.set(xlim=(0, 1), ylim=(inches / _LINE, 0))
    ax.axis("off")
    style = dict(family="monospace", fontsize=_POINTS, va="baseline", parse_math=False, textcoords="offset points")
    line = 1.0
    for name, text, changed in zip(names, texts, _changed(*texts), strict=True):
        ax.text(0, line, name.upper(), fontsize=8, va="baseline", color=EDGE)
        line += 1.2
        number = 0
        for words in _lines(text):
            column = 0
            for word in words:
                colour, weight = (RED, "bold") if changed[number] else (INK, "normal")
                ax.annotate(word, (0, line), (column * _LETTER, 0), color=colour, fontweight=weight, **style)
                column += len(word) + 1
                number += 1
            line += 1
        line += 0.6


def _lines(text: str) -> list[list[str]]:
    """A report's words in lines of at most ``_LETTERS`` letters."""
    return [line.split() for line in textwrap.wrap(text, _LETTERS, break_long_words=False, break_on_hyphens=False)]


def _changed(before: str, after: str) -> tuple[list[bool], list[bool]]:
    """For each word of both texts whether it differs."""
    old, new = before.split(), after.split()
    flags = [True] * len(old), [True] * len(new)
    for match in difflib.SequenceMatcher(None, old, new, autojunk=False).get_matching_blocks():
        flags[0][match.a : match.a + match.size] = [False] * match.size
        flags[1][match.b : match.b + match.size] = [False] * match.size
    return flags
