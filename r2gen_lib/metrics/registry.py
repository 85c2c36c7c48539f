"""Which metrics stand beside the language metrics: a line of ``METRICS`` each (docs/recipes/add_a_metric.md adds one).

``r2gen evaluate``, ``score`` and ``compare`` compute whatever stands here, with intervals, for the model and for every
control, and keep and show it wherever scores are kept and shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from r2gen_lib.errors import DataError
from r2gen_lib.metrics.bootstrap import StudyScore
from r2gen_lib.metrics.chexpert_f1 import clinical_study_scores

#: References and hypotheses (study id -> report, the same ids) -> scores of these studies, each with a row a study in
#: the order of the references.
Metric = Callable[[Mapping[str, str], Mapping[str, str]], Sequence[StudyScore]]

#: Name -> metric, in the order in which their scores are shown.
METRICS: dict[str, Metric] = {
    "clinical F1": clinical_study_scores,
}


def register(name: str, metric: Metric) -> None:
    """Add a metric from outside this file, such as a notebook's own: from now on it is scored by default.

    Raises:
        DataError: another metric has that name (the same one may be registered again, as a cell does that runs twice).
    """
    known = METRICS.setdefault(name, metric)
    if _place(known) != _place(metric):
        raise DataError(
            f"register: the name {name!r} is taken by {'.'.join(_place(known))}, expected a new one; taken are "
            f"{', '.join(METRICS)}. Choose another name."
        )
    METRICS[name] = metric


def _place(metric: Metric) -> tuple[str, str]:
    """Where a metric was written: a cell that runs twice makes two functions of the same place."""
    return getattr(metric, "__module__", ""), getattr(metric, "__qualname__", repr(metric))


def registered_scores(references: Mapping[str, str], hypotheses: Mapping[str, str]) -> list[StudyScore]:
    """The scores of every registered metric, in the registry's order; itself a ``Metric``."""
    return [score for metric in METRICS.values() for score in metric(references, hypotheses)]
