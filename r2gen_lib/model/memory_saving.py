"""What lets a large frozen LLM fit: fp16 with scaled gradients, quantised weights, checkpointed layers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from typing import Any, get_args

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from r2gen_lib.config.schema import Quantization
from r2gen_lib.errors import R2GenError

QUANTIZATIONS: tuple[Quantization, ...] = get_args(Quantization)
GRADIENT_SCALE = 1024.0  # fp16's least number is 6e-8; a loss of 400 words gives gradients below it


def choose_attention(attention: str, dtype: torch.dtype, device: torch.device | str) -> str:
    """transformers' attention implementation; only ``"auto"`` chooses (see ``LanguageConfig.attention``)."""
    if attention != "auto":
        return attention
    if torch.device(device).type != "cuda":
        return "eager"
    flash = find_spec("flash_attn") is not None and torch.cuda.get_device_capability(device)[0] >= 8
    return "flash_attention_2" if flash and dtype != torch.float32 else "sdpa"


def quantization_options(
    quantization: Quantization | None, dtype: torch.dtype, device: torch.device | str
) -> dict[str, Any]:
    """Arguments for ``from_pretrained`` that quantise the LLM's linear layers as they are read; none for None.

    "8bit" is LLM.int8() (Dettmers et al. 2022); "4bit" is NormalFloat4 with doubly quantised scales (QLoRA, Dettmers et
    al. 2023). Both compute in ``dtype`` and let gradients pass to the visual tokens. Embeddings and head stay as they
    are.

    Raises:
        R2GenError: a device that is not CUDA, or bitsandbytes is not installed.
    """
    if quantization is None:
        return {}
    device = torch.device(device)
    if device.type != "cuda":
        raise R2GenError(
            f"LanguageConfig.quantization={quantization!r}: needs a CUDA GPU, found device {device.type!r}. "
            "Set quantization=None here; dtype='bfloat16' halves the memory on any device."
        )
    if find_spec("bitsandbytes") is None:
        raise R2GenError(
            f"LanguageConfig.quantization={quantization!r}: the package bitsandbytes is not installed. "
            "Install it (pip install bitsandbytes), or set quantization=None."
        )
    from transformers import BitsAndBytesConfig

    config = (
        BitsAndBytesConfig(load_in_8bit=True)
        if quantization == "8bit"
        else BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
        )
    )
    return {"quantization_config": config, "device_map": {"": device}}


def decoder_layers(language: nn.Module, field: str) -> list[nn.Module]:
    """The layers that transformers can checkpoint one by one.

    Raises:
        R2GenError: there are none; the message names the ``field`` of LanguageConfig that asked for them.
    """
    from transformers.modeling_layers import GradientCheckpointingLayer

    layers = [module for module in language.modules() if isinstance(module, GradientCheckpointingLayer)]
    if not layers:
        raise R2GenError(
            f"LanguageConfig.{field}: {type(language).__name__} has no layer that transformers can checkpoint. "
            f"Set {field}=False."
        )
    return layers


@contextmanager
def checkpointed(language: nn.Module) -> Iterator[None]:
    """Within it, every layer keeps its input alone for the backward pass, and computes the rest again there.

    transformers checkpoints only layers in training mode. Here the flag is raised on the layer itself and not on what
    is in it, so that the frozen model's dropout stays off. Such layers cannot use a cache of keys and values.

    Raises:
        R2GenError: the model has no layer that can be checkpointed.
    """
    layers = decoder_layers(language, "gradient_checkpointing")
    before = [(layer, layer.gradient_checkpointing, layer.training) for layer in layers]
    try:
        for layer in layers:
            layer._gradient_checkpointing_func = partial(checkpoint, use_reentrant=False)
            layer.gradient_checkpointing = layer.training = True
        yield
    finally:
        for layer, checkpointing, training in before:
            layer.gradient_checkpointing, layer.training = checkpointing, training


class _Scale(torch.autograd.Function):
    @staticmethod
    def forward(ctx, tensor: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return tensor.view_as(tensor)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient * ctx.factor, None


def scale_gradient(tensor: Tensor, factor: float) -> Tensor:
    """``tensor`` as it is; its gradient is multiplied by ``factor`` on the way back.

    An fp16 model between two of these (``GRADIENT_SCALE`` at the loss, its inverse at the fp32 visual tokens) is what
    loss scaling is for: small gradients don't become zero inside, and outside nothing is seen of it.
    """
    return _Scale.apply(tensor, factor)
