from __future__ import annotations

import numpy as np
import pytest

from r2gen_lib.data.study import Picture, Study
from r2gen_lib.errors import DataError
from r2gen_lib.findings.chexpert import CASES
from r2gen_lib.findings.finding import Finding
from r2gen_lib.findings.report_labeler import State, label_reports
from r2gen_lib.findings.report_phrases import OBSERVATIONS
from r2gen_lib.training.questions import EVERYTHING, presence_question, question_studies, questions_about

EFFUSION = Finding("Pleural Effusion", "left", severity=0.9)


def asked(findings, seed=0):
    return dict(questions_about(findings, list(CASES), np.random.default_rng(seed)))


@pytest.mark.parametrize(
    "finding, question",
    [
        ("Pleural Effusion", "Is there a pleural effusion?"),
        ("Cardiomegaly", "Is the heart enlarged?"),
        ("Device", "Is a pacemaker in place?"),
        ("Edema", "Is there pulmonary edema?"),
    ],
)
def test_a_sentence_becomes_a_question(finding, question):
    assert presence_question(CASES[finding]) == question


def test_answers_say_what_is_drawn():
    answers = asked([EFFUSION])
    assert "large" in answers["Is there a pleural effusion?"].lower() and "left" in answers[EVERYTHING]
    assert answers["On which side is the pleural effusion?"] == "The left side."
    assert answers["How large is the pleural effusion?"] == "Large."


def test_nothing_is_asked_of_a_side_or_size_that_a_finding_has_not():
    assert "On which side is the cardiomegaly?" not in asked([Finding("Cardiomegaly", severity=None)])
    assert asked([])[EVERYTHING] == "Nothing is abnormal."


def test_what_is_absent_is_denied_and_never_what_is_drawn():
    denials, denied = {case.absent for case in CASES.values()}, 0
    for seed in range(60):
        consolidation = Finding("Consolidation", "right", "base", severity=0.5)
        for question, answer in asked([EFFUSION, consolidation], seed).items():
            if answer in denials:
                denied += 1
                assert question not in ("Is there a pleural effusion?", "Is there a consolidation?")
                assert question != "Is there an airspace opacity?", "a consolidation is one"
    assert denied == 60  # one absent finding is asked about each time


def test_the_rules_read_an_answer_as_it_is_meant():
    for seed in range(20):
        answer = asked([EFFUSION], seed)["Is there a pleural effusion?"]
        (states,) = label_reports([answer])
        assert states[OBSERVATIONS.index("Pleural Effusion")] == State.PRESENT, answer


def test_studies_ask_about_the_pictures_that_they_were_made_of():
    picture = Picture("frontal", simulated=True, loader=lambda: np.zeros((8, 8), np.uint8))
    study = Study("a", "train", "A report.", pictures=(picture,), findings=(EFFUSION,))
    made = question_studies([study], 20, list(CASES))
    assert len({one.id for one in made}) == 20 and all(one.pictures == study.pictures for one in made)
    assert len({one.question for one in made}) >= 4 and all(one.question and one.report for one in made)
    assert [one.question for one in made] == [one.question for one in question_studies([study], 20, list(CASES))]


def test_a_real_picture_has_no_known_answers():
    study = Study("a", "train", "A report.", pictures=(Picture("frontal"),))
    with pytest.raises(DataError, match="not simulated"):
        question_studies([study], 1, list(CASES))
