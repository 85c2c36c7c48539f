"""The three modes: what trains, and how many parameters that is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from r2gen_lib.config import MODES, LoraConfig, Preset, check_mode, get_preset
from r2gen_lib.errors import R2GenError
from r2gen_lib.model.alignment import VisualMapper
from r2gen_lib.model.encoder import VisionEncoder, shown_count
from r2gen_lib.model.fused_qkv_lora import fused_lora, train_query_and_value_alone
from r2gen_lib.model.llm import freeze, language_skeleton
from r2gen_lib.model.lora import inject_lora, is_lora, train_dropout, with_language_lora
from r2gen_lib.model.oracle_encoder import OracleEncoder

if TYPE_CHECKING:
    import pandas as pd


def make_mapper(
    preset: Preset, encoder: VisionEncoder | OracleEncoder, language_width: int, start_gain: float = 1.0
) -> VisualMapper:
    """The preset's mapper between an encoder and a language model of that width."""
    mapper = preset.mapper
    told_apart = mapper.bias or mapper.rank > 0
    tokens = shown_count(encoder, mapper.pool) if told_apart else None
    return VisualMapper(
        encoder.width,
        language_width,
        start_gain,
        mapper.pool,
        tokens=tokens,
        bias=mapper.bias,
        rank=mapper.rank,
        scale=mapper.scale,
    )


def prepare_mode(encoder: VisionEncoder, mapper: nn.Module, mode: str, lora: LoraConfig) -> None:
    """Set what trains, in place; call it once, after the encoder's weights are loaded.

    ``shallow``: the mapper. ``delta``: the mapper and a LoRA on the fused ``qkv`` of every attention.
    ``deep``: the mapper and the whole encoder. The language model's own weights train in none of them; a LoRA on
    it (``Preset.language_lora``) can be had in each.

    Source: arXiv 2309.09812, section 2.2. The paper puts one LoRA on query and one on value; one of the same
    rank on the fused ``qkv`` has exactly as many parameters. ``LoraConfig.query_value`` does as the paper does.
    """
    check_mode(mode)
    if isinstance(encoder, OracleEncoder) and mode != "shallow":
        raise R2GenError(f"oracle encoder: mode is {mode}, expected shallow: it has no weights that could train.")
    freeze(encoder)
    mapper.requires_grad_(True)
    if mode == "delta":
        inject_lora(encoder, fused_lora(lora))
        if lora.query_value:
            train_query_and_value_alone(encoder)
    if mode == "deep":
        encoder.requires_grad_(True)


def set_training(encoder: VisionEncoder, mode: str, training: bool, noisy: bool = False) -> None:
    """Frozen layers never drop anything: dropout and stochastic depth act only where weights train.

    Batch norm keeps the statistics it was pretrained with: a few pictures a batch give poor ones. ``noisy``: a frozen
    encoder is in training mode too. The original leaves it so: its features are noisy in training.
    """
    encoder.train(training and (mode == "deep" or noisy))
    for module in encoder.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
    if mode == "delta":
        train_dropout(encoder, training)


def parameter_table(preset: str | Preset) -> pd.DataFrame:
    """Parameters by part, one row a mode, counted on the meta device: nothing is loaded or downloaded.

    Columns: encoder, lora (the encoder's and the language model's), mapper, language, total, trainable,
    trainable_percent (of total).
    """
    import pandas as pd

    preset = get_preset(preset)
    with torch.device("meta"):
        language = freeze(language_skeleton(preset.language))
        if preset.language_lora:
            language = with_language_lora(language, preset.language_lora)
        rows = [_count(preset, mode, language) for mode in MODES]
    return pd.DataFrame(rows).set_index("mode")


def _count(preset: Preset, mode: str, language: nn.Module) -> dict:
    encoder = VisionEncoder(preset.vision)
    mapper = make_mapper(preset, encoder, language.get_input_embeddings().embedding_dim)
    prepare_mode(encoder, mapper, mode, preset.lora)
    parts = {"encoder": encoder, "mapper": mapper, "language": language}
    sizes = {part: {n: p.numel() for n, p in module.named_parameters()} for part, module in parts.items()}
    lora = {part: sum(size for name, size in each.items() if is_lora(name)) for part, each in sizes.items()}
    counts = {part: sum(sizes[part].values()) - lora[part] for part in parts}
    counts = {"encoder": counts.pop("encoder"), "lora": sum(lora.values()), **counts}
    total = sum(counts.values())
    trainable = sum(p.numel() for part in parts.values() for p in part.parameters() if p.requires_grad)
    return {
        "mode": mode,
        **counts,
        "total": total,
        "trainable": trainable,
        "trainable_percent": 100 * trainable / total,
    }
