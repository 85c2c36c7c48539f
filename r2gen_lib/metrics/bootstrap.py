"""How sure a score is: bootstrap intervals over studies, paired comparisons, the spread over seeds.

A corpus score is kept as what each study adds to it (``StudyScore``), so that another draw of studies is a sum and not
another run of the metrics: 1,000 resamples of BLEU take a matrix product. The resampling is scipy's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import bootstrap, permutation_test

from r2gen_lib.errors import DataError

RESAMPLES, CONFIDENCE = 1000, 0.95
_BATCH = 100  # resamples worked on at once, which bounds the memory


@dataclass(frozen=True)
class StudyScore:
    """A score of ``S`` studies together, as a function of sums over them.

    Attributes:
        name: such as ``"Bleu_4"`` or ``"CheXpert-14 micro F1"``.
        statistics: ``(S, K)`` numbers: what each study adds (matches and lengths; true and false positives).
        combine: ``(sums (..., K), studies) -> scores (...)``: sums over any number of studies become the score.
    """

    name: str
    statistics: np.ndarray
    combine: Callable[[np.ndarray, int], np.ndarray]

    def __post_init__(self) -> None:
        values = np.asarray(self.statistics, dtype=float)
        if values.ndim != 2 or not len(values) or not np.isfinite(values).all():
            raise DataError(
                f"{self.name}: found statistics of shape {values.shape}"
                f"{'' if np.isfinite(values).all() else ' with numbers that are not finite'}, expected finite numbers, "
                "a row a study and a column a statistic."
            )
        object.__setattr__(self, "statistics", values)

    def value(self) -> float:
        """The score of all studies."""
        return float(self.combine(self.statistics.sum(axis=0), len(self.statistics)))

    def resampled(self, weights: np.ndarray) -> np.ndarray:
        """Scores ``(R,)`` of resamples given as ``(R, S)``: how often each holds each study."""
        return self.combine(weights @ self.statistics, len(self.statistics))


def mean_score(name: str, values: Sequence[float]) -> StudyScore:
    """A score that is the mean of one value a study (ROUGE-L, CIDEr, F1 per study)."""
    return StudyScore(name, np.asarray(values, dtype=float)[:, None], _mean)


def _mean(sums: np.ndarray, studies: int) -> np.ndarray:
    return sums[..., 0] / studies


def bootstrap_scores(
    scores: Sequence[StudyScore],
    *,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
    method: str = "percentile",
    seed: int = 0,
) -> pd.DataFrame:
    """Each score with its bootstrap interval over studies; all are computed on the same resamples.

    CIDEr's document frequencies stay those of the whole set of references, in every resample.

    Args:
        scores: of the same studies, in the same order.
        resamples: draws of ``S`` studies with replacement.
        confidence: the interval's, in 0..1.
        method: of ``scipy.stats.bootstrap``: ``"percentile"``, ``"basic"`` or ``"BCa"`` (which has no answer, NaN,
            where a score is the same in all resamples).
        seed: of the draws.

    Returns:
        Index: the scores' names. Columns ``score``, ``low``, ``high``.

    Raises:
        DataError: no score, fewer than two studies, or scores of different numbers of studies.
    """
    studies = _studies(scores)

    def all_scores(drawn: np.ndarray, axis: int = -1) -> np.ndarray:  # (R, S) -> (scores, R)
        weights = _counts(np.moveaxis(drawn, axis, -1), studies)
        return np.stack([score.resampled(weights) for score in scores])

    found = bootstrap(
        (np.arange(studies),), all_scores, n_resamples=resamples, batch=_BATCH, vectorized=True,
        confidence_level=confidence, method=method, random_state=np.random.default_rng(seed),
    )  # fmt: skip
    interval = found.confidence_interval
    columns = {"score": [score.value() for score in scores], "low": interval.low, "high": interval.high}
    return pd.DataFrame(columns, index=pd.Index([score.name for score in scores], name="score"))


def compare(
    first: Sequence[StudyScore],
    second: Sequence[StudyScore],
    *,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
    method: str = "percentile",
    seed: int = 0,
) -> pd.DataFrame:
    """Two models on the same studies, paired: differences with intervals, and a test.

    The interval is the bootstrap's over studies, both models meeting the same draws. The p-value is that of
    ``scipy.stats.permutation_test``, two-sided: the two models' reports of a study change places at random, and the
    score is computed anew, BLEU from its sums (approximate randomisation). It is at least ``2 / (resamples + 1)``
    unless there are so few studies that every exchange is tried.

    Args:
        first, second: the same scores in the same order, of the same studies in the same order.
        resamples, confidence, method, seed: as for ``bootstrap_scores``.

    Returns:
        Index: the scores' names. Columns ``first``, ``second``, ``difference`` (first - second), ``low``, ``high``,
        ``p``.

    Raises:
        DataError: the scores or the numbers of studies differ, or there are fewer than two studies.
    """
    names, others = [score.name for score in first], [score.name for score in second]
    if names != others:
        raise DataError(f"compare: the first model has the scores {names}, the second {others}; expected the same.")
    _studies([*first, *second])
    differences = [_difference(a, b) for a, b in zip(first, second, strict=True)]
    options = {"resamples": resamples, "confidence": confidence, "method": method, "seed": seed}
    table = bootstrap_scores(differences, **options).rename(columns={"score": "difference"})
    table.insert(0, "first", [score.value() for score in first])
    table.insert(1, "second", [score.value() for score in second])
    table["p"] = [_exchange_p(a, b, resamples, seed) for a, b in zip(first, second, strict=True)]
    return table


def _difference(first: StudyScore, second: StudyScore) -> StudyScore:
    """The difference of two scores as a score of its own: both models' statistics side by side."""
    width = first.statistics.shape[1]

    def combine(sums: np.ndarray, studies: int) -> np.ndarray:
        return first.combine(sums[..., :width], studies) - second.combine(sums[..., width:], studies)

    return StudyScore(first.name, np.hstack([first.statistics, second.statistics]), combine)


def _exchange_p(first: StudyScore, second: StudyScore, resamples: int, seed: int) -> float:
    studies = len(first.statistics)
    change = second.statistics - first.statistics  # exactly 0 where the models agree, so that rounding adds nothing
    totals = first.statistics.sum(axis=0), second.statistics.sum(axis=0)

    def difference(x: np.ndarray, y: np.ndarray, axis: int = -1) -> np.ndarray:
        exchanged = _counts(np.moveaxis(x, axis, -1), 2 * studies)[..., studies:]  # (..., S): 1 where x has row i + S
        moved = exchanged @ change  # (..., K)
        return first.combine(totals[0] + moved, studies) - first.combine(totals[1] - moved, studies)

    rows = np.arange(studies)
    found = permutation_test(
        (rows, rows + studies), difference, permutation_type="samples", vectorized=True,
        n_resamples=resamples, batch=_BATCH, random_state=np.random.default_rng(seed),
    )  # fmt: skip
    return float(found.pvalue)


def spread(runs: Sequence[Mapping[str, float]]) -> pd.DataFrame:
    """Scores of the same training with several seeds.

    Args:
        runs: one mapping a seed, score's name -> value, such as ``score_reports`` gives.

    Returns:
        Index: the scores' names. Columns ``mean``, ``sd`` (n - 1 in the denominator), ``min``, ``max``, ``range``,
        ``runs``.

    Raises:
        DataError: fewer than two runs, or their scores differ.
    """
    if len(runs) < 2 or any(set(run) != set(runs[0]) for run in runs):
        names = sorted({name for run in runs for name in run})
        raise DataError(
            f"spread: found {len(runs)} runs with the scores {names}, expected two or more that all have the "
            "same scores. One run has no spread."
        )
    table = pd.DataFrame([dict(run) for run in runs])
    columns = {"mean": table.mean(), "sd": table.std(ddof=1), "min": table.min(), "max": table.max()}
    return pd.DataFrame(columns).assign(range=table.max() - table.min(), runs=len(runs)).rename_axis("score")


def _counts(drawn: np.ndarray, studies: int) -> np.ndarray:
    """Resampled study numbers ``(..., n)`` -> how often each of the ``studies`` was drawn, ``(..., studies)``."""
    flat = drawn.reshape(-1, drawn.shape[-1])
    offset = flat + studies * np.arange(len(flat))[:, None]
    counts = np.bincount(offset.ravel(), minlength=len(flat) * studies)
    return counts.reshape(*drawn.shape[:-1], studies).astype(float)


def _studies(scores: Sequence[StudyScore]) -> int:
    numbers = {len(score.statistics) for score in scores}
    if len(numbers) != 1 or min(numbers) < 2:
        raise DataError(
            f"scores of {sorted(numbers) or 'no'} studies, expected the same number for every score, two at least. "
            "Score the same ids, in the same order."
        )
    return numbers.pop()
