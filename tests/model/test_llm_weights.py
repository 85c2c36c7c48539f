"""Language models whose files do not fit: an error that lists the tensors, and never random values."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_languages import in_front_of, load_tiny, save_tiny
from tiny_system import TINY

from r2gen_lib.config import LanguageConfig, LoraConfig
from r2gen_lib.errors import AssetError, CheckpointError, R2GenError
from r2gen_lib.model.checkpoint import load_trainable
from r2gen_lib.model.llm import checksum, load_language

CASES = Path(__file__).parents[1] / "cases"
PLAIN = CASES / "llm_prefixed_keys" / "plain"
WORDS = torch.arange(5, 30).unsqueeze(0)


def load(folder):
    return load_language(LanguageConfig(str(folder), "float32"))


def logits(language):
    with torch.no_grad():
        return language.model(WORDS).logits


def changed(folder, change=lambda tensors: tensors, kind="safetensors", **config):
    """A copy of the plain model with other tensors, another format, or other fields in its config."""
    shutil.copytree(PLAIN, folder)
    tensors = change(load_file(folder / "model.safetensors"))
    (folder / "model.safetensors").unlink()
    if kind == "bin":
        torch.save(tensors, folder / "pytorch_model.bin")
    elif kind == "shards":
        names = sorted(tensors)
        place = {name: f"model-{1 + (i >= 10):05}-of-00002.safetensors" for i, name in enumerate(names)}
        for file in set(place.values()):
            part = {name: tensors[name] for name in names if place[name] == file}
            save_file(part, folder / file, metadata={"format": "pt"})
        index = {"metadata": {"total_size": 1}, "weight_map": place}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    else:
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    fields = json.loads((folder / "config.json").read_text()) | config
    (folder / "config.json").write_text(json.dumps(fields))
    return folder


def without(*ends):
    return lambda tensors: {name: t for name, t in tensors.items() if not name.endswith(ends)}


def prefixed(prefix):
    return lambda tensors: {prefix + name: t for name, t in tensors.items()}


def plus(name, tensor):
    return lambda tensors: tensors | {name: tensor}


@pytest.mark.parametrize(
    "folder, said",
    [
        ("module_prefix", "missing: lm_head.weight, .*unexpected: module.lm_head.weight.*Take 'module.' off"),
        ("one_tensor_missing", "missing: model.layers.1.mlp.down_proj.weight. .*random"),
        ("fewer_layers_than_file", "unexpected: model.layers.1.input_layernorm.weight, "),
    ],
)
def test_the_cases(folder, said):
    with pytest.raises(AssetError, match=f"(?s)language model .*{folder}.*{said}"):
        load(CASES / "llm_prefixed_keys" / folder)


@pytest.mark.parametrize("kind", ["safetensors", "shards", "bin"])
def test_every_format_is_read_strictly(kind, tmp_path):
    whole = load(changed(tmp_path / "whole", kind=kind))
    assert whole.identity == load(PLAIN).identity
    with pytest.raises(AssetError, match="missing: model.norm.weight"):
        load(changed(tmp_path / "less", without("model.norm.weight"), kind))
    with pytest.raises(AssetError, match="Take 'base_model.model.' off"):
        load(changed(tmp_path / "peft", prefixed("base_model.model."), kind))


@pytest.mark.parametrize(
    "change, config, said",
    [
        (prefixed("_orig_mod."), {}, "Take '_orig_mod.' off"),
        (without("lm_head.weight"), {}, "missing: lm_head.weight"),
        (plus("model.norm.weight", torch.ones(25)), {}, r"shape: model.norm.weight \(25,\), expected \(24,\)"),
        (dict, {"vocab_size": 300}, r"lm_head.weight \(259, 24\), expected \(300, 24\), model.embed_tokens"),
        (dict, {"num_hidden_layers": 3}, "missing: model.layers.2.input_layernorm.weight"),
        (dict, {"attention_bias": True}, "missing: model.layers.0.self_attn.k_proj.bias"),
        (plus("model.layers.0.self_attn.q_proj.bias", torch.ones(24)), {}, "unexpected: .*q_proj.bias.*left out"),
        (plus("v_head.summary.weight", torch.ones(1, 24)), {}, "unexpected: v_head.summary.weight"),
    ],
)
def test_what_does_not_fit_is_listed(change, config, said, tmp_path):
    with pytest.raises(AssetError, match=said):
        load(changed(tmp_path / "llm", change, **config))


def test_what_may_be_absent_or_left_over(tmp_path):
    """A head that is the embeddings, frequencies that are computed, a body saved without its prefix."""
    tied = load(changed(tmp_path / "tied", without("lm_head.weight"), tie_word_embeddings=True))
    assert tied.model.lm_head.weight is tied.model.model.embed_tokens.weight
    frequencies = plus("model.layers.0.self_attn.rotary_emb.inv_freq", torch.ones(3))
    assert load(changed(tmp_path / "old", frequencies)).identity == load(PLAIN).identity
    gpt2 = save_tiny("gpt2", tmp_path)
    tensors = load_file(gpt2 / "model.safetensors")
    mask = {"transformer.h.0.attn.bias": torch.ones(1, 1, 4, 4), "transformer.h.0.attn.masked_bias": torch.tensor(-1e4)}
    before = load(gpt2).identity
    save_file(tensors | mask, gpt2 / "model.safetensors", metadata={"format": "pt"})
    assert load(gpt2).identity == before


@pytest.fixture
def adapter(tmp_path):
    """The base's folder, and a function that makes the adapter's folder with other fields in its config."""

    def make(name="adapter", change=lambda tensors: tensors, **fields):
        folder = tmp_path / name
        shutil.copytree(CASES / "llm_adapter_same_fingerprint" / "with_adapter", folder)
        file = folder / "adapter_config.json"
        base = CASES / "llm_adapter_same_fingerprint" / "plain"
        config = json.loads(file.read_text()) | {"base_model_name_or_path": str(base)} | fields
        file.write_text(json.dumps(config))
        tensors = change(load_file(folder / "adapter_model.safetensors"))
        save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
        return folder

    return CASES / "llm_adapter_same_fingerprint" / "plain", make


def test_an_adapter_is_part_of_the_fingerprint(adapter, tmp_path):
    base, make = adapter
    folders = [
        base,
        make("one"),
        make("louder", lora_alpha=8),
        make("other", lambda tensors: {name: -t if "lora_B" in name else t for name, t in tensors.items()}),
    ]
    models = [load(folder) for folder in folders]
    texts = [logits(model) for model in models]
    assert len({model.identity for model in models}) == 4
    assert not any(torch.allclose(a, b, atol=1e-3) for i, a in enumerate(texts) for b in texts[:i])
    assert load(make("again")).identity == models[1].identity == f"tensors-sha256:{checksum(models[1].model)}"
    trained = in_front_of(models[0])
    trained.save_trainable(tmp_path / "checkpoint")
    with pytest.raises(CheckpointError, match="language is .*trained in front of other weights"):
        load_trainable(in_front_of(models[1]), tmp_path / "checkpoint")


def test_an_adapter_stays_as_it_is_in_training(adapter):
    _, make = adapter
    language = load(make(lora_dropout=0.5))
    assert not any(p.requires_grad for p in language.model.parameters())
    model = in_front_of(language)
    before = model.llm_checksum()
    arguments = dict(features=torch.randn(2, 16, 16), reports=["heart", "no fluid"])
    loss = model(**arguments).loss.item()
    assert model.train()(**arguments).loss.item() == loss  # its dropout is off
    assert all(name.startswith("mapper.") for name in model.trainable_parameters())
    assert model.llm_checksum() == before
    with pytest.raises(R2GenError, match="language_lora: .*adapter of its own.*merge_and_unload"):
        in_front_of(language, language_lora=LoraConfig(2, 4))


def test_our_own_lora_is_not_part_of_the_fingerprint(tmp_path):
    language = load_tiny("llama", tmp_path)
    model = in_front_of(language, language_lora=LoraConfig(2, 4))
    with torch.no_grad():
        for name, parameter in model.language.named_parameters():
            if ".lora_B." in name:
                parameter.add_(1.0)
    assert f"tensors-sha256:{model.llm_checksum()}" == language.identity
    assert TINY.language_lora is None


@pytest.mark.parametrize(
    "change, fields, said",
    [
        (without("layers.1.self_attn.q_proj.lora_B.weight"), {}, "missing: .*layers.1.self_attn.q_proj.lora_B"),
        (dict, {"target_modules": ["q_proj", "v_proj"]}, "missing: .*layers.0.self_attn.v_proj.lora_A"),
        (dict, {"target_modules": ["v_proj"]}, "unexpected: .*layers.0.self_attn.q_proj.lora_A"),
        (dict, {"r": 3}, "lora_A"),
        (dict, {"peft_type": "VERA"}, "peft_type='VERA', expected LORA or IA3"),
        (dict, {"base_model_name_or_path": None}, "base_model_name_or_path=None"),
        (dict, {"base_model_name_or_path": str(CASES / "llm_prefixed_keys" / "module_prefix")}, "Take 'module.' off"),
    ],
)
def test_an_adapter_that_does_not_fit(change, fields, said, adapter):
    _, make = adapter
    with pytest.raises(AssetError, match=said):
        load(make("adapter", change, **fields))


def test_a_folder_with_both(adapter):
    base, make = adapter
    folder = make()
    shutil.copy(base / "config.json", folder)
    with pytest.raises(AssetError, match="a whole model .* and an adapter"):
        load(folder)
