"""The language metrics as sums over studies: BLEU's counts and METEOR's statistics.

BLEU and METEOR of a corpus are no means of single reports' scores: counts are summed first. Here each study's counts
are taken from the reference implementations (``pycocoevalcap``'s BleuScorer, METEOR's jar) and the formula that turns
their sums into the score is written out, so that any draw of studies is scored without running either again.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from pycocoevalcap.bleu.bleu_scorer import BleuScorer

from r2gen_lib.metrics.bootstrap import StudyScore

_ORDERS = 4
_SMALL, _TINY = 1e-9, 1e-15  # what pycocoevalcap adds to denominators and numerators

#: METEOR 1.5's parameters for English: weight of recall, exponent and weight of the fragmentation penalty, weight of
#: content words, and the weights of exact, stem, synonym and paraphrase matches (Denkowski and Lavie 2014, table 1).
_ALPHA, _BETA, _GAMMA, _DELTA = 0.85, 0.2, 0.6, 0.75
_MATCHERS = np.array([1.0, 0.6, 0.8, 0.6])
METEOR_STATISTICS = 23


def bleu_scores(references: list[str], hypotheses: list[str]) -> list[StudyScore]:
    """BLEU-1..4 of tokenised texts, a pair a study. Statistics: both lengths, n-grams written, n-grams matched."""
    scorer = BleuScorer(n=_ORDERS)
    for reference, hypothesis in zip(references, hypotheses, strict=True):
        scorer += (hypothesis, [reference])
    rows = [[one["testlen"], one["reflen"][0], *one["guess"], *one["correct"]] for one in scorer.ctest]
    return [StudyScore(f"Bleu_{n}", np.array(rows), partial(corpus_bleu, n)) for n in range(1, _ORDERS + 1)]


def corpus_bleu(order: int, sums: np.ndarray, studies: int) -> np.ndarray:
    """Corpus BLEU from sums ``(..., 10)``: both lengths, n-grams written, n-grams matched; with pycocoevalcap's small
    numbers."""
    written, matched = sums[..., 2 : 2 + order], sums[..., 6 : 6 + order]
    precision = np.prod((matched + _TINY) / (written + _SMALL), axis=-1) ** (1 / order)
    ratio = (sums[..., 0] + _TINY) / (sums[..., 1] + _SMALL)
    return precision * np.exp(1 - 1 / np.minimum(ratio, 1))


def meteor_score(lines: list[str]) -> StudyScore:
    """METEOR of a corpus from the lines that its jar answers to ``SCORE``, one a study.

    Raises:
        ValueError: a line does not hold the 23 numbers of METEOR 1.5.
    """
    rows = [[float(number) for number in line.split()] for line in lines]
    if any(len(row) != METEOR_STATISTICS for row in rows):
        raise ValueError(f"a line of {min(map(len, rows))} to {max(map(len, rows))} numbers instead of 23")
    table = np.array(rows)
    whole = (table[:, 0:2] == table[:, 21:23]).all(axis=1)  # every word is matched, on both sides
    table[whole & (table[:, 20] == 1), 20] = 0  # one chunk is then no fragment, says METEOR
    return StudyScore("METEOR", table, _meteor)


def _meteor(sums: np.ndarray, studies: int) -> np.ndarray:
    """METEOR from sums ``(..., 23)``: words, function words (written, expected); four matchers' matches of content
    words and of function words (written, expected); chunks; matched words (written, expected)."""
    matches = sums[..., 4:20].reshape(*sums.shape[:-1], len(_MATCHERS), 2, 2)  # matcher, kind of word, side
    kinds = np.array([_DELTA, 1 - _DELTA])
    weighted = np.einsum("...mks,m,k->...s", matches, _MATCHERS, kinds)
    content = sums[..., 0:2] - sums[..., 2:4]
    length = _DELTA * content + (1 - _DELTA) * sums[..., 2:4]
    precision, recall = np.moveaxis(_ratio(weighted, length), -1, 0)
    mean = _ratio(precision * recall, _ALPHA * precision + (1 - _ALPHA) * recall)
    fragmentation = _ratio(sums[..., 20], (sums[..., 21] + sums[..., 22]) / 2)
    return mean * (1 - _GAMMA * fragmentation**_BETA)


def _ratio(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """Elementwise ``top / bottom``, 0 where ``bottom`` is 0."""
    return np.divide(top, bottom, out=np.zeros(np.broadcast(top, bottom).shape), where=np.asarray(bottom) != 0)
