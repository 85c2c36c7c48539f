from __future__ import annotations

import pytest
import torch
from tiny_system import tiny_language, tiny_model

from r2gen_lib.config import PromptConfig
from r2gen_lib.errors import DataError, R2GenError
from r2gen_lib.model.alignment import IGNORE, VisualMapper, pool_tokens, prompt_ids, report_ids, splice


def test_mapper_starts_with_the_norm_that_was_asked_for():
    tokens = VisualMapper(16, 64, start_gain=0.136)(torch.randn(2, 49, 16))
    assert tokens.shape == (2, 49, 64)
    assert tokens.std().item() == pytest.approx(0.136, rel=0.02)


def test_pool_keeps_the_grid_in_order():
    grid = torch.arange(16.0).reshape(1, 16, 1)  # row by row on a 4 x 4 grid
    assert pool_tokens(grid, 2).flatten().tolist() == [2.5, 4.5, 10.5, 12.5]
    assert pool_tokens(grid, None) is grid
    assert VisualMapper(8, 12, pool=4)(torch.randn(2, 49, 8)).shape == (2, 16, 12)


def test_a_tokens_own_bias_tells_places_apart_and_starts_at_nothing():
    features = torch.randn(1, 1, 8).expand(2, 4, 8)  # the same at every place
    torch.manual_seed(0)
    plain = VisualMapper(8, 12)
    torch.manual_seed(0)
    own = VisualMapper(8, 12, tokens=4, bias=True)
    assert torch.equal(own(features), plain(features))
    torch.nn.init.normal_(own.token_bias)
    assert torch.equal(plain(features)[:, 0], plain(features)[:, 1])
    assert not torch.allclose(own(features)[:, 0], own(features)[:, 1])


def test_a_tokens_own_projection_tells_the_same_sight_at_two_places_apart():
    features = torch.randn(1, 1, 8).expand(2, 4, 8)
    torch.manual_seed(0)
    own = VisualMapper(8, 12, tokens=4, bias=True)
    torch.manual_seed(0)
    ranked = VisualMapper(8, 12, tokens=4, bias=True, rank=2)
    assert torch.equal(ranked(features), own(features))  # it starts as the paper's mapper
    torch.nn.init.normal_(ranked.token_up)
    changed = ranked(features)
    assert not torch.allclose(changed[:, 0], changed[:, 1])
    by_hand = ranked.proj(features)[:, 1] + ranked.down(features)[:, 1] @ ranked.token_up[1]
    assert torch.allclose(changed[:, 1], ranked.norm(by_hand) + ranked.token_bias[1], atol=1e-6)
    ranked.token_scale = 3.0
    by_hand = ranked.proj(features)[:, 1] + 3 * ranked.down(features)[:, 1] @ ranked.token_up[1]
    assert torch.allclose(ranked(features)[:, 1], ranked.norm(by_hand) + ranked.token_bias[1], atol=1e-6)


@pytest.mark.parametrize("told_apart", [dict(rank=2), dict(bias=True)], ids=str)
def test_tokens_that_are_told_apart_must_be_counted(told_apart):
    with pytest.raises(R2GenError, match="bias and rank need tokens"):
        VisualMapper(8, 12, **told_apart)


def test_a_projection_of_its_own_needs_no_bias():
    mapper = VisualMapper(8, 12, tokens=4, rank=2)
    assert mapper.token_bias is None and mapper.token_up.shape == (4, 2, 12)


@pytest.mark.parametrize("tokens, side", [(48, 4), (49, 8), (49, 0)])
def test_pool_refuses_what_is_no_grid(tokens, side):
    with pytest.raises(R2GenError, match="mapper.pool"):
        pool_tokens(torch.randn(1, tokens, 4), side)


def test_prompt_begins_with_bos_once():
    tokenizer = tiny_language().tokenizer
    before, after = prompt_ids(tokenizer, PromptConfig("Human :", "report"))
    assert before == [1, 3, 4] and after == [15]
    assert prompt_ids(tokenizer, PromptConfig("<s> Human :", "report"))[0] == before


def test_reports_end_unless_cut():
    tokenizer = tiny_language().tokenizer
    assert report_ids(tokenizer, ["the heart", "the heart is normal"], 3) == [[23, 24, 2], [23, 24, 25]]
    with pytest.raises(DataError, match="report 1 .* empty"):
        report_ids(tokenizer, ["the heart", " "], 3)


def test_splice_order_mask_and_labels():
    embed = tiny_language().model.get_input_embeddings()
    visual = torch.randn(2, 3, 24)
    spliced = splice(embed, visual, ([1, 3], [4]), [[23, 24, 2], [24, 2]])
    assert spliced.inputs_embeds.shape == (2, 2 + 3 + 1 + 3, 24)
    expected = torch.cat([embed.weight[[1, 3]], visual[0], embed.weight[[4, 23, 24, 2]]])
    assert torch.equal(spliced.inputs_embeds[0], expected)
    assert spliced.attention_mask.tolist() == [[1] * 9, [1] * 8 + [0]]
    assert spliced.labels.tolist() == [[IGNORE] * 6 + [23, 24, 2], [IGNORE] * 6 + [24, 2, IGNORE]]
    assert spliced.predicts_report.sum().item() == 5
    assert spliced.inputs_embeds[1, -1].abs().sum() == 0


def test_splice_without_report_is_the_prompt():
    embed = tiny_language().model.get_input_embeddings()
    spliced = splice(embed, torch.randn(2, 3, 24), ([1], []))
    assert spliced.inputs_embeds.shape == (2, 4, 24) and spliced.attention_mask.all()


def test_padding_changes_no_loss():
    """A short report costs the same alone as beside a long one."""
    model = tiny_model()
    features = torch.randn(2, 16, 16)
    short, long = "the heart is normal .", "mild cardiomegaly . left pleural effusion . no pneumothorax ."
    both = model(features=features, reports=[short, long])
    alone = model(features=features[:1], reports=[short])
    chosen = both.rows == 0
    assert torch.allclose(both.logits[chosen], alone.logits, atol=1e-5)
    assert torch.equal(both.labels[chosen], alone.labels)


def test_loss_is_that_of_the_whole_sequence():
    """Applying the head to report positions alone gives what transformers' own loss gives."""
    model = tiny_model()
    features, reports = torch.randn(2, 16, 16), ["the heart is normal .", "no effusion"]
    spliced = splice(
        model.embed,
        model.visual_tokens(features=features),
        model.prompt,
        report_ids(model.tokenizer, reports, 12),
    )
    theirs = model.language(
        inputs_embeds=spliced.inputs_embeds, attention_mask=spliced.attention_mask, labels=spliced.labels
    ).loss
    assert model(features=features, reports=reports).loss.item() == pytest.approx(theirs.item(), rel=1e-5)
