"""Rare findings seen more often: a report of nothing is the commonest one, and the easiest to learn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from r2gen_lib.data.study import Study
from r2gen_lib.findings.report_labeler import State, label_reports
from r2gen_lib.findings.report_phrases import OBSERVATIONS


def repeat_factors(labels: np.ndarray, threshold: float) -> np.ndarray:
    """How many times each study is to be shown in an epoch, on average.

    A label that a share ``f < threshold`` of the studies has asks for ``sqrt(threshold / f)`` times; of a study's
    labels the rarest one decides. Common labels, and none, ask for once.

    Args:
        labels: ``(S, C)``, whether each study has each label.
        threshold: the share of the studies below which a label is rare, in 0..1.

    Returns:
        ``(S,)`` numbers of at least 1.

    Source: repeat factor sampling, Gupta et al. 2019 (LVIS), arXiv 1908.03195, section 4.1.
    """
    shares = np.asarray(labels, dtype=bool).mean(axis=0)  # (C,)
    wanted = np.ones_like(shares)
    rare = (shares > 0) & (shares < threshold)
    wanted[rare] = np.sqrt(threshold / shares[rare])
    return np.where(labels, wanted, 1.0).max(axis=1, initial=1.0)


def balanced(studies: Sequence[Study], threshold: float, seed: int = 0) -> list[Study]:
    """The studies, those whose reports call a rare observation present more than once, in the order they came.

    Observations are CheXpert's, read from the reports by rules, an uncertain one counted as present, as in the clinical
    scores; "No Finding" is none of them. A factor of 1.6 is two times in six of ten cases, drawn by the seed.

    Raises:
        DataError: a report is not text.
    """
    findings = [column for column, name in enumerate(OBSERVATIONS) if name != "No Finding"]
    labels = label_reports(study.report for study in studies)[:, findings] >= State.UNCERTAIN
    factors = repeat_factors(labels, threshold)
    whole = np.floor(factors)
    times = whole + (np.random.default_rng(seed).random(len(factors)) < factors - whole)
    return [study for study, count in zip(studies, times.astype(int), strict=True) for _ in range(count)]
