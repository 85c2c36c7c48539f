"""The loss of a batch's report tokens, all with the same weight or each with a given one.

A token's logits are as many as the vocabulary has words (49,152 of SmolLM2), and a batch has hundreds of tokens. So the
logits stay in the language model's dtype, and are made fp32 a few rows at a time: forward, and again backward. The
numbers are those of ``cross_entropy`` over all rows in fp32, which keeps two copies of them in fp32 and makes two more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from r2gen_lib.errors import R2GenError

_AT_ONCE = {"cpu": 2**20}  # logits that are made fp32 together: on a CPU few enough to stay in its cache
_AT_ONCE_ELSEWHERE = 2**26


def report_loss(
    logits: Float[Tensor, "R vocabulary"],
    labels: Int[Tensor, " R"],
    weights: Float[Tensor, " R"] | None = None,
) -> Float[Tensor, ""]:
    """Mean cross-entropy in nats, in fp32 whatever the logits are in; weighted if ``weights`` are given."""
    losses = token_losses(logits, labels)
    if weights is None:  # added up as cross_entropy does, to the last bit
        return nn.functional.nll_loss(-losses[:, None], torch.zeros_like(labels))
    return (losses * weights).sum() / weights.sum()


def token_losses(logits: Float[Tensor, "R vocabulary"], labels: Int[Tensor, " R"]) -> Float[Tensor, " R"]:
    """The cross-entropy of each token in nats, in fp32 whatever the logits are in."""
    return _TokenLosses.apply(logits, labels)


class _TokenLosses(torch.autograd.Function):
    """``cross_entropy(logits.float(), labels, reduction="none")``, of which only ``logits`` are kept."""

    @staticmethod
    def forward(ctx, logits: Tensor, labels: Tensor) -> Tensor:
        ctx.save_for_backward(logits, labels)
        losses = torch.empty(labels.shape, dtype=torch.float32, device=logits.device)
        for rows in _some_rows(logits):
            losses[rows] = nn.functional.cross_entropy(logits[rows].float(), labels[rows], reduction="none")
        return losses

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        logits, labels = ctx.saved_tensors
        passed_on = torch.empty_like(logits)
        for rows in _some_rows(logits):
            logs = logits[rows].float().log_softmax(dim=-1)
            of_logs = torch.zeros_like(logs).scatter_(1, labels[rows, None], -gradient[rows, None])
            passed_on[rows] = torch.ops.aten._log_softmax_backward_data(of_logs, logs, 1, torch.float32)
        return passed_on, None


def _some_rows(logits: Tensor) -> Iterator[slice]:
    step = max(_AT_ONCE.get(logits.device.type, _AT_ONCE_ELSEWHERE) // logits.shape[1], 1)
    for start in range(0, logits.shape[0], step):
        yield slice(start, start + step)


def weights_in_place(
    weights: Sequence[Sequence[float]],
    lengths: Sequence[int],
    chosen: Bool[Tensor, "B L-1"],
    before: Sequence[int] | None = None,
) -> Float[Tensor, " R"]:
    """The weights of report tokens in the order of the loss's rows.

    Args:
        weights: of every report token, study by study.
        lengths: report tokens of each study; the longest report ends where the rows end.
        chosen: the positions whose next token counts (``Splice.predicts_report``).
        before: tokens of the question that stands before each report; by default none.

    Raises:
        R2GenError: as many weights as report tokens are needed.
    """
    found = [len(row) for row in weights]
    if found != list(lengths):
        raise R2GenError(f"weights: found {found}, expected one of each report token, {list(lengths)}.")
    table = torch.zeros(chosen.shape, device=chosen.device)
    before = before or [0] * len(lengths)
    width = max(own + length for own, length in zip(before, lengths, strict=True))
    for row, values in enumerate(weights):
        start = chosen.shape[1] - width + before[row]
        table[row, start : start + len(values)] = torch.tensor(values, device=chosen.device)
    return table[chosen]
