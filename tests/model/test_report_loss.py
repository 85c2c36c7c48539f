from __future__ import annotations

import pytest
import torch

from r2gen_lib.model.budget.live_bytes import LiveBytes
from r2gen_lib.model.report_loss import report_loss


def batch(dtype, rows=50, vocabulary=49152):
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(rows, vocabulary, generator=generator)
    return logits.to(dtype).requires_grad_(), torch.randint(vocabulary, (rows,), generator=generator)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_loss_and_gradient_are_those_of_cross_entropy_to_the_last_bit(dtype):
    logits, labels = batch(dtype)
    loss = report_loss(logits, labels)
    (found,) = torch.autograd.grad(0.37 * loss, logits)
    plain = torch.nn.functional.cross_entropy(logits.float(), labels)
    (expected,) = torch.autograd.grad(0.37 * plain, logits)
    assert loss.dtype == torch.float32 and torch.equal(loss, plain)
    assert found.dtype == dtype and torch.equal(found, expected)


def test_weighted_loss_and_gradient_too():
    logits, labels = batch(torch.bfloat16)
    weights = 1.0 + torch.arange(50) % 3
    (found,) = torch.autograd.grad(report_loss(logits, labels, weights), logits)
    plain = torch.nn.functional.cross_entropy(logits.float(), labels, reduction="none")
    (expected,) = torch.autograd.grad((plain * weights).sum() / weights.sum(), logits)
    assert torch.equal(found, expected)


def test_the_logits_are_not_copied_in_fp32():
    """cross_entropy over all of them takes 6 times their bytes in bf16 besides: three tensors in fp32."""
    logits, labels = batch(torch.bfloat16, rows=600)
    with LiveBytes([logits]) as live:
        torch.autograd.grad(report_loss(logits, labels), logits)
    assert live.peak < 1.5 * logits.nbytes
