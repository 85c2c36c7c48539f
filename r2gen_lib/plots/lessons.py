"""Figures for notebooks 00 to 02: how a report, a picture and a prompt are put together. See also ``plots``."""

from __future__ import annotations

import difflib
import io
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import LogLocator

from r2gen_lib.data.reports import SECTIONS
from r2gen_lib.plots.overlay import lay_over
from r2gen_lib.plots.style import COLOURS, EDGE, FROZEN, GREEN, GRID, LINE, RED, TRAINED

if TYPE_CHECKING:
    from IPython.display import Markdown

    from r2gen_lib.data.study import Study
    from r2gen_lib.model.alignment import Splice

#: A browser's inch, in its pixels.
CSS_DPI = 96

#: What stands at a position of the spliced prompt, and its colour.
KINDS = {
    "prompt": FROZEN,
    "picture": TRAINED,
    "report": "#b9d8b0",
    "end": GREEN,
    "padding": "#f2f2f2",
}


def show(figure: Figure, alt: str = "", dpi: int = 80) -> None:
    """Display a figure in as few bytes as it looks well in, and close it.

    Drawings become a PNG of 64 colours, radiographs a JPEG: whichever is smaller. A notebook with a dozen figures
    stays under 300 KB that way. It is shown as wide as the figure is in inches, so that 9 points of text are 9 points.

    Args:
        figure: any matplotlib figure.
        alt: what it shows, for readers who can't see it; by default the words that stand in it.
        dpi: dots an inch.
    """
    from IPython.display import Image, display
    from PIL import Image as Pillow

    alt = alt or _words_in(figure)
    drawn = io.BytesIO()
    figure.draw_without_rendering()  # the layout of pictures with tall titles settles at the second drawing
    figure.savefig(drawn, format="png", dpi=dpi)
    plt.close(figure)
    picture = Pillow.open(drawn).convert("RGB")
    png, jpeg = io.BytesIO(), io.BytesIO()
    picture.quantize(64).save(png, "PNG", optimize=True)
    picture.save(jpeg, "JPEG", quality=45, optimize=True)
    smaller = min((png, jpeg), key=lambda stream: len(stream.getvalue()))
    kind, width = ("png" if smaller is png else "jpeg"), round(CSS_DPI * figure.get_figwidth())
    display(Image(smaller.getvalue(), format=kind, width=width, alt=alt))


def _words_in(figure: Figure) -> str:
    """Titles, axes and captions of a figure, as a sentence of at most 300 characters."""
    words = [figure.get_suptitle()]
    for axes in figure.axes:
        words += [axes.get_title(), axes.get_xlabel(), axes.get_ylabel()]
    words += [text.get_text() for text in figure.texts]
    found = "; ".join(dict.fromkeys(" ".join(word.split()) for word in words if word.strip()))
    return f"Figure: {found[:300]}" if found else "A figure without words"


def changed_words(before: str, after: str) -> tuple[str, str]:
    """Both texts as Markdown, the words that differ in bold."""
    old, new = before.split(), after.split()
    marked_old, marked_new = [], []
    for what, i, j, k, m in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        bold = what != "equal"
        marked_old += [_marked(" ".join(old[i:j]), bold)]
        marked_new += [_marked(" ".join(new[k:m]), bold)]
    return " ".join(filter(None, marked_old)), " ".join(filter(None, marked_new))


def report_pair(titles: tuple[str, str], before: str, after: str) -> Markdown:
    """Two reports side by side as a Markdown table, the words that differ in bold."""
    return _table(titles, changed_words(before, after))


def report_table(studies: Sequence[Study]) -> Markdown:
    """Studies side by side as a Markdown table: id and codes above, the whole report below."""
    heads = [f"{study.id}: {_marked('; '.join(study.mesh), False)}" for study in studies]
    return _table(heads, [_marked(study.report, False) for study in studies])


def text_table(rows: Mapping[str, Mapping[str, str]]) -> Markdown:
    """Texts as a Markdown table, such as the radiologist's and the generated report: a row a study, a column a text.

    Args:
        rows: what stands at the left -> (heading -> text); all have the headings of the first.
    """
    heads = list(next(iter(rows.values())))
    lines = [[name, *(texts[head] for head in heads)] for name, texts in rows.items()]
    return _table(["", *heads], *([_marked(text, False) for text in line] for line in lines))


def _table(heads: Sequence[str], *rows: Sequence[str]) -> Markdown:
    """Markdown's table of cells that are Markdown."""
    from IPython.display import Markdown

    lines = ["|" + "".join(f" {cell} |" if cell else " |" for cell in line) for line in (heads, *rows)]
    return Markdown("\n".join([lines[0], f"|{':---|' * len(heads)}", *lines[1:]]))


def _marked(text: str, bold: bool) -> str:
    safe = "".join("\\" + letter if letter in "\\*_`<>[]|#~" else letter for letter in text)
    return f"**{safe}**" if bold and safe else safe


def picture_grid(
    pictures: Sequence[np.ndarray],
    titles: Sequence[str],
    overlays: Sequence[np.ndarray | None] = (),
    columns: int = 4,
    inches: float = 2.1,
    caption: str = "",
) -> Figure:
    """Grey pictures in rows of ``columns``; a mask, where given, is laid over its picture in red.

    Args:
        pictures: any numbers; each is shown from its own darkest to its brightest.
        titles: one a picture.
        overlays: one a picture (or none at all), any ``(h, w)`` grid over the whole picture, 0 where nothing is.
        columns: pictures a row.
        inches: width of one.
        caption: over the figure, such as "all pictures are simulated".
    """
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    wrapped = [textwrap.wrap(title, int(14 * inches)) for title in titles]
    lines = sum(max(map(len, wrapped[row * columns : (row + 1) * columns])) for row in range(rows))
    height = inches * max(np.shape(p)[0] / np.shape(p)[1] for p in pictures) + 0.08
    figsize = (inches * columns, height * rows + 0.17 * lines + (0.25 if caption else 0))
    figure, axes = plt.subplots(rows, columns, figsize=figsize, squeeze=False, layout="constrained")
    masks = [*overlays, *[None] * (len(pictures) - len(overlays))]
    for ax in axes.flat:
        ax.axis("off")
    for ax, picture, title, mask in zip(axes.flat, pictures, wrapped, masks, strict=False):
        ax.imshow(picture, cmap="gray")
        ax.set_title("\n".join(title), fontsize=9)
        if mask is not None and np.any(mask):
            lay_over(ax, mask, np.shape(picture))
    if caption:
        figure.suptitle(caption, fontsize=9, fontstyle="italic")
    return figure


def report_anatomy(study: Study, target: str = "findings") -> Markdown:
    """A report's sections and codes as a Markdown table; the section ``target``, which is learnt, is in bold."""
    texts = {name: " ".join(study.sections.get(name, "").split()) or "(empty)" for name in SECTIONS}
    rows = [(name, _marked(text, name == target)) for name, text in texts.items()]
    return _table((study.id, "text"), *rows, ("codes (MeSH)", _marked("; ".join(study.mesh), False)))


def parameter_squares(counts: Mapping[str, int], trained: Sequence[str]) -> Figure:
    """Parts of a model as squares whose areas are their parameters; the trained ones stand out."""
    sides = {name: count**0.5 for name, count in counts.items()}
    gap = 0.22 * max(sides.values())
    figure, ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
    left = 0.0
    for name, side in sides.items():
        colour = KINDS["picture"] if name in trained else KINDS["prompt"]
        ax.add_patch(Rectangle((left, 0), side, side, facecolor=colour, edgecolor=EDGE, linewidth=0.8))
        label = f"{name}\n{counts[name] / 1e6:.2f} million\n{'trained' if name in trained else 'frozen'}"
        ax.text(left + side / 2, -0.04 * gap, label, ha="center", va="top", fontsize=9)
        left += max(side, 1.6 * gap) + gap
    ax.set(xlim=(-1.2 * gap, left), ylim=(-1.6 * gap, max(sides.values()) * 1.02), aspect="equal")
    ax.axis("off")
    return figure


def patch_grids(picture: np.ndarray, sides: Sequence[int], title: str = "") -> Figure:
    """A picture under ever coarser grids of ``sides`` x ``sides`` tokens, one panel a stage of the encoder."""
    figure, axes = plt.subplots(1, len(sides), figsize=(2.3 * len(sides), 2.75), layout="constrained")
    for ax, side in zip(np.atleast_1d(axes), sides, strict=True):
        ax.imshow(picture, cmap="gray")
        for k in range(1, side):
            edge = k * picture.shape[0] / side - 0.5
            ax.axhline(edge, color=GRID, linewidth=0.5, alpha=0.9)
            ax.axvline(edge, color=GRID, linewidth=0.5, alpha=0.9)
        ax.set_title(f"{side} x {side} = {side * side} tokens")
        ax.axis("off")
    figure.suptitle(title, fontsize=10)
    return figure


def norm_histogram(groups: Mapping[str, np.ndarray], xlabel: str) -> Figure:
    """One histogram a group on a logarithmic axis, each scaled to the same height: where each group lies."""
    figure, ax = plt.subplots(figsize=(7, 3), layout="constrained")
    values = np.concatenate([np.ravel(group) for group in groups.values()])
    bins = np.geomspace(values.min() * 0.9, values.max() * 1.1, 70)
    for (name, group), colour in zip(groups.items(), COLOURS, strict=False):
        counts, _ = np.histogram(np.ravel(group), bins)
        ax.stairs(counts / counts.max(), bins, fill=True, color=colour, alpha=0.55, label=name)
    ax.set(xscale="log", xlabel=xlabel, ylabel="share of the group\n(highest = 1)", ylim=(0, 1.08))
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_locator(LogLocator(subs=(2, 3, 5)))
    ax.xaxis.set_minor_formatter("{x:g}")
    figure.legend(loc="outside upper center", ncols=2, fontsize=9)
    return figure


def word_map(
    words: np.ndarray,
    tokens: Mapping[str, np.ndarray],
    named: Mapping[str, np.ndarray],
    variance: Sequence[float] = (),
) -> Figure:
    """Word embeddings as a grey cloud, groups of visual tokens on top, some words by name: all ``(n, 2)``."""
    figure, axes = plt.subplots(
        1, len(tokens), figsize=(4.6 * len(tokens), 4.4), sharex=True, sharey=True, layout="constrained"
    )
    for ax, (name, places), colour in zip(np.atleast_1d(axes), tokens.items(), COLOURS[1:], strict=False):
        ax.scatter(*words.T, s=1.5, color="#c4ccd4", linewidths=0)
        ax.scatter(*places.T, s=7, color=colour, alpha=0.6, linewidths=0)
        for word, place in named.items():
            ax.annotate(word, place, fontsize=9, color="#222222", ha="center", va="center")
        ax.set_title(name)
        if len(variance) == 2:
            ax.set_xlabel(f"1st direction ({variance[0]:.0%} of the variance)")
    if len(variance) == 2:
        np.atleast_1d(axes)[0].set_ylabel(f"2nd direction ({variance[1]:.0%})")
    return figure


def splice_strip(
    spliced: Splice, before: int, visual: int, after: int, end_id: int, texts: Sequence[Sequence[str]] = ()
) -> Figure:
    """Each row of a spliced batch as three strips: what stands there, the attention mask, where the loss is.

    Args:
        spliced: what ``splice`` made.
        before, visual, after: how many positions the prompt, the picture and the rest of the prompt take.
        end_id: the token that ends a report.
        texts: a word for each position of each row, written into the cells (for short rows).
    """
    labels, mask = spliced.labels.cpu().numpy(), spliced.attention_mask.cpu().numpy()
    rows, length = labels.shape
    width = 9.4 if not texts else max(7.0, 0.62 * length)
    figure, axes = plt.subplots(rows, 1, figsize=(width, 1.35 * rows + 0.6), squeeze=False, layout="constrained")
    for row, ax in enumerate(axes.flat):
        for place in range(length):
            kind = _kind(place, labels[row, place], mask[row, place], (before, visual, after), end_id)
            seen = LINE if mask[row, place] else "white"
            learnt = RED if labels[row, place] >= 0 else "white"
            for level, colour in ((2, KINDS[kind]), (1, seen), (0, learnt)):
                ax.add_patch(Rectangle((place, level), 1, 0.8, facecolor=colour, edgecolor="#999999", linewidth=0.3))
            if texts:
                ax.text(place + 0.5, 2.4, texts[row][place], ha="center", va="center", fontsize=9, parse_math=False)
        ax.set(xlim=(0, length), ylim=(0, 2.85), yticks=(0.4, 1.4, 2.4), xlabel="")
        ax.set_yticklabels((f"has a loss: {(labels[row] >= 0).sum()}", f"attended: {mask[row].sum()}", f"row {row}"))
        ax.tick_params(length=0)
        for spine in ax.spines.values():
            spine.set_visible(False)
        ax.set_xticks([] if row < rows - 1 else np.arange(0, length + 1, 1 if length < 20 else 10))
    axes.flat[-1].set_xlabel("position")
    handles = [Rectangle((0, 0), 1, 1, facecolor=colour, edgecolor="#999999") for colour in KINDS.values()]
    figure.legend(handles, KINDS, loc="outside upper center", ncols=len(KINDS), fontsize=9)
    return figure


def _kind(place: int, label: int, attended: int, parts: tuple[int, int, int], end_id: int) -> str:
    before, visual, after = parts
    if before <= place < before + visual:
        return "picture"
    if place < before + visual + after:
        return "prompt"
    if not attended:
        return "padding"
    return "end" if label == end_id else "report"
