"""One step of a run: gradients of all of its batches, clipped, and weights that move only by numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from r2gen_lib.config import OptimConfig
from r2gen_lib.model.r2gengpt import R2GenGPT
from r2gen_lib.model.sharding import is_sharded
from r2gen_lib.training.examples import Examples
from r2gen_lib.training.processes import Processes
from r2gen_lib.training.schedule import cut


def take_step(
    model: R2GenGPT,
    optimizer: torch.optim.Optimizer,
    examples: Examples,
    indices: Sequence[int],
    optim: OptimConfig,
    processes: Processes,
) -> tuple[float, float]:
    """AdamW's step on the examples of these ``indices``, in batches of ``optim.batch_size`` on every process.

    The loss is the mean over all report tokens of the step, as if they had been one batch. Gradients are clipped to
    ``optim.clip_norm``.

    Returns:
        The loss, and the norm of the gradient before it was clipped. If one of them is not a number, neither weights
        nor moments have moved.
    """
    optimizer.zero_grad(set_to_none=True)
    tokens = sum(examples.targets[i] for i in indices)
    total = torch.zeros((), dtype=torch.float64)
    for batch, weight in processes.turns(cut(indices, optim.batch_size), is_sharded(model.language)):
        share = sum(examples.targets[i] for i in batch) / tokens
        loss = model(**examples.batch(batch)).loss * (weight * share)
        loss.backward()
        total += loss.item()
    parameters = list(model.trainable_parameters().values())
    processes.sum_gradients(parameters)
    limit = math.inf if optim.clip_norm is None else optim.clip_norm
    norm = torch.nn.utils.clip_grad_norm_(parameters, limit).item()
    loss = processes.sum(total).item()
    if math.isfinite(loss) and math.isfinite(norm):
        optimizer.step()
    return loss, norm
