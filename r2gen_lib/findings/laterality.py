"""The side of a finding whose code names none: looked up in the report, in the study's other codes, or drawn."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import replace

from r2gen_lib.findings.finding import MIDLINE, Finding
from r2gen_lib.findings.kinds import KINDS

#: Zones that lie, or mostly show, on one side.
ZONE_SIDE = {"lingula": "left", "middle lobe": "right", "retrocardiac": "left"}

#: Zones that lie on one side for one finding: clips under the diaphragm are mostly those of a gallbladder taken out,
#: in the right upper quadrant.
FINDING_SIDE = {("Surgical Clips", "abdomen"): "right"}

#: Findings and patterns that are on both sides unless something says otherwise.
USUALLY_BOTH = frozenset(("scattered", "diffuse", *(kind.name for kind in KINDS if kind.usually_both)))

#: Findings of which there is one: two sides in a sentence settle nothing.
SINGLE = frozenset(kind.name for kind in KINDS if kind.single)

#: The beginnings of the words by which reports name a finding.
REPORT_WORDS = {kind.name: kind.report_words for kind in KINDS if kind.report_words}

_DENIED = re.compile(r"\b(no|not|without|negative|free of|clear of|removed|resolved|resolution)\b")
_REWORDED = (  # phrases whose "right" or "left" is not the finding's side
    (re.compile(r"\bno (\w+ ){0,2}change\b"), ""),
    (re.compile(r"\bright[- ]to[- ]left\b"), "leftward"),
    (re.compile(r"\bleft[- ]to[- ]right\b"), "rightward"),
    (re.compile(r"\b(right|left)[- ]+(atri|ventric|heart|main|upper quadrant|lateral coronary)"), r"\2"),
)
_RIGHT = re.compile(r"\b(right|rightward|dextro\w*)\b")
_LEFT = re.compile(r"\b(left|leftward|levo\w*)\b")
_BOTH = re.compile(r"\b(bilateral\w*|bibasilar|bibasal|biapical|both)\b")


def one_side(finding: Finding, codes: Iterable[Finding], study_id: str, seed: int, report: str) -> Finding:
    """The finding with a side; as it is where it has one or needs none.

    In this order: a zone that lies on one side, for any finding or this one (clips in the abdomen: right); the report's
    sentences about the finding; the study's other codes for the same finding; both, where that is usual; a draw from
    (study, seed, name).
    """
    if finding.side or finding.name in MIDLINE:
        return finding
    side = (
        ZONE_SIDE.get(finding.zone)
        or FINDING_SIDE.get((finding.name, finding.zone))
        or side_in_report(finding.name, report)
        or _side_in_codes(finding, codes)
        or ("bilateral" if _usually_both(finding) else "")
        or ("left", "right")[hashlib.sha256(f"{study_id}|{seed}|{finding.name}".encode()).digest()[0] % 2]
    )
    return replace(finding, side=side)


def _usually_both(finding: Finding) -> bool:
    """Old granulomas that are many lie in both lungs; other findings that are many need not."""
    many = finding.name == "Calcified Granuloma" and "multiple" in finding.pattern
    return many or bool(USUALLY_BOTH & {finding.name, *finding.pattern})


def side_in_report(name: str, report: str) -> str:
    """The side that a report's sentences about a finding name: "left", "right", "bilateral", or "" if none.

    Sentences that deny something ("no effusion") are passed over. Left in one sentence and right in another is
    bilateral, and so is "both"; for findings of which there is one (``SINGLE``) that settles nothing.
    """
    words = re.compile(r"\b(" + "|".join(REPORT_WORDS.get(name, ("$^",))) + ")")
    sides = set()
    for sentence in re.split(r"[.;]\s", report.lower()):
        for phrase, instead in _REWORDED:
            sentence = phrase.sub(instead, sentence)
        if not words.search(sentence) or _DENIED.search(sentence):
            continue
        sides |= {side for side, said in (("left", _LEFT), ("right", _RIGHT)) if said.search(sentence)}
        sides |= {"left", "right"} if _BOTH.search(sentence) else set()
    return _either(sides, name)


def _side_in_codes(finding: Finding, codes: Iterable[Finding]) -> str:
    sides = {other.side for other in codes if other.name == finding.name and other.side}
    return _either({"left", "right"} if "bilateral" in sides else sides, finding.name)


def _either(sides: set[str], name: str) -> str:
    if len(sides) == 2:
        return "" if name in SINGLE else "bilateral"
    return next(iter(sides), "")
