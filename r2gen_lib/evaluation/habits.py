"""What a system's reports are like, before anyone asks whether they are right: how long, how often the same, how
often they contradict themselves, and whether a side that they name is the coded one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from r2gen_lib.data.study import Study
from r2gen_lib.errors import DataError
from r2gen_lib.evaluation.counterfactual.tables import share
from r2gen_lib.findings.contradictions import contradictions
from r2gen_lib.findings.finding import MIDLINE
from r2gen_lib.findings.laterality import side_in_report


def habits(studies: Sequence[Study], systems: Mapping[str, Mapping[str, str]]) -> pd.DataFrame:
    """A row a system.

    Args:
        studies: with the findings that their codes name.
        systems: name -> (study id -> report), each with every study.

    Returns:
        Columns: reports; words (median); different (reports, of all); commonest (how often the commonest report was
        written); contradict (reports in which one sentence affirms what another denies, by rules); sides (findings
        coded on one side for which the report names a side), right side (share of them), with low and high (Wilson's
        95% interval; NaN where no side is named).

    Raises:
        DataError: there are no studies, or a system lacks one.
    """
    if not studies:
        raise DataError("habits: found no study, expected at least one.")
    return pd.DataFrame({name: _row(studies, texts, name) for name, texts in systems.items()}).T.infer_objects()


def _row(studies: Sequence[Study], texts: Mapping[str, str], name: str) -> dict[str, float]:
    missing = [study.id for study in studies if study.id not in texts]
    if missing:
        raise DataError(f"habits, {name}: found no report of {missing[0]} ({len(missing)} missing), expected one each.")
    reports = [texts[study.id] for study in studies]
    counts = Counter(" ".join(report.split()) for report in reports)
    told = {report: bool(contradictions(report)) for report in counts}
    sides = [pair for study, report in zip(studies, reports, strict=True) for pair in _sides(study, report)]
    right, low, high = share(sum(coded == said for coded, said in sides), len(sides))
    return {
        "reports": len(reports),
        "words": float(np.median([len(report.split()) for report in reports])),
        "different": len(counts),
        "commonest": max(counts.values()),
        "contradict": sum(count for report, count in counts.items() if told[report]),
        "sides": len(sides),
        "right side": right,
        "low": low,
        "high": high,
    }


def _sides(study: Study, report: str) -> list[tuple[str, str]]:
    """(coded, said) of each finding that the codes put on one side and the report on some side."""
    coded = {}
    for finding in study.findings:
        if finding.name not in MIDLINE and finding.side in ("left", "right"):
            coded.setdefault(finding.name, set()).add(finding.side)
    one_sided = {name: sides.pop() for name, sides in coded.items() if len(sides) == 1}
    said = ((side, side_in_report(name, report)) for name, side in one_sided.items())
    return [(side, found) for side, found in said if found]
