"""Frozen linear layers in the order in which the processor reads them.

A product of a few rows with a large matrix spends its time on the matrix. oneDNN, which torch multiplies with on x86
CPUs, rearranges a plain matrix on every call; here that is done once. The layers stay as they are: what is kept is a
copy, for as long as the model writes reports.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Product = Callable[[Tensor], Tensor]


def can_pack(device: str, dtype: torch.dtype) -> bool:
    """Whether torch can keep copies of matrices for oneDNN: on an x86 CPU, in fp32 or bf16."""
    ops = torch.ops.mkldnn
    return (
        device == "cpu"
        and dtype in (torch.float32, torch.bfloat16)
        and torch.backends.mkldnn.is_available()
        and torch.backends.cpu.get_cpu_capability().startswith("AVX")
        and hasattr(ops, "_linear_pointwise")
        and hasattr(ops, "_reorder_linear_weight")
    )


def packed(layers: Sequence[nn.Linear], rows: int) -> Product:
    """``x -> [layer(x) for layer in layers]``, side by side, as one product.

    Args:
        layers: of one input, without bias; ``can_pack`` holds for their weights.
        rows: how many rows it will mostly be given. It is right for any number.
    """
    weight = torch.cat([layer.weight.detach() for layer in layers]) if len(layers) > 1 else layers[0].weight.detach()
    copy = torch.ops.mkldnn._reorder_linear_weight(weight, rows)
    return lambda x: torch.ops.mkldnn._linear_pointwise(x, copy, None, "none", [], "")


def plain(layers: Sequence[nn.Linear]) -> Product:
    """The same without a copy."""
    if len(layers) == 1:
        return layers[0]
    return lambda x: torch.cat([F.linear(x, layer.weight) for layer in layers], dim=-1)
