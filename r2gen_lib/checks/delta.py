"""Checks of notebook 04: LoRA's forward pass, its parameters, merging it, and what modes cost and bring."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from r2gen_lib.checks.core import Wrong, ask, close, described, exercise, same_shape


@exercise("04.1", "lora_forward")
def check_lora_forward(lora_forward: Callable[..., Tensor]) -> str:
    """``lora_forward(x, W, A, B, alpha)`` -> x (W + alpha / rank * B A)^T."""
    generator = torch.Generator().manual_seed(0)
    for tokens, columns, rows, rank, alpha in (((5,), 4, 3, 2, 8), ((6,), 4, 4, 4, 2), ((2, 3), 5, 7, 1, 16)):
        x = torch.randn(*tokens, columns, generator=generator)
        W, A = (torch.randn(n, columns, generator=generator) for n in (rows, rank))
        B = torch.randn(rows, rank, generator=generator)
        base, delta = x @ W.T, x @ (B @ A).T
        expected = base + alpha / rank * delta
        shown = f"x {tuple(x.shape)}, W {tuple(W.shape)}, A {tuple(A.shape)}, B {tuple(B.shape)}, alpha {alpha}"
        found = ask(lora_forward, x, W, A, B, alpha, shown=shown)
        same_shape(found, expected, "the output")
        if close(found, expected, 1e-3):
            continue
        slips = [
            (base, "This is the frozen layer alone: the correction is missing."),
            (base + delta, "The scale alpha / rank was forgotten."),
            (base + alpha * delta, "The scale is alpha / rank; alpha was not divided."),
            (base + alpha / columns * delta, "The rank is A's number of rows, not of columns."),
            (alpha / rank * delta, "The frozen layer x W^T is missing: the correction is added to it."),
        ]
        if rows == columns == rank:
            slips.append((base + alpha / rank * x @ (A @ B).T, "A and B are swapped: the correction is B A."))
            slips.append((base + alpha / rank * x @ A @ B, "A and B are not transposed: x meets A^T first."))
        slip = next(
            (text for value, text in slips if close(found, value, 1e-3)), "The correction is alpha / rank * B A."
        )
        raise Wrong(
            f"lora_forward({shown}) differs from x (W + alpha / rank B A)^T by up to "
            f"{(found - expected).abs().max():.3f}, expected 0. {slip}"
        )
    return "three shapes, one of them with two axes of tokens. `x @ A.T @ B.T` needs far fewer products than `B @ A`."


@exercise("04.2", "Count a LoRA")
def check_lora_parameters(lora_parameters: Callable[[int, list[tuple[int, int]]], int]) -> str:
    """``lora_parameters(rank, stages)`` of a LoRA on the fused qkv of every block; stages: (width, blocks)."""
    tiny = [(96, 2), (192, 2), (384, 6), (768, 2)]
    for rank, stages, name in ((8, tiny, "Swin-T"), (16, tiny, "Swin-T"), (4, [(64, 3)], "one stage")):
        expected = sum(rank * 4 * width * blocks for width, blocks in stages)
        found = ask(lora_parameters, rank, stages, shown=f"{rank}, the stages of {name}")
        if found == expected:
            continue
        slips = {
            sum(
                rank * 2 * width * blocks for width, blocks in stages
            ): "The qkv layer has 3 * width outputs, not width.",
            sum(rank * 4 * width for width, _ in stages): "Every block has its own LoRA: times the blocks.",
            sum(rank * 3 * width * blocks for width, blocks in stages): "That is B alone; A has rank * width more.",
            sum(rank * width * blocks for width, blocks in stages): "That is A alone; B has 3 * width * rank.",
            sum(3 * width * width * blocks for width, blocks in stages): "That is the whole qkv matrix, not its LoRA.",
            sum(rank * 6 * width * blocks for width, blocks in stages): (
                "That is a LoRA each on q, k and v. One on the fused layer shares its A (rank, width)."
            ),
        }
        slip = slips.get(found, "A is (rank, width), B is (3 * width, rank), in every block.")
        found = f"{found:,}" if isinstance(found, int) else described(found)
        raise Wrong(f"rank {rank} on {name}: {found} parameters, expected {expected:,}. {slip}")
    return "141,312 parameters at rank 8 on a Swin-T, in proportion to the rank."


@exercise("04.3", "Merge, and check")
def check_merge(merge: Callable[..., Tensor]) -> str:
    """``merge(W, A, B, alpha)``: one matrix that does what the layer and its LoRA did; W stays as it was."""
    generator = torch.Generator().manual_seed(1)
    for rows, columns, rank, alpha, dtype in ((6, 4, 2, 8, torch.float32), (3, 3, 3, 6, torch.float32),
                                              (4, 5, 2, 1, torch.float16)):  # fmt: skip
        W = torch.randn(rows, columns, generator=generator).to(dtype)
        A, B = torch.randn(rank, columns, generator=generator), torch.randn(rows, rank, generator=generator)
        before, x = W.clone(), torch.randn(7, columns, generator=generator)
        found = ask(merge, W, A, B, alpha, shown=f"W {tuple(W.shape)}, rank {rank}, alpha {alpha}")
        if not torch.equal(W, before):
            raise Wrong("W itself was changed: expected a new matrix. W is shared, and a second merge would add twice.")
        same_shape(found, W, "the merged matrix")
        expected = x @ (W.float() + alpha / rank * B @ A).T
        if not close(x @ found.float().T, expected, 2e-2 if dtype == torch.float16 else 1e-3):
            correction = found.float() - W.float()
            slips = [
                (torch.zeros_like(correction), "Nothing was added."),
                (B @ A, "The scale alpha / rank was forgotten."),
                (alpha * B @ A, "alpha was not divided by the rank."),
                (-alpha / rank * B @ A, "The correction was subtracted; that is how one takes a merge back."),
            ]
            if rows == columns:
                slips.append((alpha / rank * A @ B, "A and B are swapped: the correction is B A."))
            slip = next((t for value, t in slips if close(correction, value, 2e-2)), "Expected W + alpha / rank * B A.")
            largest = (x @ found.float().T - expected).abs().max()
            raise Wrong(f"merged and unmerged outputs differ by up to {largest:.3f}, expected 0. {slip}")
        if found.dtype != dtype:
            raise Wrong(
                f"the merged matrix is {found.dtype}, expected {dtype} as W is: it takes W's place in the layer."
            )
    return "merged and unmerged agree, W is untouched, and its dtype is kept."


@exercise("04.4", "A mode for a budget")
def check_disk(disk: Callable[[str, int, float, dict[str, float]], float]) -> str:
    """``disk(mode, departments, encoder, checkpoint)``: MB for all departments; deep's checkpoint holds its encoder."""
    checkpoint = {"shallow": 0.9, "delta": 1.2, "deep": 21.8}
    for departments, encoder in ((20, 20.0), (1, 20.0), (5, 350.0)):
        for mode, size in checkpoint.items():
            expected = departments * size + (encoder if mode != "deep" else 0.0)
            found = ask(disk, mode, departments, encoder, checkpoint)
            if close(found, expected):
                continue
            if mode == "deep" and close(found, expected + encoder):
                slip = "In deep mode each checkpoint holds its own encoder: the shared one is not needed."
            elif close(found, departments * (size + encoder)):
                slip = "The frozen encoder is the same for all departments: it is stored once."
            elif close(found, departments * size):
                slip = "The checkpoint leaves the frozen encoder out: it is needed once besides."
            else:
                slip = "Checkpoints of all departments, and where it is frozen the encoder once."
            raise Wrong(
                f"disk({mode!r}, {departments}, {encoder:g}, ...) gave {described(found)} MB, "
                f"expected {expected:g}. {slip}"
            )
    return (
        "shallow and delta share one frozen encoder; only shallow leaves its features alone, so that one cache serves."
    )


@exercise("04.5", "Modes at equal time")
def check_paired(paired: Callable[[pd.DataFrame, str, str], list[float]], seeds_needed: int) -> str:
    """``paired(table, at, mode)``: a difference a seed, val_loss of ``mode`` less that of shallow of the same seed.

    Args:
        seeds_needed: how many seeds must agree, whichever way, until chance alone does that in less than 1 of 20 cases.
    """
    rows = [
        (mode, seed, at, 2.0 + 0.1 * seed + more + later)
        for seed in (3, 1, 2)
        for at, later in (("equal steps", 0.0), ("equal time", -0.5))
        for mode, more in (("deep", 0.3 * seed), ("shallow", 0.0), ("delta", -0.01 * seed))
    ]
    small = pd.DataFrame(rows, columns=["mode", "seed", "at", "val_loss"])
    small.loc[(small["mode"] == "shallow") & (small["at"] == "equal time"), "val_loss"] -= 0.2
    for at, mode in (("equal steps", "delta"), ("equal time", "deep")):
        expected = _differences(small, at, mode)
        found = ask(paired, small.copy(), at, mode, shown=f"a table of three seeds, {at!r}, {mode!r}")
        try:
            values = np.sort(np.asarray(found, dtype=float).ravel())
        except (TypeError, ValueError):
            raise Wrong(f"paired gave {described(found)}, expected three numbers, one a seed.") from None
        if close(values, expected):
            continue
        other = "equal time" if at == "equal steps" else "equal steps"
        if len(values) != 3:
            slip = "A difference a seed is wanted: runs of one seed began alike."
        elif close(values, np.sort(-expected)):
            slip = "The sign: the mode's loss less shallow's, so that below zero is better than shallow."
        elif close(values, _differences(small, other, mode)):
            slip = f"These are the rows of {other!r}."
        else:
            slip = "Take the mode's row and shallow's row of the same seed and of the same `at`."
        shown = [", ".join(f"{value:.2f}" for value in row) for row in (values, expected)]
        raise Wrong(f"paired(..., {at!r}, {mode!r}) gave {shown[0]}, expected {shown[1]}. {slip}")
    if seeds_needed != 6:
        slips = {
            5: "That is one way alone: all of them above *or* all below counts, too, so the chance is twice as large.",
            3: "Three agree by chance in one of four cases.",
        }
        slip = slips.get(seeds_needed, "Each seed is a coin: n of them agree by chance with 2 x (1/2)^n.")
        raise Wrong(f"seeds_needed is {described(seeds_needed)}, expected another number. {slip}")
    return "a difference a seed, and six seeds that agree before chance is rarer than 1 in 20. Three cannot do that."


def _differences(table: pd.DataFrame, at: str, mode: str) -> np.ndarray:
    """What ``paired`` has to give, from the lowest."""
    losses = table[table["at"] == at].pivot(index="seed", columns="mode", values="val_loss")
    return np.sort(losses[mode] - losses["shallow"])
