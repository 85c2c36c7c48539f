"""fp16, quantisation, checkpointed layers, attention and hub weights: what can be shown without a GPU or a network."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import ModuleType

import pytest
import timm
import torch
from tiny_system import TINY, tiny_language, tiny_model, tiny_pixels

from r2gen_lib.config import PRESETS, VisionConfig
from r2gen_lib.errors import AssetError, R2GenError
from r2gen_lib.model import llm as language
from r2gen_lib.model import memory_saving as low_memory
from r2gen_lib.model.encoder import VisionEncoder, load_vision_weights
from r2gen_lib.model.llm import choose_dtype, load_language
from r2gen_lib.model.memory_saving import checkpointed, choose_attention, quantization_options
from r2gen_lib.model.r2gengpt import R2GenGPT

REPORTS = ["the heart is normal", "mild cardiomegaly . left pleural effusion ."]
CHECKPOINTING = replace(TINY.language, gradient_checkpointing=True)


def gradients(model: R2GenGPT, device: str = "cpu") -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    model.train()(tiny_pixels(), REPORTS).loss.backward()
    return {name: p.grad for name, p in model.trainable_parameters().items()}


@pytest.mark.parametrize("mode", ["shallow", "delta", "deep"])
def test_checkpointed_gradients_are_the_same(mode):
    plain, checkpointing = tiny_model(mode), tiny_model(mode, language=CHECKPOINTING)
    expected, found = gradients(plain), gradients(checkpointing)
    for name, gradient in expected.items():
        assert (found[name] - gradient).norm() < 1e-5 * max(gradient.norm(), 1e-2), name
    assert checkpointing.llm_checksum() == plain.llm_checksum()


def kept_bytes(model: R2GenGPT) -> int:
    """Bytes that autograd keeps for the backward pass, parameters aside."""
    kept: dict[int, int] = {}
    parameters = {p.untyped_storage().data_ptr() for p in model.parameters()}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = model.train()(tiny_pixels(), REPORTS).loss
    loss.backward()
    return sum(kept.values())


def test_checkpointing_keeps_far_less_for_the_backward_pass():
    assert kept_bytes(tiny_model(language=CHECKPOINTING)) < 0.4 * kept_bytes(tiny_model())


def test_checkpointing_leaves_the_frozen_model_as_it_was():
    model = tiny_model(language=CHECKPOINTING)
    gradients(model)
    assert not any(module.training for module in model.language.modules())
    seen = []
    model.language.model.layers[0].self_attn.register_forward_hook(lambda module, *_: seen.append(module.training))
    gradients(model)
    assert seen and not any(seen)  # the layer is flagged, its dropout is not


def test_a_language_model_is_shared_by_models_that_differ_in_checkpointing():
    shared = tiny_language()
    models = [
        R2GenGPT.from_preset(replace(TINY, language=one), vision_weights=None, language=shared, device="cpu").train()
        for one in (TINY.language, CHECKPOINTING)
    ]
    losses = [model(tiny_pixels(), REPORTS).loss.item() for model in (*models, models[0])]
    assert losses[0] == losses[2] == pytest.approx(losses[1], rel=1e-5)


def test_what_cannot_be_checkpointed_says_so():
    with pytest.raises(R2GenError, match="Linear has no layer that transformers can checkpoint"):
        with checkpointed(torch.nn.Linear(2, 2)):
            pass


def test_fp16_gradients_are_those_of_fp32(monkeypatch):
    def mapper_gradient(dtype: torch.dtype, scale: float) -> torch.Tensor:
        monkeypatch.setattr("r2gen_lib.model.r2gengpt.GRADIENT_SCALE", scale)
        lm = tiny_language()
        lm.model.to(dtype)
        model = R2GenGPT.from_preset(TINY, vision_weights=None, language=lm, device="cpu")
        out = model.train()(tiny_pixels(), REPORTS)
        (out.loss * loss_share).backward()
        assert out.loss.dtype == torch.float32 and model.mapper.proj.weight.dtype == torch.float32
        return model.mapper.proj.weight.grad / loss_share

    loss_share = 1e-4  # as in a long report of a large model, where single gradients are this small
    exact = mapper_gradient(torch.float32, 1024.0)
    scaled, unscaled = (mapper_gradient(torch.float16, scale) for scale in (1024.0, 1.0))
    error = lambda found: ((found - exact).norm() / exact.norm()).item()  # noqa: E731
    assert error(scaled) < 0.02
    assert error(unscaled) > 10 * error(scaled)  # so the scale is needed


def test_half_is_fp16_on_cuda_without_bf16_alone(monkeypatch):
    for bf16, expected in ((True, torch.bfloat16), (False, torch.float16)):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda bf16=bf16, **_: bf16)
        assert choose_dtype("half", "cuda") == expected
    assert choose_dtype("auto", "cuda") == torch.float32  # fp16 is never chosen for who did not ask
    monkeypatch.setattr(language, "bf16_instructions", lambda: ())
    assert choose_dtype("half", "cpu") == torch.float32


def test_attention_auto(monkeypatch):
    half = torch.bfloat16
    assert choose_attention("auto", half, "cpu") == "eager" and choose_attention("sdpa", half, "cpu") == "sdpa"
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    assert choose_attention("auto", half, "cuda") == "sdpa"
    monkeypatch.setattr(low_memory, "find_spec", lambda name: object())
    assert choose_attention("auto", half, "cuda") == "flash_attention_2"
    assert choose_attention("auto", torch.float32, "cuda") == "sdpa"
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))  # a T4
    assert choose_attention("auto", half, "cuda") == "sdpa"


def test_quantisation_is_refused_where_it_cannot_be(monkeypatch):
    assert quantization_options(None, torch.bfloat16, "cpu") == {}
    with pytest.raises(R2GenError, match="language.quantization: found '2bit', expected '8bit' or '4bit'"):
        replace(PRESETS["laptop"].language, quantization="2bit")
    with pytest.raises(R2GenError, match="needs a CUDA GPU, found device 'cpu'"):
        load_language(replace(PRESETS["laptop"].language, quantization="4bit"), "cpu")
    monkeypatch.setattr(low_memory, "find_spec", lambda name: None)
    with pytest.raises(R2GenError, match="pip install bitsandbytes"):
        quantization_options("8bit", torch.bfloat16, "cuda")


@pytest.mark.parametrize("quantization, expected", [("8bit", "load_in_8bit"), ("4bit", "load_in_4bit")])
def test_what_bitsandbytes_is_asked_for(monkeypatch, quantization, expected):
    stub = ModuleType("bitsandbytes")
    stub.__spec__ = type(sys.__spec__)("bitsandbytes", None)
    monkeypatch.setitem(sys.modules, "bitsandbytes", stub)
    monkeypatch.setattr("importlib.metadata.version", lambda name: "0.49.0")
    options = quantization_options(quantization, torch.float16, "cuda:1")
    assert options["device_map"] == {"": torch.device("cuda:1")}
    config = options["quantization_config"]
    assert getattr(config, expected)
    if quantization == "4bit":
        assert config.bnb_4bit_quant_type == "nf4" and config.bnb_4bit_use_double_quant
        assert config.bnb_4bit_compute_dtype == torch.float16


def test_a_quantised_model_is_named_so(monkeypatch):
    asked = {}

    def from_pretrained(folder, **options):
        asked.update(options)
        return tiny_language().model, {"missing_keys": [], "unexpected_keys": [], "mismatched_keys": []}

    monkeypatch.setattr(language, "quantization_options", lambda *_: {"quantization_config": "4", "device_map": "d"})
    monkeypatch.setattr(language.AutoModelForCausalLM, "from_pretrained", from_pretrained)
    monkeypatch.setattr(language.AutoTokenizer, "from_pretrained", lambda folder: None)
    loaded = load_language(replace(TINY.language, quantization="4bit"))
    assert loaded.identity.endswith("+4bit")
    assert asked["quantization_config"] == "4" and asked["device_map"] == "d"


def test_hub_weights_offline_say_what_to_do():
    encoder = VisionEncoder(TINY.vision)
    with pytest.raises(AssetError, match="timm:ms_in1k of swin_tiny.*HF_HUB_OFFLINE.*ms_in22k"):
        load_vision_weights(encoder, "timm:ms_in1k")
    with pytest.raises(AssetError, match="Invalid pretrained tag"):
        load_vision_weights(encoder, "timm:nothing")


def test_hub_weights_of_a_model_without_a_picture_size_fail_for_the_hub_alone():
    with pytest.raises(AssetError, match="timm:d2_in1k of convnext_atto") as told:
        load_vision_weights(VisionEncoder(VisionConfig("convnext_atto", 64)), "timm:d2_in1k")
    assert "img_size" not in str(told.value) and "Tags timm has for it: d2_in1k" in str(told.value)


@pytest.mark.parametrize("name", ["convnext_atto", "resnet18", "tinynet_e"])
def test_hub_weights_of_convolutional_models_are_read(name, monkeypatch):
    create = timm.create_model

    def pretrained(name, pretrained, **options):
        torch.manual_seed(7)
        return create(name, pretrained=False, **options)

    encoder = VisionEncoder(VisionConfig(name, 64))
    monkeypatch.setattr("r2gen_lib.model.timm_weights.timm.create_model", pretrained)
    load_vision_weights(encoder, "timm")
    expected = pretrained(name, True, num_classes=0, global_pool="")
    assert all(torch.equal(p, q) for p, q in zip(encoder.swin.parameters(), expected.parameters(), strict=True))


def test_hub_weights_are_read_strictly(monkeypatch):
    made = []
    create = timm.create_model

    def pretrained(name, pretrained, **options):
        made.append(name)
        torch.manual_seed(7)
        return create(name.partition(".")[0], pretrained=False, **options)

    encoder = VisionEncoder(TINY.vision)
    monkeypatch.setattr("r2gen_lib.model.timm_weights.timm.create_model", pretrained)
    for weights, name in (("timm:ms_in1k", "swin_tiny_patch4_window7_224.ms_in1k"), ("timm", TINY.vision.model_name)):
        load_vision_weights(encoder, weights)
        assert made[-1] == name
        expected = pretrained(name, True, img_size=32, num_classes=0, global_pool="", **TINY.vision.model_kwargs)
        assert all(torch.equal(p, q) for p, q in zip(encoder.swin.parameters(), expected.parameters(), strict=True))
