"""Seconds that the intervals of all language scores take, beside the seconds of the scores themselves.

    python benchmarks/score_statistics.py [--studies 590] [--resamples 1000]

Reports are Open-i's own; each study's hypothesis is another study's report. Fourteen made-up labels stand in for the
clinical observations: micro F1 over all, and F1 of each. The exit status is 1 if the intervals of all scores take more
than 20 seconds. (The file is not called statistics.py: Python's own module would be hidden from the other benchmarks.)
"""

from __future__ import annotations

import argparse
import sys
import time
from functools import partial

import numpy as np

from r2gen_lib.data.readers.openi import load_openi_reports
from r2gen_lib.metrics.bootstrap import StudyScore, bootstrap_scores, compare
from r2gen_lib.metrics.nlg import LanguageScorer

LIMIT_SECONDS = 20
LABELS = 14


def f1(columns: slice, sums: np.ndarray, studies: int) -> np.ndarray:
    """Micro F1 of some labels from sums (..., 3 a label): true positives, false positives, false negatives."""
    true, false, missed = sums[..., columns].reshape(*sums.shape[:-1], -1, 3).sum(axis=-2).T
    return (2 * true / (2 * true + false + missed)).T


def label_scores(studies: int, seed: int) -> list[StudyScore]:
    outcomes = np.random.default_rng(seed).multinomial(1, [0.1, 0.05, 0.05, 0.8], size=(studies, LABELS))[..., :3]
    table = outcomes.reshape(studies, -1)
    singles = [StudyScore(f"F1 {n}", table, partial(f1, slice(3 * n, 3 * n + 3))) for n in range(LABELS)]
    return [*singles, StudyScore("F1 micro", table, partial(f1, slice(None)))]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=590)
    parser.add_argument("--resamples", type=int, default=1000)
    args = parser.parse_args()
    studies = load_openi_reports()[: args.studies]
    references = {study.id: study.report for study in studies}
    seconds, models = {}, []
    with LanguageScorer() as scorer:
        for n, row in enumerate(("per-study statistics, Java's start included", "per-study statistics, Java running")):
            others = studies[n + 1 :] + studies[: n + 1]
            guess = {study.id: other.report for study, other in zip(studies, others, strict=True)}
            began = time.perf_counter()
            models.append([*scorer.study_scores(references, guess), *label_scores(len(studies), n)])
            seconds[row] = time.perf_counter() - began
    began = time.perf_counter()
    table = bootstrap_scores(models[0], resamples=args.resamples)
    seconds["intervals of all scores"] = time.perf_counter() - began
    began = time.perf_counter()
    compare(*models, resamples=args.resamples)
    seconds["paired comparison of all scores"] = time.perf_counter() - began
    print(f"{len(studies)} reports, {len(table)} scores, {args.resamples} resamples")
    for row, value in seconds.items():
        print(f"{row:48s}{value:8.2f} s")
    return 0 if seconds["intervals of all scores"] <= LIMIT_SECONDS else 1


if __name__ == "__main__":
    sys.exit(main())
