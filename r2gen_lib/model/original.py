"""Tensor names of the public R2GenGPT code <-> ours: its Swin is transformers', ours is timm's."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from r2gen_lib.errors import CheckpointError

_ENCODER = "visual_encoder."
_PEFT = "base_model.model."  # peft wraps the original's encoder in delta mode
_SIMPLE = {  # patterns of transformers' names -> timm's
    r"embeddings\.patch_embeddings\.projection\.(\w+)": r"patch_embed.proj.\1",
    r"embeddings\.norm\.(\w+)": r"patch_embed.norm.\1",
    r"layernorm\.(\w+)": r"norm.\1",
}
_IN_BLOCK = {
    r"layernorm_before\.(\w+)": r"norm1.\1",
    r"layernorm_after\.(\w+)": r"norm2.\1",
    r"attention\.self\.relative_position_bias_table": r"attn.relative_position_bias_table",
    r"attention\.output\.dense\.(\w+)": r"attn.proj.\1",
    r"intermediate\.dense\.(\w+)": r"mlp.fc1.\1",
    r"output\.dense\.(\w+)": r"mlp.fc2.\1",
}
_BLOCK = re.compile(r"encoder\.layers\.(\d+)\.blocks\.(\d+)\.(.+)")
_MERGE = re.compile(r"encoder\.layers\.(\d+)\.downsample\.(.+)")
_PROJECTION = re.compile(r"attention\.self\.(query|key|value)\.(?:base_layer\.)?(weight|bias)")
_LORA = re.compile(r"attention\.self\.(query|value)\.lora_([AB])\.default\.weight")
_UNUSED = re.compile(r"relative_position_index|rotary_emb\.inv_freq|pooler")


def convert_encoder(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The original's ``visual_encoder.*`` -> names and shapes of timm's Swin (``VisionEncoder.swin``).

    Query, key and value are stacked into timm's ``qkv``; the patch merging of stage ``i`` opens timm's stage
    ``i + 1``. A LoRA of rank ``r`` on query and one on value become one of rank ``2r`` on ``qkv`` that
    computes exactly the same: ``A`` is the two stacked, ``B`` holds each in its own block and zero elsewhere.
    Its alpha must then be ``2 * alpha``, so that alpha / rank is kept.

    Raises:
        CheckpointError: a tensor of the encoder that has no place in timm's.
    """
    converted: dict[str, Tensor] = {}
    parts: dict[tuple[str, str, str], dict[str, Tensor]] = {}
    with_lora = any(".lora_A." in name for name in tensors)
    for full_name, tensor in tensors.items():
        if not full_name.startswith(_ENCODER) or _UNUSED.search(full_name):
            continue
        name = full_name.removeprefix(_ENCODER).removeprefix(_PEFT)
        block = _BLOCK.fullmatch(name)
        piece = block and (_PROJECTION.fullmatch(block[3]) or _LORA.fullmatch(block[3]))
        if piece:
            kind = "lora" if piece.re is _LORA else "qkv"
            parts.setdefault((f"layers.{block[1]}.blocks.{block[2]}.attn.qkv", kind, piece[2]), {})[piece[1]] = tensor
        else:
            converted[_timm_name(name, full_name)] = tensor
    base = ".base_layer" if with_lora else ""
    for (prefix, kind, which), piece in parts.items():
        if kind == "qkv":
            converted[f"{prefix}{base}.{which}"] = torch.cat([piece[p] for p in ("query", "key", "value")])
        else:
            converted[f"{prefix}.lora_{which}.default.weight"] = (_stack_a if which == "A" else _block_b)(piece)
    return converted


def _timm_name(name: str, full_name: str) -> str:
    block, merge = _BLOCK.fullmatch(name), _MERGE.fullmatch(name)
    if merge:
        return f"layers.{int(merge[1]) + 1}.downsample.{merge[2]}"
    prefix, rest, table = (
        (f"layers.{block[1]}.blocks.{block[2]}.", block[3], _IN_BLOCK) if block else ("", name, _SIMPLE)
    )
    for pattern, replacement in table.items():
        if re.fullmatch(pattern, rest):
            return prefix + re.sub(pattern, replacement, rest)
    raise CheckpointError(f"tensor {full_name}: unknown in a Swin of transformers. Is the checkpoint R2GenGPT's?")


def _stack_a(piece: Mapping[str, Tensor]) -> Tensor:
    return torch.cat([piece["query"], piece["value"]])  # (2r, C)


def _block_b(piece: Mapping[str, Tensor]) -> Tensor:
    width, rank = piece["query"].shape
    fused = torch.zeros(3 * width, 2 * rank, dtype=piece["query"].dtype)
    fused[:width, :rank] = piece["query"]
    fused[2 * width :, rank:] = piece["value"]
    return fused  # (3C, 2r)


def convert_mapper(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The original's projection and LayerNorm -> names of ``VisualMapper``."""
    names = {"llama_proj.": "proj.", "layer_norm.": "norm."}
    return {
        new + name.removeprefix(old): tensor
        for name, tensor in tensors.items()
        for old, new in names.items()
        if name.startswith(old)
    }
