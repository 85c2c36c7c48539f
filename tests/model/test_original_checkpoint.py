"""A .pth of the public code into our model, from tests/parity's and from files made here to be refused."""

from __future__ import annotations

import argparse
import json
import os
import pickle
import sys
import types
import zipfile
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_system import TINY, tiny_language, tiny_model, tiny_pixels
from torch import nn

from r2gen_lib import cli
from r2gen_lib.commands import convert as convert_command
from r2gen_lib.config import MODES
from r2gen_lib.config.original_behaviour import with_original_behaviour
from r2gen_lib.errors import CheckpointError, R2GenError
from r2gen_lib.model.encoder import VisionEncoder, load_vision_weights
from r2gen_lib.model.modes import is_lora, make_mapper, prepare_mode
from r2gen_lib.model.original.file import read_original
from r2gen_lib.model.original.load import load_original_checkpoint
from r2gen_lib.model.original.tensor_names import original_names, original_shapes
from r2gen_lib.model.r2gengpt import R2GenGPT

PARITY = Path(__file__).parents[1] / "parity"
PRESET = replace(TINY, lora=replace(TINY.lora, query_value=True))
CONFIG = {
    "vision_model": "microsoft/swin-tiny-patch4-window7-224",
    "llama_model": "someone/tiny",
    "vis_r": 2,
    "vis_alpha": 4,
    "lora_dropout": 0.1,
    "end_sym": "</s>",
    "global_only": False,
    "llm_use_lora": False,
}


class AttributeDict(dict):
    """As Lightning's: pickled under the name of a module that is not there when the file is read."""


@pytest.fixture
def save(tmp_path, monkeypatch):
    """Write a file as the original's ``save_checkpoint`` does; the fake Lightning is gone again afterwards."""

    def write(tensors, config=CONFIG, module="lightning.pytorch.utilities.parsing", **more) -> Path:
        path = tmp_path / "checkpoint.pth"
        with monkeypatch.context() as patch:
            for i in range(len(module.split("."))):
                patch.setitem(sys.modules, ".".join(module.split(".")[: i + 1]), types.ModuleType("fake"))
            sys.modules[module].AttributeDict = AttributeDict
            patch.setattr(AttributeDict, "__module__", module)
            saved = {"model": OrderedDict(tensors), "epoch": 3, "step": 40, **more}
            settings = {} if config is None else {"config": AttributeDict(config) if type(config) is dict else config}
            torch.save(saved | settings, path)
        return path

    return write


def their_tensors(model: R2GenGPT) -> dict[str, torch.Tensor]:
    """What the original would save of a model like this, made by taking ours apart by hand."""
    tensors = {}
    for name, parameter in model.trainable_parameters().items():
        data, parts = parameter.detach().clone(), original_names(name)
        if ".lora_A." in name:
            pieces = [data[:2], data[2:]]
        elif ".lora_B." in name:
            width = data.shape[0] // 3
            pieces = [data[:width, :2], data[2 * width :, 2:]]
        elif len(parts) == 3:
            pieces = data.tensor_split(3)
        else:
            pieces = [data]
        tensors |= {part: piece.clone() for part, piece in zip(parts, pieces, strict=True)}
    if model.mode != "delta":
        return tensors
    return {n.replace("visual_encoder.", "visual_encoder.base_model.model."): t for n, t in tensors.items()}


def trained(mode: str) -> R2GenGPT:
    model = tiny_model(mode, lora=PRESET.lora)
    with torch.no_grad():
        for name, parameter in model.trainable_parameters().items():
            if ".lora_B." in name:
                width = parameter.shape[0] // 3
                parameter[:width, :2].normal_()
                parameter[2 * width :, 2:].normal_()
            else:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


def from_original(path, encoder: VisionEncoder, tmp_path, **options) -> R2GenGPT:
    weights = tmp_path / "swin.safetensors"
    frozen = {n.replace(".base_layer", ""): p for n, p in encoder.swin.state_dict().items() if not is_lora(n)}
    save_file(frozen, weights)
    return R2GenGPT.from_original(path, TINY, vision_weights=weights, language=tiny_language(), device="cpu", **options)


@pytest.mark.parametrize("mode", ["shallow", "delta", "deep"])
def test_the_mode_the_lora_and_every_tensor_are_the_files(mode, save, tmp_path):
    model = trained(mode)
    again = from_original(save(their_tensors(model)), model.vision, tmp_path)
    assert again.mode == mode
    assert mode != "delta" or again.preset.lora == PRESET.lora
    for name, parameter in model.trainable_parameters().items():
        assert torch.equal(again.trainable_parameters()[name], parameter), name
    assert torch.equal(again.visual_tokens(tiny_pixels()), model.visual_tokens(tiny_pixels()))


def test_merged_it_computes_the_same_without_a_lora(save, tmp_path):
    model = trained("delta")
    merged = from_original(save(their_tensors(model)), model.vision, tmp_path, merge_lora=True)
    assert merged.mode == "deep" and not any(is_lora(name) for name, _ in merged.named_parameters())
    assert all(p.requires_grad for p in merged.vision.parameters())
    torch.testing.assert_close(merged.visual_tokens(tiny_pixels()), model.visual_tokens(tiny_pixels()))
    with pytest.raises(CheckpointError, match="no LoRA to merge"):
        from_original(save(their_tensors(trained("shallow"))), model.vision, tmp_path, merge_lora=True)


def test_our_checkpoint_of_it_goes_round(save, tmp_path):
    model = trained("delta")
    folder = from_original(save(their_tensors(model)), model.vision, tmp_path).save_trainable(tmp_path / "ours")
    again = R2GenGPT.from_trained(
        folder, vision_weights=tmp_path / "swin.safetensors", language=tiny_language(), device="cpu"
    )
    assert torch.equal(again.visual_tokens(tiny_pixels()), model.visual_tokens(tiny_pixels()))


def test_all_that_is_missing_unknown_or_misshapen_is_in_one_error(save):
    model = trained("deep")
    tensors = their_tensors(model)
    block = "visual_encoder.encoder.layers.0.blocks.0."
    del tensors[block + "attention.self.key.weight"], tensors["llama_proj.bias"]
    tensors[block + "attention.self.extra"] = torch.zeros(2)
    tensors["llama_model.model.norm.weight"] = torch.zeros(24)
    tensors["layer_norm.weight"] = torch.zeros(7)
    before = model.mapper.norm.bias.clone()
    with pytest.raises(CheckpointError) as caught:
        load_original_checkpoint(model, save(tensors))
    message = str(caught.value)
    assert f"missing: llama_proj.bias, {block}attention.self.key.weight" in message
    assert f"unknown: llama_model.model.norm.weight, {block}attention.self.extra" in message
    assert "layer_norm.weight (7,), expected (24,)" in message
    assert torch.equal(model.mapper.norm.bias, before)


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("llama_model", "meta-llama/Llama-2-7b-chat-hf", "llama_model 'meta-llama/Llama-2-7b-chat-hf' .*'tiny'"),
        ("vision_model", "microsoft/swin-base-patch4-window7-224", "vision_model .*swin-base"),
        ("global_only", True, "global_only True"),
        ("end_sym", "<end>", "end_sym '<end>' .*'</s>'"),
        ("vis_alpha", 8, "vis_alpha 8 .*4"),
        ("llm_use_lora", True, "llm_use_lora"),
    ],
)
def test_other_settings(setting, value, said, save):
    model = trained("delta")
    path = save(their_tensors(model), CONFIG | {setting: value})
    with pytest.raises(CheckpointError, match=said):
        load_original_checkpoint(model, path)
    if setting != "llm_use_lora":
        load_original_checkpoint(model, path, skip_checks=[setting])
    with pytest.raises(R2GenError, match="skip_checks: found llm_name, expected some of vision_model"):
        load_original_checkpoint(model, path, skip_checks=["llm_name"])


def test_another_mode_or_another_place_of_the_lora(save):
    path = save(their_tensors(trained("delta")))
    with pytest.raises(CheckpointError, match="what delta mode trains, the model is in shallow mode"):
        load_original_checkpoint(tiny_model(), path)
    with pytest.raises(CheckpointError, match="on query and value, the model's is on qkv"):
        load_original_checkpoint(tiny_model("delta"), path)


@pytest.mark.parametrize("module", ["pytorch_lightning.utilities.parsing", "lightning.fabric.utilities.data"])
def test_settings_of_other_lightnings(module, save):
    original = read_original(save(their_tensors(tiny_model()), CONFIG | {"weights": [0.5, 0.5]}, module))
    assert original.config == CONFIG | {"weights": [0.5, 0.5]} and original.mode == "shallow"


def test_settings_as_a_namespace(save):
    assert read_original(save(their_tensors(tiny_model()), argparse.Namespace(**CONFIG))).config == CONFIG


@pytest.mark.parametrize("mode", ["shallow", "delta", "deep"])
def test_the_originals_own_files(mode):
    original = read_original(PARITY / mode / "checkpoint.pth")
    weights = load_file(PARITY / mode / "weights.safetensors")
    assert original.mode == mode and original.config["vis_alpha"] == 8 and original.config["end_sym"] == "</s>"
    assert all(torch.equal(tensor, weights[name]) for name, tensor in original.tensors.items())
    assert not {"lightning", "pytorch_lightning"} & set(sys.modules)


class Hostile:
    def __init__(self, function, *arguments) -> None:
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("place", ["config", "model", "epoch"])
def test_a_hostile_pickle_is_refused_and_not_run(place, save, tmp_path):
    mark = tmp_path / "it-was-run"
    tensors = their_tensors(tiny_model())
    attack = Hostile(os.system, f"touch {mark}")
    parts = {
        "config": dict(tensors=tensors, config=CONFIG | {"vision_model": attack}),
        "model": dict(tensors=tensors | {"layer_norm.bias": attack}),
        "epoch": dict(tensors=tensors, hook=attack),
    }
    with pytest.raises(CheckpointError, match=r"its pickle names \w+\.system, expected.*nothing of it was run"):
        load_original_checkpoint(tiny_model(), save(**parts[place]))
    assert not mark.exists()
    pickle.loads(pickle.dumps(attack))  # it works on whoever unpickles it
    assert mark.exists()


@pytest.mark.parametrize("function", [eval, getattr, __import__, torch.load, torch.hub.load])
def test_any_function_is_refused(function, save):
    with pytest.raises(CheckpointError, match=f"its pickle names .*{function.__name__}"):
        read_original(save(their_tensors(tiny_model()), hook=Hostile(function, "x", "y")))


def test_a_hostile_pickle_by_the_names_we_read_is_inert(save, tmp_path):
    """The stand-in for Lightning's type makes a dict of whatever it is given, and is no way to any function."""
    path = save(their_tensors(tiny_model()), Hostile(AttributeDict, [("__class__", "x"), ("update", "y")]))
    load = read_original(path)
    assert load.config == {"__class__": "x", "update": "y"}


def test_files_that_are_something_else(save, tmp_path):
    with pytest.raises(CheckpointError, match="found no file"):
        read_original(tmp_path / "none.pth")
    bare = tmp_path / "bare.pth"
    bare.write_bytes(pickle.dumps({"model": {}}))
    with pytest.raises(CheckpointError, match="not a zip"):
        read_original(bare)
    with zipfile.ZipFile(bare, "w") as archive:
        archive.writestr("notes.txt", "mine")
    with pytest.raises(CheckpointError, match="cannot be (scanned|read)"):
        read_original(bare)
    torch.save(their_tensors(tiny_model()), bare)
    with pytest.raises(CheckpointError, match="no tensors under 'model'"):
        read_original(bare)
    torch.save({"model": {"layer_norm.bias": "text"}}, bare)
    with pytest.raises(CheckpointError, match="no tensors under 'model'"):
        read_original(bare)
    whole = save(their_tensors(tiny_model())).read_bytes()
    for share in (0.3, 0.9):
        bare.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(CheckpointError, match="not a zip, as torch.save writes, or not whole"):
            read_original(bare)


def test_numbers_that_fp16_broke(save):
    tensors = their_tensors(tiny_model())
    tensors["layer_norm.bias"][3] = float("nan")
    with pytest.raises(CheckpointError, match="NaN or infinity in layer_norm.bias"):
        read_original(save(tensors))


def test_a_lora_of_unknown_alpha(save, tmp_path):
    model = trained("delta")
    with pytest.raises(CheckpointError, match="settings lack vis_r, vis_alpha"):
        from_original(save(their_tensors(model), None), model.vision, tmp_path)


def test_a_grid_that_windows_do_not_tile(save):
    model = tiny_model(vision=replace(TINY.vision, image_size=40, model_kwargs=dict(
        patch_size=4, window_size=4, embed_dim=8, depths=(2, 1), num_heads=(1, 2))))  # fmt: skip
    with pytest.raises(CheckpointError, match="grid of .10, 10. tokens isn't a multiple of the window .4, 4."):
        load_original_checkpoint(model, save(their_tensors(model)))


@pytest.mark.parametrize("prefix", ["", "swin."])
def test_a_swin_file_of_transformers(prefix, tmp_path):
    from transformers import SwinConfig, SwinModel

    config = SwinConfig(image_size=32, patch_size=4, window_size=2, embed_dim=8, depths=(2, 2), num_heads=(1, 2))
    theirs = SwinModel(config).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.normal_(std=0.2)
    theirs.save_pretrained(tmp_path)
    tensors = {prefix + name: tensor for name, tensor in load_file(tmp_path / "model.safetensors").items()}
    file = tmp_path / "swin.safetensors"
    save_file(tensors | {"classifier.weight": torch.zeros(3, 16)}, file)
    kwargs = dict(patch_size=4, window_size=2, embed_dim=8, depths=(2, 2), num_heads=(1, 2))
    ours = VisionEncoder(replace(TINY.vision, model_kwargs=kwargs)).eval()
    load_vision_weights(ours, file)
    pixels = tiny_pixels(2, 2)
    with torch.no_grad():
        expected = torch.stack([theirs(pixels[:, view]).last_hidden_state for view in range(2)]).mean(0)
        torch.testing.assert_close(ours(pixels), expected, rtol=1e-5, atol=1e-5)
    save_file(dict(list(tensors.items())[:-2]), file)
    with pytest.raises(CheckpointError, match="missing: "):
        load_vision_weights(ours, file)


def test_the_papers_sizes_under_the_originals_names():
    preset = with_original_behaviour("iu_xray")
    counts = {}
    with torch.device("meta"):
        for mode in MODES:
            encoder = VisionEncoder(preset.vision)
            parts = nn.ModuleDict({"vision": encoder, "mapper": make_mapper(preset, encoder, 4096)})
            prepare_mode(encoder, parts["mapper"], mode, preset.lora)
            shapes = original_shapes({n: p for n, p in parts.named_parameters() if p.requires_grad})
            counts[mode] = sum(torch.Size(shape).numel() for shape in shapes.values())
    assert counts == {"shallow": 4_206_592, "delta": 4_976_640, "deep": 90_949_816}


def test_what_was_read_is_taken_in_place_of_the_file(save, tmp_path):
    model = trained("shallow")
    path = save(their_tensors(model))
    original = read_original(path)
    path.unlink()  # of gigabytes: it is not read a second time
    again = from_original(original, model.vision, tmp_path)
    assert torch.equal(again.visual_tokens(tiny_pixels()), model.visual_tokens(tiny_pixels()))
    with pytest.raises(CheckpointError, match="checkpoint.pth: holds no LoRA to merge"):
        from_original(original, model.vision, tmp_path, merge_lora=True)


def test_convert_on_the_command_line(save, tmp_path, monkeypatch, capsys):
    """A LoRA that was trained in front of another folder's language model, all of it from files."""
    monkeypatch.setattr(convert_command, "PRESETS", {"iu_xray": TINY})
    model, language = trained("delta"), tiny_language()
    language.model.save_pretrained(tmp_path / "llm")
    language.tokenizer.save_pretrained(tmp_path / "llm")
    path = save(their_tensors(model))
    from_original(path, model.vision, tmp_path)  # writes swin.safetensors
    out = tmp_path / "ours"
    line = ["convert", str(path), "--out", str(out), "--language", str(tmp_path / "llm")]
    line += ["--vision-weights", str(tmp_path / "swin.safetensors")]
    assert cli.main(line) == 2
    assert "llama_model 'someone/tiny'" in capsys.readouterr().err and not out.exists()
    assert cli.main([*line, "--skip-check", "llama_model"]) == 0
    assert "delta mode" in capsys.readouterr().out
    again = R2GenGPT.from_trained(out, vision_weights=tmp_path / "swin.safetensors", device="cpu")
    assert torch.equal(again.visual_tokens(tiny_pixels()), model.visual_tokens(tiny_pixels()))
    notes = json.loads((out / "config.json").read_text())["notes"]
    assert notes == {"converted_from": "checkpoint.pth", "original_config": CONFIG}
