"""A whole system small enough for tests: random Swin, random Llama of 44 words, 16 visual tokens, no downloads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from r2gen_lib.config import (
    DecodingConfig,
    LanguageConfig,
    LoraConfig,
    MapperConfig,
    OptimConfig,
    Preset,
    Profile,
    PromptConfig,
    TargetConfig,
    VisionConfig,
)
from r2gen_lib.data.study import Picture, Study
from r2gen_lib.model.llm import LanguageModel, checksum, freeze
from r2gen_lib.model.r2gengpt import R2GenGPT
from r2gen_lib.training.trainer import TrainResult, train

TOKENIZER = Path(__file__).parent / "parity" / "shallow" / "tokenizer.json"
SHAPE = dict(
    vocab_size=44, hidden_size=24, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, max_position_embeddings=256, bos_token_id=1, eos_token_id=2, pad_token_id=0,
    initializer_range=0.4,  # large enough that a mapper can steer a random model
)  # fmt: skip
TINY = Preset(
    name="tiny",
    vision=VisionConfig(
        "swin_tiny_patch4_window7_224",
        32,
        dict(patch_size=4, window_size=2, embed_dim=8, depths=(1, 2), num_heads=(1, 2)),
    ),
    language=LanguageConfig("tiny", "float32", "eager", SHAPE),
    prompt=PromptConfig("Human : < Img >", "< / Img > Generate a report ."),
    optim=OptimConfig(2e-2, warmup_steps=2, batch_size=4),
    mapper=MapperConfig(start_gain="embedding_std"),
    target=TargetConfig(max_tokens=12),
    decoding=DecodingConfig(num_beams=2, max_new_tokens=8),
    lora=LoraConfig(rank=2, alpha=4, dropout=0.1),
)
PROFILE = Profile("tiny", None, None, None, train_steps=12, eval_every=4, checkpoint_every=4)
#: Columns of a history that are the same number for number in a run that was stopped and went on.
COMPARED = ["step", "train_loss", "val_loss", "val_loss_shuffled", "rate"]
REPORTS = {
    "normal": "the heart is normal in size . the lungs are clear .",
    "large": "mild cardiomegaly . left pleural effusion .",
}


def tiny_language(seed: int = 0) -> LanguageModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = freeze(LlamaForCausalLM(LlamaConfig(**SHAPE, attn_implementation="eager")))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(TOKENIZER), unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="<unk>"
    )
    return LanguageModel(model, tokenizer, f"tensors-sha256:{checksum(model)}")


def tiny_model(mode: str = "shallow", seed: int = 0, **changes) -> R2GenGPT:
    """A tiny R2GenGPT; ``changes`` replace fields of the preset."""
    preset = replace(TINY, **changes)
    return R2GenGPT.from_preset(preset, mode, vision_weights=None, language=tiny_language(), device="cpu", seed=seed)


def tiny_pixels(batch: int = 2, views: int = 1, seed: int = 0) -> torch.Tensor:
    return torch.randn(batch, views, 3, 32, 32, generator=torch.Generator().manual_seed(seed))


def tiny_studies(count: int = 24) -> list[Study]:
    """Studies whose picture tells the report: bright means a large heart. The last third is the val split."""
    studies = []
    for i in range(count):
        kind = ("normal", "large")[i % 2]
        grey = np.random.default_rng(i).integers(0, 60, (40, 36), dtype=np.uint8)
        if kind == "large":
            grey[10:30, 5:30] += 180
        picture = Picture("frontal", simulated=True, loader=lambda grey=grey: grey)
        split = "val" if i >= count * 2 // 3 else "train"
        studies.append(Study(f"T{i}", split, REPORTS[kind], pictures=(picture,), source="tiny"))
    return studies


def with_optim(**changes) -> Preset:
    """The tiny preset with other settings of the optimiser."""
    return replace(TINY, optim=replace(TINY.optim, **changes))


def fit(model, out_dir, studies=None, preset=TINY, profile=PROFILE, **options) -> TrainResult:
    """Train on the tiny studies, or on these, for 12 steps."""
    return train(model, studies or tiny_studies(), preset, profile, out_dir, progress=False, **options)
