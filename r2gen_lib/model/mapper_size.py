"""A trained mapper as the start of one that shows more tokens, or has another rank.

Steps with 16 tokens cost less than steps with 49: what they teach need not be learnt again. A token of the new grid
starts with what its neighbours on the old grid have of their own, weighted as a picture that is enlarged.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from r2gen_lib.errors import CheckpointError

_OWN = ("token_bias", "down.weight", "token_up")  # of ``alignment.VisualMapper``


def resized(tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """A mapper's tensors, those that belong to single tokens on the grid, and of the rank, that are wanted.

    Args:
        tensors: of a trained ``VisualMapper``, ``T * T`` tokens and rank ``r``.
        wanted: of a new one, ``U * U`` tokens and rank ``q``; only shapes are read. Where ``q < r`` the projections
            keep their ``q`` largest singular values; where ``q > r`` the rest starts at 0.
        source: where they are from, for the error.

    Raises:
        CheckpointError: a grid is no square, or one of the two has no tensors of its tokens' own.
    """
    found = {name: tuple(tensors[name].shape) for name in _OWN if name in tensors}
    asked = {name: tuple(wanted[name].shape) for name in _OWN if name in wanted}
    if found == asked:
        return dict(tensors)
    sides = [math.isqrt(shapes.get("token_bias", (0,))[0]) for shapes in (found, asked)]
    if found.keys() != asked.keys() or any(
        s * s != t["token_bias"][0] for s, t in zip(sides, (found, asked), strict=True)
    ):
        raise CheckpointError(
            f"{source}: its mapper has {found or 'nothing of single tokens'}, the new one {asked or 'none'}; "
            "expected the same tensors, on square grids. Train from the preset, without a start."
        )
    weights = _enlarging(*sides)  # (U * U, T * T)
    new = dict(tensors) | {"token_bias": weights @ tensors["token_bias"].float()}
    if "token_up" in found:
        down, up = _of_rank(tensors["down.weight"].float(), tensors["token_up"].float(), asked["token_up"][1])
        new |= {"down.weight": down, "token_up": torch.einsum("ut,trd->urd", weights, up)}
    return new


def _enlarging(side: int, wanted: int) -> Float[Tensor, "U2 T2"]:
    """What each of ``wanted ** 2`` tokens takes from each of ``side ** 2``: bilinear, by centres."""
    place = ((torch.arange(wanted) + 0.5) / wanted * side - 0.5).clamp(0, side - 1)
    one = (1 - (place[:, None] - torch.arange(side)).abs()).clamp(min=0)  # (U, T)
    return torch.einsum("ia,jb->ijab", one, one).reshape(wanted**2, side**2)


def _of_rank(down: Tensor, up: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """``(q, D_v)`` and ``(T, q, D_lm)`` with the products of ``(r, D_v)`` and ``(T, r, D_lm)``, or the nearest."""
    tokens, _, width = up.shape
    stacked = up.transpose(1, 2).reshape(tokens * width, -1)  # (T * D_lm, r)
    basis, triangle = torch.linalg.qr(stacked)
    left, values, right = torch.linalg.svd(triangle @ down, full_matrices=False)
    kept = min(rank, len(values))
    root = values[:kept].sqrt()
    new_down = down.new_zeros(rank, down.shape[1])
    new_down[:kept] = root[:, None] * right[:kept]
    new_up = up.new_zeros(tokens, rank, width)
    new_up[:, :kept] = ((basis @ left[:, :kept]) * root).reshape(tokens, width, kept).transpose(1, 2)
    return new_down, new_up
