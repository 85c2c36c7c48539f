"""BLEU-2 as the public board ReXrank computes it: another tokenisation, and a mean over studies.

The board's metric code (``rajpurkarlab/CXR-Report-Metric``) takes ``fast_bleu`` with the weights 1/2 and 1/2 for each
report by itself: lower case, a blank before each full stop, words are what blanks separate, every other mark stays at
its word. The score is the mean over studies. The counts here are ``pycocoevalcap``'s; where no bigram is shared,
``fast_bleu`` counts a tenth of one, and so does this. A line break is a blank here; there it stays within a word.
``benchmarks/rexrank.py`` compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from pycocoevalcap.bleu.bleu_scorer import BleuScorer

from r2gen_lib.metrics.bootstrap import StudyScore, mean_score

NAME = "BLEU-2 as ReXrank"
_NONE_SHARED = 0.1


def rexrank_bleu(references: Mapping[str, str], hypotheses: Mapping[str, str]) -> list[StudyScore]:
    """The mean over studies of BLEU-2, in 0..1; a ``metrics.registry.Metric``.

    Args:
        references: study id -> the radiologist's findings, as they stand in the source (no cleaning).
        hypotheses: study id -> the generated report, for the same ids. An empty one scores 0.
    """
    scorer = BleuScorer()
    for study, reference in references.items():
        scorer += (_tokens(hypotheses[study]), [_tokens(reference)])
    return [mean_score(NAME, [_bleu_2(**one) for one in scorer.ctest])]


def _tokens(report: str) -> str:
    return " ".join(report.lower().replace(".", " .").split())


def _bleu_2(testlen: int, reflen: list[int], guess: list[int], correct: list[int]) -> float:
    """BLEU-2 of one report from its counts: words written and expected, n-grams written and shared, by their order."""
    if not correct[0]:
        return 0.0
    shared = np.array([correct[0], correct[1] or _NONE_SHARED])
    precision = np.sqrt(np.prod(shared / np.maximum(guess[:2], 1)))
    return float(precision * np.exp(min(0.0, 1 - reflen[0] / testlen)))
