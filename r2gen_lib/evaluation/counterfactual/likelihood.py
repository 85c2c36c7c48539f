"""How likely a model holds a sentence to be, whatever it writes: log-odds that a picture moves before words do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

if TYPE_CHECKING:
    from r2gen_lib.model.r2gengpt import R2GenGPT


def sentence_nats(model: R2GenGPT, features: Float[Tensor, "B N D_v"], sentence: str) -> Float[Tensor, " B"]:
    """Log-likelihood of a sentence as the report's first, in nats; whether the report ends there does not count.

    Args:
        model: any mode.
        features: what ``model.encode`` gives; gradients flow back into them.
        sentence: with its full stop.
    """
    out = model(features=features, reports=[sentence] * len(features))
    nats = -torch.nn.functional.cross_entropy(out.logits, out.labels, reduction="none")  # (R,)
    counts = torch.ones_like(nats)
    for end in model.ends:
        counts = counts * (out.labels != end)
    return torch.zeros(len(features), device=nats.device).index_add(0, out.rows, nats * counts)


def log_odds(model: R2GenGPT, features: Float[Tensor, "B N D_v"], present: str, absent: str) -> Float[Tensor, " B"]:
    """How much likelier ``present`` is than ``absent`` as the report's first sentence, in nats: 0 is a tie."""
    return sentence_nats(model, features, present) - sentence_nats(model, features, absent)
