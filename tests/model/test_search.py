"""Our own greedy and beam search write what transformers' ``generate`` writes, token for token, in fp32."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny_languages import in_front_of, load_tiny
from tiny_system import tiny_model

from r2gen_lib.commands.presets import writer
from r2gen_lib.config import PRESETS, DecodingConfig, LoraConfig
from r2gen_lib.model import generation
from r2gen_lib.model.llama_decoder import frozen_llama, why_not
from r2gen_lib.model.packed_linear import can_pack, packed, plain
from r2gen_lib.model.search import largest

FEATURES = torch.randn(20, 16, 16, generator=torch.Generator().manual_seed(0))  # more than are read at once
SETTINGS = [
    dict(num_beams=1),
    dict(num_beams=2),
    dict(num_beams=3),
    dict(num_beams=5, length_penalty=2.0),
    dict(num_beams=3, length_penalty=-4.0),
    dict(num_beams=3, length_penalty=0.0),
    dict(num_beams=1, repetition_penalty=1.5),
    dict(num_beams=3, repetition_penalty=0.7),
    dict(num_beams=3, repetition_penalty=1.1, no_repeat_ngram_size=3),
    dict(num_beams=2, no_repeat_ngram_size=1),
    dict(num_beams=1, no_repeat_ngram_size=2),
    dict(num_beams=3, min_new_tokens=6),
    dict(num_beams=3, max_new_tokens=1),
    dict(do_sample=True, seed=3),
    dict(do_sample=True, top_k=3, top_p=0.8, temperature=2.0, min_new_tokens=4),
]

NORMAL = torch.randn(1, 16, 16, generator=torch.Generator().manual_seed(1))
COMPARED = [
    dict(num_beams=1, guidance=0.5),
    dict(num_beams=1, guidance=1.0, repetition_penalty=1.1, no_repeat_ngram_size=2),
    dict(num_beams=3, guidance=0.5),
    dict(num_beams=3, guidance=2.0, repetition_penalty=1.1, no_repeat_ngram_size=3, min_new_tokens=3),
    dict(do_sample=True, seed=3, guidance=0.5),
    dict(num_beams=3, rerank=0.5),
    dict(num_beams=5, rerank=1.0, length_penalty=0.0),
    dict(num_beams=3, rerank=1.0, guidance=0.5),
]


def with_ends(loudness):
    model = tiny_model(decoding=DecodingConfig(num_beams=3, max_new_tokens=14))
    with torch.no_grad():
        model.language.get_output_embeddings().weight[model.ends[0]] *= loudness
    return model


@pytest.fixture(scope="module", params=[1.0, 2.0, 4.0], ids=["seldom ends", "ends", "ends soon"])
def model(request):
    return with_ends(request.param)


def reports(model, **decoding):
    return [one.ids for one in model.generate_details(features=FEATURES, **decoding)]


@pytest.mark.parametrize("setting", [*SETTINGS, *({**setting, "normal": NORMAL} for setting in COMPARED)], ids=str)
def test_the_same_tokens_as_transformers(model, setting, monkeypatch):
    ours = reports(model, **setting)
    monkeypatch.setattr(generation, "why_not", lambda language: "it is compared with")
    assert ours == reports(model, **setting)


def test_reports_of_many_lengths_are_among_them():
    assert len({len(ids) for ids in reports(with_ends(2.0), num_beams=3)}) >= 3


def test_several_end_tokens(monkeypatch):
    model = tiny_model(decoding=DecodingConfig(num_beams=3, max_new_tokens=14))
    model.ends = [*model.ends, 7, 11]
    ours = reports(model)
    monkeypatch.setattr(generation, "why_not", lambda language: "it is compared with")
    assert ours == reports(model)
    assert len({len(ids) for ids in ours}) >= 3


def test_streams_agree_with_transformers(model, monkeypatch):
    ours = "".join(model.stream(features=FEATURES[:1]))
    monkeypatch.setattr(generation, "why_not", lambda language: "it is compared with")
    assert ours == "".join(model.stream(features=FEATURES[:1]))


def test_only_a_plain_llama_is_searched_here(tmp_path):
    assert why_not(tiny_model().language) is None
    assert "Qwen2ForCausalLM is another architecture" in why_not(load_tiny("qwen2", tmp_path).model)
    hooked = tiny_model().language
    hooked.model.layers[1].register_forward_hook(lambda *_: None)
    assert "model.layers.1 carries a hook" in why_not(hooked)
    replaced = tiny_model().language
    replaced.model.layers[0].mlp.up_proj = torch.nn.Linear(24, 48, bias=True)
    assert "up_proj is no plain linear layer" in why_not(replaced)


@pytest.mark.parametrize("change", [{}, dict(language_lora=LoraConfig()), "qwen2"], ids=str)
def test_r2gen_presets_says_what_writes(change, tmp_path):
    if change == "qwen2":
        language = replace(PRESETS["laptop"].language, shape={"model_type": "qwen2"})
        preset, model = replace(PRESETS["laptop"], language=language), load_tiny("qwen2", tmp_path).model
    else:
        preset, model = replace(PRESETS["laptop"], **change), tiny_model(**change).language
    assert writer(preset).startswith("r2gen_lib.model.search") == (why_not(model) is None)


def test_another_architecture_still_writes(tmp_path):
    model = in_front_of(load_tiny("qwen2", tmp_path))
    assert all(one.ids for one in model.generate_details(features=FEATURES[:2], max_new_tokens=4))


@pytest.mark.parametrize("kind", ["llama", "qwen2"])
def test_many_studies_are_written_in_groups(kind, tmp_path, monkeypatch):
    model = in_front_of(load_tiny(kind, tmp_path))
    together = reports(model, max_new_tokens=4)
    monkeypatch.setattr(generation, "studies_at_once", lambda *_: 3)
    monkeypatch.setattr(generation, "WRITTEN_BY_TRANSFORMERS", 3)
    assert reports(model, max_new_tokens=4) == together


def test_a_group_is_as_large_as_its_keys_allow():
    model, decoding = tiny_model(), DecodingConfig(num_beams=3, max_new_tokens=100)
    assert generation.studies_at_once(model.language, 40, decoding) == 64
    model.language.config.num_hidden_layers = 2_000  # 65 MB a study
    assert generation.studies_at_once(model.language, 40, decoding) == 2**30 // (2_000 * 2 * 2 * 6 * 4 * 340)


def test_pictures_are_encoded_a_few_at_a_time_and_give_what_their_features_give():
    model = tiny_model()
    pictures = torch.randn(10, 1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert model.generate(pictures) == model.generate(features=model.encode(pictures))


def test_weights_that_change_are_seen():
    """What is prepared once for a frozen model is prepared again when somebody writes into its weights."""
    model = tiny_model()
    before = reports(model)
    with torch.no_grad():
        model.language.model.layers[0].mlp.down_proj.weight.mul_(-3)
    changed = reports(model)
    assert changed != before
    with torch.no_grad():
        model.language.model.layers[0].mlp.down_proj.weight.div_(-3)
    assert reports(model) == before


def test_training_gives_the_copies_back():
    model = tiny_model()
    kept = frozen_llama(model.language)
    assert frozen_llama(model.language) is kept
    model.train()
    assert frozen_llama(model.language) is not kept


@pytest.mark.parametrize("dtype, near", [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)], ids=str)
@pytest.mark.parametrize("rows", [1, 5, 200])
def test_packed_products_are_the_layers(dtype, near, rows):
    torch.manual_seed(0)
    layers = [torch.nn.Linear(64, width, bias=False).to(dtype) for width in (32, 48, 16)]
    x = torch.randn(2, rows, 64).to(dtype)
    expected = torch.cat([layer(x) for layer in layers], dim=-1)
    assert torch.equal(plain(layers)(x), expected)
    if not can_pack("cpu", dtype):
        pytest.skip("packing needs torch's oneDNN on an x86 CPU")
    with torch.no_grad():
        assert torch.allclose(packed(layers, 24)(x), expected, rtol=near, atol=near)


@pytest.mark.parametrize("width", [44, 1024, 2048, 5000, 49152 * 3])
def test_the_largest_scores_are_those_of_topk(width):
    scores = torch.randn(7, width, generator=torch.Generator().manual_seed(width))
    scores[0, -3:] = 9.0 + torch.arange(3)  # in the places that fill no whole group
    expected = scores.topk(6)
    values, places = largest(scores, 6)
    assert torch.equal(values, expected.values) and torch.equal(places, expected.indices)
