"""The loss on a corrected report: its words, and a preference where the model would have chosen otherwise.

A *decision* is the first token in which a corrected sentence differs from what the model wrote in its place, behind the
same words: "no" against "a" in "There is ...", "left" against "right", a new sentence against the report's end. There
the right token is to be likelier than the wrong one by ``MARGIN``. So a preference has no length and no style, and it
stands in the context in which the model chooses.

Source: a margin between two continuations, as in SLiC-HF (Zhao et al. 2023, arXiv 2305.10425), at one token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from r2gen_lib.model.r2gengpt import ReportOutput
from r2gen_lib.training.teaching.correction import Correction

MARGIN = 2.0  # nats
#: What tokens weigh in the loss: of a sentence that says a finding that is there (as ``OptimConfig.finding_weight``:
#: with less, a search for the likeliest report leaves findings out), of another corrected one, of all others.
NAMING, CORRECTED, OTHER = 4.0, 2.0, 0.5


@dataclass(frozen=True)
class Lesson:
    """A corrected report as training has it: ``T`` tokens, the end included.

    Attributes:
        report: the text.
        weights: ``T`` numbers, what each token's loss weighs.
        decisions: (place among the ``T`` tokens, the right token's id, the wrong one's).
    """

    report: str
    weights: tuple[float, ...]
    decisions: tuple[tuple[int, int, int], ...]


def lesson(tokenizer: PreTrainedTokenizerBase, correction: Correction, end: int, true: bool = False) -> Lesson:
    """Tokens, weights and decisions of a corrected report.

    Args:
        tokenizer: the language model's.
        correction: of ``correction.correct``; it says something.
        end: the token that ends a report (``R2GenGPT.ends``).
        true: it was true as it stands (``contrast.contrasted``): what names no finding weighs 1.
    """
    weights: list[float] = []
    decisions: list[tuple[int, int, int]] = []
    so_far = ""
    for sentence in correction.sentences:
        right = _ids(tokenizer, _joined(so_far, sentence.text)) + ([] if sentence.text else [end])
        if sentence.instead_of is not None:
            wrong = _ids(tokenizer, _joined(so_far, sentence.instead_of)) + ([] if sentence.instead_of else [end])
            place = next((i for i, (a, b) in enumerate(zip(right, wrong, strict=False)) if a != b), None)
            if place is not None:
                decisions.append((place, right[place], wrong[place]))
        others = 1.0 if true else OTHER if sentence.instead_of is None else CORRECTED
        weight = NAMING if sentence.names else others
        weights += [weight] * (len(right) - len(weights))
        so_far = _joined(so_far, sentence.text)
    return Lesson(correction.report, tuple(weights), tuple(decisions))


def decision_loss(output: ReportOutput, lessons: Sequence[Lesson], margin: float = MARGIN) -> Float[Tensor, ""]:
    """Mean over the decisions of softplus(margin - (logit of the right token - logit of the wrong one)); 0 of none.

    Args:
        output: of ``model(..., reports=[lesson.report for lesson in lessons])``, perhaps with further studies behind.
        lessons: those of the batch's first rows.
        margin: nats.
    """
    logits = output.logits  # made fp32 once
    firsts = torch.searchsorted(output.rows, torch.arange(len(lessons), device=output.rows.device))
    counts = torch.bincount(output.rows, minlength=len(lessons)).tolist()
    chosen = [
        (first + place, right, wrong)
        for row, (one, first) in enumerate(zip(lessons, firsts.tolist(), strict=True))
        for place, right, wrong in one.decisions
        if place < counts[row]  # a long report is cut
    ]
    if not chosen:
        return output.loss * 0
    places, right, wrong = torch.tensor(chosen, device=logits.device).unbind(1)
    return nn.functional.softplus(margin - (logits[places, right] - logits[places, wrong])).mean()


def _joined(text: str, sentence: str) -> str:
    return " ".join(part for part in (text, sentence) if part)


def _ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False).input_ids if text else []
