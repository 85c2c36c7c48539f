"""The checkpoints in data/weights: they load, say how they were made, and write reports."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from r2gen_lib.assets import repository_data
from r2gen_lib.errors import R2GenError
from r2gen_lib.evaluation.truth.chests import truth_studies
from r2gen_lib.findings.consistent import without_contradictions
from r2gen_lib.findings.contradictions import contradictions
from r2gen_lib.findings.finding import Finding
from r2gen_lib.findings.report_labeler import OBSERVATIONS, State, label_reports
from r2gen_lib.former_names import HISTORY, with_todays_names
from r2gen_lib.inference.feature_cache import picture_pixels
from r2gen_lib.inference.generate_reports import describe_blank, describe_studies
from r2gen_lib.inference.normal_picture import normal_features
from r2gen_lib.model.modes import parameter_table
from r2gen_lib.model.r2gengpt import R2GenGPT
from r2gen_lib.simulation.render import draw_simulated
from r2gen_lib.simulation.simulate import simulate

WEIGHTS = repository_data("weights")
SHIPPED = {"laptop-shallow": "shallow", "laptop-delta": "delta", "laptop-ask": "shallow", "laptop-oracle": "shallow"}


def test_all_that_is_shipped_is_known_and_small():
    assert {file.parent.name for file in WEIGHTS.glob("*/config.json")} == set(SHIPPED)
    assert sum(file.stat().st_size for file in WEIGHTS.rglob("*") if file.is_file()) < 25e6


@pytest.mark.parametrize("name, mode", SHIPPED.items())
def test_a_shipped_model_loads_by_name_and_writes_a_report(name, mode):
    model = R2GenGPT.from_trained(name, device="cpu")
    oracle = name == "laptop-oracle"
    assert model.mode == mode and model.preset.name == ("laptop-oracle" if oracle else "laptop")
    trained = sum(p.numel() for p in model.trainable_parameters().values())
    assert trained == (463_936 if oracle else parameter_table("laptop").loc[mode, "trainable"])
    report = describe_blank(model, num_beams=1)
    assert len(report.split()) > 5 and report.rstrip().endswith(".")


@pytest.mark.parametrize("name", ["laptop-shallow", "laptop-delta"])
def test_what_was_not_trained_with_questions_says_so(name):
    model = R2GenGPT.from_trained(name, device="cpu")
    with pytest.raises(R2GenError, match="can't be asked: take laptop-ask"):
        model.ask("Is there a pleural effusion?", picture_pixels(model, [simulate("CXR12").picture]))


def test_laptop_ask_answers_what_it_is_asked():
    model = R2GenGPT.from_trained("laptop-ask", device="cpu")
    drawn = [[], [Finding("Pleural Effusion", "left", severity=0.8)], [Finding("Cardiomegaly", severity=0.8)]]
    pixels = picture_pixels(model, [simulate("CXR12", findings).picture for findings in drawn])
    normal, effusion, heart = model.ask("Is there a pleural effusion?", pixels)
    assert "left" in effusion and "no " not in effusion
    assert "no pleural effusion" in normal and "no pleural effusion" in heart
    normal, effusion, heart = model.ask("Is the heart enlarged?", pixels)
    assert "enlarged" in heart and "normal" in normal and "normal" in effusion
    (side,) = model.ask("On which side is the pleural effusion?", pixels[1:2])
    assert "left" in side


def test_its_reports_are_without_the_sentences_that_contradict_them():
    model, studies = R2GenGPT.from_trained("laptop-shallow", device="cpu"), truth_studies(4, "val")
    draw_simulated(studies, model.preset.vision.views)
    written = describe_studies(model, studies, progress=False, consistent=False)
    shown = describe_studies(model, studies, progress=False)
    assert shown == {name: without_contradictions(report) for name, report in written.items()}
    assert shown != written
    assert sum(bool(contradictions(report)) for report in shown.values()) <= 1  # a denial that names a side stays


def test_beside_a_normal_picture_it_still_says_what_was_drawn():
    model, chests = R2GenGPT.from_trained("laptop-shallow", device="cpu"), truth_studies(1, "val")
    chest = next(chest for chest in chests if chest.findings and chest.findings[0].name == "Pneumothorax")
    draw_simulated([chest], model.preset.vision.views)
    normal = normal_features(model, chests=2)
    for decoding in (dict(guidance=0.5), dict(rerank=0.5)):
        (report,) = describe_studies(model, [chest], progress=False, **decoding, normal=normal).values()
        assert label_reports([report])[0, OBSERVATIONS.index("Pneumothorax")] == State.PRESENT


@pytest.mark.parametrize("name", SHIPPED)
def test_its_curve_ends_where_its_notes_say_and_the_picture_is_worth_something(name):
    notes = with_todays_names(
        json.loads((WEIGHTS / name / "config.json").read_text(encoding="utf-8"))["notes"], HISTORY
    )
    last = pd.read_csv(WEIGHTS / name / "history.csv").rename(columns=HISTORY).set_index("step").loc[notes["step"]]
    assert last["val_loss"] == pytest.approx(notes["val_loss"])
    assert last["val_loss"] < last["val_loss_shuffled"] - 0.2


def test_the_oracle_writes_what_it_is_told():
    model, studies = R2GenGPT.from_trained("laptop-oracle", device="cpu"), truth_studies(1, "val")
    told = next(study for study in studies if "Cardiomegaly" in [finding.name for finding in study.findings])
    assert "enlarged" in describe_studies(model, [told], progress=False)[told.id]
    assert "enlarged" not in describe_blank(model)
