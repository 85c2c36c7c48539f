"""Guidance and reranking: their arithmetic by hand, and what they are without a normal picture."""

from __future__ import annotations

import math

import pytest
import torch
from tiny_system import tiny_model

from r2gen_lib.config import DecodingConfig
from r2gen_lib.errors import R2GenError
from r2gen_lib.model.guidance import guided

FEATURES = torch.randn(4, 16, 16, generator=torch.Generator().manual_seed(0))
NORMAL = torch.randn(1, 16, 16, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def model():
    found = tiny_model(decoding=DecodingConfig(num_beams=3, max_new_tokens=12))
    with torch.no_grad():
        found.language.get_output_embeddings().weight[found.ends[0]] *= 2  # so that some reports end by themselves
    return found


def ids(model, features=FEATURES, **decoding):
    return [one.ids for one in model.generate_details(features=features, **decoding)]


def log_probs(model, features, written):
    """log p of every next token of ``written``, and of one more: (written + 1, vocabulary)."""
    before, after = (model.embed(torch.tensor([part])) for part in model.prompt)
    words = model.embed(torch.tensor([written], dtype=torch.long))
    whole = torch.cat([before, model.visual_tokens(features=features), after, words], dim=1)
    with torch.no_grad():
        return model.language(inputs_embeds=whole).logits[0, -len(written) - 1 :].log_softmax(dim=-1)


def test_a_token_is_scored_by_what_the_picture_adds():
    picture, normal = torch.tensor([[0.5, 0.3, 0.15, 0.05]]), torch.tensor([[0.6, 0.1, 0.1, 0.2]])
    scores = guided(picture.log(), normal.log(), 0.5)[0].exp()
    raw = [p * (p / n) ** 0.5 for p, n in ((0.5, 0.6), (0.3, 0.1), (0.15, 0.1))]  # 0.05 is just a tenth of 0.5
    last = 0.05 * (0.05 / 0.2) ** 0.5
    assert scores.tolist() == pytest.approx([each / (sum(raw) + last) for each in (*raw, last)], rel=1e-4)


def test_what_is_implausible_comes_last_in_the_pictures_own_order():
    picture, normal = torch.tensor([[0.9, 0.06, 0.04]]), torch.tensor([[0.999, 1e-12, 1e-9]])
    scores = guided(picture.log(), normal.log(), 1.0)[0]
    assert scores.argsort(descending=True).tolist() == [0, 1, 2]
    assert scores[0] == pytest.approx(0, abs=1e-6) and scores[1] < -1000 and torch.isfinite(scores).all()


def test_a_guided_report_is_what_each_steps_scores_give(model):
    (found,) = ids(model, FEATURES[:1], num_beams=1, guidance=1.0, normal=NORMAL)
    for place, token in enumerate(found):
        seen, unseen = (log_probs(model, each, found[:place])[-1] for each in (FEATURES[:1], NORMAL))
        scores = 2 * seen - unseen
        assert scores.masked_fill(seen < seen.max() + math.log(0.1), -math.inf).argmax() == token
    assert found != ids(model, FEATURES[:1], num_beams=1)[0]


def test_weights_of_zero_change_nothing(model):
    assert ids(model, guidance=0.0, rerank=0.0) == ids(model)


def test_a_picture_that_adds_nothing_is_written_as_ever(model):
    assert ids(model, FEATURES[:1], num_beams=1, guidance=2.0, normal=FEATURES[:1]) == ids(
        model, FEATURES[:1], num_beams=1
    )


@pytest.mark.parametrize("weight", [0.5, 1.0])
def test_the_candidate_of_the_highest_score_is_chosen(model, weight, monkeypatch):
    from r2gen_lib.model import generation

    offered, rerank = [], generation.most_informative
    monkeypatch.setattr(generation, "most_informative", lambda *given: offered.extend(given[3]) or rerank(*given))
    found = ids(model, num_beams=5, rerank=weight, normal=NORMAL)
    for study, candidates in enumerate(offered):
        scores = []
        for candidate in candidates:
            seen, unseen = (
                log_probs(model, each, candidate)[:-1].gather(1, torch.tensor(candidate)[:, None]).sum().item()
                for each in (FEATURES[study : study + 1], NORMAL)
            )
            scores.append((seen - weight * unseen) / len(candidate))
        best = candidates[scores.index(max(scores))]
        assert found[study] == [token for token in best if token not in model.ends]
    assert max(map(len, offered)) == 5 and found != ids(model, num_beams=5)


def test_a_report_does_not_depend_on_what_is_written_beside_it(model):
    for decoding in (dict(guidance=0.5), dict(rerank=1.0)):
        alone = [ids(model, FEATURES[i : i + 1], **decoding, normal=NORMAL)[0] for i in range(len(FEATURES))]
        assert ids(model, **decoding, normal=NORMAL) == alone


def test_a_stream_is_guided_too(model):
    pieces = model.stream(features=FEATURES[:1], guidance=0.5, normal=NORMAL, cut_unfinished=False)
    whole = model.generate(features=FEATURES[:1], num_beams=1, guidance=0.5, normal=NORMAL, cut_unfinished=False)
    assert "".join(pieces) == whole[0]


@pytest.mark.parametrize("given", [dict(guidance=0.5), dict(rerank=0.5), dict(normal=NORMAL)], ids=str)
def test_a_normal_picture_and_what_compares_with_it_come_together(model, given):
    with pytest.raises(R2GenError, match="give both, or neither.*inference.normal_picture"):
        model.generate(features=FEATURES, **given)


def test_one_normal_picture_is_expected(model):
    with pytest.raises(R2GenError, match=r"normal has shape \(4, 16, 16\), expected \(1, N, D_v\)"):
        model.generate(features=FEATURES, guidance=0.5, normal=FEATURES)
