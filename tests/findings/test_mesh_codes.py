"""MeSH codes -> findings: single codes, a study's codes together, bad input, and every code of Open-i."""

from __future__ import annotations

from collections import Counter

import pytest

from r2gen_lib.assets import asset
from r2gen_lib.data.readers.openi import read_openi_archive
from r2gen_lib.errors import SimulationError
from r2gen_lib.findings.finding import FINDING_NAMES, LEARNT_NAMES, MIDLINE, PATTERNS
from r2gen_lib.findings.kinds import ZONES
from r2gen_lib.findings.mesh_codes import (
    MODIFIERS,
    ZONES_OF,
    findings_from_mesh,
    findings_of_code,
    heading_of,
    rule_of,
)
from r2gen_lib.findings.mesh_rules import RULES


@pytest.fixture(scope="module")
def openi():
    return read_openi_archive(asset("openi_reports"))


def look(finding):
    return finding.name, finding.side, finding.zone, finding.severity


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("Pleural Effusion/left/small", ("Pleural Effusion", "left", "", 0.3)),
        ("Cardiomegaly/severe", ("Cardiomegaly", "", "", 1.0)),
        ("Cardiac Shadow/enlarged/borderline", ("Cardiomegaly", "", "", 0.15)),
        ("Opacity/lung/upper lobe/right", ("Opacity", "right", "upper lobe", None)),
        ("Opacity/lung/bilateral/interstitial/diffuse", ("Interstitial Markings", "", "", None)),
        ("Infiltrate/lung/base/left/interstitial", ("Interstitial Markings", "", "base", None)),
        ("Airspace Disease/lung/base/bilateral", ("Opacity", "bilateral", "base", 0.6)),
        ("Density/costophrenic angle/left/round", ("Opacity", "left", "base", None)),
        ("Density/right/paratracheal", ("Enlarged Mediastinum", "", "paratracheal", 0.4)),
        ("Pneumonia/lower lobe/right/mild", ("Consolidation", "right", "lower lobe", 0.3)),
        ("Pulmonary Congestion/mild", ("Vascular Congestion", "", "", 0.3)),
        ("Markings/bronchovascular", ("Bronchovascular Markings", "", "", None)),
        ("Markings/lung/interstitial/prominent/mild", ("Interstitial Markings", "", "", 0.3)),
        ("Lung/hypoinflation", ("Hypoinflation", "", "", None)),
        ("Lung/hyperdistention/mild", ("Hyperinflation", "", "", 0.3)),
        ("Lung/hilum/left/prominent/mild", ("Enlarged Hilum", "left", "", 0.3)),
        ("Diaphragm/right/elevated", ("Elevated Diaphragm", "right", "", None)),
        ("Diaphragm/bilateral/flattened", ("Flattened Diaphragm", "bilateral", "", None)),
        ("Diaphragmatic Eventration/right", ("Eventration", "right", "", None)),
        ("Costophrenic Angle/left/blunted", ("Blunted Costophrenic Angle", "left", "", None)),
        ("Thickening/pleura/apex/right", ("Pleural Thickening", "right", "apex", None)),
        ("Pneumothorax/upper lobe/left/small", ("Pneumothorax", "left", "apex", 0.3)),
        ("Calcinosis/lung/hilum/lymph nodes/left", ("Calcified Lymph Nodes", "left", "hilum", None)),
        ("Calcinosis/right/paratracheal", ("Calcified Lymph Nodes", "right", "mediastinum", None)),
        ("Calcinosis/lung/base/right", ("Calcified Granuloma", "right", "base", None)),
        ("Calcinosis/aorta", ("Aortic Calcification", "", "", None)),
        ("Mass/lung/base/right/large", ("Mass", "right", "base", 1.0)),
        ("Mass/mediastinum/right", ("Enlarged Mediastinum", "", "", 0.9)),
        ("Pulmonary Fibrosis/upper lobe/left", ("Scar", "left", "upper lobe", None)),
        ("Pulmonary Fibrosis/chronic", ("Interstitial Markings", "", "", None)),
        ("Lucency/lung/apex/bilateral", ("Lucency", "bilateral", "apex", None)),
        ("Shift/mediastinum/right", ("Volume Loss", "right", "", None)),
        ("Thoracic Vertebrae/degenerative/mild", ("Degenerative Spine", "", "", 0.3)),
        ("Thoracic vertebrae/degenerative/mild", ("Degenerative Spine", "", "", 0.3)),
        ("Deformity/lumbar vertebrae/severe", ("Vertebral Deformity", "", "lumbar", 1.0)),
        ("Fractures, Bone/ribs/left/healed", ("Rib Fracture", "left", "", None)),
        ("Spinal Fusion/cervical vertebrae", ("Spinal Hardware", "", "neck", None)),
        ("Implanted Medical Device/left", ("Device", "left", "", None)),
        ("Implanted Medical Device/aortic valve", ("Device", "", "heart", None)),
        ("Tube, Inserted/trachea, carina", ("Tube", "", "trachea", None)),
        ("Tube, Inserted/thorax/right", ("Tube", "right", "thorax", None)),
        ("Tube, Inserted", ("Tube", "", "abdomen", None)),
        ("Surgical Instruments/mediastinum", ("Sternal Wires", "", "", None)),
        ("Surgical Instruments/abdomen/right", ("Surgical Clips", "right", "abdomen", None)),
        ("Stents/coronary vessels", ("Stent", "", "heart", None)),
        ("Foreign Bodies/breast/left", ("Foreign Body", "left", "breast", None)),
    ],
)
def test_a_code_becomes_the_finding_it_names(code, expected):
    (finding,) = findings_of_code(code)
    assert look(finding) == expected
    assert finding.code == code


def test_a_code_may_name_two_findings():
    air, fluid = findings_of_code("Hydropneumothorax/left/large")
    assert look(air) == ("Pneumothorax", "left", "", 1.0)
    assert look(fluid) == ("Pleural Effusion", "left", "", 1.0)


def test_patterns_come_from_the_code_and_from_its_heading():
    assert findings_of_code("Opacity/lung/base/left/streaky")[0].pattern == ("streaky",)
    assert findings_of_code("Granulomatous Disease/chronic")[0].pattern == ("multiple", "chronic")
    assert findings_of_code("Pulmonary Edema/interstitial/mild")[0].pattern == ("interstitial",)


@pytest.mark.parametrize(
    "code",
    ["normal", "No Indexing", "Technical Quality of Image Unsatisfactory ", "Shoulder/degenerative",
     "Heart/left/obscured", "Fractures, Bone/humerus/right", "Lucency/clavicle/left", "Bronchiectasis"],
)  # fmt: skip
def test_what_is_not_drawn_has_a_reason(code):
    assert findings_of_code(code) == ()
    assert rule_of(code).reason
    assert findings_from_mesh([code]) == ()


def test_the_same_finding_coded_twice_is_drawn_once_at_the_greater_severity():
    both = findings_from_mesh(["Opacity/lung/base/left/mild", "Airspace Disease/lung/base/left/severe"])
    assert [look(f) for f in both] == [("Opacity", "left", "base", 1.0)]
    assert both == findings_from_mesh(["Airspace Disease/lung/base/left/severe", "Opacity/lung/base/left/mild"])
    small = findings_from_mesh(["Pleural Effusion/left/small", "Pleural Effusion/left"])
    assert small[0].severity is None  # not said: taken for more than small


def test_a_large_effusion_stays_large_beside_a_blunted_angle():
    mesh = ["Costophrenic Angle/right/blunted/mild", "Pleural Effusion/right/large", "Pleural Effusion/right/small"]
    found = {f.name: f.severity for f in findings_from_mesh(mesh)}
    assert found == {"Blunted Costophrenic Angle": 0.3, "Pleural Effusion": 1.0}


def test_bilateral_takes_in_left_and_right_of_the_same_zone():
    mesh = ["Pleural Effusion/right/large", "Pleural Effusion/bilateral/small", "Opacity/lung/base/left"]
    mesh += ["Opacity/lung/apex/bilateral"]
    found = sorted(look(f)[:3] for f in findings_from_mesh(mesh))
    assert found == [
        ("Opacity", "bilateral", "apex"),
        ("Opacity", "left", "base"),
        ("Pleural Effusion", "bilateral", ""),
    ]


def test_a_study_has_one_scoliosis():
    mesh = ["Scoliosis/lumbar vertebrae/left/mild", "Scoliosis/thoracic vertebrae/right/moderate"]
    assert [look(f) for f in findings_from_mesh(mesh)] == [("Scoliosis", "right", "", 0.6)]


def test_normal_beside_a_finding_is_refused_or_the_finding_counts():
    mesh = ["normal", "Pneumothorax/left"]
    with pytest.raises(SimulationError, match=r"study CXR1: found the code 'normal' beside 'Pneumothorax/left'.*Leave"):
        findings_from_mesh(mesh, "CXR1")
    assert [f.name for f in findings_from_mesh(mesh, strict=False)] == ["Pneumothorax"]
    assert findings_from_mesh(["normal", "No Indexing"]) == ()


@pytest.mark.parametrize(
    ("code", "named"),
    [
        ("Plural Effusion/left", r"heading 'Plural Effusion'.*nearest: 'Pleural Effusion'.*strict=False"),
        ("Pleural Effusion/lefft", r"modifier 'lefft'.*nearest: 'left'"),
        ("Broken Heart", r"study CXR7: code 'Broken Heart'"),
    ],
)
def test_an_unknown_code_is_refused_with_the_nearest_known(code, named):
    with pytest.raises(SimulationError, match=named):
        findings_from_mesh([code], "CXR7")


def test_unknown_codes_draw_nothing_when_a_collection_is_read():
    mesh = ["Plural Effusion/left", "Pneumothorax/left"]
    assert [f.name for f in findings_from_mesh(mesh, strict=False)] == ["Pneumothorax"]


def test_no_code_at_all_is_refused_or_no_finding():
    with pytest.raises(SimulationError, match=r"found none.*\['normal'\]"):
        findings_from_mesh([])
    assert findings_from_mesh([], strict=False) == ()


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("bad", ["", "  ", None, 7, ("Pneumothorax",)])
def test_a_code_that_is_no_text_is_always_refused(bad, strict):
    with pytest.raises(SimulationError, match=r"code 2: found .*expected text such as"):
        findings_from_mesh(["Pneumothorax/left", bad], strict=strict)


def test_one_text_instead_of_a_list_is_refused():
    with pytest.raises(SimulationError, match=r"expected a list. Pass \['normal'\]"):
        findings_from_mesh("normal")


def test_every_code_of_openi_is_known_and_every_sided_finding_gets_its_side(openi):
    names = Counter()
    for study_id, (sections, mesh) in openi.items():
        for finding in findings_from_mesh(mesh, study_id, report=sections["findings"]):
            names[finding.name] += 1
            assert finding.side in (("",) if finding.name in MIDLINE else ("left", "right", "bilateral"))
            assert finding.zone in ("", *ZONES_OF.get(finding.name, ()))
    coded = {heading_of(code) for _, mesh in openi.values() for code in mesh}
    drawn = {name for heading in coded for rule in RULES[heading] for name in rule.draws}
    assert set(names) == drawn and min(names.values()) >= 10
    assert list(LEARNT_NAMES) == [name for name in FINDING_NAMES if name in drawn]


def test_every_visible_code_that_occurs_ten_times_is_drawn(openi):
    counts = Counter(code for _, mesh in openi.values() for code in mesh)
    undrawn = [code for code, n in counts.items() if n >= 10 and rule_of(code).visible and not findings_of_code(code)]
    assert undrawn == []


def test_the_rules_name_known_words_and_always_end_in_an_answer():
    assert {name for zones in ZONES_OF.values() for name in zones} <= set(ZONES)
    for heading, rules in RULES.items():
        assert rules[-1].words == (), heading
        for rule in rules:
            assert set(rule.words) <= MODIFIERS and set(rule.draws) <= set(FINDING_NAMES), heading
            assert set(rule.pattern) <= set(PATTERNS), heading
            assert bool(rule.draws) != bool(rule.reason), heading
            assert not rule.zone or rule.zone in ZONES_OF[rule.draws[0]], heading
