"""What training costs before it is begun: work by counting, time by arithmetic, GPUs by what their makers state."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch.utils.flop_counter import FlopCounterMode

from r2gen_lib.config import Preset, get_preset
from r2gen_lib.errors import R2GenError
from r2gen_lib.model.budget.memory import Parts


@dataclass(frozen=True)
class Gpu:
    """A GPU by its maker's data sheet.

    Attributes:
        gigabytes: memory.
        teraflops: peak of 16-bit products of dense matrices, in 1e12 operations a second.
        bfloat16: whether it multiplies bf16 natively; if not, the LLM runs in fp16 (``LanguageConfig.dtype="half"``).
    """

    name: str
    gigabytes: int
    teraflops: float
    bfloat16: bool = True


GPUS = (  # NVIDIA's data sheets, without sparsity
    Gpu("T4", 16, 65, bfloat16=False),
    Gpu("L4", 24, 121),
    Gpu("A100", 40, 312),
    Gpu("A100 80GB", 80, 312),
    Gpu("H100 SXM", 80, 989),
)


def step_flops(preset: str | Preset, mode: str) -> int:
    """Operations (a product and a sum are two) of a training step's forward and backward pass, counted by torch.

    The step is that of ``training_memory``: ``optim.batch_size`` reports of ``target.max_tokens``, run on the
    meta device. Products of matrices and convolutions count; in shallow mode the encoder doesn't, its features are
    cached.
    """
    parts = Parts(get_preset(preset), mode, "cuda")
    with FlopCounterMode(display=False) as counter:
        parts.loss().backward()
    for parameter in parts.parameters():
        parameter.grad = None
    return counter.get_total_flops()


def training_steps(preset: str | Preset, studies: int) -> int:
    """Steps of a full run: ``optim.epochs`` times the whole batches that ``studies`` give."""
    optim = get_preset(preset).optim
    return optim.epochs * max(studies // (optim.batch_size * optim.accumulate), 1)


def hours(flops: float, teraflops: float, utilisation: float) -> float:
    """Hours that ``flops`` operations take on a device that reaches this share (0 to 1) of its peak.

    Raises:
        R2GenError: the share is not above 0 and at most 1, or the peak is not above 0.
    """
    if not 0 < utilisation <= 1 or not (teraflops > 0 and math.isfinite(teraflops)):
        raise R2GenError(
            f"hours: found a peak of {teraflops} TFLOP/s and a utilisation of {utilisation}, expected a peak above 0 "
            "and a utilisation above 0 and at most 1 (0.3 is 30 %)."
        )
    return flops / (teraflops * 1e12 * utilisation) / 3600
