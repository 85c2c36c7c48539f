"""Questions about a simulated chest whose answers the simulator knows: dense supervision beside whole reports.

A report says a finding in one sentence among many; a question asks for it, and for its side and size, at once. The
words of an answer are those of a report's sentence (``findings.sentences``): "Is there a pleural effusion?" is answered
by "There is a small left pleural effusion." or "There is no pleural effusion." A "Yes." or "No." in front of that was
tried, and the model chose it before it had looked (docs/experiments.md). Pictures, questions and answers are
simulated; none of them is used to validate or to test.

Source: visual instruction tuning, Liu et al. 2023, arXiv 2304.08485 (there a language model wrote the answers).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from r2gen_lib.data.study import Study
from r2gen_lib.errors import DataError
from r2gen_lib.findings.chexpert import CASES, Case, covers
from r2gen_lib.findings.finding import MIDLINE, Finding
from r2gen_lib.findings.sentences import sentence_for, size_of

EVERYTHING = "What is abnormal in this radiograph?"
_NOTHING = "Nothing is abnormal."


def presence_question(case: Case) -> str:
    """The sentence that says a finding, as a question: "Is there a pleural effusion?", "Is the heart enlarged?"."""
    subject, verb, rest = re.match(r"(.+?) (is|are) (.+)\.$", case.present).groups()
    if subject == "There":
        return f"{verb.capitalize()} there {rest}?"
    return f"{verb.capitalize()} {subject[0].lower()}{subject[1:]} {rest}?"


def side_question(case: Case) -> str:
    """Of a finding that has a side, which it is on."""
    return f"On which side is the {case.finding.lower()}?"


def size_question(case: Case) -> str:
    """How much there is of a finding."""
    return f"How large is the {case.finding.lower()}?"


def questions_about(
    findings: Sequence[Finding], asked: Sequence[str], rng: np.random.Generator
) -> list[tuple[str, str]]:
    """A question of each kind that can be asked of a chest, with its answer.

    They are: whether a finding that is there is there; its side, and its size, where it has one; whether one of
    ``asked`` is there that is not; and what is abnormal.

    Args:
        findings: what is drawn; those without a sentence are passed over.
        asked: names of findings that may be asked about where they are absent.
        rng: of findings and words.
    """
    there = [finding for finding in findings if finding.name in CASES]
    absent = [CASES[name] for name in asked if not any(covers(finding, CASES[name]) for finding in findings)]
    said = " ".join(sentence_for(finding, rng) for finding in there)
    pairs = [(EVERYTHING, said or _NOTHING)]
    if there:
        finding = there[rng.integers(len(there))]
        case = CASES[finding.name]
        pairs.append((presence_question(case), sentence_for(finding, rng)))
        if finding.name not in MIDLINE and finding.side:
            both = "Both sides." if finding.side == "bilateral" else f"The {finding.side} side."
            pairs.append((side_question(case), both))
        if finding.severity is not None:
            pairs.append((size_question(case), f"{size_of(finding).capitalize()}."))
    if absent:
        case = absent[rng.integers(len(absent))]
        pairs.append((presence_question(case), case.absent))
    return pairs


def question_studies(studies: Sequence[Study], count: int, asked: Sequence[str], seed: int = 0) -> list[Study]:
    """``count`` studies that ask about the pictures of simulated ones, as many of every kind of question as there are.

    Args:
        studies: those whose pictures are asked about, such as ``rewritten_studies`` gives; all that is drawn in them is
            in ``findings``.
        asked: names of findings that may be asked about where they are absent.
        seed: of studies, questions and words.

    Raises:
        DataError: there are no studies, or a picture is not simulated.
    """
    if not studies or not all(picture.simulated for study in studies for picture in study.pictures):
        raise DataError("questions: found no studies, or pictures that are not simulated; the answers are not known.")
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        study = studies[rng.integers(len(studies))]
        pairs = questions_about(study.findings, asked, rng)
        question, answer = pairs[rng.integers(len(pairs))]
        digest = hashlib.sha256(repr((study.id, question, answer, number)).encode()).hexdigest()[:12]
        made.append(replace(study, id=f"{study.id}-asked-{digest}", report=answer, question=question))
    return made
