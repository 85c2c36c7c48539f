"""The order in which a chest radiograph is read."""

from __future__ import annotations

import pytest

from r2gen_lib.findings.reading_order import in_reading_order

IN_ORDER = [
    "The cardiac silhouette is enlarged.",
    "The mediastinum is widened.",
    "There is mild pulmonary edema.",
    "The lungs are clear.",
    "There is a small left pleural effusion.",
    "There is no pneumothorax.",
    "A right central venous catheter is in place.",
    "Degenerative changes of the thoracic spine.",
    "There is elevation of the right hemidiaphragm.",
]


def test_heart_first_and_the_belly_last():
    assert in_reading_order(reversed(IN_ORDER)) == IN_ORDER


@pytest.mark.parametrize(
    ("sentence", "behind"),
    [
        ("No focal consolidation, pneumothorax, or pleural effusion.", "There is atelectasis in the left lung base."),
        ("No acute cardiopulmonary disease.", "The heart is normal in size."),
        ("The trachea is midline.", "Heart size normal."),
        ("There is a small right pneumothorax.", "There is no pleural effusion."),
    ],
)
def test_a_sentence_that_names_several_regions_has_one_place(sentence, behind):
    assert in_reading_order([sentence, behind]) == [behind, sentence]


def test_sentences_of_a_region_stay_as_they_came_and_one_of_none_stays_with_the_one_before():
    came = ["Chest.", "The spine is normal.", "XXXX are unchanged.", "Heart size is normal.", "No cardiomegaly."]
    ordered = ["Chest.", "Heart size is normal.", "No cardiomegaly.", "The spine is normal.", "XXXX are unchanged."]
    assert in_reading_order(came) == ordered
