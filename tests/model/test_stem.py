"""The convolutional stem in front of the laptop preset's Swin."""

from __future__ import annotations

from dataclasses import replace

import pytest
import timm
import torch

from r2gen_lib.assets import asset
from r2gen_lib.config import PRESETS
from r2gen_lib.errors import R2GenError
from r2gen_lib.model.encoder import VisionEncoder, make_timm
from r2gen_lib.model.modes import prepare_mode, set_training
from r2gen_lib.model.stem import ConvolutionalStem
from r2gen_lib.training.pretraining.encoder import put_imagenet_stem

VISION = PRESETS["laptop"].vision


def test_it_gives_a_vector_for_each_patch_and_the_swin_forty_nine_tokens():
    swin = make_timm(VISION)
    pixels = torch.randn(2, 3, 224, 224)
    assert swin.patch_embed(pixels).shape == (2, 14, 14, 192)
    assert swin.forward_features(pixels).shape == (2, 7, 7, 384)


def test_it_starts_as_efficientnets_own_first_stages():
    swin = make_timm(VISION)
    put_imagenet_stem(swin)
    whole = timm.create_model("efficientnet_lite0", pretrained=False).eval()
    stored = torch.load(asset("efficientnet_lite0"), map_location="cpu", weights_only=True)
    whole.load_state_dict(dict(zip(whole.state_dict(), stored.values(), strict=True)))
    pixels = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = whole.blocks[:5](whole.bn1(whole.conv_stem(pixels)))
        stem = swin.patch_embed
        found = stem.cnn.forward_intermediates(pixels, indices=[stem.stage], intermediates_only=True)[0]
    assert torch.allclose(found, expected, atol=1e-4)


def test_its_statistics_stay_in_deep_mode_and_its_weights_learn():
    encoder = VisionEncoder(VISION)
    prepare_mode(encoder, torch.nn.Linear(1, 1), "deep", PRESETS["laptop"].lora)
    set_training(encoder, "deep", True)
    buffers = {name: buffer.clone() for name, buffer in encoder.named_buffers()}
    encoder(torch.randn(2, 1, 3, 224, 224)).square().mean().backward()
    assert all(torch.equal(buffer, buffers[name]) for name, buffer in encoder.named_buffers())
    assert encoder.swin.patch_embed.cnn.conv_stem.weight.grad.abs().sum() > 0


def test_arguments_that_it_has_no_use_for_are_refused():
    with pytest.raises(R2GenError, match="in_chans 1, output_fmt NHWC: the stem takes 3 channels"):
        make_timm(replace(VISION, model_kwargs=VISION.model_kwargs | {"in_chans": 1}))
    with pytest.raises(TypeError, match="patchsize"):
        ConvolutionalStem("efficientnet_lite0", 224, 16, 192, patchsize=8)


def test_a_patch_that_no_stage_has_is_refused():
    kwargs = VISION.model_kwargs | {"patch_size": 12}
    with pytest.raises(R2GenError, match=r"patch_size 12: the stages of efficientnet_lite0 have \[2, 4, 8, 16, 32\]"):
        make_timm(replace(VISION, model_kwargs=kwargs))
