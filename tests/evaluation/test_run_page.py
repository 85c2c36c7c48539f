"""The page of a run: everything is there, nothing is fetched, nothing that must not be seen is seen."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
import torch
from page_reading import Page, check_page, overflow, run_browser
from PIL import Image
from tiny_system import TINY, tiny_language

from r2gen_lib.data.study import Picture, Study
from r2gen_lib.errors import DataError
from r2gen_lib.evaluation.evaluate import evaluate
from r2gen_lib.evaluation.page.finding_marks import (
    best_median_worst,
    mark_generated,
    mark_reference,
    ranked,
    study_f1,
)
from r2gen_lib.evaluation.page.images import outline, outlines_of, picture_address
from r2gen_lib.evaluation.page.render import flat_settings
from r2gen_lib.findings.finding import Finding
from r2gen_lib.metrics import nlg as language

REPORTS = (
    "The heart is enlarged. There is a left pleural effusion. <script>alert('reference')</script>",
    "The lungs are clear. The heart is normal in size.",
    "There is a right pneumothorax. The heart is normal in size.",
    "Left pleural effusion. No pneumothorax.",
)
WRITTEN = ("The heart is enlarged. No effusion. <b>bold & bright</b>", "The lungs are clear. Edema is present.")


class Writer:
    """Stands in for a trained model: one of two reports, by the brightness of the picture."""

    preset, device, mode, vision = TINY, torch.device("cpu"), "shallow", None
    tokenizer = tiny_language().tokenizer

    def generate(self, pixel_values: torch.Tensor, **decoding) -> list[str]:
        return [WRITTEN[int(x.mean() > 0)] for x in pixel_values]


def study(number: int, **changes) -> Study:
    grey = np.full((40, 30), (30, 220)[number % 2], np.uint8)
    picture = Picture("frontal", simulated=True, loader=lambda: grey)
    made = Study(f"S{number}", "test", REPORTS[number % 4], {}, ("normal",), (picture,), source="made up")
    return replace(made, **changes)


@pytest.fixture(scope="module")
def run(tmp_path_factory, scorer):
    """A run's folder with a page, made once; ``scorer`` keeps METEOR's start out of each test."""
    folder = tmp_path_factory.mktemp("run")
    scorer._meteor = scorer._meteor or language.start_meteor()
    overlays = []

    def overlay(one, generated):
        overlays.append((one.id, generated))
        return np.zeros((20, 20, 3), np.uint8)

    shared = patch.object(language, "start_meteor", lambda: scorer._meteor)
    with shared, patch.object(language.LanguageScorer, "close", lambda self: None):
        studies = [study(n) for n in range(10)]
        about = {"command": "r2gen evaluate --data '<made up>'", "checkpoint sha256": "ab12"}
        scores = evaluate(
            Writer(), studies, REPORTS, folder, controls="quick", section="findings", about=about,
            overlay=overlay, overlay_words="where it looked", num_beams=2,
        )  # fmt: skip
        secret = [replace(one, credentialed=True) for one in studies]
        evaluate(Writer(), secret, REPORTS, folder / "secret", controls="quick")
        evaluate(Writer(), secret, REPORTS, folder / "asked", controls="quick", show_credentialed=True)
    return {"folder": folder, "scores": scores, "overlays": overlays}


def test_the_page_is_whole_and_fetches_nothing(run):
    page = Page(run["folder"] / "report.html")
    check_page(page)
    assert "simulated" in page.text and all("simulated" in i["alt"] or "looked" in i["alt"] for i in page.all("img"))
    for system in run["scores"].systems:
        assert system in page.text
    for name in ("BLEU-1", "BLEU-4", "METEOR", "ROUGE-L", "CIDEr", "clinical macro F1", "Support Devices", "per study"):
        assert name in page.text
    for name in ("self-BLEU-4", "abnormal called normal", "speaks of an earlier picture", "references"):
        assert name in page.text
    row = run["scores"].frame().loc["model"]
    assert f"{row['self-BLEU-4']:.3f} [{row['self-BLEU-4 low']:.3f}, {row['self-BLEU-4 high']:.3f}]" in page.text
    assert f"{row['Bleu_4']:.3f}" in page.text and f"[{row['Bleu_4 low']:.3f}, {row['Bleu_4 high']:.3f}]" in page.text
    marked = [name for name in run["scores"].names if run["scores"].not_above[name]]
    assert marked and page.source.count('title="not above a control"') == len(marked)
    assert "oracle" in page.text and "needs a model that was trained on finding labels" in page.text
    for told in ("ab12", "--data '<made up>'", "section findings", "torch", "transformers", "hardware", "num_beams"):
        assert told in page.text
    assert all(table["role"] == "region" and table["tabindex"] == "0"
               for table in page.all("div") if table.get("class") == "scroll")  # fmt: skip


def test_reports_are_escaped(run):
    page = Page(run["folder"] / "report.html")
    assert "alert('reference')" in page.text and "<b>bold & bright</b>" in page.text
    assert "<b>" not in page.source


def test_scores_json_tells_the_same_settings(run):
    told = json.loads((run["folder"] / "scores.json").read_text())["settings"]
    assert told["credentialed"] is False and told["pictures"] == "simulated" and told["checkpoint sha256"] == "ab12"
    assert told["decoding"] == {"num_beams": 2} and told["decoding used"]["max_new_tokens"] == 8
    assert {"date", "hardware", "torch", "transformers", "r2gen-course"} <= set(told)


def test_overlays_are_asked_for_the_studies_shown_and_no_others(run):
    page = Page(run["folder"] / "report.html")
    shown = [image["alt"] for image in page.all("img") if "where it looked" in image["alt"]]
    assert len(shown) == len(run["overlays"]) == 9
    assert all(text in WRITTEN for _, text in run["overlays"])


def test_credentialed_data_leave_no_text_no_study_no_picture(run):
    page = Page(run["folder"] / "secret" / "report.html")
    check_page(page)
    for sentence in ("heart is", "effusion.", "alert", "lungs are clear", "bold"):
        assert sentence not in page.text
    assert not page.all("img") and "S0" not in page.text and not page.all("article")
    assert "credentialed" in page.text and "BLEU-4" in page.text and "Cardiomegaly" in page.text
    asked = Page(run["folder"] / "asked" / "report.html")
    assert "must not be passed on" in asked.text and asked.all("img") and "lungs are clear" in asked.text


def test_findings_agree_are_missed_or_invented_by_sentence():
    reference, generated = "The heart is enlarged. There is a pleural effusion.", "Cardiomegaly. No effusion. Edema."
    kinds = [(s.text, [m.words for m in s.marks]) for s in mark_generated(generated, reference)]
    assert kinds == [
        ("Cardiomegaly.", ["agrees: Cardiomegaly"]),
        ("No effusion.", ["denied: Pleural Effusion"]),
        ("Edema.", ["invented: Edema"]),
    ]
    of_reference = mark_reference(reference, generated)
    assert [s.kind for s in of_reference] == ["agrees", "missed"]
    assert [s.kind for s in mark_reference("No edema.", "Edema.")] == ["invented"]
    assert [s.kind for s in mark_generated("The lungs are clear.", "No effusion.")] == [""]
    assert mark_generated("", reference) == []


def test_studies_are_ranked_by_findings_then_rouge():
    references = {"a": "Cardiomegaly.", "b": "Cardiomegaly.", "c": "Cardiomegaly. Effusion.", "d": "Clear lungs."}
    generated = {"a": "Cardiomegaly.", "b": "Edema.", "c": "Cardiomegaly.", "d": "Lungs are clear."}
    f1 = study_f1(generated, references)
    assert f1 == pytest.approx({"a": 1, "b": 0, "c": 2 / 3, "d": 1})
    assert ranked(references, f1, {"a": 0.1, "b": 1, "c": 1, "d": 0.9}) == ["d", "a", "c", "b"]


@pytest.mark.parametrize("count", range(1, 12))
def test_best_median_and_worst_share_nothing(count):
    order = [f"s{n:02d}" for n in range(count)]
    groups = best_median_worst(order)
    shown = [i for ids in groups.values() for i in ids]
    assert len(shown) == len(set(shown)) and shown == sorted(shown)
    assert groups["best"][0] == order[0] and (count == 1 or groups["worst"][-1] == order[-1])
    assert all(len(ids) <= 3 for ids in groups.values()) and (count < 9 or len(shown) == 9)


def test_outlines_go_around_what_was_drawn():
    mask = np.zeros((224, 224), np.float32)
    mask[50:100, 0:40] = 9
    path = outline(mask, 3)
    numbers = np.array(path.replace("M", " ").replace("L", " ").replace("Z", " ").split(), float).reshape(-1, 2)
    assert path.count("M") == 1 and path.endswith("Z")
    assert numbers.min(axis=0) == pytest.approx([0, 50], abs=2)
    assert numbers.max(axis=0) == pytest.approx([40, 100], abs=2)
    assert outline(np.zeros((8, 8)), 0.5) == ""
    drawn, side = outlines_of(study(0, findings=(Finding("Pleural Effusion", "left"),)), "frontal")
    assert side == 224 and [one.words for one in drawn] == ["left pleural effusion"] and drawn[0].path


def test_pictures_of_a_page_are_small_and_checked():
    address = picture_address(np.zeros((3000, 1500), np.uint8))
    picture = Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))
    assert picture.size == (256, 512)
    with pytest.raises(DataError, match=r"found float64 \(4, 4\), expected uint8"):
        picture_address(np.zeros((4, 4)))


def test_settings_become_rows():
    rows = flat_settings({"a": None, "b": {"c": 1, "d": (1, 2)}, "e": {}, "f": True})
    assert rows == {"a": "none", "b: c": "1", "b: d": "1, 2", "e": "as the preset has it", "f": "yes"}


@pytest.mark.slow
def test_a_browser_shows_it_on_a_phone_and_on_a_desk(run, tmp_path):
    page = run["folder"] / "report.html"
    for width in (390, 1280):
        takes, has = overflow(page, tmp_path, width)
        assert has == width and takes <= has
    run_browser(page, tmp_path, "--window-size=1280,2000", f"--screenshot={tmp_path / 'shot.png'}")
    with Image.open(tmp_path / "shot.png") as shot:
        assert shot.size == (1280, 2000) and len(shot.convert("L").getcolors()) > 20
