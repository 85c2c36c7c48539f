"""The control that looks at no picture: one training report, given for every study.

Only training reports decide which: neither candidates nor references come from the split that is scored.
"""

from __future__ import annotations

import math
import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from r2gen_lib.errors import DataError
from r2gen_lib.metrics.bootstrap import StudyScore

#: Of the search for the scores that cannot be computed for all training reports at once.
FREQUENT, SAMPLED, TRIED_ON = 12, 12, 100

_WORD = re.compile(r"\w+(?:[-'./]\w+)*")
_ORDERS = (1, 2, 3, 4)


def constant_report(train_reports: Iterable[str]) -> str:
    """The one training report that, given for every study, would score best.

    Each distinct training report is tried as the answer to all training studies, and the one of the highest
    corpus BLEU-4 is taken (the first in alphabetical order among equals). Words are found by a regular
    expression, so no Java is needed, and counting how many reports hold an n-gram once makes trying all
    2,069 of Open-i a matter of a second.

    Raises:
        DataError: there is no training report with a word in it.
    """
    return _best_by_bleu(_with_words(train_reports), _ORDERS[-1:])[_ORDERS[-1]]


def best_constant_reports(
    train_reports: Iterable[str],
    score: Callable[[Mapping[str, str], Mapping[str, str]], Sequence[StudyScore]],
    seed: int = 0,
) -> dict[str, str]:
    """Score's name -> the training report that, given for every study, is best by *that* score.

    BLEU-1..4: the best of all distinct training reports on all training studies, as ``constant_report``. Every other
    score: the best of the 12 most frequent training reports, 12 more drawn at random and BLEU's winners, on 100
    training studies drawn at random (on all of them, if there are fewer).

    Args:
        train_reports: reports of the training studies.
        score: (references, hypotheses) -> scores of their studies, such as ``LanguageScorer.study_scores``.
        seed: of the two draws.

    Raises:
        DataError: there is no training report with a word in it.
    """
    reports = _with_words(train_reports)
    by_bleu = {f"Bleu_{order}": text for order, text in _best_by_bleu(reports, _ORDERS).items()}
    frequency = Counter(sorted(reports))
    frequent = [text for text, _ in frequency.most_common(FREQUENT)]
    draw = random.Random(seed)
    others = draw.sample(sorted(frequency), min(SAMPLED, len(frequency)))
    candidates = list(dict.fromkeys([*by_bleu.values(), *frequent, *others]))
    tried_on = draw.sample(sorted(reports), min(TRIED_ON, len(reports)))
    pairs = [(candidate, reference) for candidate in candidates for reference in tried_on]
    # Each reference stands there once a candidate, and so do its n-grams: CIDEr weighs words as it would among
    # tried_on alone.
    scores = score(
        {str(n): reference for n, (_, reference) in enumerate(pairs)},
        {str(n): candidate for n, (candidate, _) in enumerate(pairs)},
    )
    found = {}
    for one in scores:
        sums = one.statistics.reshape(len(candidates), len(tried_on), -1).sum(axis=1)  # (candidates, K)
        found[one.name] = candidates[int(one.combine(sums, len(tried_on)).argmax())]
    return found | by_bleu


def _with_words(train_reports: Iterable[str]) -> list[str]:
    reports = [report for report in train_reports if _WORD.search(report)]
    if not reports:
        raise DataError(
            "constant_report: found no training report with a word in it. Pass the reports of the training "
            "studies: [study.report for study in by_split(studies, 'train')]."
        )
    return reports


def _best_by_bleu(reports: Sequence[str], orders: Sequence[int]) -> dict[int, str]:
    """Order -> the report of the highest BLEU of that order as the answer to all reports."""
    words = [report_words(report) for report in reports]
    held_by = {order: _reports_holding(words, order) for order in _ORDERS}
    mean_length = sum(map(len, words)) / len(words)
    logarithms = {
        report: _bleus_if_constant(report_words(report), held_by, len(reports), mean_length)
        for report in sorted(set(reports))
    }
    return {order: max(logarithms, key=lambda report, n=order: logarithms[report][n - 1]) for order in orders}


def report_words(report: str) -> tuple[str, ...]:
    """A report's words in lower case, by a regular expression: no Java is needed."""
    return tuple(_WORD.findall(report.lower()))


def ngrams(words: Sequence[str], order: int) -> Counter:
    """How often each run of ``order`` words is there."""
    return Counter(zip(*(words[start:] for start in range(order)), strict=False))


def _reports_holding(reports: Sequence[Sequence[str]], order: int) -> Counter:
    """(n-gram, k) -> the number of reports that hold the n-gram at least k times."""
    held_by: Counter = Counter()
    for words in reports:
        for ngram, count in ngrams(words, order).items():
            held_by.update((ngram, k) for k in range(1, count + 1))
    return held_by


def _bleus_if_constant(
    words: Sequence[str], held_by: Mapping[int, Counter], reports: int, mean_length: float
) -> list[float]:
    """Logarithms of the corpus BLEU-1..4 of one text given as the answer to every report; -inf for 0."""
    penalty = min(0.0, 1 - mean_length / len(words))
    logarithms, total = [], 0.0
    for order in _ORDERS:
        own = ngrams(words, order)
        matched = sum(held_by[order][ngram, k] for ngram, n in own.items() for k in range(1, n + 1))
        total += math.log(matched / (reports * own.total())) if matched else -math.inf
        logarithms.append(total / order + penalty)
    return logarithms
