"""What is done to the scores of the next token before one is chosen."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList
from transformers.generation import (
    MinNewTokensLengthLogitsProcessor,
    NoRepeatNGramLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from r2gen_lib.config import DecodingConfig
from r2gen_lib.errors import R2GenError


def score_processors(
    decoding: DecodingConfig, start: int | None, ends: list[int], device: torch.device
) -> LogitsProcessorList:
    """In order: a check that the scores are numbers, penalties, the minimum length, and the draw of a sample.

    Args:
        start: the token that the history of the penalties begins with. The prompt is vectors, so it can't be seen;
            as in the original, repeating the start token is penalised too.
        ends: the tokens that end a report.
    """
    parts: list[LogitsProcessor] = [_RaiseNonFinite()]
    if decoding.repetition_penalty != 1.0:
        parts.append(_After(start, RepetitionPenaltyLogitsProcessor(decoding.repetition_penalty)))
    if decoding.no_repeat_ngram_size:
        parts.append(_After(start, NoRepeatNGramLogitsProcessor(decoding.no_repeat_ngram_size)))
    if decoding.min_new_tokens:
        parts.append(MinNewTokensLengthLogitsProcessor(0, decoding.min_new_tokens, ends, device=str(device)))
    if decoding.do_sample:
        parts.append(TemperatureLogitsWarper(float(decoding.temperature)))
        if decoding.top_k:
            parts.append(TopKLogitsWarper(decoding.top_k))
        if decoding.top_p < 1.0:
            parts.append(TopPLogitsWarper(float(decoding.top_p)))
        parts.append(_Draw(decoding.seed))
    return LogitsProcessorList(parts)


class _RaiseNonFinite(LogitsProcessor):
    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        if not torch.isfinite(scores).all():
            raise R2GenError(
                f"generate: token {input_ids.shape[1] + 1} has scores that are not finite numbers (NaN or infinity). "
                'Set LanguageConfig.dtype to "float32" or "bfloat16" (float16 overflows), and check the weights: '
                "training that diverged leaves NaN in its checkpoint."
            )
        return scores


class _After(LogitsProcessor):
    """A penalty that sees ``start`` before the generated tokens."""

    def __init__(self, start: int | None, penalty: LogitsProcessor) -> None:
        self.start, self.penalty = start, penalty

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        if self.start is not None:
            input_ids = torch.cat([torch.full_like(scores[:, :1], self.start, dtype=torch.long), input_ids], dim=1)
        return self.penalty(input_ids, scores)


class _Draw(LogitsProcessor):
    """Adds Gumbel noise, so that the largest score *is* a draw from the softmax (Gumbel 1954; "Gumbel-max trick").

    Every row of a batch gets the same noise: a report does not depend on what it is generated beside, and two pictures
    are compared under the same luck. Numbers come from the CPU's generator, so that every device draws alike.
    """

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        uniform = torch.rand(scores.shape[1], generator=self.generator, dtype=torch.float64)
        noise = -torch.log(-torch.log(uniform))  # (vocabulary,)
        return scores + noise.to(scores.device, scores.dtype)
