from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from r2gen_lib.config import PRESETS
from r2gen_lib.data.study import Picture, Study
from r2gen_lib.errors import DataError, ImageError
from r2gen_lib.evaluation.evaluate import evaluate
from r2gen_lib.inference.generate_reports import describe_pictures, describe_studies, read_pictures

SENTENCES = ("the lungs are clear .", "there is a large effusion on the left .", "the heart is enlarged .")


class Stand:
    """Stands in for a trained model: tells three grey levels apart."""

    preset, device, mode, vision = PRESETS["laptop"], torch.device("cpu"), "shallow", None

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
    scores = evaluate(Stand(), studies, train_reports, tmp_path / "out", section="both", cleaning="gentle")
    values = scores.scores
    assert values.loc["model", "Bleu_4"] == pytest.approx(1, abs=1e-6)
    assert values.loc["shuffled pictures", "Bleu_4"] < 0.9 and "constant report" in scores.systems
    names = {"reports.csv", "scores.csv", "scores.json", "scores.png", "report.html"}
    assert {p.name for p in (tmp_path / "out").iterdir()} == names
    kept = pd.read_csv(tmp_path / "out" / "scores.csv", index_col="system")
    assert set(kept.section) == {"both"} and set(kept.cleaning) == {"gentle"}
    assert list(kept.Bleu_4) == pytest.approx(list(values.Bleu_4))
    assert (kept["Bleu_4 low"] <= kept["Bleu_4 high"]).all() and set(kept.tokenizer) == {"ptb"}
    told = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert list(told["systems"]) == scores.systems
    assert (told["settings"]["section"], told["settings"]["cleaning"]) == ("both", "gentle")
    assert told["systems"]["model"]["Bleu_4"]["not above"] == []
    assert told["omitted"].keys() == {"oracle", "nearest neighbour"}
    assert told["constant reports"]["Bleu_4"] == SENTENCES[0]
    table = pd.read_csv(tmp_path / "out" / "reports.csv", index_col="id")
    assert list(table.index) == [s.id for s in studies]
    assert (table["reference"] == table["generated"]).all()
    assert (table["generated"] != table["shuffled pictures"]).any()
    assert set(table["blank picture"]) == {SENTENCES[1]}  # a mean grey


def test_unknown_controls_are_refused_before_anything_runs(tmp_path):
    model = Stand()
    with pytest.raises(DataError, match="controls='some': expected one of all, quick"):
        evaluate(model, [study(0)], ["x"], tmp_path, controls="some")
    assert not model.batches
