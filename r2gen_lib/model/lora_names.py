"""Which parameters are a LoRA's, told from their names as peft gives them."""

from __future__ import annotations


def is_lora(name: str) -> bool:
    """Whether a parameter of that name belongs to a LoRA."""
    return ".lora_A." in name or ".lora_B." in name


def name_without_lora(name: str) -> str:
    """The name a frozen parameter had before a LoRA was put beside it."""
    return name.replace(".base_layer", "")
