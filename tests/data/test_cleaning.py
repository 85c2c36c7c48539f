from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from r2gen_lib.data.cleaning import CLEANINGS, cleaning_steps, get_cleaning
from r2gen_lib.errors import DataError

BENCHMARK = ("r2gen_iu_xray", "r2gen_mimic_cxr", "r2gengpt_mimic_cxr")

# Reports are written for this test; the outputs are what the published functions gave when they were run on them.
GOLDEN = [
    (
        "1. Heart size is NORMAL. 2. No focal opacity.. 3. Old rib fracture (left), healed.",
        "heart size is normal . no focal opacity . old rib fracture left healed .",
        "heart size is normal . no focal opacity . old rib fracture left healed .",
        "heart size is normal . no focal opacity . old rib fracture left healed .",
    ),
    (
        "Nodule of 1.5 cm at T1. The aorta: tortuous; 'unfolded'/elongated.\nNo air-fluid level.",
        "nodule of 15 cm at tthe aorta tortuous unfoldedelongated\nno air-fluid level .",
        "nodule of 15 cm at tthe aorta tortuous unfoldedelongated . no air-fluid level .",
        "nodule of 15 cm at tthe aorta : tortuous unfoldedelongated . no air-fluid level .",
    ),
    (
        "\n Compared  to ____, size <3 cm @ 7:15.   Tip  is 4 cm (sic)  above the carina. \n",
        "compared  to  size 3 cm  715 . tip  is 4 cm sic  above the carina .",
        "compared to  size 3 cm  715 . tip is 4 cm sic above the carina .",
        "compared to  size <3 cm @ 7 :15 . tip is 4 cm sic above the carina .",
    ),
    (
        "Lines: 1. Tube. 2. Drain 5. Wire......... End",
        "lines tube . drain . wire . end .",
        "lines tube . drain . wire . end .",
        "lines : tube . drain . wire . end .",
    ),
    ("", " .", " .", " ."),
    ("XXXX. . XXXX", "xxxx .  . xxxx .", "xxxx .  . xxxx .", "xxxx .  . xxxx ."),
]


@pytest.mark.parametrize("row", GOLDEN, ids=range(len(GOLDEN)))
@pytest.mark.parametrize("name", BENCHMARK)
def test_benchmark_cleanings_give_the_published_output_character_for_character(row, name):
    assert CLEANINGS[name](row[0]) == row[1 + BENCHMARK.index(name)]


@pytest.mark.parametrize(
    ("name", "dots", "left"),
    [("r2gen_iu_xray", 8, "a . b ."), ("r2gen_iu_xray", 9, "a . b ."), ("r2gen_mimic_cxr", 256, "a . b .")],
)
def test_runs_of_full_stops_are_shortened_as_often_as_there(name, dots, left):
    assert CLEANINGS[name]("a" + "." * dots + " b") == left


def test_only_runs_of_up_to_64_blanks_become_one_for_mimic():
    assert CLEANINGS["r2gen_mimic_cxr"]("a" + " " * 64 + "b") == "a b ."
    assert CLEANINGS["r2gen_mimic_cxr"]("a" + " " * 65 + "b") == "a  b ."
    assert CLEANINGS["r2gen_iu_xray"]("a   b") == "a   b ."


def test_gentle_keeps_words_and_none_keeps_everything():
    raw = " Heart  size:\n1.5 cm (XXXX). "
    assert CLEANINGS["gentle"](raw) == "Heart size: 1.5 cm (XXXX)."
    assert CLEANINGS["none"](raw) == raw


def test_a_cleaning_is_found_by_name_or_brought_along():
    assert get_cleaning("gentle")(" a\nb ") == "a b"
    assert get_cleaning(str.upper) is str.upper
    with pytest.raises(
        DataError, match="cleaning 'r2gen_iuxray': expected one of gentle, none, .*Did you mean 'r2gen_iu_xray'"
    ):
        get_cleaning("r2gen_iuxray")
    with pytest.raises(DataError, match="'harsh': .* 'gentle' changes white space only"):
        cleaning_steps("harsh", "a")


def test_steps_show_what_each_one_does():
    steps = cleaning_steps("r2gen_iu_xray", "1. No XXXX. 2. Clear 'base'.")
    assert [text for _, text in steps] == [
        "1. No XXXX. 2. Clear 'base'.",
        "1. No XXXX. 2. Clear 'base'.",
        "No XXXX. Clear 'base'.",
        "no xxxx. clear 'base'.",
        "no xxxx | clear 'base'.",
        "no xxxx | clear base.",
        "no xxxx | clear base",
        "no xxxx . clear base .",
    ]
    assert [what for what, _ in steps][2:4] == ["list numbers 1 to 5 removed", "lower case"]
    assert [text for _, text in cleaning_steps("gentle", " a\n b")] == [" a\n b", "a b"]
    assert cleaning_steps("none", " a") == [("as written", " a")]


REPORTS = st.text(st.sampled_from("ab L1. 2.35_\n:;-'\"/\\<=>@[](){}XÉİΣ\t\r…")) | st.text()


@settings(max_examples=100, deadline=None)
@given(REPORTS)
@example("1. 1. 2. . 3. 2.")
def test_every_text_is_cleaned_and_the_steps_end_where_the_cleaning_does(text):
    for name, clean in CLEANINGS.items():
        cleaned = clean(text)
        steps = cleaning_steps(name, text)
        assert steps[0][1] == text and steps[-1][1] == cleaned
    for name in BENCHMARK:
        cleaned = CLEANINGS[name](text)
        assert cleaned.endswith(" .") and cleaned == cleaned.lower()
        assert not set(cleaned) & set(",?;*!%^&_+()[]{}\"'/\\")
        assert CLEANINGS[name](cleaned).split() == cleaned.split(), "cleaning twice changes no word"


@settings(max_examples=100, deadline=None)
@given(REPORTS)
def test_gentle_cleaning_is_idempotent_and_keeps_every_word(text):
    once = CLEANINGS["gentle"](text)
    assert CLEANINGS["gentle"](once) == once
    assert once.split() == text.split()
