from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny_system import TINY, tiny_language, tiny_model, tiny_pixels

from r2gen_lib.config import PRESETS, LoraConfig
from r2gen_lib.errors import R2GenError
from r2gen_lib.model.encoder import VisionEncoder
from r2gen_lib.model.llm import checksum
from r2gen_lib.model.modes import inject_lora, is_lora, parameter_table
from r2gen_lib.model.r2gengpt import R2GenGPT

MAPPER = {"mapper.proj.weight", "mapper.proj.bias", "mapper.norm.weight", "mapper.norm.bias"}


@pytest.mark.parametrize("preset", ["iu_xray", "mimic_cxr"])
def test_the_papers_counts(preset):
    table = parameter_table(preset)
    assert table["trainable"].to_dict() == {"shallow": 4_206_592, "delta": 4_976_640, "deep": 90_949_816}
    assert table.loc["delta", "lora"] == 770_048
    assert table.loc["deep", "encoder"] == 86_743_224
    assert table.loc["shallow", "language"] == 6_738_415_616
    assert table.loc["delta", "trainable_percent"] == pytest.approx(0.0729, abs=5e-5)


@pytest.mark.parametrize("mode", ["shallow", "delta", "deep"])
def test_counts_on_the_meta_device_are_the_models(mode):
    row = parameter_table(TINY).loc[mode]
    model = tiny_model(mode)
    assert row["trainable"] == sum(p.numel() for p in model.trainable_parameters().values())
    assert row["total"] == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("pool, tokens", [(2, 4), (None, 16)])
def test_a_bias_for_each_visual_token_is_counted_and_trains(pool, tokens):
    model = tiny_model(mapper=replace(TINY.mapper, pool=pool, bias=True))
    assert model.trainable_parameters()["mapper.token_bias"].shape == (tokens, 24)
    assert parameter_table(model.preset).loc["shallow", "mapper"] == sum(p.numel() for p in model.mapper.parameters())
    model(tiny_pixels(), ["the heart is normal", "no effusion"]).loss.backward()
    assert model.mapper.token_bias.grad.abs().min() > 0


def test_laptop_shape_counts():
    assert parameter_table("laptop").loc["shallow", "language"] == 134_515_008


@pytest.mark.parametrize("language_lora", [None, LoraConfig(2, 4, 0.1)], ids=["frozen LLM", "LoRA on the LLM"])
@pytest.mark.parametrize("mode", ["shallow", "delta", "deep"])
def test_exactly_the_expected_tensors_learn(mode, language_lora):
    model = tiny_model(mode, language_lora=language_lora).train()
    fingerprint = model.llm_checksum()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    encoder = {name for name in before if name.startswith("vision.")}
    lora = {name for name in encoder if ".lora_" in name}
    language = {name for name in before if name.startswith("language.") and ".lora_" in name}
    assert len(lora) == (6 if mode == "delta" else 0)  # A and B in each of 3 blocks
    assert len(language) == (8 if language_lora else 0)  # A and B on query and value in each of 2 blocks
    expected = MAPPER | {"shallow": set(), "delta": lora, "deep": encoder}[mode] | language
    assert set(model.trainable_parameters()) == expected

    optimizer = torch.optim.AdamW(model.trainable_parameters().values(), lr=1e-2, weight_decay=0)
    for step in range(2):
        optimizer.zero_grad()
        model(tiny_pixels(), ["the heart is normal", "no effusion"]).loss.backward()
        assert {name for name, p in model.named_parameters() if p.grad is not None} == expected
        optimizer.step()
        changed = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
        # a LoRA's A has a gradient of zeros while its B is zero: it moves from the second step on
        assert changed == (expected if step else {name for name in expected if ".lora_A." not in name})
    assert model.llm_checksum() == fingerprint == checksum(tiny_language().model)


def test_a_lora_on_the_llm_is_in_the_checkpoint(tmp_path):
    preset = dict(language_lora=LoraConfig(2, 4, 0.0, ("gate_proj",)))
    model = tiny_model(**preset)
    for name, parameter in model.trainable_parameters().items():
        torch.nn.init.normal_(parameter) if "lora_B" in name else None
    model.save_trainable(tmp_path / "run")
    again = R2GenGPT.from_trained(tmp_path / "run", vision_weights=None, language=tiny_language(), device="cpu")
    assert again.preset == model.preset
    assert any("gate_proj.lora_A" in name for name in again.trainable_parameters())
    features, texts = torch.randn(2, 16, 16), ["the heart is normal", "no effusion"]
    losses = [each(features=features, reports=texts).loss.item() for each in (model, again, tiny_model())]
    assert losses[0] == losses[1] != losses[2]


def test_a_shared_language_model_stays_as_it_was():
    language = tiny_language()
    preset = replace(TINY, language_lora=LoraConfig(2, 4))
    model = R2GenGPT.from_preset(preset, vision_weights=None, language=language, device="cpu")
    assert not any(is_lora(name) for name, _ in language.model.named_parameters())
    assert model.embed.weight is language.model.get_input_embeddings().weight  # no second copy in memory
    assert parameter_table(preset).loc["shallow", "lora"] == sum(
        p.numel() for name, p in model.named_parameters() if is_lora(name)
    )


def test_a_lora_on_a_bf16_llm_learns_in_fp32():
    language = tiny_language()
    language.model.bfloat16()
    preset = replace(TINY, language_lora=LoraConfig(2, 4, 0.1))
    model = R2GenGPT.from_preset(preset, vision_weights=None, language=language, device="cpu").train()
    model(tiny_pixels(), ["the heart is normal", "no effusion"]).loss.backward()
    assert {p.dtype for p in model.trainable_parameters().values()} == {torch.float32}
    assert {p.dtype for name, p in model.language.named_parameters() if not is_lora(name)} == {torch.bfloat16}


def test_dropout_of_the_llms_lora_acts_in_training_alone():
    model = tiny_model(language_lora=LoraConfig(2, 4, 0.5))
    for name, parameter in model.language.named_parameters():
        torch.nn.init.normal_(parameter) if "lora_B" in name else None
    features = torch.randn(1, 16, 16)
    losses = [
        model.train(mode)(features=features, reports=["no effusion"]).loss.item() for mode in (True, True, False, False)
    ]
    assert losses[0] != losses[1] and losses[2] == losses[3]


def test_frozen_parts_drop_nothing_in_training():
    pixels = tiny_pixels()
    for mode in ("shallow", "delta", "deep"):
        model = tiny_model(mode).train()
        assert not model.language.training
        assert model.vision.training == (mode == "deep")
    shallow = tiny_model().train()
    assert torch.equal(shallow.encode(pixels), shallow.encode(pixels))


def test_lora_starts_as_no_change():
    pixels = tiny_pixels()
    assert torch.equal(tiny_model("delta").encode(pixels), tiny_model("shallow").encode(pixels))


def test_delta_needs_a_qkv():
    encoder = VisionEncoder(TINY.vision)
    encoder.swin = torch.nn.Sequential(torch.nn.Linear(2, 2))
    with pytest.raises(R2GenError, match="no layer called 'qkv'"):
        inject_lora(encoder, TINY.lora)


def test_presets_name_a_language_shape():
    assert all(preset.language.shape for preset in PRESETS.values())
