"""Each switch of ``with_original_behaviour``: what it does, and that ours is otherwise."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
from tiny_system import PROFILE, TINY, tiny_language, tiny_model, tiny_pixels, tiny_studies

from r2gen_lib import cli
from r2gen_lib.commands import train as train_command
from r2gen_lib.config import PRESETS
from r2gen_lib.config.original_behaviour import with_original_behaviour
from r2gen_lib.config.serialization import preset_from_dict, preset_to_dict
from r2gen_lib.model.fused_qkv_lora import query_and_value
from r2gen_lib.model.r2gengpt import R2GenGPT
from r2gen_lib.training.examples import Examples
from r2gen_lib.training.run import Run
from r2gen_lib.training.schedule import make_optimizer, rate_at


def dropping(**changes) -> R2GenGPT:
    """A model with stochastic depth in its encoder."""
    kwargs = TINY.vision.model_kwargs | {"drop_path_rate": 0.5}
    return tiny_model(vision=replace(TINY.vision, model_kwargs=kwargs, **changes))


def test_what_changes_and_what_stays():
    ours, theirs = PRESETS["laptop"], with_original_behaviour("laptop")
    assert theirs.name == "laptop_original" and with_original_behaviour(theirs) == theirs
    for part in ("language", "prompt"):
        assert getattr(theirs, part) == getattr(ours, part)
    for kept in ("learning_rate", "batch_size", "epochs", "weight_decay", "final_rate"):
        assert getattr(theirs.optim, kept) == getattr(ours.optim, kept)
    assert (theirs.decoding.min_new_tokens, theirs.decoding.no_repeat_ngram_size) == (40, 0)
    assert theirs.target.max_tokens == ours.target.max_tokens
    assert (theirs.mapper.pool, theirs.mapper.bias, theirs.optim.clip_norm) == (None, False, None)
    assert with_original_behaviour("mimic_cxr").decoding.min_new_tokens == 80
    assert ours.decoding.consistent and not theirs.decoding.consistent  # docs/original.md says so
    assert preset_from_dict(preset_to_dict(theirs)) == theirs


def test_from_preset_takes_it():
    model = R2GenGPT.from_preset(
        TINY, "delta", vision_weights=None, language=tiny_language(), device="cpu", original_behaviour=True
    )
    assert model.preset == with_original_behaviour(TINY)
    assert torch.equal(model.mapper.norm.weight, torch.ones(24))


def test_a_frozen_encoder_is_noisy_in_training_alone():
    pixels = tiny_pixels(8)
    quiet, noisy = dropping().train(), dropping(noisy_when_frozen=True).train()
    assert torch.equal(quiet.encode(pixels), quiet.encode(pixels))
    assert not torch.equal(noisy.encode(pixels), noisy.encode(pixels))
    noisy.eval()
    assert torch.equal(noisy.encode(pixels), quiet.encode(pixels))


@pytest.mark.usefixtures("empty_cache")
def test_noisy_features_are_not_cached():
    studies = tiny_studies(4)
    assert "features" in Examples(dropping(), studies, "train", progress=False).batch([0])
    assert "pixel_values" in Examples(dropping(noisy_when_frozen=True), studies, "train", False).batch([0])


def test_no_loss_on_token_0():
    """The tokenizer's <unk>, which the original takes for padding."""
    pixels, reports = tiny_pixels(), ["the heart is gigantic", "no effusion"]
    ours, theirs = tiny_model(), tiny_model(target=replace(TINY.target, mask_token_0=True))
    assert (ours(pixels, reports).labels == 0).sum() == 1
    masked = theirs(pixels, reports)
    assert not (masked.labels == 0).any() and len(masked.labels) == len(ours(pixels, reports).labels) - 1
    kept = ours(pixels, reports).labels != 0
    torch.testing.assert_close(masked.logits, ours(pixels, reports).logits[kept])  # it is still read


def test_the_rate_moves_once_an_epoch():
    optim = replace(TINY.optim, warmup_steps=0, final_rate=0.1, rate_per_epoch=True)
    rates = [rate_at(step, 12, optim, epoch_length=3) for step in range(12)]
    expected = [0.1 + 0.9 * 0.5 * (1 + torch.cos(torch.tensor(torch.pi * epoch / 4)).item()) for epoch in range(4)]
    assert rates == pytest.approx([rate for rate in expected for _ in range(3)])
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.AdamW([parameter], lr=1.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=4, eta_min=0.1)  # what the original uses
    for epoch in range(4):
        assert rates[3 * epoch] == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()


def test_everything_decays():
    model = tiny_model("deep")
    groups = make_optimizer(model, replace(TINY.optim, weight_decay=0.1, decay_all=True)).param_groups
    assert {group["weight_decay"] for group in groups} == {0.1}
    assert sum(len(group["params"]) for group in groups) == len(model.trainable_parameters())


def batches(shuffle: bool, tmp_path, **profile):
    optim = replace(TINY.optim, shuffle=shuffle)
    run = Run(tiny_model(optim=optim), tiny_studies(), replace(PROFILE, **profile), tmp_path, progress=False)
    return [[[run.train_set.studies[i].id for i in batch] for batch in run._batches(epoch)] for epoch in range(2)]


@pytest.mark.usefixtures("empty_cache")
def test_studies_come_in_their_own_order(tmp_path):
    first, second = batches(False, tmp_path)
    assert first == second == [[f"T{i}" for i in range(start, start + 4)] for start in range(0, 16, 4)]
    shuffled = batches(True, tmp_path)
    assert shuffled[0] != shuffled[1]
    some = sum(batches(False, tmp_path, train_studies=8)[0], [])
    assert len(some) == 8 and some == sorted(some, key=lambda name: int(name[1:]))


@pytest.mark.usefixtures("empty_cache")
def test_a_last_small_batch_is_dropped(tmp_path):
    assert [len(batch) for batch in batches(False, tmp_path, train_studies=10)[0]] == [4, 4]
    assert [len(batch) for batch in batches(False, tmp_path, train_studies=3)[0]] == [3]


def test_an_unfinished_report_is_left_as_it_is():
    model = tiny_model()
    (whole,) = model.generate_details(tiny_pixels(1), cut_unfinished=False, max_new_tokens=5, min_new_tokens=5)
    (cut,) = model.generate_details(tiny_pixels(1), max_new_tokens=5, min_new_tokens=5)
    assert whole.ids == cut.ids and not whole.finished
    assert whole.text == model.tokenizer.decode(whole.ids, skip_special_tokens=True).strip()
    assert len(cut.text) < len(whole.text) or whole.text.endswith(".")


def test_a_lora_on_query_and_value_stays_there():
    model = tiny_model("delta", lora=replace(TINY.lora, query_value=True, dropout=0.0))
    optimizer = torch.optim.AdamW(model.trainable_parameters().values(), lr=1e-2)
    held = [part for part in model.vision.modules() if hasattr(part, "lora_A")]
    assert {(part.r["default"], part.lora_alpha["default"]) for part in held} == {(2 * 2, 2 * 4)}  # of 2 and 4
    for step in range(3):
        pixels, reports = tiny_pixels(2, seed=step), ["the heart is normal", "no effusion"]
        optimizer.zero_grad()
        model.train()(pixels, reports).loss.backward()
        optimizer.step()
    for name, b in model.trainable_parameters().items():
        if ".lora_B." in name:
            blocks = query_and_value(b)
            assert all(block.count_nonzero() == block.numel() for block in blocks)
            assert b.count_nonzero() == sum(block.numel() for block in blocks)


def test_every_switch_is_in_the_table():
    told = (Path(__file__).parents[2] / "docs" / "original.md").read_text()
    ours, theirs = PRESETS["laptop"], with_original_behaviour("laptop")
    for part in ("vision", "mapper", "target", "optim", "decoding", "lora"):
        for field in fields(getattr(ours, part)):
            if getattr(getattr(ours, part), field.name) != getattr(getattr(theirs, part), field.name):
                assert f"`{part}.{field.name}`" in told, field.name


def test_on_the_command_line(monkeypatch):
    made = []

    class Stop(Exception):
        pass

    def from_preset(preset, mode):
        made.append(preset)
        raise Stop

    monkeypatch.setattr(R2GenGPT, "from_preset", from_preset)
    monkeypatch.setattr(train_command, "studies_of", lambda args: [])
    monkeypatch.setattr("r2gen_lib.simulation.render.draw_simulated", lambda studies, views: False)
    for line, name in (("train", "laptop"), ("train --original-behaviour", "laptop_original")):
        with pytest.raises(Stop):
            cli.main([*line.split(), "--profile", "ci"])
        assert made[-1].name == name
