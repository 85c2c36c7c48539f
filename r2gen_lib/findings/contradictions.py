"""What a report both affirms and denies: read by the rules of ``report_labeler``, sentence by sentence."""

from __future__ import annotations

from r2gen_lib.findings.finding import MIDLINE, Finding
from r2gen_lib.findings.laterality import side_in_report
from r2gen_lib.findings.report_labeler import State, sentence_labels

#: Left out: "no focal infiltrate" and "a scar in the left base" are both of it, and stand together in real reports.
UMBRELLA = "Lung Opacity"


def contradictions(report: str) -> set[str]:
    """The observations that one sentence of a report calls present and another absent; "Lung Opacity" is never one.

    Of the benchmark's 2,955 real reports the rules find one in 2% (tests/findings/test_contradictions.py): most
    are of two things with one observation, or of a part ("no large effusion").

    Raises:
        DataError: not text.
    """
    affirmed: set[str] = set()
    denied: set[str] = set()
    for _, states in sentence_labels(report):
        affirmed |= {name for name, state in states.items() if state == State.PRESENT}
        denied |= {name for name, state in states.items() if state == State.ABSENT}
    return (affirmed & denied) - {UMBRELLA}


def two_sides(report: str, finding: Finding) -> bool:
    """Whether a report names both sides of a finding that is on one."""
    one_sided = finding.name not in MIDLINE and finding.side in ("left", "right")
    return one_sided and side_in_report(finding.name, report) == "bilateral"
