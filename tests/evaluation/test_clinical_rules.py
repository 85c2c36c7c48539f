from __future__ import annotations

import time

import pytest

from r2gen_lib.errors import DataError
from r2gen_lib.evaluation.clinical_phrases import OBSERVATIONS
from r2gen_lib.evaluation.clinical_rules import State, label_reports

P, U, A = State.PRESENT, State.UNCERTAIN, State.ABSENT


def said(text: str) -> dict[str, State]:
    """What the text says, without "No Finding"."""
    row = zip(OBSERVATIONS, label_reports([text])[0], strict=True)
    return {name: State(state) for name, state in row if state and name != "No Finding"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # negation
        ("No focal consolidation, effusion or pneumothorax.",
         {"Consolidation": A, "Pleural Effusion": A, "Pneumothorax": A}),
        ("There is no evidence of pneumonia.", {"Pneumonia": A}),
        ("The lungs are free of consolidation.", {"Consolidation": A}),
        ("Pneumonia is unlikely.", {"Pneumonia": A}),
        ("The left pneumothorax has resolved.", {"Pneumothorax": A}),
        ("Pleural effusion is not seen.", {"Pleural Effusion": A}),
        # uncertainty
        ("Findings may represent pneumonia.", {"Pneumonia": U}),
        ("Opacity may represent pneumonia.", {"Lung Opacity": P, "Pneumonia": U}),
        ("Pneumonia cannot be excluded.", {"Pneumonia": U}),
        ("Cannot exclude a small effusion.", {"Pleural Effusion": U}),
        ("Atelectasis versus pneumonia.", {"Atelectasis": U, "Pneumonia": U}),
        ("No pneumothorax, possible small effusion.", {"Pneumothorax": A, "Pleural Effusion": U}),
        ("Heart size is at the upper limits of normal.", {"Cardiomegaly": U}),
        # what looks like negation
        ("There is no change in the effusion.", {"Pleural Effusion": P}),
        ("Not only effusion is seen.", {"Pleural Effusion": P}),
        ("No interval change in the right pneumothorax.", {"Pneumothorax": P}),
        # where a negation ends
        ("No pneumothorax but a small effusion.", {"Pneumothorax": A, "Pleural Effusion": P}),
        ("No pneumothorax. Small effusion.", {"Pneumothorax": A, "Pleural Effusion": P}),
        ("no pneumothorax.small effusion", {"Pneumothorax": A, "Pleural Effusion": P}),
        # normal anatomy
        ("Heart size is normal.", {"Cardiomegaly": A}),
        ("The heart is not enlarged.", {"Cardiomegaly": A}),
        ("Heart size and mediastinal contours are within normal limits.",
         {"Cardiomegaly": A, "Enlarged Cardiomediastinum": A}),
        ("The lungs are clear.", {"Lung Opacity": A}),
        ("The heart is mildly enlarged.", {"Cardiomegaly": P}),
        # longer phrases that mean something else
        ("Nodular opacity in the left lung.", {"Lung Lesion": P}),
        ("Pericardial effusion.", {}),
        ("No mass effect.", {}),
        # the strongest statement of the report holds
        ("No effusion. Small left effusion.", {"Pleural Effusion": P}),
        ("EFFUSION\n\nIS\tPRESENT", {"Pleural Effusion": P}),
        ("Left PICC line and a pacemaker.", {"Support Devices": P}),
        ("Healed fractures of the ribs, biapical pleural thickening.", {"Fracture": P, "Pleural Other": P}),
    ],
)  # fmt: skip
def test_a_sentence(text, expected):
    assert said(text) == expected


@pytest.mark.parametrize(
    ("text", "present"),
    [
        ("The lungs are clear. No effusion.", True),
        ("No acute disease.", True),
        ("PICC line in place. Lungs are clear.", True),  # a device is no finding
        ("Small effusion.", False),
        ("Possible effusion.", False),
        ("", False),
        (" \n ... 1. -", False),
    ],
)
def test_no_finding(text, present):
    state = label_reports([text])[0, OBSERVATIONS.index("No Finding")]
    assert state == (State.PRESENT if present else State.NOT_MENTIONED)


def test_a_text_without_a_word_says_nothing_and_no_texts_give_no_rows():
    assert not label_reports(["", "\0", "?!"]).any()
    assert label_reports([]).shape == (0, 14)


@pytest.mark.parametrize(
    "words", ["effusion. ", "no effusion but ", "heart size is enlarged ", "heart ", "x" * 50 + " "]
)
def test_ten_thousand_words_are_read_in_a_moment(words):
    text = words * (10_000 // len(words.split()))
    label_reports(["warm up"])
    started = time.process_time()
    assert label_reports([text]).shape == (1, 14)
    assert time.process_time() - started < 5


@pytest.mark.parametrize("texts", ["one text", ["a", None], [3.0]])
def test_what_is_no_text_is_refused(texts):
    with pytest.raises(DataError, match="text"):
        label_reports(texts)


def test_the_packages_own_terms_stay_as_they_are():
    from negspacy.termsets import termset

    label_reports(["No effusion."])
    terms = termset("en_clinical").get_patterns()
    assert "versus" in terms["preceding_negations"] and ";" not in terms["termination"]
