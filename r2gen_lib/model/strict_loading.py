"""Tensors into a module, all of them or none: nothing is left at random, nothing is left over."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from r2gen_lib.errors import CheckpointError, shown

_REST = ", ... ({all} in all)"  # of a long list


def read_tensors(path: Path) -> dict[str, Tensor]:
    """A safetensors file. Raises CheckpointError when it is missing, truncated or something else."""
    try:
        return load_file(path)
    except Exception as error:
        raise CheckpointError(f"{path}: cannot be read ({error}). Train again, or restore the file.") from error


@torch.no_grad()
def load_strictly(
    module: nn.Module, tensors: Mapping[str, Tensor], source: str, expected: set[str] | None = None
) -> None:
    """Copy ``tensors`` into ``module``: exactly the ``expected`` names (default: its whole state).

    Raises:
        CheckpointError: names missing, unknown, or of another shape; nothing was copied.
    """
    state = module.state_dict(keep_vars=True)
    names = set(state) if expected is None else expected
    shapes = [
        f"{name} {tuple(tensors[name].shape)}, expected {tuple(state[name].shape)}"
        for name in sorted(names & set(tensors))
        if tensors[name].shape != state[name].shape
    ]
    require_fit(source, missing=names - set(tensors), unknown=set(tensors) - names, shapes=shapes)
    for name in names:
        state[name].copy_(tensors[name])


def require_fit(source: str, *, missing: Collection[str], unknown: Collection[str], shapes: Collection[str]) -> None:
    """Raise one CheckpointError that lists what is wrong with the tensors of ``source``, if anything is."""
    complaints = listed({"missing": missing, "unknown": unknown, "of another shape": shapes})
    if complaints:
        raise CheckpointError(f"{source}: does not fit the model. Tensors {complaints}. Nothing was loaded.")


def listed(found: Mapping[str, Collection[str]]) -> str:
    """What is wrong with which tensors, such as ``missing: a, b; unknown: c``; empty if nothing is."""
    return "; ".join(f"{what}: {shown(sorted(names), 40, _REST)}" for what, names in found.items() if names)
