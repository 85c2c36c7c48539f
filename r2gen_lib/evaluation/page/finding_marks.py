"""Where a generated report agrees with its reference, sentence by sentence: what is marked on a run's page.

Findings are CheXpert's observations as ``report_labeler`` reads them, uncertain statements counted as present. Only
whether a finding is there is compared: not its side, size or words. The rules err, and so do these marks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from r2gen_lib.findings.report_labeler import State, sentence_labels
from r2gen_lib.metrics.chexpert_f1 import paired_labels

AGREES, MISSED, INVENTED, SAID = "agrees", "missed", "invented", "said"
NO_FINDING = "No Finding"


@dataclass(frozen=True)
class Mark:
    """One finding of one sentence.

    Attributes:
        kind: ``AGREES``, ``MISSED`` (the reference has it, the generated report has not), ``INVENTED`` (the reverse) or
            ``SAID`` (not compared).
        finding: one of ``report_phrases.OBSERVATIONS``.
        denied: the sentence denies the finding, which the other report states.
    """

    kind: str
    finding: str
    denied: bool = False

    @property
    def words(self) -> str:
        """The mark in words."""
        return f"{'denied' if self.denied else self.kind}: {self.finding}"


@dataclass(frozen=True)
class MarkedSentence:
    """A sentence and its marks; most have none."""

    text: str
    marks: tuple[Mark, ...] = ()

    @property
    def kind(self) -> str:
        """The one kind that colours the sentence: an error before an agreement; empty without marks."""
        kinds = {mark.kind for mark in self.marks}
        return next((kind for kind in (INVENTED, MISSED, AGREES, SAID) if kind in kinds), "")


def mark_generated(generated: str, reference: str) -> list[MarkedSentence]:
    """The generated report's sentences: its findings agree or are invented; denials of the reference's are marked."""
    return _marked(generated, stated(generated), stated(reference), wrong=INVENTED, denied=MISSED)


def mark_reference(reference: str, generated: str) -> list[MarkedSentence]:
    """The reference's sentences: its findings agree or were missed; denials of what was invented are marked."""
    return _marked(reference, stated(reference), stated(generated), wrong=MISSED, denied=INVENTED)


def mark_stated(report: str) -> list[MarkedSentence]:
    """A report's sentences with the findings each states, compared with nothing."""
    return [
        MarkedSentence(text, tuple(Mark(SAID, name) for name, state in states.items() if _is_said(name, state)))
        for text, states in sentence_labels(report)
    ]


def stated(report: str) -> set[str]:
    """The findings that a report states, for sure or not; ``No Finding`` is none."""
    return {name for _, states in sentence_labels(report) for name, state in states.items() if _is_said(name, state)}


def _is_said(name: str, state: State) -> bool:
    return state >= State.UNCERTAIN and name != NO_FINDING


def _marked(report: str, own: set[str], other: set[str], wrong: str, denied: str) -> list[MarkedSentence]:
    sentences = []
    for text, states in sentence_labels(report):
        marks = []
        for name, state in states.items():
            if _is_said(name, state):
                marks.append(Mark(AGREES if name in other else wrong, name))
            elif state == State.ABSENT and name in other - own:
                marks.append(Mark(denied, name, denied=True))
        sentences.append(MarkedSentence(text, tuple(marks)))
    return sentences


def study_f1(generated: Mapping[str, str], references: Mapping[str, str]) -> dict[str, float]:
    """Study id -> F1 of the 14 observations (``No Finding`` is one) within that study, uncertain as present.

    Raises:
        DataError: the ids differ, there are none, or a report is not text.
    """
    written, truth = paired_labels(generated, references)
    both, said = (written & truth).sum(axis=1), written.sum(axis=1) + truth.sum(axis=1)
    return dict(zip(references, (2 * both / np.maximum(said, 1)).tolist(), strict=True))


def ranked(ids: Iterable[str], *scores: Mapping[str, float]) -> list[str]:
    """Ids from best to worst by the first score, then the next; ties by id, so that the order is always the same."""
    return sorted(ids, key=lambda i: (*(-score[i] for score in scores), i))


def best_median_worst(order: Sequence[str], each: int = 3) -> dict[str, list[str]]:
    """``"best"``, ``"median"`` and ``"worst"`` ids of a ranked list: ``each`` of them, fewer where it is short.

    Nothing is in two groups; a list of one has a best alone, one of two no median.
    """
    count = len(order)
    each = max(1, min(each, count // 3))
    worst = list(order[max(each, count - each) :])
    start = max(each, (count - each) // 2)
    median = list(order[start : min(start + each, count - len(worst))])
    return {"best": list(order[:each]), "median": median, "worst": worst}
