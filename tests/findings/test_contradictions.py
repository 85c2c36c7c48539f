from __future__ import annotations

import pytest

from r2gen_lib import load_studies
from r2gen_lib.findings.contradictions import contradictions, two_sides
from r2gen_lib.findings.finding import Finding


@pytest.mark.parametrize(
    "report, found",
    [
        ("There is a small left pleural effusion. There is no pleural effusion or pneumothorax.", {"Pleural Effusion"}),
        ("There is no pleural effusion. The heart is enlarged. Cardiac size is normal.", {"Cardiomegaly"}),
        ("There is a small left pleural effusion. There is no pneumothorax.", set()),
        ("There may be a small effusion. There is no large effusion.", set()),
        ("Scar in the left base. No focal infiltrate.", set()),
        ("", set()),
    ],
    ids=["said and denied", "denied and said", "one of two", "doubt is no claim", "opacity is many things", "empty"],
)
def test_what_is_said_and_denied_is_found(report, found):
    assert contradictions(report) == found


def test_radiologists_seldom_contradict_themselves():
    """So a model's share above this is its own: the rules read contradictions from few of the 2,955 real reports."""
    reports = [study.report for study in load_studies("openi_sim")]
    assert sum(bool(contradictions(report)) for report in reports) / len(reports) < 0.03


def test_both_sides_of_a_finding_that_is_on_one():
    left = Finding("Pleural Effusion", "left")
    both = "There is a left pleural effusion. Small right pleural effusion."
    assert two_sides(both, left)
    assert not two_sides("There is a left pleural effusion. The right lung is clear.", left)
    assert not two_sides(both, Finding("Pleural Effusion", "bilateral"))
    assert not two_sides("The left and the right heart border are clear. Cardiomegaly.", Finding("Cardiomegaly"))
