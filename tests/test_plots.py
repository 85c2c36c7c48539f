from __future__ import annotations

import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from r2gen_lib import plots
from r2gen_lib.plots.system import PARTS

PICTURE = np.tile(np.linspace(0, 255, 224).astype(np.uint8), (224, 1))


@pytest.fixture(autouse=True)
def _style():
    with plt.rc_context(plots.STYLE):
        yield
    plt.close("all")


def boxes(figure: Figure) -> dict[str, object]:
    """Every text that is drawn, with its box in pixels, after the layout was settled."""
    figure.canvas.draw()
    outside = set()
    for axis in (axis for ax in figure.axes for axis in (ax.xaxis, ax.yaxis)):
        low, high = sorted(axis.get_view_interval())
        outside |= {tick.label1 for tick in axis.get_major_ticks() if not low <= tick.get_loc() <= high}
    texts = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip() and t not in outside]
    return {f"{i} {t.get_text()!r}": t.get_window_extent() for i, t in enumerate(texts)}


def check_readable(figure: Figure, overlaps: bool = False) -> None:
    """No text is cut off at the figure's edge, and (with ``overlaps``) none lies on another."""
    found = boxes(figure)
    assert found
    width, height = figure.canvas.get_width_height()
    for text, box in found.items():
        inside = box.x0 >= -1 and box.y0 >= -1 and box.x1 <= width + 1 and box.y1 <= height + 1
        assert inside, f"{text} is clipped: {box}"
    if overlaps:
        items = list(found.items())
        for i, (text, box) in enumerate(items):
            for other, other_box in items[i + 1 :]:
                assert not box.shrunk(0.98, 0.9).overlaps(other_box.shrunk(0.98, 0.9)), f"{text} on {other}"


def test_loss_curve_draws_what_is_known():
    history = pd.DataFrame({"step": range(100), "train_loss": np.linspace(4, 2, 100)})
    history["val_loss"] = [4 - i / 60 if i % 25 == 0 else None for i in range(100)]
    history["rate"] = 1.0
    figure = plots.loss_curve(history, title="shallow")
    check_readable(figure)
    ax = figure.axes[0]
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["training batches (mean of 10 steps)", "validation studies"]
    assert len(ax.lines) == 3 and len(ax.lines[2].get_xdata()) == 4


def test_score_bars_ghost_the_controls():
    metrics = ["Bleu_1", "Bleu_2", "Bleu_3", "Bleu_4", "METEOR", "ROUGE_L", "CIDEr"]
    rows = ["model", "constant report", "shuffled pictures"]
    scores = pd.DataFrame(np.full((3, 7), 0.25), index=rows, columns=metrics).assign(extra=1)
    figure = plots.score_bars(scores, title="60 studies")
    check_readable(figure)
    model, constant, _ = figure.axes[0].containers
    assert model[0].get_facecolor()[3] == 1 and constant[0].get_facecolor()[3] == 0
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()][:1] == ["BLEU-1"]


def test_score_bars_draw_intervals_where_they_are_known():
    rows = ["model", "constant report", "shuffled pictures", "blank picture", "nearest neighbour"]
    scores = pd.DataFrame(0.25, index=rows, columns=["Bleu_4", "CIDEr"])
    for metric in ("Bleu_4", "CIDEr"):
        scores = scores.assign(**{f"{metric} low": 0.2, f"{metric} high": 0.35})
    figure = plots.score_bars(scores, title="60 studies")
    check_readable(figure)
    bars, ends = figure.axes[0].containers[0], figure.axes[0].collections[0].get_segments()
    assert [segment[:, 1].tolist() for segment in ends] == [[0.2, 0.35]] * 2 and len(bars) == 2
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == ["BLEU-4", "CIDEr"]


def test_token_words_stand_in_their_cells():
    words = ["effusion", "cardiomegaly enormous", "$x$", "心", " "] * 9 + ["lung"] * 4
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a glyph that the font lacks would warn
        figure = plots.token_words(PICTURE, words, np.linspace(0, 1, 49), "nearest words")
        check_readable(figure, overlaps=True)
    texts = figure.axes[0].texts
    assert len(texts) == 49
    assert texts[8].get_position() == pytest.approx((1.5 * 224 / 7 - 0.5, 1.5 * 224 / 7 - 0.5))
    with pytest.raises(ValueError, match="found 48 words"):
        plots.token_words(PICTURE, words[:48])


@pytest.mark.parametrize("highlight", [None, *PARTS])
def test_system_drawing_is_readable_with_any_part_lit(highlight):
    figure = plots.system_drawing(highlight, picture=PICTURE if highlight == "data" else None)
    check_readable(figure, overlaps=True)
    assert "frozen" in " ".join(boxes(figure))


def test_system_drawing_with_the_papers_models():
    check_readable(plots.system_drawing(vision="Swin-B", language="Llama-2-7b-chat"), overlaps=True)


def test_system_drawing_refuses_an_unknown_part():
    with pytest.raises(ValueError, match="found 'decoder', expected one of data, vision"):
        plots.system_drawing("decoder")
