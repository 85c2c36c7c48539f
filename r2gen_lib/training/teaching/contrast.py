"""A true report, and what might be written wrongly in its places: decisions for each report, without writing one.

What a small language model gets wrong behind a mapper is not only what it sees. It names a finding and names it again
three sentences later, on the other side; it denies what it has said; it leaves out what it has begun to describe. So
places of a true report are set beside such a continuation: where a finding is said, its other side, its denial, or
nothing; behind it, in one place, the finding once more. There must be as many reasons to say a finding as there are not
to: with more of these the mapper learns to keep silent (docs/experiments.md has what that cost).

Source: contrast sets, Gardner et al. 2020, arXiv 2004.02709 (there people changed the inputs).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from r2gen_lib.findings.chexpert import CASES, covers
from r2gen_lib.findings.finding import Finding
from r2gen_lib.findings.report_labeler import State, sentence_labels
from r2gen_lib.findings.sentences import sentence_for
from r2gen_lib.simulation.coded_findings import drawn_anew
from r2gen_lib.training.teaching.correction import Correction, Sentence

#: Where a finding is said, what stands wrongly in its place, and how often of a hundred times.
_INSTEAD = {"other side": 35, "denied": 35, "left out": 30}
_INVENTED = 0.3  # the share of the normal reports with an invented finding in one place

_OTHER = {"left": "right", "right": "left", "Left": "Right", "Right": "Left"}
_SIDES = re.compile(r"\b(" + "|".join(_OTHER) + r")\b")


def contrasted(report: str, findings: Sequence[Finding], rng: np.random.Generator, absent: Sequence[str]) -> Correction:
    """A true report's sentences, with wrong ones beside those that say a finding and beside one behind them.

    Args:
        report: true, such as a rewritten study's, or a normal chest's.
        findings: what is drawn.
        rng: of places and words.
        absent: names of findings that are invented where they are not drawn.
    """
    texts = [text for text, _ in sentence_labels(report)]
    naming = _first_said(report, findings)
    behind = [place for place in range(len(texts) + 1) if place not in naming and place > min(naming, default=-1)]
    chosen = rng.choice(behind) if naming or rng.random() < _INVENTED else None
    elsewhere = [name for name in absent if not any(covers(finding, CASES[name]) for finding in findings)]
    sentences, said = [], []
    for place, text in enumerate([*texts, ""]):
        wrong = None
        if place in naming:
            wrong = _instead_of(naming[place], text, texts[place + 1] if place + 1 < len(texts) else "", rng)
            said.append(naming[place])
        elif place == chosen:
            wrong = _once_more(said, rng) if said else sentence_for(drawn_anew(str(rng.choice(elsewhere)), rng), rng)
        sentences.append(Sentence(text, wrong, place in naming))
    return Correction(tuple(sentences), frozenset(), frozenset(), frozenset())


def _first_said(report: str, findings: Sequence[Finding]) -> dict[int, Finding]:
    """Number of a sentence -> the finding with an observation that it is the first to say."""
    found: dict[int, Finding] = {}
    for place, (_, states) in enumerate(sentence_labels(report)):
        for finding in findings:
            if finding.name in CASES and finding not in found.values() and place not in found:
                if states.get(CASES[finding.name].observation) == State.PRESENT:
                    found[place] = finding
    return found


def _instead_of(finding: Finding, text: str, following: str, rng: np.random.Generator) -> str:
    ways, turned = dict(_INSTEAD), _SIDES.sub(lambda side: _OTHER[side.group()], text)
    if turned == text:
        del ways["other side"]
    shares = np.array(list(ways.values())) / sum(ways.values())
    way = str(rng.choice(list(ways), p=shares))
    if way == "other side":
        return turned  # in the same words: what differs is the side
    return CASES[finding.name].absent if way == "denied" else following


def _once_more(said: Sequence[Finding], rng: np.random.Generator) -> str:
    """What was said already: said again, mostly on the other side, or denied."""
    finding = said[rng.integers(len(said))]
    if rng.random() < 0.3:
        return CASES[finding.name].absent
    turned = _turned(finding) if finding.side in ("left", "right") and rng.random() < 0.6 else finding
    return sentence_for(replace(turned, severity=float(rng.uniform(0.1, 1.0))), rng)


def _turned(finding: Finding) -> Finding:
    """The same on the other side; a lobe that the other lung has not is left out."""
    zone = "" if finding.zone in ("lingula", "middle lobe", "retrocardiac") else finding.zone
    return replace(finding, side={"left": "right", "right": "left"}[finding.side], zone=zone)
