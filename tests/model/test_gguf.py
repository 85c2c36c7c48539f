"""Language models from GGUF files of the user's own, here a tiny one written by the gguf package."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from tiny_languages import KINDS, in_front_of, save_tiny, tiny_tokenizer
from transformers import AutoConfig, AutoModelForCausalLM

from r2gen_lib.assets import asset
from r2gen_lib.config import LanguageConfig
from r2gen_lib.errors import AssetError
from r2gen_lib.files import sha256_of
from r2gen_lib.model.llm import _gguf_file, load_language


def write_gguf(folder):
    """A Qwen2 of 2 layers as GGUF, and the transformers model it was written from."""
    model = AutoModelForCausalLM.from_pretrained(save_tiny("qwen2", folder))
    config, tokenizer = model.config, tiny_tokenizer(KINDS["qwen2"])
    path = folder / "tiny.gguf"
    writer = gguf.GGUFWriter(path, "qwen2")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    tokens = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get) + ["ab"]  # a merge must give a token
    model.resize_token_embeddings(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token in tokenizer.all_special_tokens else 1 for token in tokens])
    writer.add_token_merges(["a b"])
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_pad_token_id(tokenizer.pad_token_id)
    writer.add_chat_template(tokenizer.chat_template)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.QWEN2, config.num_hidden_layers)
    for name, parameter in model.named_parameters():
        stem, _, kind = name.rpartition(".")
        writer.add_tensor(f"{names.get_name(stem)}.{kind}", parameter.detach().float().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path, model


def test_a_gguf_file_by_its_path(empty_cache, tmp_path, capsys):
    path, model = write_gguf(tmp_path)
    language = load_language(LanguageConfig(str(path), "float32"))
    assert "Converting tiny.gguf" in capsys.readouterr().out
    expected = {name: p.detach().bfloat16().float() for name, p in model.named_parameters()}
    assert {name: torch.equal(p, expected[name]) for name, p in language.model.named_parameters()} == dict.fromkeys(
        expected, True
    )
    assert language.identity.startswith("gguf-sha256:") and language.tokenizer.eos_token == "<|im_end|>"
    assert len(in_front_of(language).generate(features=torch.randn(2, 16, 16))) == 2

    moved = shutil.move(path, tmp_path / "tiny.GGUF")  # what is cached belongs to the contents
    assert load_language(LanguageConfig(str(moved), "float32")).identity == language.identity
    assert "Converting" not in capsys.readouterr().out


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX modes")
@pytest.mark.parametrize("umask", [0o022, 0o077], ids=["022", "077"])
def test_who_may_read_the_conversion_is_for_the_umask_to_say(umask, empty_cache, tmp_path):
    path, _ = write_gguf(tmp_path)
    earlier = os.umask(umask)
    try:
        load_language(LanguageConfig(str(path), "float32"))
    finally:
        os.umask(earlier)
    (weights,) = empty_cache.rglob("model.safetensors")
    assert weights.parent.stat().st_mode & 0o777 == 0o777 & ~umask
    assert {file.stat().st_mode & 0o777 for file in weights.parent.iterdir()} == {0o666 & ~umask}


def test_the_assets_file_by_its_path_is_the_asset():
    assert _gguf_file(str(asset("smollm2_gguf"))) == _gguf_file("asset:smollm2_gguf")


def test_a_gguf_file_that_is_missing_or_none(empty_cache, tmp_path):
    with pytest.raises(AssetError, match="no such file"):
        load_language(LanguageConfig(str(tmp_path / "absent.gguf")))
    (tmp_path / "empty.gguf").write_bytes(b"GGUF")
    with pytest.raises(AssetError, match="empty.gguf: cannot be converted"):
        load_language(LanguageConfig(str(tmp_path / "empty.gguf")))
    assert list((empty_cache / "llm").iterdir()) == []


CASES = Path(__file__).parents[1] / "cases" / "gguf_rope_scaling"
WORDS = torch.randint(3, 259, (120,), generator=torch.Generator().manual_seed(0))


def by_hand(path):
    """Logits ``(words, vocabulary)`` of a llama's GGUF file as llama.cpp computes them: rotary pairs side by side, and
    frequencies divided by the linear factor and by ``rope_freqs``."""
    reader = gguf.GGUFReader(path)
    tensors = {t.name: torch.tensor(np.array(t.data)).bfloat16().float() for t in reader.tensors}
    values = {name.removeprefix("llama."): field.contents() for name, field in reader.fields.items()}
    heads, kv_heads = values["attention.head_count"], values["attention.head_count_kv"]
    width = values["rope.dimension_count"]
    factor = values.get("rope.scaling.factor") or values.get("rope.scale_linear") or 1.0
    factor = 1.0 if values.get("rope.scaling.type") == "none" else factor
    exact = {t.name: torch.tensor(np.array(t.data)) for t in reader.tensors if t.name == "rope_freqs.weight"}
    frequencies = values["rope.freq_base"] ** (-torch.arange(0, width, 2) / width) / factor
    angles = torch.arange(len(WORDS))[:, None, None] * frequencies / exact.get("rope_freqs.weight", 1.0)

    def norm(x, name):
        return x * (x.pow(2).mean(-1, keepdim=True) + 1e-6).rsqrt() * tensors[f"{name}.weight"]

    def turned(x):
        a, b = x[..., 0::2], x[..., 1::2]
        return torch.stack([a * angles.cos() - b * angles.sin(), a * angles.sin() + b * angles.cos()], -1).flatten(-2)

    x = tensors["token_embd.weight"][WORDS]
    future = torch.ones(len(WORDS), len(WORDS), dtype=torch.bool).triu(1)
    for layer in range(values["block_count"]):
        block = f"blk.{layer}."
        w = {name: tensors[f"{block}{name}.weight"].T for name in ("attn_q", "attn_k", "attn_v", "attn_output")}
        h = norm(x, f"{block}attn_norm")
        q, k, v = (h @ w[name] for name in ("attn_q", "attn_k", "attn_v"))
        q, k, v = (y.unflatten(-1, (-1, width)) for y in (q, k, v))
        q, k = turned(q), turned(k)
        k, v = (y.repeat_interleave(heads // kv_heads, 1) for y in (k, v))
        scores = torch.einsum("qhd,khd->hqk", q, k) / width**0.5
        seen = torch.einsum("hqk,khd->qhd", scores.masked_fill(future, -torch.inf).softmax(-1), v)
        x = x + seen.flatten(1) @ w["attn_output"]
        h = norm(x, f"{block}ffn_norm")
        up, gate, down = (tensors[f"{block}ffn_{name}.weight"].T for name in ("up", "gate", "down"))
        x = x + (torch.nn.functional.silu(h @ gate) * (h @ up)) @ down
    return norm(x, "output_norm") @ tensors.get("output.weight", tensors["token_embd.weight"]).T


def same_next_token(path):
    """The share of places where the converted model's next token is the one computed by hand."""
    model = load_language(LanguageConfig(str(path), "float32")).model
    with torch.no_grad():
        found = model(WORDS.unsqueeze(0)).logits[0]
    return (found.argmax(-1) == by_hand(path).argmax(-1)).float().mean().item()


def changed(path, values=None, tensors=None, without=(), name="untied"):
    """A copy of a case's file with other keys (of its architecture), more tensors, or some left out."""
    reader = gguf.GGUFReader(CASES / f"{name}.gguf")
    writer = gguf.GGUFWriter(path, "llama")
    values = {f"llama.{key}": value for key, value in (values or {}).items()}
    for key, field in reader.fields.items():
        if key.startswith("GGUF.") or key == "general.architecture" or key in values or key in without:
            continue
        inner = field.types[-1] if len(field.types) > 1 else None
        writer.add_key_value(key, field.contents(), field.types[0], sub_type=inner)
    kinds = {bool: "BOOL", int: "UINT32", float: "FLOAT32", str: "STRING"}
    for key, value in values.items():
        writer.add_key_value(key, value, gguf.GGUFValueType[kinds[type(value)]])
    held = {t.name: np.array(t.data) for t in reader.tensors if t.name not in without} | (tensors or {})
    for tensor, data in held.items():
        writer.add_tensor(tensor, data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize("name", ["tied", "untied", "gqa", "linear4", "llama3"])
def test_the_next_token_is_that_of_the_files_model(name, empty_cache):
    assert same_next_token(CASES / f"{name}.gguf") > 0.97


@pytest.mark.parametrize(
    "values",
    [
        {"rope.scale_linear": 4.0},  # what llama.cpp's first files had
        {"rope.scaling.factor": 2.5},  # a factor without a type is linear
        {"rope.scaling.type": "linear", "rope.scaling.factor": 2.5, "rope.scaling.finetuned": True},
        {"rope.scaling.type": "none", "rope.scaling.factor": 4.0},
        {"rope.freq_base": 500.0, "attention.causal": True, "logit_scale": 1.0, "attention.key_length": 32},
        {"expert_count": 0, "attention.clamp_kqv": 0.0, "attention.sliding_window": 4096},
    ],
)
def test_what_transformers_reader_leaves_out_is_applied(values, empty_cache, tmp_path):
    assert same_next_token(changed(tmp_path / "tiny.gguf", values)) > 0.97


def test_frequencies_and_a_factor_multiply(empty_cache, tmp_path):
    path = changed(tmp_path / "tiny.gguf", {"rope.scaling.factor": 2.0}, name="llama3")
    assert same_next_token(path) > 0.97
    odd = {"rope_freqs.weight": np.linspace(1, 3, 16, dtype=np.float32)}
    assert same_next_token(changed(tmp_path / "odd.gguf", tensors=odd, name="gqa")) > 0.97


@pytest.mark.parametrize(
    "values, tensors, without, said",
    [
        ({"rope.scaling.type": "yarn", "rope.scaling.factor": 4.0}, {}, (), r"llama.rope.scaling.type is 'yarn'"),
        ({"rope.scaling.type": "longrope"}, {}, (), r"llama.rope.scaling.type is 'longrope'"),
        ({"rope.scaling.attn_factor": 1.2}, {}, (), r"llama.rope.scaling.attn_factor is 1.2"),
        ({"rope.scaling.yarn_ext_factor": 1.0}, {}, (), r"rope.scaling.yarn_ext_factor"),
        ({"rope.dimension_count": 16, "attention.key_length": 32}, {}, (), r"llama.rope.dimension_count is 16"),
        ({"attention.value_length": 16}, {}, (), r"llama.attention.value_length is 16"),
        ({"attention.scale": 0.5}, {}, (), r"llama.attention.scale is 0.5"),
        ({"attention.sliding_window": 16}, {}, (), r"llama.attention.sliding_window is 16"),
        ({"logit_scale": 4.0}, {}, (), r"llama.logit_scale is 4.0"),
        ({"embedding_scale": 12.0}, {}, (), r"llama.embedding_scale is 12.0"),
        ({"expert_count": 8}, {}, (), r"llama.expert_count is 8"),
        ({"something_new": 3}, {}, (), r"llama.something_new is 3"),
        ({}, {"rope_factors_long.weight": np.ones(16, np.float32)}, (), r"rope_factors_long.weight"),
        ({}, {"rope_freqs.weight": np.ones(4, np.float32)}, (), r"rope_freqs.weight is .*expected 16"),
        ({}, {"blk.0.attn_q.bias": np.ones(64, np.float32)}, (), r"unexpected: blk.0.attn_q.bias"),
        ({}, {"blk.2.attn_norm.weight": np.ones(64, np.float32)}, (), r"unexpected: blk.2.attn_norm.weight"),
        ({}, {}, ("blk.1.ffn_up.weight",), r"missing: model.layers.1.mlp.up_proj.weight"),
        ({}, {}, ("output_norm.weight",), r"missing: model.norm.weight"),
        ({"feed_forward_length": 32}, {}, (), r"of another shape: model.layers.0.mlp.down_proj.weight"),
        ({}, {}, ("llama.attention.head_count_kv",), r"llama.attention.head_count_kv is 'not there'"),
    ],
)
def test_what_cannot_be_applied_is_refused_by_name(values, tensors, without, said, empty_cache, tmp_path):
    path = changed(tmp_path / "tiny.gguf", values, tensors, without)
    with pytest.raises(AssetError, match=f"tiny.gguf: .*{said}"):
        load_language(LanguageConfig(str(path), "float32"))
    assert list((empty_cache / "llm").iterdir()) == []


def test_a_mapper_of_the_misread_model_is_not_put_in_front_of_this_one(empty_cache):
    """A conversion kept by an earlier version is not used again, and what the model is called tells the two apart."""
    path = CASES / "linear4.gguf"
    kept = empty_cache / "llm" / f"linear4-{sha256_of(path)[:12]}-v1"
    kept.mkdir(parents=True)
    (kept / "config.json").write_text("{}")
    for _ in range(2):  # converted, then from the cache
        language = load_language(LanguageConfig(str(path), "float32"))
        assert language.identity == f"gguf-sha256:{sha256_of(path)}+rope_scaling"
    (kept.parent / kept.name.replace("-v1", "-v2") / "applied.json").unlink()
    with pytest.raises(AssetError, match="Remove the folder .*linear4"):
        load_language(LanguageConfig(str(path), "float32"))
    plain = CASES / "untied.gguf"
    assert load_language(LanguageConfig(str(plain), "float32")).identity == f"gguf-sha256:{sha256_of(plain)}"


def write_of(name, path, keys, **config):
    """A random model of an architecture whose tensors need no change, as GGUF with what llama.cpp writes for it."""
    tokenizer = tiny_tokenizer(KINDS["qwen2"])
    tokens = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get) + ["ab"]
    shape = dict(
        vocab_size=len(tokens), hidden_size=64, num_hidden_layers=2, num_attention_heads=4, initializer_range=0.3
    )
    config = AutoConfig.for_model(name, **shape, max_position_embeddings=256, pad_token_id=1, **config)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config).eval()
    for parameter in model.parameters():  # not the rotary frequencies
        parameter.data = parameter.data.bfloat16().float()
    writer = gguf.GGUFWriter(path, name)
    writer.add_context_length(256)
    writer.add_embedding_length(64)
    writer.add_block_count(2)
    writer.add_head_count(4)
    for key, value in keys.items():
        getattr(writer, f"add_{key}")(value)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token in tokenizer.all_special_tokens else 1 for token in tokens])
    writer.add_token_merges(["a b"])
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_pad_token_id(tokenizer.pad_token_id)
    kinds = {kind: arch for arch, kind in gguf.MODEL_ARCH_NAMES.items()}
    names = gguf.get_tensor_name_map(kinds[name], 2)
    for parameter, value in model.named_parameters():
        stem, _, kind = parameter.rpartition(".")
        writer.add_tensor(f"{names.get_name(stem)}.{kind}", value.detach().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return model


_HEADS = dict(head_count_kv=2, feed_forward_length=96)
_SAME = dict(num_key_value_heads=2, intermediate_size=96)


@pytest.mark.parametrize(
    "name, keys, config, applied",
    [
        (
            "qwen3",
            _HEADS | dict(layer_norm_rms_eps=1e-6, rope_freq_base=1e6, key_length=32, value_length=32),
            _SAME | dict(head_dim=32, rope_theta=1e6),
            "+head_dim",
        ),
        (
            "starcoder2",
            _HEADS | dict(layer_norm_eps=1e-3, rope_freq_base=1e6),
            _SAME | dict(norm_epsilon=1e-3, rope_theta=1e6),
            "+rope_theta",
        ),
        (
            "stablelm",
            _HEADS | dict(layer_norm_eps=1e-5, rope_dimension_count=8, parallel_residual=False),
            _SAME | dict(partial_rotary_factor=0.5),
            "+partial_rotary_factor",
        ),
        (
            "falcon",
            dict(head_count_kv=1, feed_forward_length=256, layer_norm_eps=1e-3),
            dict(multi_query=True, bias=False, layer_norm_epsilon=1e-3),
            "+layer_norm_epsilon",
        ),
        (
            "phi3",
            _HEADS | dict(layer_norm_rms_eps=1e-5, rope_dimension_count=16, sliding_window=8),
            _SAME | dict(sliding_window=8),
            "+sliding_window",
        ),
    ],
)
def test_keys_of_other_architectures(name, keys, config, applied, empty_cache, tmp_path):
    model = write_of(name, tmp_path / "tiny.gguf", keys, **config)
    language = load_language(LanguageConfig(str(tmp_path / "tiny.gguf"), "float32"))
    with torch.no_grad():
        found, expected = (each(WORDS.unsqueeze(0)).logits for each in (language.model, model))
    assert torch.allclose(found, expected, atol=1e-3)
    assert language.identity.endswith(applied)
