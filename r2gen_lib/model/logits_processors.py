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
        parts += [*_warpers(decoding), _Draw(decoding.seed)]
    return LogitsProcessorList(parts)


def _warpers(decoding: DecodingConfig) -> list[LogitsProcessor]:
    """What narrows the tokens that a sample is drawn from."""
    parts: list[LogitsProcessor] = [TemperatureLogitsWarper(float(decoding.temperature))]
    if decoding.top_k:
        parts.append(TopKLogitsWarper(decoding.top_k))
    if decoding.top_p < 1.0:
        parts.append(TopPLogitsWarper(float(decoding.top_p)))
    return parts


class ScoreRules:
    """What ``score_processors`` does, in place and on the tokens it concerns alone, for ``model.search``."""

    def __init__(self, decoding: DecodingConfig, start: int | None, ends: list[int]) -> None:
        self.decoding, self.start, self.ends = decoding, start, ends
        self._narrowing = _warpers(decoding) if decoding.do_sample else []
        self._generator = torch.Generator().manual_seed(decoding.seed)
        self._noise: Tensor | None = None
        self._number = 0

    def begin_step(self, number: int) -> None:
        """``number`` tokens of each report are written. Draws the step's luck, one for all rows."""
        self._number, self._noise = number, None

    def __call__(self, scores: Tensor, history: Tensor) -> Tensor:
        """``scores`` (rows, vocabulary) in fp32, adjusted in place. ``history`` (rows, written) are token ids."""
        if not torch.isfinite(scores.sum()):  # a sum is finite only if every score is
            raise _not_finite(self._number)
        decoding = self.decoding
        if self.start is not None:
            history = torch.nn.functional.pad(history, (1, 0), value=self.start)
        if decoding.repetition_penalty != 1.0 and history.shape[1]:
            found = scores.gather(1, history)
            changed = torch.where(found < 0, found * decoding.repetition_penalty, found / decoding.repetition_penalty)
            scores.scatter_(1, history, changed)
        size = decoding.no_repeat_ngram_size
        if size and history.shape[1] >= size:
            windows = history.unfold(1, size, 1)  # (rows, n-grams so far, size)
            same = (windows[:, :, :-1] == history[:, None, history.shape[1] - size + 1 :]).all(dim=-1)
            rows, places = same.nonzero(as_tuple=True)
            scores[rows, windows[rows, places, -1]] = -float("inf")
        if self._number < decoding.min_new_tokens:
            scores[:, self.ends] = -float("inf")
        if decoding.do_sample:
            for warper in self._narrowing:
                scores = warper(history, scores)
            if self._noise is None:
                self._noise = _noise(scores.shape[1], self._generator).to(scores.device, scores.dtype)
            scores = scores + self._noise
        return scores


class _RaiseNonFinite(LogitsProcessor):
    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        if not torch.isfinite(scores).all():
            raise _not_finite(input_ids.shape[1])
        return scores


def _not_finite(written: int) -> R2GenError:
    return R2GenError(
        f"generate: token {written + 1} has scores that are not finite numbers (NaN or infinity). "
        'Set LanguageConfig.dtype to "float32" or "bfloat16" (float16 overflows), and check the weights: '
        "training that diverged leaves NaN in its checkpoint."
    )


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
        return scores + _noise(scores.shape[1], self.generator).to(scores.device, scores.dtype)


def _noise(count: int, generator: torch.Generator) -> Tensor:
    """``count`` draws from the Gumbel distribution, float64."""
    return -torch.log(-torch.log(torch.rand(count, generator=generator, dtype=torch.float64)))
