from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from labelled_texts import cases, real_sentences

from r2gen_lib.errors import DataError
from r2gen_lib.findings.report_labeler import State, label_reports, located_labels, sentence_labels
from r2gen_lib.findings.report_phrases import OBSERVATIONS
from r2gen_lib.findings.report_statements import statements
from r2gen_lib.findings.sentence_spans import sentence_spans

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
    "text",
    [
        *(
            words * (10_000 // len(words.split()))
            for words in ("effusion. ", "no effusion but ", "heart size is enlarged ")
        ),
        *(mark * 20_000 for mark in ("heart ", ":", "(", "=", "no,", "no effusion,")),
        "x" * 500_000,
    ],
    ids=lambda text: text[:12],
)
def test_a_text_of_any_length_is_read_in_pieces_that_are_short(text):
    """What a piece costs is bounded, so a text costs as much as it is long, with blanks and stops or without."""
    spans = sentence_spans(text)
    assert all(end - start <= 2_200 and len(text[start:end].split()) <= 200 for start, end in spans)
    assert label_reports([text]).shape == (1, 14)


@pytest.mark.parametrize("texts", ["one text", ["a", None], [3.0]])
def test_what_is_no_text_is_refused(texts):
    with pytest.raises(DataError, match="text"):
        label_reports(texts)


def test_the_packages_own_terms_stay_as_they_are():
    from negspacy.termsets import termset

    label_reports(["No effusion."])
    terms = termset("en_clinical").get_patterns()
    assert "versus" in terms["preceding_negations"] and ";" not in terms["termination"]


@pytest.mark.parametrize(("name", "count"), [("labels.txt", 92), ("labels_held_back.txt", 712)])
def test_every_handed_and_every_held_back_sentence(name, count):
    known = cases(name)
    assert len(known) == count
    said_of = label_reports(text for text, _ in known)
    wrong = [
        (text, {name: State(row[OBSERVATIONS.index(name)]).name for name in expected})
        for (text, expected), row in zip(known, said_of, strict=True)
        if any(row[OBSERVATIONS.index(name)] != state for name, state in expected.items())
    ]
    assert wrong == []


def test_sentences_of_real_reports_that_were_labelled_by_hand():
    """Drawn by a seed from the train split and labelled before any rule was run on them. Every observation counts,
    also one that the rules see and the hand does not. 21 of 300 were wrong before the rules were mended, 25 at the
    first reading after it."""
    known = real_sentences()
    assert len(known) == 300
    wrong = [text for text, expected in known if said(text) != expected]
    assert len(wrong) <= 17, wrong


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("No pneumothorax.\nSmall effusion", ["No pneumothorax.", "Small effusion"]),
        ("No pneumothorax\nSmall effusion", ["No pneumothorax", "Small effusion"]),
        ("no pneumothorax\nsmall effusion", ["no pneumothorax", "small effusion"]),
        ("1.No effusion 2) Mass.", ["1.No effusion", "2) Mass."]),
        ("- No effusion\n- Mass", ["- No effusion", "- Mass"]),
        ("PLEURA: No effusion HEART: Large", ["PLEURA: No effusion", "HEART: Large"]),
        ("The tube ends 3.2 cm above the carina.", ["The tube ends 3.2 cm above the carina."]),
        ("Atelectasis vs. pneumonia. Dr. A was told.", ["Atelectasis vs. pneumonia.", "Dr. A was told."]),
        # a line that is broken because it is full goes on
        (
            "There is no evidence of a focal consolidation, of a pneumothorax, or\nof a pleural effusion.",
            ["There is no evidence of a focal consolidation, of a pneumothorax, or\nof a pleural effusion."],
        ),
        (
            "There is no focal consolidation in either lung and there is no large or small\npleural effusion.",
            ["There is no focal consolidation in either lung and there is no large or small\npleural effusion."],
        ),
        ("No effusion,\nconsolidation\nor edema", ["No effusion,\nconsolidation\nor edema"]),
    ],
)
def test_where_a_sentence_ends(text, sentences):
    assert [sentence for sentence, _ in sentence_labels(text)] == sentences


@settings(deadline=None, derandomize=True)
@example("No effusion\ud83d. Mass")
@given(st.text(alphabet=st.one_of(st.sampled_from("No fx.,:;?!()-–\n \t1é½ﬁ²’"), st.characters()), max_size=80))
def test_every_letter_stands_in_one_sentence(text):
    spans = sentence_spans(text)
    letters = "".join(text[start:end] for start, end in spans)
    assert "".join(letters.split()) == "".join(text.split())
    assert all(end <= start for (_, end), (start, _) in zip(spans, spans[1:], strict=False))
    located_labels(text)


def test_what_a_picture_was_taken_for_is_no_finding():
    assert said("INDICATION: Pneumonia.\nFINDINGS: No effusion.") == {"Pleural Effusion": A}
    assert said("History: pneumothorax. The lungs are clear.") == {"Lung Opacity": A}


@pytest.mark.parametrize(
    ("sentence", "pieces"),
    [
        ("No consolidation, large effusion or pneumothorax.", ["no consolidation, large effusion or pneumothorax"]),
        ("No pneumothorax, small effusion.", ["no pneumothorax", "small effusion"]),
        ("No pneumothorax, the heart is enlarged.", ["no pneumothorax", "the heart is enlarged"]),
        ("Heart size, mediastinum are normal.", ["heart size, mediastinum are normal"]),
        ("No findings to suggest edema.", ["no findings of edema"]),
    ],
)
def test_statements_of_a_sentence(sentence, pieces):
    assert statements(sentence) == pieces
