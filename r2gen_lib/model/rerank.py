# ruff: noqa: F722
"""Reranking: of the reports that the beams finished, the one that the picture explains and a normal one does not.

A report's score is ``(log p(report | picture) - weight log p(report | normal)) / length ** length_penalty``: with 0 the
model's own choice, with 1 the pointwise mutual information of report and picture.

Source: maximum mutual information, MMI-antiLM (Li et al. 2016, arXiv 1510.03055), with a normal picture where they have
none.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from r2gen_lib.config import DecodingConfig
from r2gen_lib.model.alignment import Splice, followed_by
from r2gen_lib.model.report_logits import ReportReader
from r2gen_lib.model.report_loss import token_losses

_AT_ONCE = 8  # reports that are read together


def most_informative(
    language: nn.Module,
    prompts: Splice,
    normal: Splice,
    candidates: Sequence[Sequence[Sequence[int]]],
    decoding: DecodingConfig,
) -> list[list[int]]:
    """The token ids of each study's best candidate; of equals the first.

    Args:
        language: a causal language model.
        prompts: of the studies.
        normal: of one study, with the normal picture.
        candidates: of each study, the token ids of reports, their ends included.
        decoding: ``rerank`` is the weight.
    """
    reports = [list(ids) for each in candidates for ids in each]
    studies = torch.tensor([study for study, each in enumerate(candidates) for _ in each])
    seen = report_log_probs(language, prompts.rows(studies), reports)
    unseen = report_log_probs(language, normal.rows(torch.zeros_like(studies)), reports)
    lengths = torch.tensor([len(ids) for ids in reports])
    scores = (seen - decoding.rerank * unseen) / lengths**decoding.length_penalty
    counts = [len(each) for each in candidates]
    best = [int(part.argmax()) for part in scores.split(counts)]
    return [list(each[place]) for each, place in zip(candidates, best, strict=True)]


@torch.no_grad()
def report_log_probs(language: nn.Module, prompts: Splice, reports: Sequence[Sequence[int]]) -> Float[Tensor, " B"]:
    """log p(report | prompt) in nats on the CPU, the sum over its tokens, for one report behind each prompt."""
    read, embed = ReportReader(language, []), language.get_input_embeddings()
    sums = []
    for start in range(0, len(reports), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        spliced = followed_by(prompts.rows(some), embed, reports[some])
        chosen = spliced.predicts_report
        losses = token_losses(read(spliced), spliced.labels[:, 1:][chosen])
        sums.append(losses.new_zeros(len(chosen)).index_add(0, chosen.nonzero()[:, 0], -losses))
    return torch.cat(sums).cpu()
