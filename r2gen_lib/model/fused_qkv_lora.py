"""The original's LoRA, one on query and one on value, where timm has a single layer for query, key and value.

Both, of rank ``r``, are held as one of rank ``2r`` on ``qkv``: the upper half of ``A (2r, C)`` is the query's, the
lower the value's; in ``B (3C, 2r)`` the query's stands top left, the value's bottom right. All else in ``B`` is zero
and gets no gradient, so it stays zero: the two train as if each stood alone, but for one mask of dropout where they
have two. With those zeros, two thirds of ``B``, the LoRA counts twice as many parameters as the original's.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn

from r2gen_lib.config import LoraConfig


def fused_lora(lora: LoraConfig) -> LoraConfig:
    """The LoRA on ``qkv`` that holds what ``lora`` asks for: rank and alpha doubled if it is on query and value."""
    return replace(lora, rank=2 * lora.rank, alpha=2 * lora.alpha) if lora.query_value else lora


def query_and_value(b: Tensor) -> list[Tensor]:
    """Views of the query's and the value's block, ``(C, r)`` each, of a ``B (3C, 2r)``."""
    width, rank = b.shape[0] // 3, b.shape[1] // 2
    return [b[:width, :rank], b[2 * width :, rank:]]


def train_query_and_value_alone(encoder: nn.Module) -> None:
    """Keep the rest of every ``B`` at zero, by a hook on its gradient. The LoRAs must be there."""
    for name, parameter in encoder.named_parameters():
        if ".lora_B." in name:
            parameter.register_hook(_blocks_alone)


def _blocks_alone(gradient: Tensor) -> Tensor:
    kept = gradient.new_zeros(gradient.shape)
    for place, block in zip(query_and_value(kept), query_and_value(gradient), strict=True):
        place.copy_(block)
    return kept


def merge_lora(encoder: nn.Module) -> None:
    """Add each LoRA of peft's into the weights it stands beside and take it away, in place."""
    for name, module in list(encoder.named_modules()):
        if hasattr(module, "lora_A") and hasattr(module, "base_layer"):
            module.merge()
            parent, _, child = name.rpartition(".")
            setattr(encoder.get_submodule(parent), child, module.get_base_layer())
