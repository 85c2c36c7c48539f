from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from r2gen_lib.config import PRESETS
from r2gen_lib.data.study import Picture, Study, by_split
from r2gen_lib.describe import (
    describe_blank,
    describe_pictures,
    describe_studies,
    evaluate,
    nearest_reports,
    pooled_features,
    read_pictures,
)
from r2gen_lib.errors import DataError, ImageError
from r2gen_lib.evaluation.language import METRICS
from r2gen_lib.evaluation.score_table import format_scores
from tests.tiny_system import tiny_language, tiny_model, tiny_studies

SENTENCES = ("the lungs are clear .", "there is a large effusion on the left .", "the heart is enlarged .")


class Stand:
    """Stands in for a trained model: tells three grey levels apart."""

    preset, device = PRESETS["laptop"], torch.device("cpu")
    tokenizer = tiny_language().tokenizer

    def __init__(self) -> None:
        self.batches: list[int] = []

    def generate(self, pixel_values: torch.Tensor, **decoding) -> list[str]:
        self.batches.append(len(pixel_values))
        levels = pixel_values[:, 0, 0].amax(dim=(1, 2))  # (B,)
        return [SENTENCES[int(x > -0.5) + int(x > 0.5)] for x in levels]


def study(number: int) -> Study:
    level = (20, 128, 250)[number % 3]
    grey = np.full((30, 20), level, np.uint8)
    picture = Picture("frontal", None, simulated=True, loader=lambda: grey)
    return Study(f"CXR{number}", "test", SENTENCES[number % 3], {}, ("normal",), (picture,))


def test_every_study_gets_the_report_of_its_own_picture():
    studies, model = [study(n) for n in range(7)], Stand()
    texts = describe_studies(model, studies, batch_size=3, progress=False)
    assert texts == {s.id: s.report for s in studies}
    assert model.batches == [3, 3, 1]


def test_a_study_without_a_picture_is_named():
    broken = Study("CXR9", "test", "clear", {}, ("normal",), ())
    with pytest.raises(DataError, match="CXR9"):
        describe_studies(Stand(), [study(0), broken], progress=False)


def test_own_pictures_good_and_bad(tmp_path):
    paths = [tmp_path / name for name in ("a.png", "b.png", "c.png")]
    for path, level in zip(paths, (20, 250, 128), strict=True):
        Image.fromarray(np.full((50, 60), level, np.uint8)).save(path)
    paths[1].write_bytes(b"")
    good, bad = read_pictures(paths)
    assert list(good) == [paths[0], paths[2]] and list(bad) == [paths[1]]
    assert isinstance(bad[paths[1]], ImageError)
    reports = dict(describe_pictures(Stand(), good))
    assert reports == {paths[0]: SENTENCES[0], paths[2]: SENTENCES[1]}


def test_evaluate_keeps_reports_and_scores(tmp_path):
    studies = [study(n) for n in range(6)]
    train_reports = [SENTENCES[0]] * 3 + [SENTENCES[1]]
    scores = evaluate(Stand(), studies, train_reports, tmp_path / "out", text="section both")
    assert scores.loc["model", "Bleu_4"] == pytest.approx(1, abs=1e-6)
    assert scores.loc["shuffled pictures", "Bleu_4"] < 0.9 and "constant report" in scores.index
    names = {"reports.csv", "scores.csv", "scores.json", "scores.png"}
    assert {p.name for p in (tmp_path / "out").iterdir()} == names
    kept = pd.read_csv(tmp_path / "out" / "scores.csv", index_col="system")
    assert list(kept.text) == ["section both"] * 4 and list(kept.Bleu_4) == pytest.approx(list(scores.Bleu_4))
    assert (kept["Bleu_4 low"] <= kept["Bleu_4 high"]).all() and set(kept.tokenizer) == {"ptb"}
    told = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert list(told["systems"]) == list(scores.index) and told["settings"]["text"] == "section both"
    assert told["systems"]["model"]["Bleu_4"]["not above"] == []
    assert told["omitted"].keys() == {"perfect eye", "nearest neighbour"}
    assert told["constant reports"]["Bleu_4"] == SENTENCES[1]
    table = pd.read_csv(tmp_path / "out" / "reports.csv", index_col="id")
    assert list(table.index) == [s.id for s in studies]
    assert (table["reference"] == table["generated"]).all()
    assert (table["generated"] != table["shuffled pictures"]).any()
    assert set(table["blank picture"]) == {SENTENCES[1]}  # a mean grey


def test_a_reader_who_does_not_look_is_marked(tmp_path):
    """The model writes the constant report: no score of its is above that control, nor above its own shuffle."""
    studies = [replace(study(n), pictures=study(1).pictures) for n in range(6)]
    scores = evaluate(Stand(), studies, [SENTENCES[1]], tmp_path, controls="quick", cut_to=5, min_new_tokens=2)
    for metric in METRICS:
        assert scores.loc["model", f"{metric} not above"] == "constant report, shuffled pictures, blank picture"
    assert (scores["Bleu_1 not above"].iloc[1:] == "").all()
    text = format_scores(scores)
    assert "Bleu_4: constant report, shuffled pictures, blank picture" in text
    assert re.search(r"Bleu_1 +\d\.\d+ \[\d\.\d+, \d\.\d+\]\* +\d\.\d+ \[[^]]+\] ", text)
    assert "left out: nearest neighbour: controls=quick" in text and "left out: perfect eye: needs a model" in text
    assert "95% percentile bootstrap over 6 studies, 1,000 resamples" in text
    told = json.loads((tmp_path / "scores.json").read_text())["settings"]
    assert told["references cut to"] == 5 and told["decoding"] == {"min_new_tokens": 2}
    assert set(pd.read_csv(tmp_path / "reports.csv").reference.str.split().str.len()) <= {4, 5}


def test_unknown_controls_are_refused_before_anything_runs(tmp_path):
    model = Stand()
    with pytest.raises(DataError, match="controls='some': expected one of all, quick"):
        evaluate(model, [study(0)], ["x"], tmp_path, controls="some")
    assert not model.batches


@pytest.mark.parametrize("mode", ["shallow", "delta"])
def test_the_nearest_neighbour_has_the_most_similar_picture(mode, empty_cache):
    model, studies = tiny_model(mode), tiny_studies(24)
    train, held_out = by_split(studies, "train"), by_split(studies, "val")
    reports = nearest_reports(model, held_out, train)
    assert list(reports) == [s.id for s in held_out]
    features = {s.id: row for s, row in zip(studies, pooled_features(model, studies).numpy(), strict=True)}
    mean = np.mean([features[s.id] for s in train], axis=0)

    def alike(one, other):
        a, b = features[one.id] - mean, features[other.id] - mean
        return a @ b / np.linalg.norm(a) / np.linalg.norm(b)

    assert reports == {s.id: max(train, key=lambda other, s=s: alike(s, other)).report for s in held_out}
    assert reports == {s.id: s.report for s in held_out}  # bright pictures find bright ones
    twin = replace(train[0], id="T0-again", report="its twin's")
    assert nearest_reports(model, train[:1], [*train, twin]) == {"T0": "its twin's"}  # not its own
    for none in ([], train[:1]):
        with pytest.raises(DataError, match="expected another one for every study"):
            nearest_reports(model, train[:1], none)


def test_a_tiny_system_is_evaluated_with_all_controls(tmp_path, empty_cache):
    model, studies = tiny_model(), tiny_studies(12)
    train, held_out = by_split(studies, "train"), by_split(studies, "val")
    scores = evaluate(model, held_out, [s.report for s in train], tmp_path, train_studies=train)
    systems = ["model", "constant report", "shuffled pictures", "blank picture", "nearest neighbour"]
    assert list(scores.index) == systems and scores.attrs["omitted"].keys() == {"perfect eye"}
    assert scores.loc["nearest neighbour", "Bleu_4"] == pytest.approx(1)
    assert "nearest neighbour" in scores.loc["model", "Bleu_4 not above"]
    assert scores.loc["blank picture", "distinct reports"] == 1 / len(held_out)
    assert describe_blank(model) == pd.read_csv(tmp_path / "reports.csv", keep_default_na=False)["blank picture"][0]
