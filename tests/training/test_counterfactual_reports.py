from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import r2gen_lib
from r2gen_lib import cli, load_studies
from r2gen_lib.assets import repository_data
from r2gen_lib.data.study import Picture, by_split
from r2gen_lib.errors import DataError
from r2gen_lib.findings.chexpert import CASES
from r2gen_lib.findings.finding import LEARNT_NAMES, Finding
from r2gen_lib.findings.report_labeler import State, label_reports
from r2gen_lib.findings.report_phrases import OBSERVATIONS
from r2gen_lib.findings.sentences import SAYABLE
from r2gen_lib.simulation.simulate import simulate
from r2gen_lib.training.rare_findings.counterfactual_reports import CLEAR, rewrite, rewritten_studies

EFFUSION = Finding("Pleural Effusion", "left", severity=0.2)
HEART = Finding("Cardiomegaly", severity=0.5)
RESULT = SimpleNamespace(best={}, checkpoint="", out_dir="")
NODULE = Finding("Nodule", "right", "upper lobe", severity=0.5)


@pytest.fixture(scope="module")
def studies():
    return load_studies("openi_sim")


def rewritten(report, *findings):
    return rewrite(report, findings, np.random.default_rng(0))


@pytest.mark.parametrize(
    "before, finding, after",
    [
        (
            "The heart is normal in size. No pneumothorax or pleural effusion. The lungs are clear.",
            EFFUSION,
            "The heart is normal in size. The lungs are clear. There is a small left pleural effusion. "
            "There is no pneumothorax.",
        ),
        (
            "The cardiomediastinal silhouette is normal. The heart size is normal. The lungs are clear.",
            HEART,
            "There is moderate cardiomegaly. The mediastinum is normal. The lungs are clear.",
        ),
        ("The mediastinum is normal. Lungs are clear.", HEART, "There is moderate cardiomegaly. The mediastinum is"),
        ("Normal heart. Lungs are clear. No effusion.", NODULE, "Normal heart. There is a nodule in the right upper"),
        ("The heart is normal", EFFUSION, "The heart is normal. There is a small left pleural effusion."),
    ],
    ids=["denied with another", "denied twice", "not denied", "clear lungs", "no stop"],
)
def test_what_denied_the_finding_gives_way(before, finding, after):
    ways = {rewrite(before, [finding], np.random.default_rng(seed)) for seed in range(30)}
    assert any(way.startswith(after) for way in ways), ways
    for labels in label_reports(sorted(ways)):
        said = {o for o, state in zip(OBSERVATIONS, labels, strict=True) if state == State.PRESENT}
        assert CASES[finding.name].observation in said


def test_two_findings_that_one_sentence_denied_are_both_said():
    report = rewritten("No pleural effusion, pneumothorax or pulmonary nodule.", EFFUSION, NODULE)
    assert "pleural effusion." in report and "nodule in the right upper lobe." in report
    assert report.endswith("There is no pneumothorax.")


def test_a_thousand_rewritten_reports_say_what_their_pictures_show(studies):
    made = rewritten_studies(studies, 1000, findings=SAYABLE)
    labels = label_reports(study.report for study in made)
    for study, row in zip(made, labels, strict=True):
        said = {o for o, state in zip(OBSERVATIONS, row, strict=True) if state >= State.UNCERTAIN}
        assert {CASES[finding.name].observation for finding in study.findings} <= said, study.report
    assert {study.split for study in made} == {"train"} and len({study.id for study in made}) == 1000
    assert {len(study.findings) for study in made} == {1, 2, 3}
    bases = {study.id.split("-rewritten")[0] for study in made}
    assert bases <= {study.id for study in by_split(studies, "train")}


def test_what_is_drawn_can_be_chosen_and_is_by_default_what_the_encoder_sees(studies):
    chosen = ("Cardiomegaly", "Edema", "Device")
    assert {f.name for study in rewritten_studies(studies, 60, findings=chosen) for f in study.findings} == set(chosen)
    seen = pd.read_csv(repository_data("weights/vision_laptop_auroc.csv"), index_col="finding")["AUROC (picture)"]
    assert {f.name for study in rewritten_studies(studies, 300) for f in study.findings} == set(CLEAR)
    left_out = [name for name in SAYABLE if name in LEARNT_NAMES and name not in CLEAR]
    assert seen[left_out].mean() < seen[list(CLEAR)].mean() - 0.05


@pytest.mark.parametrize("findings", [["Cardiomegaly", "Scoliosis", "Edema"], ["Cardiomegaly", "Edema"], []])
def test_findings_that_cannot_be_said_or_are_too_few_are_refused(studies, findings):
    with pytest.raises(DataError, match="rewritten studies: found findings .*; expected at least three of"):
        rewritten_studies(studies, 3, findings=findings)


def test_the_seed_decides(studies):
    one, again, other = (rewritten_studies(studies, 5, seed) for seed in (0, 0, 1))
    assert one == again != other


def test_the_picture_shows_the_findings_of_the_study(studies, empty_cache):
    (study,) = rewritten_studies(studies, 1, seed=3)
    picture = study.picture().load()
    assert (picture == simulate(study.id, study.findings, truth=False).picture).all()
    assert (picture != simulate(study.id, (), truth=False).picture).any()


def test_studies_without_simulated_pictures_are_refused(studies):
    real = [replace(study, pictures=(Picture("frontal"),)) for study in studies[:20]]
    with pytest.raises(DataError, match="found no normal study with simulated pictures in the train split"):
        rewritten_studies(real, 3)


def test_the_command_adds_them_to_the_train_split_alone(studies, monkeypatch, tmp_path):
    given = {}
    monkeypatch.setattr("r2gen_lib.simulation.render.draw_simulated", lambda studies, views: False)
    monkeypatch.setattr(r2gen_lib.R2GenGPT, "from_preset", lambda preset, mode: None)
    monkeypatch.setattr(
        r2gen_lib, "train", lambda model, studies, *rest, **options: given.update(all=studies) or RESULT
    )
    options = ["--rewritten-findings", "cardio", "EDEMA", "Device", "--out", str(tmp_path / "run")]
    assert cli.main(["train", "--rewritten", "7", *options]) == 0
    added = [study for study in given["all"] if "rewritten" in study.id]
    assert len(added) == 7 and {study.split for study in added} == {"train"}
    assert {finding.name for study in added for finding in study.findings} <= {"Cardiomegaly", "Edema", "Device"}
    assert [study for study in given["all"] if study not in added] == studies
