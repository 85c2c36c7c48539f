"""Any encoder: random tiny timm models of many families, in front of the tiny language model."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny_system import TINY, tiny_model

from r2gen_lib.config import LoraConfig, VisionConfig
from r2gen_lib.errors import R2GenError
from r2gen_lib.model.encoder import VisionEncoder, token_count
from r2gen_lib.model.modes import inject_lora, parameter_table

_VIT = dict(patch_size=8, embed_dim=16, depth=2, num_heads=2)
_SWIN = dict(patch_size=4, window_size=2, embed_dim=8, depths=(1, 2), num_heads=(1, 2))
_CONV = dict(depths=(1, 1, 1, 1), dims=(4, 8, 8, 16))
FAMILIES = {  # name: (model, its arguments, picture, layout of its features, tokens before the patches, patches, LoRA)
    "swin": ("swin_tiny_patch4_window7_224", _SWIN, 32, "NHWC", 0, 16, ()),
    "swin v2": ("swinv2_tiny_window8_256", _SWIN, 32, "NHWC", 0, 16, ("attn.proj",)),
    "vit": ("vit_tiny_patch16_224", _VIT, 32, "NLC", 1, 16, ()),
    "vit with registers": ("vit_tiny_patch16_224", _VIT | dict(reg_tokens=3), 32, "NLC", 4, 16, ()),
    "deit": ("deit_tiny_distilled_patch16_224", _VIT, 32, "NLC", 2, 16, ()),
    "beit": ("beit_base_patch16_224", _VIT, 32, "NLC", 1, 16, ("mlp.fc1", "mlp.fc2")),
    "eva": ("eva02_tiny_patch14_224", _VIT, 32, "NLC", 1, 16, ("attn.proj",)),
    "convnext": ("convnext_atto", _CONV, 64, "NCHW", 0, 4, ("mlp.fc1", "mlp.fc2")),
    "resnet": ("resnet18", dict(layers=(1, 1, 1, 1), channels=(8, 8, 8, 16)), 64, "NCHW", 0, 4, ("conv2",)),
    "efficientnet": ("tinynet_e", {}, 64, "NCHW", 0, 4, ("conv_pwl",)),
    "maxvit": ("maxvit_rmlp_pico_rw_256", dict(embed_dim=(32,) * 4, depths=(1,) * 4), 64, "NCHW", 0, 4, ()),
    "mambaout": ("mambaout_femto", _CONV, 64, "NHWC", 0, 4, ("fc1", "fc2")),
}


def config_of(family: str) -> VisionConfig:
    name, arguments, size = FAMILIES[family][:3]
    return VisionConfig(name, size, arguments)


def pixels_of(family: str, views: int = 1) -> torch.Tensor:
    size = FAMILIES[family][2]
    return torch.randn(2, views, 3, size, size, generator=torch.Generator().manual_seed(0))


@pytest.fixture(params=FAMILIES)
def family(request):
    return request.param


def test_tokens_are_the_places_of_the_feature_map_row_by_row(family):
    layout, prefix, count = FAMILIES[family][3:6]
    encoder, pixels = VisionEncoder(config_of(family)).eval(), pixels_of(family, views=2)
    with torch.no_grad():
        maps = encoder.swin.forward_features(pixels[:, 0])
        other = encoder.swin.forward_features(pixels[:, 1])
        tokens = encoder(pixels)
    assert tokens.shape == (2, count, encoder.width) and token_count(encoder) == count
    mean = (maps + other) / 2
    for n in range(count):
        row, column = divmod(n, int(count**0.5))
        place = {"NCHW": (1, ..., row, column), "NHWC": (1, row, column), "NLC": (1, prefix + n)}[layout]
        assert torch.allclose(tokens[1, n], mean[place], atol=1e-5)


@pytest.mark.parametrize("mode", ["shallow", "delta", "deep"])
def test_it_learns_in_every_mode(family, mode):
    lora = LoraConfig(2, 4, 0.1, FAMILIES[family][-1])
    model = tiny_model(mode, vision=config_of(family), lora=lora).train()
    for parameter in model.vision.parameters():
        if parameter.ndim == 1 and not parameter.any():  # a branch that begins as nothing, as a ResNet's: no gradient
            torch.nn.init.normal_(parameter)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    buffers = {name: b.clone() for name, b in model.named_buffers()}
    optimizer = torch.optim.AdamW(model.trainable_parameters().values(), lr=1e-2)
    for _ in range(2):  # a LoRA's A has no gradient while its B is zero
        optimizer.zero_grad()
        model(pixels_of(family), ["the heart is normal", "no effusion"]).loss.backward()
        optimizer.step()
    changed = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    trainable = {name for name in before if name.startswith("mapper.")}
    trainable |= {n for n in before if n.startswith("vision.") and (mode == "deep" or mode == "delta" and "lora_" in n)}
    assert set(model.trainable_parameters()) == trainable
    unused = {name for name in trainable if model.get_parameter(name).grad is None}
    assert changed == trainable - unused
    assert mode == "deep" or not unused
    assert all(name.startswith(("vision.swin.head", "vision.swin.fc_norm")) for name in unused)
    assert all(torch.equal(b, buffers[name]) for name, b in model.named_buffers())  # statistics of batch norm
    assert parameter_table(model.preset).loc[mode, "trainable"] == sum(before[name].numel() for name in trainable)


def test_every_token_has_its_place_in_the_prompt(family):
    model = tiny_model(vision=config_of(family), mapper=replace(TINY.mapper, bias=True))
    assert model.mapper.token_bias.shape[0] == FAMILIES[family][5]
    assert len(model.generate(pixels_of(family))) == 2


@pytest.mark.parametrize("family, message", [
    ("convnext", 'no layer called \'qkv\'.*LoraConfig.target to some of: .*"mlp.fc1"'),
    ("swin v2", "reads the weights of layers.0.blocks.0.attn.qkv without calling.*attn.proj"),
    ("beit", "reads the weights of blocks.0.attn.qkv"),
])  # fmt: skip
def test_delta_says_what_to_put_a_lora_on(family, message):
    with pytest.raises(R2GenError, match=message):
        inject_lora(VisionEncoder(config_of(family)), TINY.lora)


@pytest.mark.parametrize("name", ["pit_ti_224", "efficientvim_m1"])
def test_models_without_tokens(name):
    encoder = VisionEncoder(VisionConfig(name, 224)).eval()
    with pytest.raises(R2GenError, match=f"{name}.*gives no visual tokens"):
        encoder(torch.zeros(1, 1, 3, 224, 224))


def test_arguments_that_a_model_does_not_take():
    with pytest.raises(R2GenError, match="resnet18.*img_size"):
        VisionEncoder(VisionConfig("resnet18", 32, dict(img_size=32)))
    with pytest.raises(R2GenError, match="resnet18.*colour"):
        VisionEncoder(VisionConfig("resnet18", 32, dict(colour="grey")))
    with pytest.raises(R2GenError, match="vision: found image_size=32, model_kwargs img_size=64, expected one number"):
        VisionEncoder(replace(TINY.vision, model_kwargs={"img_size": 64}))


@pytest.mark.parametrize(
    ("name", "left_out"),
    [
        ("convnext_atto", "img_size"),
        ("mambaout_femto", "img_size"),  # timm does not say of which class it is
        ("deit_tiny_distilled_patch16_224", 'global_pool=""'),
        ("vit_tiny_patch16_224", None),
    ],
)
def test_which_of_our_arguments_a_model_has_no_use_for_is_said(name, left_out, caplog):
    caplog.set_level("INFO", logger="r2gen_lib")
    arguments, size = next((arguments, size) for model, arguments, size, *_ in FAMILIES.values() if model == name)
    VisionEncoder(VisionConfig(name, size, arguments))
    assert [f"made without {left_out}" in said for said in caplog.messages] == ([True] if left_out else [])
