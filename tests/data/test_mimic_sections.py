"""Every report below is invented for these tests; only the layouts are those of real ones."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from r2gen_lib.data.readers.mimic_sections import MIMIC_SECTIONS, mimic_sections, report_parts
from r2gen_lib.data.reports import choose_section
from r2gen_lib.errors import DataError


def filled(text: str) -> dict[str, str]:
    """The sections that hold text, with white space collapsed."""
    return {name: " ".join(found.split()) for name, found in mimic_sections(text).items() if found}


def test_the_common_layout():
    report = """
                                 FINAL REPORT
 EXAMINATION:  CHEST (PA AND LAT)

 INDICATION:  ___-year-old with wheeze.  // pneumonia?

 TECHNIQUE:  Two views of the chest

 COMPARISON:  Chest radiograph ___

 FINDINGS:

 Lungs are well expanded.
 HEART: of normal size.

 No effusion.

 IMPRESSION:

 1.  No pneumonia.
 2.  ___ catheter unchanged.

 RECOMMENDATION(S):  Follow-up in 6 weeks.

 NOTIFICATION:  Told to Dr. ___ by phone at 9:41 AM.
"""
    assert filled(report) == {
        "examination": "CHEST (PA AND LAT)",
        "indication": "___-year-old with wheeze. // pneumonia?",
        "technique": "Two views of the chest",
        "comparison": "Chest radiograph ___",
        "findings": "Lungs are well expanded. HEART: of normal size. No effusion.",
        "impression": "1. No pneumonia. 2. ___ catheter unchanged.",
        "recommendations": "Follow-up in 6 weeks.",
        "notification": "Told to Dr. ___ by phone at 9:41 AM.",
    }
    assert set(mimic_sections(report)) == set(MIMIC_SECTIONS), "absent sections are there, empty"
    assert mimic_sections(report)["findings"].count("\n") == 3, "line breaks are left for the cleaning"


@pytest.mark.parametrize(
    "report",
    [
        "Findings: Clear lungs.\nImpression: Normal.",
        "findings :\nClear lungs.\n\nimpression :\nNormal.",
        "final report\nfindings: Clear lungs.\nimpression: Normal.",
        "FINDINGS\n\nClear lungs.\n\nIMPRESSION\n\nNormal.",
        "FINDINGS:\r\nClear lungs.\r\n\r\nIMPRESSION\r\nNormal.\r\n",
        "FINDINGS - Clear lungs.\nIMPRESSION -\nNormal.",
        "FINDINGS   Clear lungs.\nIMPRESSION\tNormal.",
        "FinDings:Clear lungs.\nIMPRESSION:Normal.",
        "FINAL REPORT FINDINGS: Clear lungs. IMPRESSION: Normal.",
        "Findings: Clear lungs. Impression: Normal.",
        "FINDINGS: Clear lungs.IMPRESSION: Normal.",
        "FINDINGS (CHEST): Clear lungs.\nCONCLUSION: Normal.",
        "FINDNGS: Clear lungs.\nIMRPESSION: Normal.",
        "PORTABLE CHEST, ___:\n\nClear lungs.\nIMPRESSION: Normal.",
        "CHEST, TWO VIEWS:  Clear lungs.\nIMPRESSION: Normal.",
        "CHEST FINDINGS: Clear lungs.\nIMPRESSION AND RECOMMENDATIONS: Normal.",
    ],
)
def test_headings_in_every_dress(report):
    assert filled(report) == {"findings": "Clear lungs.", "impression": "Normal."}


@pytest.mark.parametrize(
    "sentence",
    [
        "In comparison with ___, the impression of fullness and the findings are unchanged.",
        "The radiograph is rotated, which limits the comparison and may exaggerate these\nfindings: none is new.",
        "For Comparison: none. These findings were expected.",
        "MEDICATION: none. COMPRESSION: old.\nLUNGS: clear.\nHEART AND AORTA: normal.",
        "History of asthma.\nTechnique is adequate.",
    ],
)
def test_words_of_a_sentence_and_labels_are_not_headings(sentence):
    assert filled(f"FINDINGS: {sentence}") == {"findings": " ".join(sentence.split())}


@pytest.mark.parametrize("heading", ["FINDINGS AND IMPRESSION", "Findings/Impression", "FINDINGS & IMPRESSION"])
def test_one_heading_for_both_is_the_impression(heading):
    sections = mimic_sections(f"INDICATION: Cough.\n\n{heading}: Clear lungs. Normal heart.")
    assert sections["findings"] == ""
    assert choose_section(sections, "both") == choose_section(sections, "impression") == "Clear lungs. Normal heart."


def test_a_wet_read_keeps_its_own_impression():
    report = """ WET READ: ___ ___ 11:02 PM
 FINDINGS: Possible left base opacity.
 IMPRESSION: Possible pneumonia.
 ______________________________________________________________________________
                                 FINAL REPORT
 HISTORY:  Fever.

 IMPRESSION:  No pneumonia.
"""
    sections = filled(report)
    assert sections["impression"] == "No pneumonia."
    assert sections["history"] == "Fever."
    assert sections["wet_read"].endswith("IMPRESSION: Possible pneumonia.")
    assert "findings" not in sections


def test_wet_reads_without_a_banner_and_after_the_report():
    assert filled("WET READ: Edema.\n\nFINDINGS: Edema, mild.\nIMPRESSION: Mild edema.") == {
        "wet_read": "Edema.",
        "findings": "Edema, mild.",
        "impression": "Mild edema.",
    }
    late = "FINDINGS: Clear.\nIMPRESSION: Normal.\nWET READ VERSION #2 ___ ___ 4:10 AM\nIMPRESSION: Normal as well."
    assert filled(late)["impression"] == "Normal."
    pfi = (
        "PROVISIONAL FINDINGS IMPRESSION (PFI): Tube high.\n__________________\nFINDINGS: Tube high.\nIMPRESSION: Same."
    )
    assert filled(pfi) == {"wet_read": "Tube high.", "findings": "Tube high.", "impression": "Same."}


def test_addenda_before_and_after_the_report():
    before = (
        "ADDENDUM  Told to Dr. ___.\nIMPRESSION: Also a nodule.\n__________________\nFINAL REPORT\nIMPRESSION: Edema."
    )
    assert filled(before) == {"addendum": "Told to Dr. ___. IMPRESSION: Also a nodule.", "impression": "Edema."}
    after = "FINDINGS: Wires.\nIMPRESSION: Normal.\n\nADDENDUM:  Reread.\nFINDINGS: Wires intact."
    assert filled(after) == {
        "findings": "Wires.",
        "impression": "Normal.",
        "addendum": "Reread. FINDINGS: Wires intact.",
    }
    on_top = "FINAL REPORT\nADDENDUM: Side corrected.\n\nFINDINGS: Right drain.\nIMPRESSION: No air."
    assert filled(on_top) == {"addendum": "Side corrected.", "findings": "Right drain.", "impression": "No air."}


def test_text_without_heading_is_untitled_and_not_findings():
    assert filled("FINAL REPORT\n The lungs are clear.\n\n No change.\n") == {
        "untitled": "The lungs are clear. No change."
    }
    report = "HISTORY:\n\n Chest pain,\n two days.\n\n PA AND LATERAL CHEST, ___\n\n No edema.\n\nIMPRESSION: Normal."
    assert filled(report) == {
        "history": "Chest pain, two days.",
        "untitled": "PA AND LATERAL CHEST, ___ No edema.",
        "impression": "Normal.",
    }
    titled = "HISTORY: Pain.\n\n Two days.\n\nFINDINGS: No edema."
    assert filled(titled) == {"history": "Pain. Two days.", "findings": "No edema."}


def test_a_title_of_the_views_opens_findings_only_before_them():
    report = "CHEST, PA LATERAL:\n\nINDICATION: Cough.\n\nIMPRESSION:\n\nPORTABLE AP CHEST:\nNo change."
    assert filled(report) == {"indication": "Cough.", "impression": "PORTABLE AP CHEST: No change."}


def test_sections_are_chosen_by_name():
    sections = mimic_sections("FINDINGS: Clear.\nIMPRESSION: Normal.")
    assert choose_section(sections, "findings") == "Clear."
    assert choose_section(sections, "Both") == choose_section(sections, "findings+both") == "Clear. Normal."
    assert choose_section(sections, "impression + findings") == "Normal. Clear."
    assert choose_section(sections, "addendum") == ""
    with pytest.raises(DataError, match="study s9: no section 'body'; it has findings, impression.*'both'"):
        choose_section(sections, "body", "s9")


WORDS = st.sampled_from(
    ["FINDINGS:", "IMPRESSION:", "Impression:", "impression", "COMPARISON", "HISTORY:\n", "INDCATION:", "PFI:"]
    + ["ADDENDUM", "WET READ:", "FINAL REPORT", "CHEST, TWO VIEWS:", "FINDINGS AND IMPRESSION:", "_" * 14, "___"]
    + ["lungs", "clear.", "1.", "(", ")", "-", " ", "\t", "\n", "\n\n", "\r\n"]
)
LAYOUTS = st.lists(st.tuples(WORDS, st.sampled_from(["", " ", "\n", "  "])), max_size=40).map(
    lambda pairs: "".join(word + gap for word, gap in pairs)
)


@settings(max_examples=300, deadline=None)
@given(LAYOUTS | st.text())
@example("FINDINGS:FINDINGS:")
@example("")
def test_no_character_is_lost_or_doubled_whatever_the_text(text):
    parts = report_parts(text)
    assert "".join(part.heading + part.text for part in parts) == text
    sections = mimic_sections(text)
    assert tuple(sections) == MIMIC_SECTIONS
    headings = Counter("".join("".join(part.heading for part in parts).split()))
    found = Counter("".join("".join(sections.values()).split()))
    assert found + headings == Counter("".join(text.split()))


BODIES = st.lists(st.sampled_from("the lungs are clear and 1. no opacity, (left) ___ 3.5 cm".split()), min_size=1)
ORDER = ("examination", "indication", "technique", "comparison", "findings", "impression", "notification")


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from(ORDER), BODIES.map(" ".join)), st.sampled_from([":", ":\n", ":\n\n ", "\n"]))
def test_sections_that_were_written_are_read_back(sections, colon):
    report = "\n\n".join(f" {name.upper()}{colon}{sections[name]}" for name in ORDER if name in sections)
    assert {name: text for name, text in mimic_sections(report).items() if text} == sections
