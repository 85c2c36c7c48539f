from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny_system import TINY, tiny_model

from r2gen_lib.errors import R2GenError
from r2gen_lib.model.alignment import IGNORE, question_ids, splice
from r2gen_lib.model.encoder import token_count

PROMPT = replace(TINY.prompt, question="< / Img > {question}")
ANSWER = "the heart is normal in size ."


@pytest.fixture(scope="module")
def model():
    return tiny_model(prompt=PROMPT)


@pytest.fixture(scope="module")
def features(model):
    return torch.randn(2, token_count(model.vision), model.vision.width, generator=torch.Generator().manual_seed(0))


def test_a_question_stands_between_picture_and_answer_and_has_no_loss(model, features):
    asked = [question_ids(model.tokenizer, PROMPT, "is the heart large ?"), list(model.prompt[1])]
    reports = model.report_ids([ANSWER, "the lungs are clear ."])
    spliced = splice(model.embed, model.visual_tokens(features=features), model.prompt, reports, asked)
    head = len(model.prompt[0]) + token_count(model.vision)
    for row in range(2):
        counted = spliced.labels[row] != IGNORE
        assert spliced.labels[row][counted].tolist() == reports[row]
        assert counted.nonzero()[0].item() == head + len(asked[row])
    words = model.embed(torch.tensor(asked[0]))
    assert torch.equal(spliced.inputs_embeds[0, head : head + len(words)], words)


def test_asking_for_the_report_is_as_before(model, features):
    reports = [ANSWER, "the lungs are clear ."]
    weights = [[1.0, 2.0] * 6, [3.0] * 12]
    weights = [row[: len(ids)] for row, ids in zip(weights, model.report_ids(reports), strict=True)]
    plain = model(features=features, reports=reports, weights=weights)
    asked = model(features=features, reports=reports, weights=weights, questions=["", ""])
    assert asked.loss.item() == pytest.approx(plain.loss.item(), abs=1e-6)


def test_studies_with_and_without_a_question_share_a_batch(model, features):
    """Each row's loss and weights are what they are alone, whatever stands beside it."""
    reports, questions = [ANSWER, "the lungs are clear ."], ["is the heart large ?", ""]
    ids = model.report_ids(reports)
    weights = [[float(i + 1) for i in range(len(row))] for row in ids]
    both = model(features=features, reports=reports, questions=questions, weights=weights)
    sums = []
    for row in range(2):
        one = slice(row, row + 1)
        alone = model(features=features[one], reports=reports[one], questions=questions[one], weights=weights[one])
        assert torch.allclose(both.logits[both.rows == row], alone.logits, atol=1e-4)
        sums.append((alone.loss.item() * sum(weights[row]), sum(weights[row])))
    assert both.loss.item() == pytest.approx(sum(s for s, _ in sums) / sum(w for _, w in sums), abs=1e-5)


def test_another_question_is_another_answer(model, features):
    first, second = (model.ask(q, features=features) for q in ("is the heart large ?", "the lungs ?"))
    assert len(first) == 2 and first != second
    assert first == model.ask("is the heart large ?", features=features)


def test_a_question_that_cannot_be_asked_is_refused(model, features):
    with pytest.raises(R2GenError, match="question: found none"):
        model.ask(" ", features=features)
    with pytest.raises(R2GenError, match=r"PromptConfig.question: found '', expected .*\{question\}"):
        tiny_model().ask("is the heart large ?", features=features)
