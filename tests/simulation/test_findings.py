"""MeSH codes -> findings, on every code of the real benchmark."""

from __future__ import annotations

from collections import Counter

import pytest

from r2gen_lib.data.openi import load_openi_reports
from r2gen_lib.simulation.findings import FINDING_NAMES, Finding, finding_from_code, findings_from_mesh


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("Pleural Effusion/left/small", ("Pleural Effusion", "left", "", 0.3)),
        ("Cardiomegaly/severe", ("Cardiomegaly", "", "", 1.0)),
        ("Opacity/lung/upper lobe/right", ("Opacity", "right", "upper lobe", None)),
        ("Lung/hypoinflation", ("Hypoinflation", "", "", None)),
        ("Lung/hyperdistention/mild", ("Hyperinflation", "", "", 0.3)),
        ("Diaphragm/right/elevated", ("Elevated Diaphragm", "right", "", None)),
        ("Calcinosis/lung/hilum/lymph nodes/left", ("Calcified Granuloma", "left", "hilum", None)),
        ("Calcinosis/aorta", ("Aortic Calcification", "", "", None)),
        ("Thoracic Vertebrae/degenerative/mild", ("Degenerative Spine", "", "", 0.3)),
        ("Opacity/lung/interstitial/bilateral", ("Interstitial Markings", "bilateral", "", None)),
        ("Costophrenic Angle/left/blunted", ("Pleural Effusion", "left", "", 0.08)),
    ],
)
def test_a_code_becomes_the_finding_it_names(code, expected):
    finding = finding_from_code(code)
    assert (finding.name, finding.side, finding.zone, finding.severity) == expected
    assert finding.code == code


@pytest.mark.parametrize("code", ["normal", "No Indexing", "Technical Quality of Image Unsatisfactory ", ""])
def test_codes_that_show_nothing_draw_nothing(code):
    assert finding_from_code(code) is None


def test_normal_studies_and_studies_without_codes_have_no_findings():
    assert findings_from_mesh(["normal"]) == ()
    assert findings_from_mesh([]) == ()


def test_the_same_finding_coded_twice_is_drawn_once():
    assert len(findings_from_mesh(["Opacity/lung/base/left", "Infiltrate/lung/base/left"])) == 1


def test_an_unknown_finding_is_refused_by_name():
    with pytest.raises(ValueError, match="Pleural Efusion"):
        Finding("Pleural Efusion")


def test_real_codes_of_the_benchmark_cover_every_finding():
    studies = load_openi_reports()
    names = Counter(finding.name for study in studies for finding in findings_from_mesh(study.mesh))
    assert set(names) == set(FINDING_NAMES)
    coded = [study for study in studies if study.mesh not in (("normal",), ("No Indexing",))]
    drawn = [study for study in coded if findings_from_mesh(study.mesh)]
    assert len(drawn) / len(coded) > 0.85
    assert not any(findings_from_mesh(study.mesh) for study in studies if study.mesh == ("normal",))
