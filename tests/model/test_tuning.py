from __future__ import annotations

import pytest
import torch
from tiny_system import TINY, tiny_model, tiny_pixels

from r2gen_lib.config import PRESETS
from r2gen_lib.errors import R2GenError
from r2gen_lib.model.tuning import inject_lora, parameter_table
from r2gen_lib.model.vision import VisionEncoder

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
    model = tiny_model(visual_token_pool=pool, visual_token_bias=True)
    assert model.trainable_parameters()["mapper.token_bias"].shape == (tokens, 24)
    assert parameter_table(model.preset).loc["shallow", "mapper"] == sum(p.numel() for p in model.mapper.parameters())
    model(tiny_pixels(), ["the heart is normal", "no effusion"]).loss.backward()
    assert model.mapper.token_bias.grad.abs().min() > 0


def test_laptop_shape_counts():
    assert parameter_table("laptop").loc["shallow", "language"] == 134_515_008


@pytest.mark.parametrize("mode", ["shallow", "delta", "deep"])
def test_exactly_the_expected_tensors_change(mode):
    model = tiny_model(mode).train()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = torch.optim.AdamW(model.trainable_parameters().values(), lr=1e-2)
    for _ in range(2):  # a LoRA's A has no gradient while its B is zero
        optimizer.zero_grad()
        model(tiny_pixels(), ["the heart is normal", "no effusion"]).loss.backward()
        optimizer.step()
    changed = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    encoder = {name for name in before if name.startswith("vision.")}
    lora = {name for name in encoder if ".lora_" in name}
    assert len(lora) == (6 if mode == "delta" else 0)  # A and B in each of 3 blocks
    assert changed == MAPPER | {"shallow": set(), "delta": lora, "deep": encoder}[mode]
    assert all(p.grad is None for name, p in model.named_parameters() if name not in changed)


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
