"""Controls that belong beside every score: a report that looks at no picture, and the wrong pictures.

A third of the benchmark's studies are normal and their reports are alike, so word-overlap scores reward a
model that ignores the picture. Two rows tell how much of a score that explains:

* *constant report*: one training report, the same for every study;
* *shuffled pictures*: what the model writes for another study's picture.
"""

from __future__ import annotations

import math
import random
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from r2gen_lib.errors import DataError
from r2gen_lib.evaluation.language import METRICS, LanguageScorer, check_pairs

MODEL, CONSTANT, SHUFFLED = "model", "constant report", "shuffled pictures"
DISTINCT, EMPTY = "distinct reports", "empty reports"

_WORD = re.compile(r"\w+(?:[-'./]\w+)*")
_ORDERS = (1, 2, 3, 4)


def constant_report(train_reports: Iterable[str]) -> str:
    """The one training report that, given for every study, would score best.

    Each distinct training report is tried as the answer to all training studies, and the one of the highest
    corpus BLEU-4 is taken (the first in alphabetical order among equals). Only training reports decide:
    neither candidates nor references come from the split that is scored. Words are found by a regular
    expression, so no Java is needed, and counting how many reports hold an n-gram once makes trying all
    2,069 of Open-i a matter of a second.

    Raises:
        DataError: there is no training report with a word in it.
    """
    reports = [report for report in train_reports if _WORD.search(report)]
    if not reports:
        raise DataError(
            "constant_report: found no training report with a word in it. Pass the reports of the training "
            "studies: [study.report for study in by_split(studies, 'train')]."
        )
    words = [_words(report) for report in reports]
    held_by = {order: _reports_holding(words, order) for order in _ORDERS}
    mean_length = sum(map(len, words)) / len(words)
    return max(
        sorted(set(reports)),
        key=lambda report: _bleu_if_constant(_words(report), held_by, len(reports), mean_length),
    )


def _words(report: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(report.lower()))


def _ngrams(words: Sequence[str], order: int) -> Counter:
    return Counter(zip(*(words[start:] for start in range(order)), strict=False))


def _reports_holding(reports: Sequence[Sequence[str]], order: int) -> Counter:
    """(n-gram, k) -> the number of reports that hold the n-gram at least k times."""
    held_by: Counter = Counter()
    for words in reports:
        for ngram, count in _ngrams(words, order).items():
            held_by.update((ngram, k) for k in range(1, count + 1))
    return held_by


def _bleu_if_constant(words: Sequence[str], held_by: Mapping[int, Counter], reports: int, mean_length: float) -> float:
    """Logarithm of the corpus BLEU-4 of one text given as the answer to every report; -inf for 0."""
    logarithm = 0.0
    for order in _ORDERS:
        ngrams = _ngrams(words, order)
        matched = sum(held_by[order][ngram, k] for ngram, n in ngrams.items() for k in range(1, n + 1))
        if not matched:
            return -math.inf
        logarithm += math.log(matched / (reports * ngrams.total())) / len(_ORDERS)
    return logarithm + min(0.0, 1 - mean_length / len(words))


def shuffled(ids: Iterable[str], seed: int = 0) -> dict[str, str]:
    """Study id -> the id of another study, each used once (no study keeps its own).

    ``{i: hypotheses[other] for i, other in shuffled(hypotheses).items()}`` is what the model writes for the
    wrong pictures, without generating again: a report depends on its picture alone.

    Raises:
        DataError: fewer than two studies, or an id twice.
    """
    given = list(ids)
    order = given.copy()
    if len(order) < 2 or len(set(order)) < len(order):
        raise DataError(
            f"shuffled: found {len(order)} studies with {len(set(order))} ids, expected two or more, all "
            "different. One study has no other picture to be given."
        )
    random.Random(seed).shuffle(order)
    partner = dict(zip(order, order[1:] + order[:1], strict=True))  # one cycle, so nobody meets itself
    return {study_id: partner[study_id] for study_id in given}


def distinct_ratio(reports: Iterable[str]) -> float:
    """Distinct reports over all reports; 1 / N says that the model always writes the same.

    Raises:
        DataError: there are no reports.
    """
    texts = [" ".join(report.split()) for report in reports]
    if not texts:
        raise DataError("distinct_ratio: found no report, expected at least one.")
    return len(set(texts)) / len(texts)


def scores_with_controls(
    references: Mapping[str, str],
    hypotheses: Mapping[str, str],
    train_reports: Iterable[str],
    shuffled_hypotheses: Mapping[str, str] | None = None,
    *,
    seed: int = 0,
    timeout: float = 300,
) -> pd.DataFrame:
    """The model's scores with both controls beneath them.

    Args:
        references: study id -> the radiologist's report.
        hypotheses: study id -> the generated report, for the same ids.
        train_reports: reports of the training studies; the constant report is chosen among them.
        shuffled_hypotheses: study id -> the report generated from another study's picture; by default the
            hypotheses themselves, dealt out anew by ``shuffled(ids, seed)``.
        seed: of that dealing.
        timeout: seconds that each Java program may take for one row.

    Returns:
        Rows ``model``, ``constant report`` and ``shuffled pictures``; columns ``Bleu_1`` .. ``CIDEr``,
        ``distinct reports`` (distinct / all) and ``empty reports`` (a count). The text of the constant report
        is in ``frame.attrs["constant report"]``.

    Raises:
        DataError: ids differ, or there are fewer than two studies to shuffle.
        JavaError: no Java, it stopped, or took too long.
    """
    constant = constant_report(train_reports)
    if shuffled_hypotheses is None:
        check_pairs(references, hypotheses)
        shuffled_hypotheses = {i: hypotheses[other] for i, other in shuffled(references, seed).items()}
    rows = {
        MODEL: hypotheses,
        CONSTANT: dict.fromkeys(references, constant),
        SHUFFLED: shuffled_hypotheses,
    }
    for texts in rows.values():
        check_pairs(references, texts)
    with LanguageScorer(timeout) as scorer:
        table = {name: _row(scorer, references, texts) for name, texts in rows.items()}
    frame = pd.DataFrame.from_dict(table, orient="index", columns=[*METRICS, DISTINCT, EMPTY])
    frame[EMPTY] = frame[EMPTY].astype(int)
    frame.attrs[CONSTANT] = constant
    return frame


def _row(scorer: LanguageScorer, references: Mapping[str, str], texts: Mapping[str, str]) -> list[float]:
    scores = scorer.score(references, texts)
    empty = sum(not text.strip() for text in texts.values())
    return [*(scores[metric] for metric in METRICS), distinct_ratio(texts.values()), empty]
