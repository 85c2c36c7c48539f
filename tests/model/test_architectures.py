"""Any causal language model: random tiny ones of many architectures, loaded as a user's would be."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny_languages import KINDS, PROMPT, in_front_of, load_tiny
from tiny_system import TINY, tiny_pixels

from r2gen_lib.config import LanguageConfig, LoraConfig, PromptConfig
from r2gen_lib.errors import R2GenError
from r2gen_lib.model.alignment import splice
from r2gen_lib.model.llm import checksum, language_skeleton

TEXTS = ["heart", "no fluid"]
FEATURES = torch.randn(2, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module", params=KINDS)
def language(request, tmp_path_factory):
    return load_tiny(request.param, tmp_path_factory.mktemp("llm"))


def spliced(model, texts=TEXTS):
    ids = model.report_ids(texts) if texts else None
    return splice(model.embed, model.visual_tokens(features=FEATURES[: len(texts or FEATURES)]), model.prompt, ids)


def test_loaded_whole_and_frozen(language):
    config = language.model.config
    assert not any(p.requires_grad for p in language.model.parameters()) and not language.model.training
    shape = {"model_type": config.model_type, **config.to_diff_dict()}
    skeleton = language_skeleton(LanguageConfig("", shape=shape))
    assert {n: p.shape for n, p in skeleton.named_parameters()} == {
        n: p.shape for n, p in language.model.named_parameters()
    }
    assert language.identity == f"tensors-sha256:{checksum(language.model)}"


@pytest.mark.parametrize("before", [PROMPT.before_image, ""])
def test_loss_and_gradient_are_those_of_the_whole_sequence(language, before):
    """Whatever is cached, scaled, capped or tied: transformers' own loss over everything is the truth."""
    model = in_front_of(language, prompt=PromptConfig(before, PROMPT.after_image)).train()
    for _ in range(2):  # the second time with what the first has kept
        model.zero_grad()
        loss = model(features=FEATURES, reports=TEXTS).loss
        loss.backward()
    quick = model.mapper.proj.weight.grad.clone()
    model.zero_grad()
    whole = spliced(model)
    theirs = model.language(
        inputs_embeds=whole.inputs_embeds, attention_mask=whole.attention_mask, labels=whole.labels, use_cache=False
    ).loss
    theirs.backward()
    assert loss.item() == pytest.approx(theirs.item(), rel=1e-5)
    assert torch.allclose(quick, model.mapper.proj.weight.grad, rtol=1e-3, atol=1e-6)


def test_visual_tokens_enter_with_the_norm_of_words(language):
    """Where the first block reads them: after whatever scale the model gives its embeddings."""
    model = in_front_of(language)
    heard = {}
    blocks = next(part for part in model.language.modules() if isinstance(part, torch.nn.ModuleList))
    hook = blocks[0].register_forward_pre_hook(lambda _, inputs: heard.update(first=inputs[0]))
    words = torch.arange(model.embed.num_embeddings).unsqueeze(0)[:, :128]
    scale = {}
    model.language.base_model(input_ids=words)
    scale["words"] = heard["first"].std().item()
    model.language.base_model(inputs_embeds=model.visual_tokens(features=FEATURES))
    scale["picture"] = heard["first"].std().item()
    hook.remove()
    assert scale["picture"] == pytest.approx(scale["words"], rel=0.1)


def test_greedy_is_what_argmax_gives(language):
    """Neither the cache nor the model's own ``generation_config`` changes a token."""
    model = in_front_of(language)
    found = [one.ids for one in model.generate_details(features=FEATURES, num_beams=1, max_new_tokens=6)]
    prompt = spliced(model, None).inputs_embeds
    for row, ids in enumerate(found):
        written: list[int] = []
        for expected in ids:
            words = model.embed(torch.tensor([written], dtype=torch.long))
            whole = torch.cat([prompt[row : row + 1], words], dim=1)
            assert model.language(inputs_embeds=whole, use_cache=False).logits[0, -1].argmax().item() == expected
            written.append(expected)


@pytest.mark.parametrize(
    "decoding",
    [dict(num_beams=3), dict(do_sample=True, temperature=2.0), dict(guidance=0.5, rerank=0.5, normal=FEATURES[:1] / 2)],
    ids=["beams", "drawn", "beside a normal picture"],
)
def test_batch_does_not_change_a_report(language, decoding):
    model = in_front_of(language)
    together = [one.ids for one in model.generate_details(features=FEATURES, **decoding)]
    alone = [model.generate_details(features=FEATURES[i : i + 1], **decoding)[0].ids for i in range(2)]
    assert together == alone


def test_lora_on_the_language_model(language):
    before = checksum(language.model)
    lora = LoraConfig(2, 4, 0.1, target_of(language))
    plain, model = in_front_of(language), in_front_of(language, language_lora=lora)
    losses = [each(features=FEATURES, reports=TEXTS).loss.item() for each in (plain, model)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)  # it starts as no change
    optimizer = torch.optim.AdamW(model.train().trainable_parameters().values(), lr=1e-2)
    values = {name: p.detach().clone() for name, p in model.named_parameters()}
    for _ in range(2):  # a LoRA's A has no gradient while its B is zero
        optimizer.zero_grad()
        model(features=FEATURES, reports=TEXTS).loss.backward()
        optimizer.step()
    changed = {name for name, p in model.named_parameters() if not torch.equal(p, values[name])}
    assert changed == set(model.trainable_parameters())
    assert sum(name.startswith("language.") for name in changed) >= 4  # A and B in each of 2 blocks
    assert model.llm_checksum() == before == plain.llm_checksum() == checksum(language.model)
    assert "lora" not in " ".join(name for name, _ in language.model.named_parameters())


def target_of(language):
    return ("in_proj",) if language.model.config.model_type == "mamba" else ()


def test_without_an_end_token(tmp_path):
    language = load_tiny("gpt2", tmp_path)
    language.tokenizer.eos_token = None
    with pytest.raises(R2GenError, match="eos_token"):
        in_front_of(language)


def test_more_tokens_than_positions(tmp_path):
    model = in_front_of(load_tiny("gpt2", tmp_path), target=replace(TINY.target, max_tokens=400))
    with pytest.raises(R2GenError, match="at most 256"):
        model(tiny_pixels(1), ["long " * 60])
    with pytest.raises(R2GenError, match="max_new_tokens"):
        model.generate(features=FEATURES, max_new_tokens=250)


def test_an_architecture_peft_does_not_know(tmp_path):
    with pytest.raises(R2GenError, match=r'language_lora.*LoraConfig.target.*"mixer.in_proj"'):
        in_front_of(load_tiny("mamba", tmp_path), language_lora=LoraConfig())
