# ruff: noqa: F722
"""Guidance: what this picture says and a normal one does not, made louder while a report is written.

A token's score is ``log p(token | picture) + w (log p(token | picture) - log p(token | normal))``, for the tokens that
the picture makes at least a tenth as likely as the likeliest one; of the others the ratio means little.

Sources: classifier-free guidance of a language model (Sanchez et al. 2023, arXiv 2306.17806; their scale is ``1 + w``);
the tenth is of contrastive decoding (Li et al. 2022, arXiv 2210.15097).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers import LogitsProcessor

from r2gen_lib.model.llama_decoder import LlamaDecoder

PLAUSIBLE = 0.1  # of the likeliest token's probability: what is less likely is chosen only where nothing else may be
_LAST = 1.0e4  # nats that are taken from such a token


def guided(
    picture: Float[Tensor, "R vocabulary"], normal: Float[Tensor, "R vocabulary"], weight: float
) -> Float[Tensor, "R vocabulary"]:
    """Log-probabilities of the next token, in fp32, of the logits given the picture and given a normal one."""
    seen, unseen = (logits.float().log_softmax(dim=-1) for logits in (picture, normal))
    plausible = seen >= seen.amax(dim=-1, keepdim=True) + math.log(PLAUSIBLE)
    return torch.where(plausible, seen + weight * (seen - unseen), seen - _LAST).log_softmax(dim=-1)


class GuidedDecoder:
    """Two ``LlamaDecoder`` that write the same tokens, in the place of one: for ``model.search``.

    Args:
        picture: of the studies' prompts.
        normal: of as many prompts with the normal picture.
        weight: ``w``.
    """

    def __init__(self, picture: LlamaDecoder, normal: LlamaDecoder, weight: float) -> None:
        self.both, self.weight = (picture, normal), weight

    @property
    def studies(self) -> int:
        """Studies that are still being written."""
        return self.both[0].studies

    @property
    def seen(self) -> Bool[Tensor, "S B C"]:
        """As ``LlamaDecoder`` has it."""
        return self.both[0].seen

    def read_prompt(self) -> Float[Tensor, "S 2D"]:
        """Last hidden states, of the picture's prompt and of the normal one side by side."""
        return torch.cat([each.read_prompt() for each in self.both], dim=-1)

    def step(self, tokens: Int[Tensor, "S B"], parents: Int[Tensor, "S B"] | None = None) -> Float[Tensor, "R 2D"]:
        """Both last hidden states after one more token a beam."""
        return torch.cat([each.step(tokens, parents) for each in self.both], dim=-1)

    def logits(self, hidden: Float[Tensor, "R 2D"]) -> Float[Tensor, "R vocabulary"]:
        """What ``step`` and ``read_prompt`` give, as guided scores of the next token."""
        halves = zip(self.both, hidden.chunk(2, dim=-1), strict=True)
        return guided(*(decoder.logits(half) for decoder, half in halves), self.weight)

    def keep(self, rows: Sequence[int]) -> Int[Tensor, " S"]:
        """Let the other studies leave; returns the order that the kept ones have."""
        return [each.keep(rows) for each in self.both][0]


class GuidedScores(LogitsProcessor):
    """The same for transformers' ``generate``. The normal prompt is read again for every token, so that no beam has
    keys and values of another one.

    Args:
        language: a causal language model.
        normal: the embeddings of the prompt with the normal picture.
        weight: ``w``.
    """

    def __init__(self, language: nn.Module, normal: Float[Tensor, "1 P D"], weight: float) -> None:
        self.language, self.normal, self.weight = language, normal, weight

    def __call__(self, input_ids: Int[Tensor, "R n"], scores: Float[Tensor, "R vocabulary"]) -> Tensor:
        """``scores`` of the picture, guided. ``input_ids`` are the tokens that are written."""
        words = self.language.get_input_embeddings()(input_ids)  # (R, n, D)
        embeds = torch.cat([self.normal.expand(words.shape[0], -1, -1), words], dim=1)
        logits = self.language(inputs_embeds=embeds, use_cache=False, logits_to_keep=1).logits[:, -1]
        return guided(scores, logits, self.weight)
