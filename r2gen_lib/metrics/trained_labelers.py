"""Clinical scores by trained models (CheXbert, RadGraph), through the package ``radeval`` where it is installed.

They need weights from the Hugging Face hub. Nothing stands in for them: where they cannot be had, that is an error,
and the scores of ``clinical``, which are by rules, have other names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from r2gen_lib.errors import AssetError
from r2gen_lib.metrics.nlg import check_pairs

#: radeval's names of the scores that reports are judged by.
METRICS = ("f1chexbert", "radgraph")


def radeval_scores(
    generated: Mapping[str, str], references: Mapping[str, str], metrics: tuple[str, ...] = METRICS
) -> dict[str, float]:
    """Scores by radeval, under the names it gives them.

    Args:
        generated: study id -> the report that was written.
        references: study id -> the radiologist's report, for the same ids.
        metrics: radeval's names.

    Raises:
        AssetError: radeval is not installed, or its weights cannot be had.
        DataError: the ids differ or there are none.
    """
    check_pairs(references, generated)
    score = _radeval(metrics)
    return dict(score(refs=list(references.values()), hyps=[generated[i] for i in references]))


def radeval_each(
    generated: Mapping[str, str], references: Mapping[str, str], metrics: tuple[str, ...] = METRICS
) -> dict[str, np.ndarray]:
    """The same of each report by itself: radeval's name -> ``(S,)``, in the order of ``references``.

    Args, Raises: as for ``radeval_scores``.
    """
    check_pairs(references, generated)
    score = _radeval(metrics)
    each = [score(refs=[text], hyps=[generated[i]]) for i, text in references.items()]
    return {name: np.array([float(one[name]) for one in each]) for name in each[0]}


def _radeval(metrics: tuple[str, ...]) -> Callable[..., Mapping[str, float]]:
    """radeval's scorer, its models loaded."""
    try:
        from radeval import RadEval
    except ImportError as error:
        raise AssetError(
            f"{', '.join(metrics)}: the Python package radeval cannot be imported ({error}). Install it with: "
            'pip install "r2gen-course[radeval]" (some of its dependencies are compiled). clinical_scores needs '
            "nothing of that, but labels by rules, and its scores are others."
        ) from error
    try:
        return RadEval(metrics=list(metrics))
    except OSError as error:  # the hub's errors are OSErrors
        raise AssetError(
            f"{', '.join(metrics)}: radeval could not load its models ({error}). They come from the Hugging Face hub: "
            "connect once, or leave these scores out."
        ) from error
