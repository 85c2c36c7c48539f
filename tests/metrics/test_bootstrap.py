from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pycocoevalcap.bleu.bleu import Bleu
from scipy.stats import bootstrap, permutation_test

from r2gen_lib.errors import DataError
from r2gen_lib.metrics.bootstrap import StudyScore, bootstrap_scores, compare, mean_score, spread
from r2gen_lib.metrics.corpus_scores import bleu_scores, meteor_score

REFERENCES = [
    "the heart is large and the lungs are clear",
    "no effusion",
    "there is a small left pleural effusion",
    "the lungs are clear",
    "stable granuloma in the right upper lobe",
]
HYPOTHESES = [
    "the the heart is large",
    "no no effusion today here",
    "there is a small effusion",
    "",
    "the lungs are clear",
]
ORDERS = ["Bleu_1", "Bleu_2", "Bleu_3", "Bleu_4"]


def weights_of(draws: np.ndarray) -> np.ndarray:
    return np.stack([np.bincount(draw, minlength=len(REFERENCES)) for draw in draws])


def f1_score(values: np.ndarray) -> StudyScore:
    """Micro F1 of a label from (true positives, false positives, false negatives) a study."""
    return StudyScore("F1", values, lambda sums, n: 2 * sums[..., 0] / (2 * sums[..., 0] + sums[..., 1] + sums[..., 2]))


def test_bleu_of_every_resample_is_pycocoevalcaps_on_the_drawn_studies():
    draws = np.random.default_rng(0).integers(0, len(REFERENCES), (10, len(REFERENCES)))
    ours = np.array([score.resampled(weights_of(draws)) for score in bleu_scores(REFERENCES, HYPOTHESES)]).T
    for row, draw in zip(ours, draws, strict=True):
        truth = {n: [REFERENCES[i]] for n, i in enumerate(draw)}
        guess = {n: [HYPOTHESES[i]] for n, i in enumerate(draw)}
        np.testing.assert_allclose(row, Bleu(4).compute_score(truth, guess, verbose=0)[0], rtol=0, atol=1e-9)


def test_a_bleu_interval_on_paper():
    # of 4 words 2 are right, of 6 words 6: two studies drawn with replacement give 4/8, 8/10 or 12/12
    scores = bleu_scores(["a b c d", "a b c d e f"], ["a b x y", "a b c d e f"])[:1]
    row = bootstrap_scores(scores).loc["Bleu_1"]
    assert row.tolist() == pytest.approx([8 / 10, 4 / 8, 1], abs=1e-9)


def test_meteor_of_a_resample_is_the_jars(scorer):
    references, hypotheses = (dict(enumerate(texts)) for texts in (REFERENCES, HYPOTHESES))
    by_name = {score.name: score for score in scorer.study_scores(references, hypotheses)}
    for draw in np.array([[0, 1, 2, 3, 4], [2, 2, 0, 4, 4], [3, 3, 3, 1, 2]]):
        truth, guess = ({n: texts[i] for n, i in enumerate(draw)} for texts in (references, hypotheses))
        expected = scorer.score(truth, guess)
        for name in ("METEOR", "ROUGE_L", *ORDERS):  # CIDEr keeps the document frequencies of the whole set
            assert by_name[name].resampled(weights_of(draw[None]))[0] == pytest.approx(expected[name], abs=1e-9), name
    assert by_name["CIDEr"].value() == pytest.approx(scorer.score(references, hypotheses)["CIDEr"], abs=1e-9)
    assert scorer.study_scores(references, references)[4].value() == 1


def test_meteors_answer_must_have_its_23_numbers():
    with pytest.raises(ValueError, match="numbers instead of 23"):
        meteor_score(["1 2 3"])


@pytest.mark.parametrize("method", ["percentile", "BCa"])
def test_the_interval_of_a_mean_is_scipys(method):
    values = np.random.default_rng(1).gamma(2, 1, 40)
    row = bootstrap_scores([mean_score("F1", values)], method=method, resamples=4000).iloc[0]
    draws = {"n_resamples": 4000, "batch": 100, "random_state": np.random.default_rng(0)}
    theirs = bootstrap((values,), np.mean, method=method, **draws).confidence_interval
    assert row.score == pytest.approx(values.mean())
    assert [row.low, row.high] == pytest.approx([theirs.low, theirs.high])


def test_an_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(2)
    outcomes = rng.multinomial(1, [0.4, 0.2, 0.1, 0.3], size=(200, 150))[..., :3]  # 200 data sets of 150 studies
    truth = 2 * 0.4 / (2 * 0.4 + 0.2 + 0.1)
    tables = [bootstrap_scores([f1_score(values)], resamples=400, seed=n).iloc[0] for n, values in enumerate(outcomes)]
    covered = np.mean([row.low <= truth <= row.high for row in tables])
    assert 0.90 <= covered <= 0.99


def test_the_same_seed_gives_the_same_interval_and_another_nearly():
    score = mean_score("ROUGE_L", np.random.default_rng(3).random(200))
    one, again, other = (bootstrap_scores([score], seed=seed).iloc[0] for seed in (0, 0, 1))
    assert one.equals(again) and not one.equals(other)
    assert other.low == pytest.approx(one.low, abs=0.01)


def two_models() -> tuple[list[StudyScore], list[StudyScore]]:
    rng = np.random.default_rng(4)
    counts = rng.integers(0, 3, (2, 80, 3))
    means = rng.random((2, 80)) + np.array([[0.2], [0]])
    return tuple([f1_score(c), mean_score("ROUGE_L", m)] for c, m in zip(counts, means, strict=True))


def test_a_paired_comparison_is_symmetrical():
    first, second = two_models()
    one, other = compare(first, second), compare(second, first)
    assert one.difference.tolist() == pytest.approx((one["first"] - one["second"]).tolist())
    assert one.difference.tolist() == pytest.approx((-other.difference).tolist())
    assert one.low.tolist() == pytest.approx((-other.high).tolist())
    assert one.p.tolist() == other.p.tolist()
    assert one.p["ROUGE_L"] < 0.01 < one.p["F1"] and one.low["ROUGE_L"] > 0 > one.low["F1"]


def test_models_that_are_the_same_do_not_differ():
    first, _ = two_models()
    table = compare(first, first)
    assert (table[["difference", "low", "high"]] == 0).all(axis=None) and (table.p == 1).all()


def test_pairing_sees_what_separate_intervals_hide():
    hard = np.random.default_rng(5).random(100)  # how hard a study is, for both models alike
    first, second = ([mean_score("F1", hard + more)] for more in (0.02, 0.0))
    a, b = (bootstrap_scores(scores).iloc[0] for scores in (first, second))
    assert a.low < b.score < a.high
    assert compare(first, second).loc["F1", "low"] > 0


def test_the_p_value_of_a_mean_is_scipys():
    x, y = np.random.default_rng(6).random((2, 7))  # so few that every exchange is tried
    theirs = permutation_test((x, y), lambda a, b: a.mean() - b.mean(), permutation_type="samples")
    assert compare([mean_score("F1", x)], [mean_score("F1", y)]).p["F1"] == pytest.approx(theirs.pvalue)


def test_spread_over_seeds_on_paper():
    table = spread([{"F1": 0.2, "CIDEr": 1}, {"F1": 0.4, "CIDEr": 1}, {"CIDEr": 1, "F1": 0.6}])
    assert table.loc["F1"].tolist() == pytest.approx([0.4, 0.2, 0.2, 0.6, 0.4, 3])
    assert table.loc["CIDEr", ["sd", "range"]].tolist() == [0, 0]
    for runs in ([], [{"F1": 1}], [{"F1": 1}, {"CIDEr": 1}]):
        with pytest.raises(DataError, match="expected two or more that all have the same scores"):
            spread(runs)


def test_what_cannot_be_compared_is_one_error():
    one, two, single = mean_score("F1", [1, 2, 3]), mean_score("F1", [1, 2]), mean_score("F1", [1])
    for scores in ([], [one, two], [single]):
        with pytest.raises(DataError, match="the same number for every score, two at least"):
            bootstrap_scores(scores)
    with pytest.raises(DataError, match="expected the same"):
        compare([one], [mean_score("CIDEr", [1, 2, 3])])
    with pytest.raises(DataError, match="same number"):
        compare([one], [two])
    for wrong in ([np.nan, 1], []):
        with pytest.raises(DataError, match="F1: found statistics of shape"):
            mean_score("F1", wrong)


def test_a_thousand_resamples_are_a_few_matrix_products():
    """Scores are not computed anew for each: 1,000 resamples of 590 studies ask for sums of all some ten times."""
    rng = np.random.default_rng(7)
    scores = [*bleu_scores(REFERENCES * 118, HYPOTHESES * 118), f1_score(rng.integers(0, 9, (590, 3)))]
    asked = []

    def counted(score: StudyScore) -> StudyScore:
        def combine(sums: np.ndarray, studies: int) -> np.ndarray:
            asked.append((score.name, len(np.atleast_2d(sums))))
            return score.combine(sums, studies)

        return replace(score, combine=combine)

    assert list(bootstrap_scores([counted(score) for score in scores], resamples=1000).index) == [*ORDERS, "F1"]
    for name in (*ORDERS, "F1"):
        resamples = [rows for of, rows in asked if of == name]
        assert 1000 <= sum(resamples) <= 1010 and len(resamples) <= 15
