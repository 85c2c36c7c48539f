"""The loss of a batch's report tokens, all with the same weight or each with a given one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from r2gen_lib.errors import R2GenError


def report_loss(
    logits: Float[Tensor, "R vocabulary"],
    labels: Int[Tensor, " R"],
    weights: Float[Tensor, " R"] | None = None,
) -> Float[Tensor, ""]:
    """Mean cross-entropy in nats, weighted if ``weights`` are given."""
    if weights is None:
        return nn.functional.cross_entropy(logits, labels)
    losses = nn.functional.cross_entropy(logits, labels, reduction="none")
    return (losses * weights).sum() / weights.sum()


def weights_in_place(
    weights: Sequence[Sequence[float]], lengths: Sequence[int], chosen: Bool[Tensor, "B L-1"]
) -> Float[Tensor, " R"]:
    """The weights of report tokens in the order of the loss's rows.

    Args:
        weights: of every report token, study by study.
        lengths: report tokens of each study; the longest report ends where the rows end.
        chosen: the positions whose next token counts (``Splice.predicts_report``).

    Raises:
        R2GenError: as many weights as report tokens are needed.
    """
    found = [len(row) for row in weights]
    if found != list(lengths):
        raise R2GenError(f"weights: found {found}, expected one of each report token, {list(lengths)}.")
    table = torch.zeros(chosen.shape, device=chosen.device)
    start = chosen.shape[1] - max(lengths)
    for row, values in enumerate(weights):
        table[row, start : start + len(values)] = torch.tensor(values, device=chosen.device)
    return table[chosen]
