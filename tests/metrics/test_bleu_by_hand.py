"""BLEU worked out with fractions, so that a reader can check each number on paper."""

from __future__ import annotations

import math
from collections import Counter
from fractions import Fraction

import pytest

REFERENCE = "the heart is large and the lungs are clear"
HYPOTHESIS = "the the heart is large"


def clipped_precision(hypothesis: str, reference: str, order: int) -> Fraction:
    """Of the hypothesis' n-grams, the share found in the reference, each at most as often as there."""
    guess, truth = (
        Counter(zip(*(text.split()[start:] for start in range(order)), strict=False))
        for text in (hypothesis, reference)
    )
    return Fraction(sum(min(n, truth[ngram]) for ngram, n in guess.items()), guess.total())


def test_clipping_on_paper():
    # "the" is in the reference twice, so both count; a third one would not
    assert clipped_precision(HYPOTHESIS, REFERENCE, 1) == 1
    assert clipped_precision("the the the", REFERENCE, 1) == Fraction(2, 3)
    # the-the is not in the reference, the other three pairs are; 2 of 3 triples; 1 of 2 fours
    assert [clipped_precision(HYPOTHESIS, REFERENCE, n) for n in (2, 3, 4)] == [
        Fraction(3, 4), Fraction(2, 3), Fraction(1, 2),
    ]  # fmt: skip


def test_the_scorer_agrees_with_paper(scorer):
    brevity = math.exp(1 - Fraction(9, 5))  # 5 words written where 9 were expected
    expected = [
        brevity,
        brevity * (1 * 3 / 4) ** (1 / 2),
        brevity * (1 * 3 / 4 * 2 / 3) ** (1 / 3),
        brevity * (1 * 3 / 4 * 2 / 3 * 1 / 2) ** (1 / 4),
    ]
    scores = scorer.score({"a": REFERENCE}, {"a": HYPOTHESIS})
    assert [scores[f"Bleu_{n}"] for n in (1, 2, 3, 4)] == pytest.approx(expected, rel=1e-6)


def test_the_corpus_is_pooled_before_dividing(scorer):
    references = {"a": REFERENCE, "b": "no effusion"}
    hypotheses = {"a": HYPOTHESIS, "b": "no no effusion today here is it clear"}
    # 5 + 2 of 5 + 8 words are right; 13 words written where 11 were expected, so no penalty
    assert scorer.score(references, hypotheses)["Bleu_1"] == pytest.approx(7 / 13, rel=1e-6)


def test_a_longer_answer_pays_no_penalty_but_loses_precision(scorer):
    scores = scorer.score({"a": "lungs are clear"}, {"a": "the lungs are clear today"})
    assert scores["Bleu_1"] == pytest.approx(3 / 5, rel=1e-6)
    assert scores["Bleu_2"] == pytest.approx(math.sqrt(3 / 5 * 2 / 4), rel=1e-6)


def test_rouge_l_agrees_with_paper(scorer):
    # longest common subsequence "heart is clear" has 3 words of 4 written and 5 expected; beta = 1.2
    precision, recall = 3 / 4, 3 / 5
    expected = (1 + 1.2**2) * precision * recall / (recall + 1.2**2 * precision)
    scores = scorer.score({"a": "the heart is now clear"}, {"a": "heart is very clear"})
    assert scores["ROUGE_L"] == pytest.approx(expected)
