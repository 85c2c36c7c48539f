"""A model's own report, corrected by what is drawn in the chest, and the places where it should have chosen otherwise.

Its sentences stay as they are but for the wrong ones: what it says and is not there goes, or is denied; what is there
and it denies, or leaves out, is said; a wrong side is put right. So the corrections stand where the model chooses its
words, behind words of its own.

Source: learning from corrections of one's own outputs, Ross et al. 2011 (DAgger), arXiv 1011.0686.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from r2gen_lib.findings.chexpert import CASES, DENIALS, PARENT, observation_of, untrue_of
from r2gen_lib.findings.finding import Finding
from r2gen_lib.findings.laterality import side_in_report
from r2gen_lib.findings.report_labeler import State, sentence_labels
from r2gen_lib.findings.sentences import sentence_for

#: What reports deny by habit; where it was invented, it is denied in that place. Nobody writes "there is no catheter".
_OFTEN_DENIED = ("Pleural Effusion", "Pneumothorax", "Cardiomegaly", "Consolidation", "Edema")


@dataclass(frozen=True)
class Sentence:
    """A sentence of a corrected report.

    Attributes:
        text: with its full stop; "" for the report's end.
        instead_of: what the model wrote in this place, "" where it ended the report; None where it is the model's own.
        names: whether it says a finding that is there.
    """

    text: str
    instead_of: str | None = None
    names: bool = False


@dataclass(frozen=True)
class Correction:
    """A corrected report.

    Attributes:
        sentences: in order; the last one is the report's end, with the text "".
        invented: observations that the report called present and are not there.
        missed: names of findings that should have been said and were not.
        wrong_side: names of findings whose side was wrong.
    """

    sentences: tuple[Sentence, ...]
    invented: frozenset[str]
    missed: frozenset[str]
    wrong_side: frozenset[str]

    @property
    def report(self) -> str:
        """The corrected text."""
        return " ".join(sentence.text for sentence in self.sentences if sentence.text)


def correct(
    report: str, drawn: Sequence[Finding], rng: np.random.Generator, visible: Sequence[Finding] | None = None
) -> Correction:
    """What the report should have said, as near to its own words as that can be.

    Args:
        report: as the model wrote it, of any length.
        drawn: everything that is in the chest.
        rng: of the words of new sentences.
        visible: those of ``drawn`` that must be said; by default those that have a sentence. The others may be said.
    """
    must = [finding for finding in (drawn if visible is None else visible) if finding.name in CASES]
    own = {observation_of(finding) for finding in drawn} - {""}
    allowed = own | {PARENT[name] for name in own if name in PARENT} | {"No Finding"}
    written = sentence_labels(report if report.rstrip().endswith(".") or not report.strip() else f"{report}.")
    denied_anywhere = {name for _, states in written for name, state in states.items() if state == State.ABSENT}
    out: list[Sentence] = []
    pending: str | None = None  # a sentence that was taken out, and nothing has come in its place yet
    said: set[Finding] = set()
    claimed: set[str] = set()
    invented, missed, wrong_side = set(), set(), set()

    def add(text: str, names: bool, instead_of: str | None) -> None:
        nonlocal pending
        if any(one.text == text for one in out):
            pending = pending if instead_of is None else instead_of
            return
        out.append(Sentence(text, pending if pending is not None else instead_of, names))
        pending = None

    def say(finding: Finding, instead_of: str | None) -> None:
        if finding not in said:
            said.add(finding)
            claimed.add(observation_of(finding))
            add(sentence_for(finding, rng), True, instead_of)

    for text, states in written:
        claims = {name for name, state in states.items() if state >= State.UNCERTAIN and name != "No Finding"}
        denied = {name for name, state in states.items() if state == State.ABSENT}
        false = claims - allowed
        against = [finding for finding in must if denied & untrue_of(finding)]
        if false or against:
            invented |= false
            missed |= {finding.name for finding in against if finding not in said}
            before = len(out)
            here = [finding for finding in must if CASES[finding.name].observation in claims or finding in against]
            for finding in here:
                say(finding, text if len(out) == before else None)
            still = denied - set().union(*map(untrue_of, must))
            if not here:
                still |= {name for name in false if name in _OFTEN_DENIED and name not in denied_anywhere}
            for name in sorted(still & set(DENIALS)):
                add(DENIALS[name], False, text if len(out) == before else None)
            if len(out) == before and pending is None:
                pending = text
            continue
        here = [finding for finding in must if CASES[finding.name].observation in claims]
        turned = [finding for finding in here if _other_side(text, finding)]
        if turned:
            wrong_side |= {finding.name for finding in turned}
            before = len(out)
            for finding in here:
                say(finding, text if len(out) == before else None)
            if len(out) == before and pending is None:
                pending = text
            continue
        if claims and claims <= claimed and said.issuperset(here):
            pending = text if pending is None else pending  # said already
            continue
        claimed |= claims
        said.update(here)
        add(text, bool(claims), None)
    for finding in must:
        if finding not in said:
            missed.add(finding.name)
            say(finding, "")
    out.append(Sentence("", pending))
    return Correction(tuple(out), frozenset(invented), frozenset(missed), frozenset(wrong_side))


def _other_side(sentence: str, finding: Finding) -> bool:
    """Whether a sentence puts a finding on another side than it is on."""
    named = side_in_report(finding.name, sentence)
    return bool(finding.side and named and named != finding.side)
