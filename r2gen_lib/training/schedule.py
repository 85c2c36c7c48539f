"""Which studies form a batch, how fast the weights move, and which of them decay."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from r2gen_lib.config import OptimConfig
from r2gen_lib.model.r2gengpt import R2GenGPT

_POOL = 16  # batches whose studies are sorted together


def length_batches(lengths: Sequence[int], batch_size: int, seed: int, epoch: int) -> list[list[int]]:
    """One epoch's batches of indices: shuffled, yet each of reports of nearly the same length.

    Studies are shuffled, sorted by length within pools of 16 batches, cut, and the batches shuffled again. So
    padding is rare and every epoch differs. The same (seed, epoch) gives the same batches. A last, smaller
    batch is dropped unless it is the only one.
    """
    generator = np.random.default_rng([seed, epoch])
    order = generator.permutation(len(lengths))
    size = batch_size * _POOL
    pools = [order[i : i + size] for i in range(0, len(order), size)]
    ordered = np.concatenate([pool[np.argsort(np.asarray(lengths)[pool], kind="stable")] for pool in pools])
    batches = [ordered[i : i + batch_size].tolist() for i in range(0, len(ordered), batch_size)]
    if len(batches) > 1 and len(batches[-1]) < batch_size:
        batches.pop()
    generator.shuffle(batches)
    return batches


def ordered_batches(count: int, batch_size: int) -> list[list[int]]:
    """One epoch's batches of indices in the studies' own order, the original's way; the last as ``length_batches``."""
    batches = cut(range(count), batch_size)
    return batches[:-1] if len(batches) > 1 and len(batches[-1]) < batch_size else batches


def cut(indices: Sequence[int], size: int) -> list[list[int]]:
    """``indices`` in parts of ``size``, the last as long as it comes."""
    return [list(indices[i : i + size]) for i in range(0, len(indices), size)]


def rate_at(step: int, total: int, optim: OptimConfig, epoch_length: int = 1) -> float:
    """Share of the learning rate at ``step`` (from 0): linear warm-up, then a cosine to ``final_rate``.

    With ``optim.rate_per_epoch`` it moves once in ``epoch_length`` steps, and ends one epoch before ``final_rate``.
    """
    if optim.rate_per_epoch:
        return cosine(step // epoch_length / math.ceil(total / epoch_length), optim.final_rate)
    warmup = min(optim.warmup_steps, max(total - 1, 0))
    if step < warmup:
        return (step + 1) / (warmup + 1)
    progress = (step - warmup) / max(total - warmup - 1, 1)
    return cosine(min(progress, 1.0), optim.final_rate)


def cosine(progress: float, end: float) -> float:
    """Share of the rate after ``progress`` (0 to 1) of the run: a half cosine from 1 to ``end``."""
    return end + (1 - end) * 0.5 * (1 + math.cos(math.pi * progress))


def make_optimizer(model: R2GenGPT, optim: OptimConfig) -> torch.optim.AdamW:
    """AdamW. Biases and normalisation gains don't decay, unless ``optim.decay_all``; the encoder's own tensors have
    their own rate."""
    groups: dict[tuple[bool, bool], dict] = {}
    for name, parameter in model.trainable_parameters().items():
        decays = optim.decay_all or (parameter.ndim > 1 and "relative_position" not in name)
        encoder = name.startswith("vision.")
        base = optim.learning_rate * (optim.encoder_rate if encoder else 1.0)
        group = groups.setdefault(
            (decays, encoder),
            {
                "params": [],
                "base_rate": base,
                "lr": base,
                "weight_decay": optim.weight_decay if decays else 0.0,
            },
        )
        group["params"].append(parameter)
    return torch.optim.AdamW(groups.values())


def set_rate(optimizer: torch.optim.Optimizer, share: float) -> None:
    """Every group's rate becomes its own base rate times ``share``."""
    for group in optimizer.param_groups:
        group["lr"] = group["base_rate"] * share
