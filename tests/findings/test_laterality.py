"""Where a finding lies whose code names no side."""

from __future__ import annotations

import pytest

from r2gen_lib import load_studies
from r2gen_lib.findings.finding import FINDING_NAMES, MIDLINE
from r2gen_lib.findings.laterality import REPORT_WORDS, side_in_report
from r2gen_lib.findings.mesh_codes import findings_from_mesh


@pytest.mark.parametrize(
    ("name", "report", "side"),
    [
        ("Pleural Effusion", "The heart is normal. There is a small left pleural effusion.", "left"),
        ("Pleural Effusion", "There are small effusions, right greater than left.", "bilateral"),
        ("Pleural Effusion", "No left pleural effusion. Right rib fractures.", ""),
        ("Pleural Effusion", "No significant change in the right-sided effusion.", "right"),
        ("Atelectasis", "Streaky bibasilar opacities, most likely atelectasis.", "bilateral"),
        ("Opacity", "Opacity at the left base; opacity in the right apex.", "bilateral"),
        ("Device", "Pacemaker leads end in the right atrium and right ventricle.", ""),
        ("Device", "The generator lies over the left chest, its leads in the right heart.", "left"),
        ("Volume Loss", "Minimal right-to-left mediastinal shift.", "left"),
        ("Scoliosis", "Mild dextroscoliosis of the thoracic spine.", "right"),
        ("Scoliosis", "S-shaped scoliosis, convex to the right above and to the left below.", ""),
        ("Surgical Clips", "Surgical clips are seen in the right upper quadrant and in the left axilla.", "left"),
        ("Nodule", "", ""),
    ],
)
def test_the_reports_own_words_are_read(name, report, side):
    assert side_in_report(name, report) == side


def test_every_finding_with_sides_has_words_to_look_for():
    assert set(REPORT_WORDS) == set(FINDING_NAMES) - MIDLINE


def test_the_report_comes_before_the_other_codes_and_these_before_chance():
    mesh = ["Catheters, Indwelling", "Catheters, Indwelling/right"]
    assert {f.side for f in findings_from_mesh(mesh)} == {"right"}
    said = findings_from_mesh(mesh, report="A left PICC ends in the superior vena cava.")
    assert {f.side for f in said} == {"left", "right"}


def test_zones_on_one_side_and_findings_that_are_usually_on_both():
    sides = {
        "Opacity/lung/lingula": "left",
        "Calcified Granuloma/lung/middle lobe": "right",
        "Opacity/retrocardiac": "left",
        "Surgical Instruments/abdomen": "right",
        "Diaphragm/flattened": "bilateral",
        "Calcified Granuloma/scattered": "bilateral",
        "Calcified Granuloma/multiple": "bilateral",
        "Granulomatous Disease": "bilateral",
        "Granulomatous Disease/right": "right",
    }
    assert {code: findings_from_mesh([code])[0].side for code in sides} == sides


def test_what_is_left_open_is_drawn_from_study_seed_and_finding_alone():
    def sides(mesh, seed=0, **more):
        return [findings_from_mesh(mesh, f"CXR{n}", seed, **more)[0].side for n in range(200)]

    drawn = sides(["Pneumothorax"])
    assert drawn == sides(["Pneumothorax", "Nodule/lung/left"]) == sides(["Pneumothorax"], report="Lungs are clear.")
    assert 80 < drawn.count("left") < 120 and drawn.count("left") + drawn.count("right") == 200
    assert drawn != sides(["Pneumothorax"], seed=1) and drawn != sides(["Nodule"])


def test_a_real_report_settles_the_side_that_its_code_leaves_open():
    (study,) = [study for study in load_studies() if study.id == "CXR174"]
    assert study.mesh[0] == "Catheters, Indwelling" and "left-sided PICC" in study.report
    assert [f.side for f in study.findings if f.name == "Catheter"] == ["left"]


def test_the_target_section_does_not_change_what_the_picture_shows():
    def findings(section):
        return {study.id: study.findings for study in load_studies(section=section)}

    by_findings, by_impression = findings("findings"), findings("impression")
    assert all(by_findings[study] == by_impression[study] for study in by_impression)
