from __future__ import annotations

import numpy as np

from r2gen_lib.findings.finding import Finding
from r2gen_lib.findings.report_labeler import State, label_reports
from r2gen_lib.findings.report_phrases import OBSERVATIONS
from r2gen_lib.training.rare_findings.counterfactual_reports import CLEAR
from r2gen_lib.training.teaching.contrast import contrasted

LEFT = Finding("Pleural Effusion", "left", severity=0.5)
SAID = "There is a moderate left pleural effusion."
REPORT = f"The heart is normal in size. {SAID} There is no pneumothorax. The lungs are clear."
EFFUSION = OBSERVATIONS.index("Pleural Effusion")


def made(report=REPORT, findings=(LEFT,), seeds=60):
    return [contrasted(report, findings, np.random.default_rng(seed), CLEAR) for seed in range(seeds)]


def wrongs(at):
    """What stands beside that sentence, over many seeds."""
    return [s.instead_of for one in made() for s in one.sentences if s.text == at and s.instead_of is not None]


def test_the_report_itself_stays_true():
    assert {one.report for one in made()} == {REPORT}
    assert all(one.sentences[-1].text == "" for one in made())


def test_beside_a_finding_stands_its_other_side_its_denial_or_nothing():
    found = wrongs(SAID)
    assert len(found) == 60, "every time"
    assert set(found) == {"There is a moderate right pleural effusion.", "There is no pleural effusion.",
                          "There is no pneumothorax."}  # fmt: skip


def test_behind_it_stands_the_finding_once_more_or_denied_in_one_place():
    found = [*wrongs("There is no pneumothorax."), *wrongs("The lungs are clear."), *wrongs("")]
    assert len(found) == 60
    states = label_reports(found)[:, EFFUSION]
    assert (states != State.NOT_MENTIONED).all() and {State.ABSENT, State.PRESENT} == set(states)
    assert any("right" in text for text in found)


def test_before_it_is_said_nothing_is_wrong():
    assert not wrongs("The heart is normal in size.")


def test_there_are_as_many_reasons_to_say_it_as_not_to():
    """With more of these a mapper learns to keep silent."""
    say = sum("effusion" not in text or "no pleural" in text for text in wrongs(SAID))
    assert 0.5 < say / len(made()) < 0.8
    for one in made():
        assert len([s for s in one.sentences if s.instead_of is not None]) == 2


def test_a_normal_report_now_and_then_stands_beside_an_invention():
    normal = "The heart is normal in size. The lungs are clear."
    found = [s.instead_of for one in made(normal, ()) for s in one.sentences if s.instead_of is not None]
    assert 8 < len(found) < 30
    for wrong in found:
        assert (label_reports([wrong])[0, 1:] >= State.UNCERTAIN).any(), wrong


def test_a_finding_that_the_report_does_not_say_is_not_named():
    assert not any(s.names for one in made("The heart is normal in size.", (LEFT,)) for s in one.sentences)


def test_the_same_seed_gives_the_same():
    assert made(seeds=5) == made(seeds=5)
