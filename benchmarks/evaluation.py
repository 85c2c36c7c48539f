"""How long evaluation takes.

    python benchmarks/evaluation.py

Clinical labels by rules: all 3,955 Open-i reports (findings and impression), with the start of the pipeline. Wall-clock
seconds count other work on the machine, CPU seconds do not; one thread. The exit status is 1 if a row took longer than
is expected of it.
"""

from __future__ import annotations

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
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Timing(what, time.perf_counter() - wall, time.process_time() - cpu, expected)


def clinical_labels() -> list[Timing]:
    from r2gen_lib import assets
    from r2gen_lib.data.openi import read_openi_archive
    from r2gen_lib.data.reports import choose_section
    from r2gen_lib.evaluation.clinical_rules import label_reports

    records = read_openi_archive(assets.asset("openi_reports"))
    texts = [choose_section(sections, "both") for sections, _ in records.values()]
    return [timed(f"clinical labels of {len(texts):,} reports", 20, lambda: label_reports(texts))]


def main() -> int:
    rows = clinical_labels()
    print(f"{'':50s}{'seconds':>10s}{'CPU':>10s}{'at most':>10s}")
    for row in rows:
        print(f"{row.what:50s}{row.seconds:10.1f}{row.cpu_seconds:10.1f}{row.expected:10.0f}")
    return int(any(row.seconds > row.expected for row in rows))


if __name__ == "__main__":
    sys.exit(main())
