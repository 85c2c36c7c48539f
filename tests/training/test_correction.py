from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_system import tiny_model

from r2gen_lib.findings.finding import Finding
from r2gen_lib.model.encoder import token_count
from r2gen_lib.training.teaching.correction import Correction, Sentence, correct
from r2gen_lib.training.teaching.preference import NAMING, OTHER, decision_loss, lesson

NORMAL = "The heart is normal in size. The lungs are clear. There is no pleural effusion or pneumothorax."
LEFT = Finding("Pleural Effusion", "left", severity=0.5)


def corrected(report, *findings, seed=0, **rest):
    return correct(report, findings, np.random.default_rng(seed), **rest)


def ways(report, *findings):
    return {corrected(report, *findings, seed=seed).report for seed in range(20)}


def test_a_report_without_a_mistake_stays_as_it_is():
    found = corrected(NORMAL)
    assert found.report == NORMAL and not (found.invented or found.missed or found.wrong_side)
    assert all(sentence.instead_of is None for sentence in found.sentences)
    right = "The heart is normal in size. There is a small left pleural effusion."
    assert corrected(right, LEFT).report == right


def test_what_it_denies_and_is_there_is_said_in_that_place():
    found = corrected(NORMAL, LEFT)
    assert found.missed == {"Pleural Effusion"}
    assert ways(NORMAL, LEFT) == {
        f"The heart is normal in size. The lungs are clear. {said} There is no pneumothorax."
        for said in ("There is a moderate left pleural effusion.", "Moderate left pleural effusion.")
    }
    (changed,) = [sentence for sentence in found.sentences if sentence.instead_of is not None]
    assert changed.instead_of == "There is no pleural effusion or pneumothorax." and changed.names


def test_what_is_not_there_goes_or_is_denied():
    found = corrected("The heart is normal in size. There is a large right pleural effusion. A pacemaker is in place.")
    assert found.report == "The heart is normal in size. There is no pleural effusion."
    assert found.invented == {"Pleural Effusion", "Support Devices"}
    assert found.sentences[-1].text == "" and found.sentences[-1].instead_of == "A pacemaker is in place."


def test_a_denial_is_not_made_twice():
    found = corrected("There is no pleural effusion. There is a large right pleural effusion.")
    assert found.report == "There is no pleural effusion."


def test_a_wrong_side_is_put_right():
    found = corrected("There is a small right pleural effusion. The lungs are clear.", LEFT)
    assert found.wrong_side == {"Pleural Effusion"} and "left" in found.report and "right" not in found.report


def test_what_is_left_out_is_said_at_the_end():
    device = Finding("Device", "left")
    found = corrected(NORMAL, device)
    assert found.report.startswith(NORMAL) and "pacemaker" in found.report
    assert found.sentences[-2].instead_of == ""


def test_a_contradiction_goes():
    both = "There is a small left pleural effusion. There is no pleural effusion. The lungs are clear."
    assert corrected(both, LEFT).report == "There is a small left pleural effusion. The lungs are clear."


def test_what_the_eye_does_not_see_need_not_be_said_and_may_be():
    assert corrected(NORMAL, LEFT, visible=()).report == NORMAL
    said = "There is a small left pleural effusion."
    assert corrected(said, LEFT, visible=()).report == said


def test_calling_a_consolidation_an_opacity_is_no_mistake():
    consolidation = Finding("Consolidation", "right", "base", severity=0.5)
    said = "There is a consolidation in the right lung base. Opacity in the right lung base."
    assert not corrected(said, consolidation).invented


def test_an_empty_report_says_what_is_there():
    assert "pleural effusion" in corrected("", LEFT).report and corrected("").report == ""


def test_a_decision_is_the_first_token_that_differs():
    """Behind "the lungs are clear ." the model wrote "no pneumothorax ."; "left pleural effusion ." is right."""
    model = tiny_model()
    tokenizer, end = model.tokenizer, model.ends[0]
    own, wrong, right = "the lungs are clear .", "no pneumothorax .", "left pleural effusion ."
    sentences = (Sentence(own), Sentence(right, wrong, names=True), Sentence(""))
    one = lesson(tokenizer, Correction(sentences, frozenset(), frozenset(), frozenset()), end)
    place = len(tokenizer(own, add_special_tokens=False).input_ids)
    first = [tokenizer(text, add_special_tokens=False).input_ids[0] for text in (right, wrong)]
    assert one.decisions == ((place, *first),)
    assert list(one.weights) == [OTHER] * place + [NAMING] * (len(one.weights) - place - 1) + [OTHER]
    assert len(one.weights) == len(model.report_ids([one.report], 100)[0])


def test_an_end_that_came_too_soon_is_a_decision_too():
    model = tiny_model()
    sentences = (Sentence("the lungs are clear ."), Sentence("mild cardiomegaly .", "", names=True), Sentence(""))
    one = lesson(model.tokenizer, Correction(sentences, frozenset(), frozenset(), frozenset()), model.ends[0])
    ((_, right, wrong),) = one.decisions
    assert wrong == model.ends[0] and model.tokenizer.decode([right]) == "mild"


def test_the_preference_is_the_margin_at_the_decision():
    """By hand: softplus(margin - difference of the two logits), at the decision's place in its own row."""
    model = tiny_model()

    def made(*sentences):
        return lesson(model.tokenizer, Correction(sentences, frozenset(), frozenset(), frozenset()), model.ends[0])

    lessons = [
        made(Sentence("the lungs are clear ."), Sentence("mild cardiomegaly .", "no effusion ."), Sentence("")),
        made(Sentence("left pleural effusion .", "the heart is normal ."), Sentence("")),
    ]
    features = torch.randn(2, token_count(model.vision), model.vision.width)
    output = model(features=features, reports=[one.report for one in lessons])
    expected = []
    for row, one in enumerate(lessons):
        logits = output.logits[output.rows == row]
        for place, right, wrong in one.decisions:
            expected.append(torch.nn.functional.softplus(2 - (logits[place, right] - logits[place, wrong])))
    assert len(expected) == 2
    assert decision_loss(output, lessons).item() == pytest.approx(torch.stack(expected).mean().item(), rel=1e-5)
    assert decision_loss(output, [made(Sentence("the lungs are clear ."), Sentence(""))]).item() == 0
