"""LoRA by peft: which layers get one, and which parameters are its own."""

from __future__ import annotations

import copy
import re
from collections import Counter

from torch import nn
from transformers.pytorch_utils import Conv1D

from r2gen_lib.config import LoraConfig
from r2gen_lib.errors import R2GenError
from r2gen_lib.model.encoder import VisionEncoder, token_count
from r2gen_lib.model.llm_weights import has_adapter
from r2gen_lib.model.lora_names import is_lora, mark_own_lora

_ENCODER_TARGET = ("qkv",)
_LANGUAGE_TARGET = ("q_proj", "v_proj")


def inject_lora(encoder: VisionEncoder, lora: LoraConfig) -> None:
    """Put a LoRA beside every targeted layer of the encoder; it starts as no change at all.

    Raises:
        R2GenError: the encoder has no layer of that name, or computes around it: then its LoRA would never learn.
    """
    target, name = lora.target or _ENCODER_TARGET, encoder.config.model_name
    try:
        _inject(encoder.swin, lora, target)
    except ValueError as error:
        raise R2GenError(
            f"delta mode: {name} has no layer called {_quoted(target)} to put a LoRA on ({error}). Set "
            f"LoraConfig.target to some of: {_layer_names(encoder.swin)}; or use shallow or deep mode."
        ) from error
    idle = _never_called(encoder)
    if idle:
        raise R2GenError(
            f"delta mode: {name} reads the weights of {idle[0]} without calling the layer, so that a LoRA beside it "
            f"would never learn. Set LoraConfig.target to others of: {_layer_names(encoder.swin)}; for attention's "
            'output, "attn.proj".'
        )


def with_language_lora(language: nn.Module, lora: LoraConfig) -> nn.Module:
    """A copy of ``language`` with a LoRA beside every targeted layer. The copy shares every frozen tensor, so it
    costs the LoRA alone, and ``language`` itself stays as it was.

    Raises:
        R2GenError: there is no such layer, or none is known for the architecture; or the model came with an adapter,
            beside which peft would switch a second one on and the first off.
    """
    if has_adapter(language):
        raise R2GenError(
            "language_lora: the language model has an adapter of its own already. Merge that into the model first "
            "(peft: merge_and_unload, then save_pretrained) and give the merged folder as LanguageConfig.source, or "
            "set language_lora=None."
        )
    shared = {id(tensor): tensor for tensor in (*language.parameters(), *language.buffers())}
    language = copy.deepcopy(language, shared)
    found = {name.rpartition(".")[2] for name, _ in language.named_modules()}
    target = lora.target or (_LANGUAGE_TARGET if found.issuperset(_LANGUAGE_TARGET) else None)
    try:
        _inject(language, lora, target)
    except ValueError as error:
        raise R2GenError(
            f"language_lora: cannot be put on {_quoted(target or ('the layers peft knows',))} of "
            f"{type(language).__name__} ({error}). Set LoraConfig.target to some of: {_layer_names(language)}."
        ) from error
    mark_own_lora(language)
    return language


def train_dropout(module: nn.Module, training: bool) -> None:
    """Switch the dropout of every LoRA in ``module``, and nothing else."""
    for name, part in module.named_modules():
        if "lora_dropout" in name:
            part.train(training)


def _inject(module: nn.Module, lora: LoraConfig, target: tuple[str, ...] | None) -> None:
    from peft import LoraConfig as PeftConfig
    from peft import inject_adapter_in_model

    options = PeftConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        bias="none",
        fan_in_fan_out=any(isinstance(part, Conv1D) for part in module.modules()),  # GPT-2 keeps (in, out) weights
        target_modules=list(target) if target else None,
    )
    inject_adapter_in_model(options, module)
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(is_lora(name))
        if is_lora(name):
            parameter.data = parameter.data.float()  # in bf16 the optimiser's small updates would be rounded away


def _never_called(encoder: VisionEncoder) -> list[str]:
    """Names of the layers with a LoRA that encoding a picture does not go through."""
    idle = {part: name for name, part in encoder.swin.named_modules() if hasattr(part, "lora_A")}
    called: set[nn.Module] = set()
    hooks = [part.register_forward_hook(lambda part, *_: called.add(part)) for part in idle]
    try:
        token_count(encoder)
    finally:
        for hook in hooks:
            hook.remove()
    return [name for part, name in idle.items() if part not in called]


def _layer_names(module: nn.Module, limit: int = 12) -> str:
    """Ends of the names of the layers that can have a LoRA, the most frequent first."""
    kinds = (nn.Linear, nn.Conv2d, Conv1D)
    names = [name for name, part in module.named_modules() if isinstance(part, kinds) and "lora_" not in name]
    ends = Counter(re.sub(r"\d+\.|\.base_layer", "", ".".join(name.split(".")[-2:])) for name in names)
    return ", ".join(f'"{end}"' for end, _ in ends.most_common(limit)) or "(none)"


def _quoted(names: tuple[str, ...]) -> str:
    return " or ".join(repr(name) for name in names)
