from __future__ import annotations

from xml.etree import ElementTree

import pytest

from r2gen_lib.data.reports import (
    choose_section,
    clean_report,
    holds_lost_value,
    openi_sections,
    says_nothing,
)
from r2gen_lib.errors import DataError


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("  Heart size\n\tis  normal. ", "Heart size is normal."),
        ("The XXXX are unremarkable.", "The XXXX are unremarkable."),
        ("No CHF; 1.5 cm nodule (right).", "No CHF; 1.5 cm nodule (right)."),
        (" \n ", ""),
    ],
)
def test_gentle_cleaning_changes_white_space_only(raw, clean):
    assert clean_report(raw) == clean


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("The XXXX are unremarkable.", "The are unremarkable."),
        ("Clear XXXX. No effusion.", "Clear. No effusion."),
        ("Stable (XXXX), with XXXX-a-XXXX in place.", "Stable, with in place."),
        ("XXXX. XXXX, lungs clear.", "lungs clear."),
        ("Since 02/010/XXXX. A 1.5 cm nodule...", "Since. A 1.5 cm nodule."),
        ("XXXX XXXX", ""),
    ],
)
def test_marks_can_be_dropped_on_request(raw, clean):
    assert clean_report(raw, keep_marks=False) == clean


def test_cleaning_twice_is_cleaning_once():
    for keep in (True, False):
        once = clean_report(" a XXXX ,  b.. XXXX. (XXXX) c ", keep)
        assert clean_report(once, keep) == once


def test_sections_of_a_record_are_raw_and_absent_ones_empty():
    root = ElementTree.fromstring(
        '<eCitation><Abstract><AbstractText Label="FINDINGS"> Lungs  clear &amp; dry. </AbstractText>'
        '<AbstractText Label="IMPRESSION"/></Abstract></eCitation>'
    )
    sections = openi_sections(root)
    assert sections.pop("findings") == " Lungs  clear & dry. "
    assert sections == {"comparison": "", "indication": "", "impression": ""}


def test_a_section_that_is_written_in_two_places_is_kept_whole():
    parts = ("Lungs clear.", " ", "Heart large.")
    texts = "".join(f'<AbstractText Label="FINDINGS">{part}</AbstractText>' for part in parts)
    assert openi_sections(ElementTree.fromstring(f"<a>{texts}</a>"))["findings"] == "Lungs clear.\n\nHeart large."


def test_sections_are_joined_and_empty_ones_left_out():
    sections = {"findings": " Lungs clear. ", "impression": "Normal.", "indication": "  "}
    assert choose_section(sections, "findings+impression") == "Lungs clear. Normal."
    assert choose_section(sections, "findings+indication") == "Lungs clear."
    assert choose_section(sections, "indication") == ""
    with pytest.raises(DataError, match="study CXR9: no section 'conclusion'; it has findings, impression, indication"):
        choose_section(sections, "conclusion", "CXR9")


MISSING = [
    "nan",
    "NaN",
    "NAN",
    "None",
    "none",
    "null",
    "NULL",
    "N/A",
    "n/a",
    "NA",
    "<NA>",
    "#N/A",
    "NaT",
    "-",
    "--",
    "N.A.",
]


@pytest.mark.parametrize("text", [*MISSING, "", " \n", ".", "___", "nan.", '"nan"', "(none)", "\u200b", " nan\n", "–"])
def test_what_stands_for_a_missing_value_says_nothing(text):
    assert says_nothing(text) and not holds_lost_value(text)
    assert choose_section({"findings": text, "impression": "Normal."}, "both") == "Normal."


@pytest.mark.parametrize(
    "text",
    [
        "nan nan",
        "nan. None",
        "Indication:nan",
        "Findings: nan\nImpression: NaN",
        "FINDINGS:",
        "Findings - nan",
        "[nan, None]",
        "#NAME?",
        "n / a",
        "#DIV/0!",
        "Clinical history: <NA>",
    ],
)
def test_several_missing_values_and_headings_without_text_say_nothing(text):
    assert says_nothing(text)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "Pneumothorax: none.",
            "No nan.",
            "Nancy",
            "Nasogastric tube.",
            "None seen.",
            "2",
            "Clear.",
            "Null finding.",
            "XXXX",
        ),
        *("Findings: none. Clear lungs.", "肺部清晰", "Nil acute.", "Lungs clear; effusion: none"),
    ],
)
def test_a_text_that_says_more_says_something(text):
    assert not says_nothing(text)
    assert choose_section({"findings": text}, "findings") == text


@pytest.mark.parametrize(
    ("text", "lost"),
    [
        ("Lungs clear. nan", True),
        ("Indication:nan Findings: Clear.", True),
        ("Clear. <NA>", True),
        ("NaN Normal heart.", True),
        ("Clear. null", True),
        ("Seen with Nan Smith; banana, nanometre.", False),
        ("Comparison: None. Clear lungs.", False),
        ("Effusion: none.", False),
    ],
)
def test_a_missing_value_within_a_report_is_seen(text, lost):
    assert holds_lost_value(text) is lost


def test_a_long_text_is_looked_at_quickly():
    for text in ("nan " * 100_000 + "x", "-" * 300_000 + "x", "Findings: " * 50_000 + "x"):
        assert not says_nothing(text)


def test_both_means_findings_and_impression():
    sections = {"findings": "Lungs clear.", "impression": "Normal.", "indication": ""}
    assert choose_section(sections, "both") == choose_section(sections, " Both ") == "Lungs clear. Normal."
    assert choose_section(sections, "findings+both") == "Lungs clear. Normal.", "no section twice"
    assert choose_section(sections, "indication") == ""
    assert choose_section({"findings": "", "impression": " ", "indication": "Cough."}, "both") == ""
