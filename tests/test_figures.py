"""Figures of notebooks 00 to 02: the data behind them, not their looks."""

from __future__ import annotations

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from torch import nn

from r2gen_lib.data.study import Study
from r2gen_lib.model.alignment import splice
from r2gen_lib.plots import lessons as figures
from r2gen_lib.plots.overlay import blended, red_layer


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_changed_words_marks_what_differs_and_nothing_else():
    before, after = figures.changed_words("The heart is normal. Lungs clear.", "The heart is large. Lungs clear.")
    assert before == "The heart is **normal.** Lungs clear."
    assert after == "The heart is **large.** Lungs clear."
    assert figures.changed_words("same words", "same words") == ("same words", "same words")
    assert figures.changed_words("", "new") == ("", "**new**")


def test_markdown_letters_in_a_report_are_not_read_as_markdown():
    assert figures.changed_words("a *b* | c", "a *b* | c")[0] == r"a \*b\* \| c"
    table = figures.report_pair(("before", "after"), "one | two", "one two").data
    assert table.splitlines()[0] == "| before | after |"
    assert table.splitlines()[2].count(" | ") == 1


def test_text_table_has_a_row_a_study_and_escapes_what_markdown_would_read():
    head, rule, body = figures.text_table({"CXR1": {"radiologist": "a | b", "generated": "*"}}).data.splitlines()
    assert head == "| | radiologist | generated |" and rule == "|:---|:---|:---|"
    assert body == "| CXR1 | a \\| b | \\* |"


def test_report_table_holds_each_study_whole():
    studies = [Study(f"CXR{n}", "train", "Clear * lungs. " * 40, {}, ("Opacity/lung/left", "Scar|x")) for n in (1, 2)]
    head, rule, body = figures.report_table(studies).data.splitlines()
    assert head == r"| CXR1: Opacity/lung/left; Scar\|x | CXR2: Opacity/lung/left; Scar\|x |"
    assert rule == "|:---|:---|" and body.count(r"Clear \* lungs.") == 80


def test_show_displays_one_small_picture_and_closes_the_figure(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    noise = np.random.default_rng(0).integers(0, 255, (224, 224), np.uint8)
    figures.show(figures.picture_grid([noise], ["simulated"]), alt="noise")
    figures.show(figures.parameter_squares({"a": 100, "b": 1}, ["b"]))
    assert [image.format for image in shown] == ["jpeg", "png"]
    assert all(len(image.data) < 60_000 for image in shown)
    assert shown[1].width == 7 * 96  # CSS pixels: seven inches
    assert not plt.get_fignums()


def test_picture_grid_lays_a_coarse_mask_over_the_whole_picture():
    mask = np.zeros((7, 7))
    mask[0, 0] = 2.0
    figure = figures.picture_grid([np.zeros((224, 224))] * 3, ["a", "b", "c"], [None, mask], columns=2)
    first, second, *rest = figure.axes
    assert [len(ax.images) for ax in (first, second)] == [1, 2]
    assert second.images[1].get_extent() == second.images[0].get_extent() == [-0.5, 223.5, 223.5, -0.5]
    assert len(rest) == 2 and len(rest[1].images) == 0


def test_splice_strip_tells_prompt_picture_report_end_and_padding_apart():
    spliced = splice(nn.Embedding(9, 4), torch.zeros(2, 2, 4), ([0], [1]), [[4, 8], [4, 5, 6, 8]])
    mask, labels = spliced.attention_mask.numpy(), spliced.labels.numpy()
    kinds = [[figures._kind(i, labels[r, i], mask[r, i], (1, 2, 1), 8) for i in range(8)] for r in range(2)]
    head = ["prompt", "picture", "picture", "prompt"]
    assert kinds[0] == [*head, "report", "end", "padding", "padding"]
    assert kinds[1] == [*head, "report", "report", "report", "end"]
    figure = figures.splice_strip(spliced, 1, 2, 1, end_id=8)
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["has a loss: 2", "attended: 6", "row 0"]


def test_report_anatomy_shows_every_section_and_the_codes():
    study = Study("CXR0", "train", "Clear lungs.", {"findings": "Clear  lungs."}, ("normal", "Scar/a"))
    head, rule, *rows = figures.report_anatomy(study).data.splitlines()
    assert head == "| CXR0 | text |" and rule == "|:---|:---|"
    assert "| findings | **Clear lungs.** |" in rows and "| impression | (empty) |" in rows
    assert rows[-1] == "| codes (MeSH) | normal; Scar/a |"


def test_other_figures_draw_what_they_are_given():
    rng = np.random.default_rng(0)
    grids = figures.patch_grids(np.zeros((224, 224)), (28, 7), "simulated")
    assert [ax.get_title() for ax in grids.axes] == ["28 x 28 = 784 tokens", "7 x 7 = 49 tokens"]
    histogram = figures.norm_histogram({"words": rng.uniform(2, 4, 50), "tokens": rng.uniform(20, 30, 50)}, "norm")
    assert [text.get_text() for text in histogram.legends[0].texts] == ["words", "tokens"]
    places = rng.normal(size=(9, 2))
    drawn = figures.word_map(places, {"before": places, "after": places + 1}, {"heart": places[0]}, (0.1, 0.05))
    assert [ax.get_title() for ax in drawn.axes] == ["before", "after"]


def test_a_figure_is_described_by_its_words_where_no_alt_text_is_given(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda image: shown.append(image))
    figure, axes = plt.subplots(figsize=(2, 2))
    axes.set(title="Loss", xlabel="step", ylabel="nats")
    figures.show(figure)
    figures.show(plt.figure(figsize=(1, 1)), alt="nothing")
    assert [image.alt for image in shown] == ["Figure: Loss; step; nats", "nothing"]


def test_a_map_lies_over_a_picture_in_red_where_it_is_above_zero():
    grey = np.full((2, 3), 100, np.uint8)
    layer = red_layer([[0.0, 1.0, 2.0], [-4.0, 0.0, 0.0]])
    assert layer[..., 3].tolist() == [[0, 0.3, 0.6], [0, 0, 0]]
    laid = blended(grey, np.array([[0.0, 1.0, 2.0], [-4.0, 0.0, 0.0]]))
    assert laid.dtype == np.uint8 and laid[0, 2].tolist() == [193, 40, 40]
    assert laid[0, 0].tolist() == laid[1, 0].tolist() == [100, 100, 100]
    assert np.array_equal(blended(grey, np.zeros((2, 3))), np.repeat(grey[..., None], 3, axis=2))
