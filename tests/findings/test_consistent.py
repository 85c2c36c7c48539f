"""A report without the sentences that contradict it."""

from __future__ import annotations

import pytest

from r2gen_lib import load_studies
from r2gen_lib.findings.consistent import without_contradictions
from r2gen_lib.findings.contradictions import contradictions


@pytest.mark.parametrize(
    "before, after",
    [
        (
            "There is no pneumothorax. The heart is normal. There is a large left pneumothorax.",
            "The heart is normal. There is a large left pneumothorax.",
        ),
        (
            "There is a small left pleural effusion. No pneumothorax. There is a right pleural effusion.",
            "There is a small left pleural effusion. No pneumothorax.",
        ),
        (
            "Left pleural effusion. There are bilateral pleural effusions and a right pneumothorax.",
            "Left pleural effusion. There are bilateral pleural effusions and a right pneumothorax.",
        ),
        (
            "There is a moderate effusion. Lungs are clear. No pneumothorax or pleural effusion.",
            "There is a moderate effusion. Lungs are clear.",
        ),
        ("There is mild cardiomegaly.  The heart is enlarged.", "There is mild cardiomegaly.  The heart is enlarged."),
        ("Scar in the left base. No focal infiltrate.", "Scar in the left base. No focal infiltrate."),
        ("Right catheter. There is a left pacemaker.", "Right catheter. There is a left pacemaker."),
        (
            "There is a left pleural effusion. There is a right pleural effusion and cardiomegaly.",
            "There is a left pleural effusion. There is a right pleural effusion and cardiomegaly.",
        ),
        (
            "There are bilateral pleural effusions. The right effusion is large.",
            "There are bilateral pleural effusions. The right effusion is large.",
        ),
        (
            "There may be a small right pleural effusion. There is a large left pleural effusion.",
            "There may be a small right pleural effusion. There is a large left pleural effusion.",
        ),
        (
            "There is a small left pleural effusion. There is no right pleural effusion.",
            "There is a small left pleural effusion. There is no right pleural effusion.",
        ),
        ("", ""),
    ],
    ids=[
        "denied first",
        "another side",
        "something new",
        "denied later",
        "said twice",
        "umbrella",
        "devices",
        "a new finding",
        "one of both",
        "doubt",
        "the other side denied",
        "empty",
    ],
)
def test_what_contradicts_is_left_out_and_nothing_else(before, after):
    assert without_contradictions(before) == after
    assert before == after or not contradictions(after)


def test_of_real_reports_next_to_none_lose_a_sentence():
    """A radiologist may describe a right effusion and a left one in two sentences: that is what the rule costs."""
    reports = [study.report for study in load_studies("openi_sim") if study.split == "train"][:500]
    assert sum(without_contradictions(report) != report for report in reports) / len(reports) < 0.02
