"""Figures of notebooks 03 to 05: they draw what they are given, whole."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from r2gen_lib.errors import DataError
from r2gen_lib.plots import training as figures


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def texts_of(figure) -> list[str]:
    figure.canvas.draw()
    return [text.get_text() for ax in figure.axes for text in ax.texts]


def test_token_strip_shows_every_token_and_a_dot_for_each_that_counts():
    kinds = ["prompt", "picture", "report", "report"]
    figure = figures.token_strip(["say", "v1", "heart", "<end>"], kinds, [False, True, True, False])
    assert texts_of(figure) == ["say", "v1", "heart", "<end>"]
    assert len(figure.axes[0].lines) == 2


def test_token_strip_breaks_long_sequences_into_lines():
    short, long = (figures.token_strip(["word"] * n, ["report"] * n, [True] * n) for n in (5, 80))
    assert long.get_figheight() > short.get_figheight()


def test_token_losses_has_a_bar_for_each_token_and_model():
    figure = figures.token_losses(["a", "b", "$c$"], {"before": [3, 2, 1], "after": [1, 1, 1]})
    figure.canvas.draw()
    assert [bar.get_height() for bar in figure.axes[0].patches] == [3, 2, 1, 1, 1, 1]


def test_part_bars_are_as_long_as_they_take():
    figure = figures.part_bars({"forward": 1.5, "backward": 2.5})
    assert [bar.get_width() for bar in figure.axes[0].patches] == [1.5, 2.5]


def test_low_rank_drawing_is_to_scale():
    figure = figures.low_rank_drawing(30, 10, 2)
    sides = [(patch.get_height(), patch.get_width()) for patch in figure.axes[0].patches]
    assert sides == [(30, 10), (30, 2), (2, 10)]
    assert figure.axes[0].get_aspect() == 1


def test_mode_panels_draws_one_panel_a_column():
    table = pd.DataFrame({"n": [10, 1e6], "s": [1.0, 2.0]}, index=["shallow", "deep"])
    figure = figures.mode_panels(table, {"n": "numbers", "s": "seconds"})
    assert [ax.get_ylim()[0] for ax in figure.axes] == [0, 0]
    assert {"10", "1 M", "1", "2"} <= set(texts_of(figure))


def test_singular_values_are_relative_and_have_a_floor():
    figure = figures.singular_values({"delta": [4.0, 2.0, 0.0]}, rank=2, floor=1e-6)
    assert figure.axes[0].lines[0].get_ydata().tolist() == [1.0, 0.5, 1e-6]


def test_interval_plot_writes_value_and_interval():
    figure = figures.interval_plot({"model": (0.3, 0.25, 0.35), "difference": (0.01, -0.01, 0.03)})
    assert texts_of(figure) == ["0.300 [0.250, 0.350]", "0.010 [-0.010, 0.030]"]


def test_recipe_curves_has_two_lines_a_recipe_and_names_what_is_missing():
    table = {"row": ["a", "a", "b", "b"], "studies": [0, 4, 0, 8], "val_loss": [4, 3, 4, 3.5]}
    sweep = pd.DataFrame({**table, "val_loss_shuffled": [4, 3.1, 4, 3.6]})
    ax = figures.recipe_curves(sweep, {"a": "slow", "b": "fast"}).axes[0]
    drawn = [line for line in ax.lines if len(line.get_xdata())]
    assert len(drawn) == 4 and list(drawn[2].get_xdata()) == [0, 8] and list(drawn[1].get_ydata()) == [4, 3.1]
    with pytest.raises(DataError, match="no recipe 'c'; the table has a, b"):
        figures.recipe_curves(sweep, {"c": "gone"})


def test_protocol_shifts_are_percents_of_the_first_row():
    scores = pd.DataFrame({"Bleu_1": [0.4, 0.3, 0.5], "CIDEr": [0.0, 0.1, 0.0]}, index=["as here", "cut", "both"])
    table = pd.concat({"score": scores, "moved by": scores - scores.loc["as here"]}, axis=1)
    figure = figures.protocol_shifts(table)
    figure.canvas.draw()
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["BLEU-1", "CIDEr"]
    marks = {line.get_label(): line.get_xdata() for line in axes.lines if not line.get_label().startswith("_")}
    assert marks["cut"][0] == pytest.approx(-25) and marks["both"][0] == pytest.approx(25)
    assert np.isnan(marks["cut"][1])  # of nothing there is no percent


def test_score_intervals_has_a_panel_a_score_and_a_line_a_system():
    scores = pd.DataFrame({"Bleu_4": [0.1, 0.2], "CIDEr": [0.4, 0.3]}, index=["model", "constant report"])
    figure = figures.score_intervals(scores, scores - 0.02, scores + 0.02)
    assert [ax.get_title() for ax in figure.axes][:2] == ["BLEU-4", "CIDEr"]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == list(scores.index)


def test_worth_lines_names_what_is_compared():
    names = ("picture", "picture, no words", "words")
    columns = {f"{name}{end}": [0.3, 0.1] for name in names for end in ("", " low", " high")}
    figure = figures.worth_lines(pd.DataFrame({"studies": [64, 60], **columns}, index=[0, 4]))
    assert {text.get_text() for text in figure.legends[0].get_texts()} == set(names)
