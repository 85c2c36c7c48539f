"""The shipped finding head is used behind the encoder that it was fitted to, and behind no other."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_system import tiny_language, tiny_model

from r2gen_lib.assets import repository_data
from r2gen_lib.config import PRESETS, LoraConfig
from r2gen_lib.findings.finding import LEARNT_NAMES
from r2gen_lib.model import finding_head
from r2gen_lib.model.finding_head import finding_head_of, finding_logits
from r2gen_lib.model.r2gengpt import R2GenGPT

WEIGHTS = "weights/vision_laptop.safetensors"
LAPTOP = replace(PRESETS["laptop"], language=replace(PRESETS["laptop"].language, dtype="float32"))


def laptop(mode="shallow", preset=LAPTOP, **options):
    return R2GenGPT.from_preset(preset, mode, language=tiny_language(), device="cpu", **options)


@pytest.mark.parametrize("mode", ["shallow", "delta", "deep"])
def test_the_laptops_encoder_has_a_head(mode, tmp_path):
    assert finding_head_of(laptop(mode)) is not None
    copy = shutil.copy(repository_data(WEIGHTS), tmp_path / "mine.safetensors")  # the same, from another place
    assert finding_head_of(laptop(mode, vision_weights=copy)) is not None


@pytest.mark.parametrize("mode", ["shallow", "delta", "deep"])
def test_another_encoder_under_the_laptops_name_has_none(mode):
    model = laptop(mode, vision_weights=None)
    assert model.preset.vision.weights == WEIGHTS and finding_head_of(model) is None
    assert np.isnan(finding_logits(model, torch.randn(2, 49, model.vision.width))).all()


def test_one_changed_value_is_another_encoder():
    model = laptop("delta", replace(LAPTOP, lora=LoraConfig(4, 4)))
    with torch.no_grad():
        model.vision.swin.norm.weight[0] += 1e-2
    assert finding_head_of(model) is None


def test_an_encoder_of_another_shape_has_none():
    assert finding_head_of(tiny_model()) is None


def test_what_was_added_after_the_head_was_fitted_is_unknown_and_the_rest_as_before(monkeypatch):
    model = laptop()
    features = torch.randn(2, 49, model.vision.width)
    before = finding_logits(model, features)
    monkeypatch.setattr(finding_head, "FINDING_NAMES", (*finding_head.FINDING_NAMES, "Fungus Ball"))
    after = finding_logits(model, features)
    known = len(LEARNT_NAMES)
    assert np.array_equal(after[:, :known], before[:, :known]) and not np.isnan(before[:, :known]).any()
    assert after.shape[1] > known and np.isnan(after[:, known:]).all()
