"""BLEU-2 as the public board makes it: the values are those of fast-bleu 0.0.90, weights (1/2, 1/2)."""

from __future__ import annotations

import pytest

from r2gen_lib.metrics.rexrank_bleu import rexrank_bleu


@pytest.mark.parametrize(
    "reference, hypothesis, expected",
    [
        ("The heart is big", "The heart.", 0.41368954504257255),
        ("One two three", "one", 0.04279677428117004),
        ("No lungs effusion", "Lungs clear. No effusion. The lungs", 0.07319250547113998),
        ("one", "One", 0.3162277660168379),
        ("a b c d", "x y z", 0.0),
        ("a b", "", 0.0),
        ("Lungs are  clear.", "lungs are clear .", 1.0),
    ],
)
def test_one_report(reference, hypothesis, expected):
    (score,) = rexrank_bleu({"a": reference}, {"a": hypothesis})
    assert score.value() == pytest.approx(expected, abs=1e-9)


def test_it_is_the_mean_over_studies():
    (score,) = rexrank_bleu({"a": "one two", "b": "one two"}, {"b": "x", "a": "one two"})
    assert score.value() == pytest.approx(0.5) and score.statistics[:, 0].tolist() == pytest.approx([1, 0])
