"""Tensor names of the public R2GenGPT code <-> ours: its Swin is transformers', ours is timm's.

The way goes from ours to theirs: each of our tensors is made of one or more of theirs, so that what is missing, of
another shape, or left over can be listed under the names that their file uses.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from r2gen_lib.model.fused_qkv_lora import query_and_value
from r2gen_lib.model.strict_loading import require_fit

_MAPPER = {"mapper.proj.": "llama_proj.", "mapper.norm.": "layer_norm."}
_ENCODER = ("vision.swin.", "visual_encoder.")
_OUTSIDE = {  # timm's -> transformers'
    "patch_embed.proj.": "embeddings.patch_embeddings.projection.",
    "patch_embed.norm.": "embeddings.norm.",
    "norm.": "layernorm.",
}
_IN_BLOCK = {
    "norm1.": "layernorm_before.",
    "norm2.": "layernorm_after.",
    "attn.relative_position_bias_table": "attention.self.relative_position_bias_table",
    "attn.proj.": "attention.output.dense.",
    "mlp.fc1.": "intermediate.dense.",
    "mlp.fc2.": "output.dense.",
}
_BLOCK = re.compile(r"layers\.(\d+)\.blocks\.(\d+)\.(.+)")
_MERGE = re.compile(r"layers\.(\d+)\.downsample\.(.+)")
_QKV = re.compile(r"attn\.qkv\.(weight|bias)")
_LORA = re.compile(r"attn\.qkv\.(lora_[AB]\.default\.weight)")
_UNUSED = re.compile(r"relative_position_index|rotary_emb\.inv_freq")  # buffers that older versions saved


def convert(tensors: Mapping[str, Tensor], targets: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """The original's tensors -> the same under our names, fused where ours are.

    Query, key and value are stacked into timm's ``qkv``; the patch merging that ends a stage of transformers' opens
    timm's next. A LoRA of rank ``r`` on query and one on value become one of rank ``2r`` on ``qkv`` that computes
    exactly the same: ``A`` is the two stacked, ``B`` holds each in its own block and zero elsewhere. Its alpha must
    then be ``2 * alpha``, so that alpha / rank is kept (``LoraConfig.query_value`` sees to both).

    Args:
        tensors: by the original's names, with or without the prefixes that peft gives.
        targets: those of R2GenGPT's tensors to be made, by their names; only names and shapes are read.
        source: what the tensors come from, for the error.

    Raises:
        CheckpointError: theirs are not exactly what ``targets`` need; all that is wrong is listed, in their names.
    """
    full_names = {_without_peft(name): name for name in tensors if not _UNUSED.search(name)}
    wanted = original_shapes(targets)
    found = {part: tuple(tensors[full_names[part]].shape) for part in wanted if part in full_names}
    shapes = [f"{full_names[p]} {shape}, expected {wanted[p]}" for p, shape in found.items() if shape != wanted[p]]
    unknown = [full for part, full in full_names.items() if part not in wanted]
    require_fit(source, missing=set(wanted) - set(full_names), unknown=unknown, shapes=shapes)
    return {
        name: _fuse(name, [tensors[full_names[part]] for part in original_names(name)], targets[name])
        for name in targets
    }


def convert_swin(tensors: Mapping[str, Tensor], swin: torch.nn.Module, source: str) -> dict[str, Tensor]:
    """A file of transformers' Swin, with or without a classifier -> names of timm's ``swin``, all of its tensors.

    Raises:
        CheckpointError: as ``convert``.
    """
    ours, theirs = _ENCODER
    named = {theirs + n.removeprefix("swin."): t for n, t in tensors.items() if not n.startswith("classifier.")}
    targets = {ours + name: parameter for name, parameter in swin.named_parameters()}
    return {name.removeprefix(ours): tensor for name, tensor in convert(named, targets, source).items()}


def original_shapes(targets: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """The original's tensors that ``targets`` of ours are made of: their names, less peft's prefixes, and shapes."""
    return {
        part: tuple(piece.shape)
        for name, tensor in targets.items()
        for part, piece in zip(original_names(name), _parts(name, tensor), strict=True)
    }


def original_names(name: str) -> list[str]:
    """The original's tensors, less peft's prefixes, that make up ours of that name; a name of no Swin gives itself."""
    for ours, theirs in _MAPPER.items():
        if name.startswith(ours):
            return [theirs + name.removeprefix(ours)]
    ours, theirs = _ENCODER
    plain = name.removeprefix(ours).replace(".base_layer.", ".")
    block, merge = _BLOCK.fullmatch(plain), _MERGE.fullmatch(plain)
    if merge:
        return [f"{theirs}encoder.layers.{int(merge[1]) - 1}.downsample.{merge[2]}"]
    if not block:
        return [theirs + _renamed(plain, _OUTSIDE)]
    prefix = f"{theirs}encoder.layers.{block[1]}.blocks.{block[2]}."
    for pattern, pieces in ((_QKV, ("query", "key", "value")), (_LORA, ("query", "value"))):
        fused = pattern.fullmatch(block[3])
        if fused:
            return [f"{prefix}attention.self.{piece}.{fused[1]}" for piece in pieces]
    return [prefix + _renamed(block[3], _IN_BLOCK)]


def _renamed(name: str, table: Mapping[str, str]) -> str:
    return next((new + name.removeprefix(old) for old, new in table.items() if name.startswith(old)), name)


def _without_peft(name: str) -> str:
    return name.replace("visual_encoder.base_model.model.", _ENCODER[1]).replace(".base_layer.", ".")


def _parts(name: str, fused: Tensor) -> list[Tensor]:
    """Views into our tensor of that name, one for each of the original's."""
    if ".qkv." not in name:
        return [fused]
    if ".lora_B." in name:
        return query_and_value(fused)  # (C, r) each
    return list(fused.chunk(2 if ".lora_A." in name else 3))  # (r, C) or (C, ...) each


def _fuse(name: str, parts: list[Tensor], target: Tensor) -> Tensor:
    fused = torch.zeros(target.shape, dtype=parts[0].dtype)
    for place, part in zip(_parts(name, fused), parts, strict=True):
        place.copy_(part)
    return fused
