from __future__ import annotations

from xml.etree import ElementTree

import pytest

from r2gen_lib.data.reports import choose_section, clean_report, openi_sections, section_text
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


def test_section_text_joins_and_refuses_emptiness():
    sections = {"findings": " Lungs clear. ", "impression": "Normal.", "indication": "  "}
    assert section_text(sections, "findings+impression") == "Lungs clear. Normal."
    assert section_text(sections, "findings+indication") == "Lungs clear."
    with pytest.raises(DataError, match="study CXR9: its indication text is empty; .*: findings, impression"):
        section_text(sections, "indication", "CXR9")
    with pytest.raises(DataError, match="no section 'conclusion'; it has findings, impression, indication"):
        section_text(sections, "conclusion", "CXR9")


def test_both_means_findings_and_impression():
    sections = {"findings": "Lungs clear.", "impression": "Normal.", "indication": ""}
    assert section_text(sections, "both") == section_text(sections, " Both ") == "Lungs clear. Normal."
    assert section_text(sections, "findings+both") == "Lungs clear. Normal.", "no section twice"
    assert choose_section(sections, "indication") == ""
    with pytest.raises(DataError, match="its both text is empty; sections with text: indication"):
        section_text({"findings": "", "impression": " ", "indication": "Cough."}, "both")
