"""Clinical scores: what generated and reference reports say of CheXpert's 14 observations, compared.

Labels come from the rules of ``report_labeler``, and every table says so; they are neither CheXpert's labeller nor
CheXbert, and scores made with those cannot be compared with these (``trained_labelers`` has the way to those).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from sklearn.metrics import precision_recall_fscore_support

from r2gen_lib.errors import DataError
from r2gen_lib.findings.report_labeler import State, label_reports
from r2gen_lib.findings.report_phrases import FIVE, OBSERVATIONS
from r2gen_lib.metrics.bootstrap import StudyScore
from r2gen_lib.metrics.nlg import check_pairs

#: What may be done with "uncertain".
POLICIES = ("positive", "negative", "ignore")

LABELLER = "rules"


def label_table(reports: Mapping[str, str]) -> pd.DataFrame:
    """What each report says: a row a study, a column an observation, the state's name in lower case."""
    names = np.array([state.words for state in State])
    index = pd.Index(list(reports), name="id")
    return pd.DataFrame(names[label_reports(reports.values())], index=index, columns=list(OBSERVATIONS))


def clinical_scores(
    generated: Mapping[str, str], references: Mapping[str, str], uncertain: str = "positive", classes: int = 14
) -> pd.DataFrame:
    """Precision, recall and F1 of the observations that the generated reports call present.

    Args:
        generated: study id -> the report that was written.
        references: study id -> the radiologist's report, for the same ids.
        uncertain: what an uncertain statement counts as: ``"positive"`` as present, ``"negative"`` as not present,
            ``"ignore"``: that study is left out of that observation if either report is uncertain.
        classes: 14, or 5 for CheXpert's competition (``FIVE``).

    Returns:
        The table of ``scores_of_labels``; its index names labeller, classes and policy.

    Raises:
        DataError: the ids differ or there are none, a report is not text, or an option is unknown.
    """
    return scores_of_labels(*paired_labels(generated, references, uncertain, classes), uncertain)


def paired_labels(
    generated: Mapping[str, str], references: Mapping[str, str], uncertain: str = "positive", classes: int = 14
) -> tuple[np.ndarray, np.ndarray]:
    """What ``clinical_scores`` compares: whether generated and reference reports call each observation present.

    Args:
        generated, references, uncertain, classes: as for ``clinical_scores``.

    Returns:
        Two bool arrays (studies, classes): generated, reference; rows in the order of ``references``. What is
        ignored is False in both, which no score here counts.
    """
    columns = [OBSERVATIONS.index(name) for name in class_names(classes)]
    check_pairs(references, generated)
    if uncertain not in POLICIES:
        raise DataError(f"uncertain={uncertain!r}: expected one of {', '.join(POLICIES)}.")
    written = label_reports(generated[i] for i in references)[:, columns]
    truth = label_reports(references.values())[:, columns]
    least = State.UNCERTAIN if uncertain == "positive" else State.PRESENT
    counted = np.ones_like(truth, dtype=bool)
    if uncertain == "ignore":
        counted = (written != State.UNCERTAIN) & (truth != State.UNCERTAIN)
    return (written >= least) & counted, (truth >= least) & counted


def class_names(classes: int) -> tuple[str, ...]:
    """The observations of 14 or of 5 classes, in the order of the columns.

    Raises:
        DataError: another number.
    """
    if classes not in (5, 14):
        raise DataError(f"classes={classes!r}: expected 14 (all observations) or 5 ({', '.join(FIVE)}).")
    return FIVE if classes == 5 else OBSERVATIONS


def scores_of_labels(written: np.ndarray, truth: np.ndarray, uncertain: str = "positive") -> pd.DataFrame:
    """The table of scores of two bool arrays (studies, classes), by scikit-learn.

    Args:
        written: what the generated reports call present.
        truth: what the references call present, of the same shape.
        uncertain: the policy that made them, for the index.

    Returns:
        Rows: each observation, "micro" (all decisions in one pot), "macro" (mean of the observations), "per study"
        (mean of the studies' own scores). Columns: precision, recall, F1 in 0..1, and how often the references say it
        (micro, and each observation), or over how many observations or studies the mean goes. An observation that
        neither side ever calls present scores 0, as papers' scripts have it; a study of which neither side calls
        anything present is left out of "per study".
    """
    names = class_names(truth.shape[1])
    said = (written | truth).any(axis=1)
    rows = list(np.transpose(_sklearn(written, truth, None)))
    rows.append(_sklearn(written, truth, "micro"))
    rows.append(_sklearn(written, truth, "macro"))
    rows.append(_sklearn(written[said], truth[said], "samples") if said.any() else (0.0, 0.0, 0.0))
    counts = [*truth.sum(axis=0), truth.sum(), len(names), said.sum()]
    index = pd.MultiIndex.from_product(
        [[LABELLER], [len(names)], [uncertain], [*names, "micro", "macro", "per study"]],
        names=["labels by", "classes", "uncertain as", "score"],
    )
    table = pd.DataFrame(rows, index=index, columns=["precision", "recall", "F1"])
    return table.assign(count=[int(count) for count in counts])


def _sklearn(written: np.ndarray, truth: np.ndarray, average: str | None) -> tuple:
    return precision_recall_fscore_support(truth, written, average=average, zero_division=0)[:3]


def clinical_study_scores(
    references: Mapping[str, str], generated: Mapping[str, str], uncertain: str = "positive", classes: int = 14
) -> list[StudyScore]:
    """Macro and micro F1 as ``evaluation.statistics`` resamples them; their names say labeller, classes and policy.

    Args:
        references, generated, uncertain, classes: as for ``clinical_scores``.
    """
    counts = study_counts(*paired_labels(generated, references, uncertain, classes))  # (S, 3, classes)

    def combined(place: int) -> Callable[[np.ndarray, int], np.ndarray]:
        return lambda sums, studies: f1_of_counts(sums.reshape(*sums.shape[:-1], *counts.shape[1:]))[place]

    return [
        StudyScore(
            f"clinical {kind} F1 (rules, {classes}, uncertain {uncertain})", counts.reshape(len(counts), -1), one
        )
        for kind, one in (("macro", combined(1)), ("micro", combined(0)))
    ]


def study_counts(written: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """What a bootstrap over studies adds up: int (studies, 3, classes), true and false positives, false negatives."""
    return np.stack([written & truth, written & ~truth, ~written & truth], axis=1).astype(np.int64)


def f1_of_counts(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Micro and macro F1 from sums of ``study_counts`` over studies.

    Args:
        counts: (..., 3, classes), such as one sum a resample.

    Returns:
        Two arrays of the shape of ``...``; equal to the rows "micro" and "macro" of ``scores_of_labels``.
    """
    micro = _f1(counts.sum(axis=-1, keepdims=True))[..., 0]
    return micro, _f1(counts).mean(axis=-1)


def _f1(counts: np.ndarray) -> np.ndarray:
    both, false_positive, false_negative = np.moveaxis(counts, -2, 0)
    return 2 * both / np.maximum(2 * both + false_positive + false_negative, 1)
