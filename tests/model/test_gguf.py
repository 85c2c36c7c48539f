"""Language models from GGUF files of the user's own, here a tiny one written by the gguf package."""

from __future__ import annotations

import shutil

import gguf
import pytest
import torch
from tiny_languages import KINDS, in_front_of, save_tiny, tiny_tokenizer
from transformers import AutoModelForCausalLM

from r2gen_lib.assets import asset
from r2gen_lib.config import LanguageConfig
from r2gen_lib.errors import AssetError
from r2gen_lib.model.language import _gguf_file, load_language


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


def test_the_assets_file_by_its_path_is_the_asset():
    assert _gguf_file(str(asset("smollm2_gguf"))) == _gguf_file("asset:smollm2_gguf")


def test_a_gguf_file_that_is_missing_or_none(empty_cache, tmp_path):
    with pytest.raises(AssetError, match="no such file"):
        load_language(LanguageConfig(str(tmp_path / "absent.gguf")))
    (tmp_path / "empty.gguf").write_bytes(b"GGUF")
    with pytest.raises(AssetError, match="empty.gguf: cannot be converted"):
        load_language(LanguageConfig(str(tmp_path / "empty.gguf")))
    assert list((empty_cache / "llm").iterdir()) == []
