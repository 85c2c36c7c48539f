"""How long evaluation takes.

    python benchmarks/evaluation.py

Clinical labels by rules: all 3,955 Open-i reports (findings and impression), with the start of the pipeline. Language
scores: 590 reports, each against another study's, with Java's starts. Intervals: 1,000 resamples of all scores of those
590, the clinical ones too. Wall-clock seconds count other work on the machine, CPU seconds (user and system, Java's
included) do not. The exit status is 1 if a row took longer than is expected of it.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """One row: what was done, how long it took, and how long it may take."""

    what: str
    seconds: float
    cpu_seconds: float
    expected: float


def timed(what: str, expected: float, work: Callable[[], object]) -> Timing:
    wall, cpu = time.perf_counter(), _cpu_seconds()
    work()
    return Timing(what, time.perf_counter() - wall, _cpu_seconds() - cpu, expected)


def _cpu_seconds() -> float:
    """This process's and that of its ended children."""
    return sum(os.times()[:4])


def clinical_labels() -> list[Timing]:
    from r2gen_lib import assets
    from r2gen_lib.data.readers.openi import read_openi_archive
    from r2gen_lib.data.reports import choose_section
    from r2gen_lib.findings.report_labeler import label_reports

    records = read_openi_archive(assets.asset("openi_reports"))
    texts = [choose_section(sections, "both") for sections, _ in records.values()]
    return [timed(f"clinical labels of {len(texts):,} reports", 20, lambda: label_reports(texts))]


def scores_of_reports(count: int = 590) -> list[Timing]:
    from r2gen_lib.data.readers.openi import load_openi_reports
    from r2gen_lib.metrics.bootstrap import RESAMPLES, bootstrap_scores
    from r2gen_lib.metrics.chexpert_f1 import clinical_study_scores
    from r2gen_lib.metrics.nlg import LanguageScorer

    studies = load_openi_reports()[:count]
    references = {study.id: study.report for study in studies}
    written = {study.id: other.report for study, other in zip(studies, studies[1:] + studies[:1], strict=True)}
    scores = []

    def language() -> None:
        with LanguageScorer() as scorer:
            scores.extend(scorer.study_scores(references, written))

    first = timed(f"language scores of {count} reports, Java's start included", 15, language)
    scores.extend(clinical_study_scores(references, written))
    what = f"intervals of {len(scores)} scores, {RESAMPLES:,} resamples"
    return [first, timed(what, 20, lambda: bootstrap_scores(scores))]


def main() -> int:
    rows = clinical_labels() + scores_of_reports()
    print(f"{'':62s}{'seconds':>10s}{'CPU':>10s}{'at most':>10s}")
    for row in rows:
        print(f"{row.what:62s}{row.seconds:10.1f}{row.cpu_seconds:10.1f}{row.expected:10.0f}")
    return int(any(row.seconds > row.expected for row in rows))


if __name__ == "__main__":
    sys.exit(main())
