"""Which parameters are a LoRA's, told from their names as peft gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

_OWN = "_r2gen_lora"


def is_lora(name: str) -> bool:
    """Whether a parameter of that name belongs to a LoRA."""
    return ".lora_A." in name or ".lora_B." in name


def name_without_lora(name: str) -> str:
    """The name a frozen parameter had before a LoRA was put beside it."""
    return name.replace(".base_layer", "")


def own_lora(module: nn.Module) -> frozenset[str]:
    """Names of the parameters of a LoRA that we put on ``module``; those of an adapter it came with are not among
    them."""
    return getattr(module, _OWN, frozenset())


def mark_own_lora(module: nn.Module) -> None:
    """Note that every LoRA on ``module`` is ours."""
    setattr(module, _OWN, frozenset(name for name, _ in module.named_parameters() if is_lora(name)))
