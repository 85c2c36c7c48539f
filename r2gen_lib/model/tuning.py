"""The three modes: what trains, and how many parameters that is."""

from __future__ import annotations

import pandas as pd
import torch
from torch import nn

from r2gen_lib.config import MODES, LoraConfig, Preset, check_mode, get_preset
from r2gen_lib.errors import R2GenError
from r2gen_lib.model.alignment import VisualMapper
from r2gen_lib.model.language import freeze, language_skeleton
from r2gen_lib.model.query_value import fused_lora, train_query_and_value_alone
from r2gen_lib.model.vision import VisionEncoder, token_count


def make_mapper(preset: Preset, encoder: VisionEncoder, language_width: int, start_gain: float = 1.0) -> VisualMapper:
    """The preset's mapper between an encoder and a language model of that width."""
    pool = preset.visual_token_pool
    count = (pool**2 if pool else token_count(encoder)) if preset.visual_token_bias else 0
    return VisualMapper(encoder.width, language_width, start_gain, pool, count)


def prepare_mode(encoder: VisionEncoder, mapper: nn.Module, mode: str, lora: LoraConfig) -> None:
    """Set what trains, in place; call it once, after the encoder's weights are loaded.

    ``shallow``: the mapper. ``delta``: the mapper and a LoRA on the fused ``qkv`` of every attention.
    ``deep``: the mapper and the whole encoder. The language model trains in none of them.

    Source: arXiv 2309.09812, section 2.2. The paper puts one LoRA on query and one on value; one of the same
    rank on the fused ``qkv`` has exactly as many parameters. ``LoraConfig.query_value`` does as the paper does.
    """
    check_mode(mode)
    freeze(encoder)
    mapper.requires_grad_(True)
    if mode == "delta":
        inject_lora(encoder, fused_lora(lora))
        if lora.query_value:
            train_query_and_value_alone(encoder)
    if mode == "deep":
        encoder.requires_grad_(True)


def inject_lora(encoder: VisionEncoder, lora: LoraConfig) -> None:
    """Put a LoRA beside every ``qkv`` of the encoder; it starts as no change at all.

    Raises:
        R2GenError: the encoder has no layer of that name.
    """
    from peft import LoraConfig as PeftConfig
    from peft import inject_adapter_in_model

    options = PeftConfig(
        r=lora.rank, lora_alpha=lora.alpha, lora_dropout=lora.dropout, bias="none", target_modules=["qkv"]
    )
    try:
        inject_adapter_in_model(options, encoder.swin)
    except ValueError as error:
        raise R2GenError(
            f"delta mode: {encoder.config.model_name} has no layer called 'qkv' to put a LoRA on ({error}). "
            "Use a timm Swin or ViT, or shallow or deep mode."
        ) from error
    encoder.requires_grad_(False)
    for name, parameter in encoder.named_parameters():
        parameter.requires_grad_(is_lora(name))


def is_lora(name: str) -> bool:
    """Whether a parameter of that name belongs to a LoRA."""
    return ".lora_A." in name or ".lora_B." in name


def set_training(encoder: VisionEncoder, mode: str, training: bool, noisy: bool = False) -> None:
    """Frozen layers never drop anything: dropout and stochastic depth act only where weights train.

    ``noisy``: a frozen encoder is in training mode too. The original leaves it so: its features are noisy in training.
    """
    encoder.train(training and (mode == "deep" or noisy))
    if mode == "delta":
        for name, module in encoder.named_modules():
            if "lora_dropout" in name:
                module.train(training)


def parameter_table(preset: str | Preset) -> pd.DataFrame:
    """Parameters by part, one row a mode, counted on the meta device: nothing is loaded or downloaded.

    Columns: encoder, lora, mapper, language, total, trainable, trainable_percent (of total).
    """
    preset = get_preset(preset)
    with torch.device("meta"):
        language = language_skeleton(preset.language)
        rows = [_count(preset, mode, language) for mode in MODES]
    return pd.DataFrame(rows).set_index("mode")


def _count(preset: Preset, mode: str, language: nn.Module) -> dict:
    encoder = VisionEncoder(preset.vision)
    mapper = make_mapper(preset, encoder, preset.language.shape["hidden_size"])
    prepare_mode(encoder, mapper, mode, preset.lora)
    lora = sum(p.numel() for name, p in encoder.named_parameters() if is_lora(name))
    counts = {
        "encoder": sum(p.numel() for p in encoder.parameters()) - lora,
        "lora": lora,
        "mapper": sum(p.numel() for p in mapper.parameters()),
        "language": sum(p.numel() for p in language.parameters()),
    }
    total = sum(counts.values())
    trainable = sum(p.numel() for part in (encoder, mapper) for p in part.parameters() if p.requires_grad)
    return {
        "mode": mode,
        **counts,
        "total": total,
        "trainable": trainable,
        "trainable_percent": 100 * trainable / total,
    }
