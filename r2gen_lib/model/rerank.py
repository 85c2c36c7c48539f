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
    of_normal = ReportReader(language, normal.inputs_embeds[0, :-1])
    best = []
    for study, reports in enumerate(candidates):
        prompt = prompts.rows(slice(study, study + 1))
        seen = report_log_probs(ReportReader(language, prompt.inputs_embeds[0, :-1]), prompt, reports)
        unseen = report_log_probs(of_normal, normal, reports)
        lengths = seen.new_tensor([len(ids) for ids in reports])
        scores = (seen - decoding.rerank * unseen) / lengths**decoding.length_penalty
        best.append(list(reports[int(scores.argmax())]))
    return best


@torch.no_grad()
def report_log_probs(read: ReportReader, prompt: Splice, reports: Sequence[Sequence[int]]) -> Float[Tensor, " B"]:
    """log p(report | prompt) in nats of several reports behind one prompt: sums over their tokens.

    Args:
        read: one that knows all of the prompt but its last place.
        prompt: of one study.
        reports: token ids, none empty.
    """
    rows = prompt.rows(torch.zeros(len(reports), dtype=torch.long))
    spliced = followed_by(rows, read.language.get_input_embeddings(), reports)
    chosen = spliced.predicts_report
    losses = token_losses(read(spliced), spliced.labels[:, 1:][chosen])
    return losses.new_zeros(len(reports)).index_add(0, chosen.nonzero()[:, 0], -losses)
