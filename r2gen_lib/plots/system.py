"""The system as one drawing, used in every notebook with the part at hand lit."""

from __future__ import annotations

from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from r2gen_lib.plots.style import DATA, EDGE, FROZEN, LINE, RED, TRAINED

_DIM = 0.4


@dataclass(frozen=True)
class _Part:
    name: str
    left: float
    width: float
    title: str
    text: str
    colour: str


def _parts(vision: str, language: str, tokens: int) -> tuple[_Part, ...]:
    mapper = f"Linear, LayerNorm:\n{tokens} visual tokens"
    return (
        _Part("data", 1, 15, "study", "radiograph", DATA),
        _Part("vision", 23, 17, "vision encoder", f"{vision}\n\nfrozen, or with LoRA,\nor trained", FROZEN),
        _Part("alignment", 47, 17, "visual mapper", f"{mapper}\n\ntrained", TRAINED),
        _Part("language", 71, 17, "language model", f"{language}\n\nfrozen", FROZEN),
        _Part("evaluation", 95, 15, "report", "scored beside\nits controls", DATA),
    )


PARTS = ("data", "vision", "alignment", "language", "evaluation")


def system_drawing(
    highlight: str | None = None,
    picture: np.ndarray | None = None,
    vision: str = "Swin",
    language: str = "SmolLM2-135M",
    tokens: int = 49,
) -> Figure:
    """Radiograph -> vision encoder -> visual mapper -> frozen language model -> report.

    Args:
        highlight: the part to light, one of ``PARTS``; None lights all.
        picture: grey ``(H, W)`` to stand in the study's box.
        vision, language: names of the two models.
        tokens: number of visual tokens.

    Raises:
        ValueError: ``highlight`` names no part.
    """
    if highlight is not None and highlight not in PARTS:
        raise ValueError(f"system_drawing: found {highlight!r}, expected one of {', '.join(PARTS)}.")
    figure, ax = plt.subplots(figsize=(11, 3.1), layout="constrained")
    ax.set(xlim=(0, 111), ylim=(-1, 31))
    ax.axis("off")
    parts = _parts(vision, language, tokens)
    for part in parts:
        _box(ax, part, lit=highlight in (None, part.name), thick=highlight == part.name)
        if part.name != "data" or picture is None:
            _words(ax, part, lit=highlight in (None, part.name))
    for a, b, label in zip(parts, parts[1:], ("pixels", "features", "as words", "words"), strict=False):
        start = a.left + a.width
        _arrow(ax, (start, 16), (b.left, 16))
        ax.text((start + b.left) / 2, 17.5, label, ha="center", va="bottom", fontsize=9, color=LINE)
    _prompt(ax, parts[3], lit=highlight in (None, "language", "alignment"))
    if picture is not None:
        inset = ax.inset_axes((1.7, 9, 13.6, 14.2), transform=ax.transData)
        inset.imshow(picture, cmap="gray", alpha=1 if highlight in (None, "data") else _DIM)
        inset.axis("off")
    return figure


def _box(ax: Axes, part: _Part, lit: bool, thick: bool) -> None:
    alpha = 1 if lit else _DIM
    bottom, height = 8, 20
    ax.add_patch(
        FancyBboxPatch(
            (part.left, bottom), part.width, height, boxstyle="round,pad=0,rounding_size=1.2",
            facecolor=part.colour, edgecolor=RED if thick else EDGE,
            linewidth=2.6 if thick else 1, alpha=alpha,
        )
    )  # fmt: skip
    middle = part.left + part.width / 2
    ax.text(middle, 25.5, part.title, ha="center", va="center", fontsize=10, fontweight="bold", alpha=alpha)


def _words(ax: Axes, part: _Part, lit: bool) -> None:
    middle = part.left + part.width / 2
    look = {"ha": "center", "va": "center", "fontsize": 9, "linespacing": 1.4}
    ax.text(middle, 15.5, part.text, alpha=1 if lit else _DIM, **look)


def _prompt(ax: Axes, language: _Part, lit: bool) -> None:
    """The instruction's words, which enter the language model beside the visual tokens."""
    middle = language.left + language.width / 2
    words = "prompt: “Describe the findings.”"
    ax.text(middle, 1.5, words, ha="center", va="center", fontsize=9.5, alpha=1 if lit else _DIM)
    _arrow(ax, (middle, 3.3), (middle, 8))


def _arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    ax.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=11, color=LINE, linewidth=1.2))
