"""Training studies made from normal ones: a finding is drawn into a new chest, and the normal report is rewritten.

One real report of thirty calls an effusion present, and most of its words are the same as all others'. Here the words
that change are the finding's alone, and the picture says why. Pictures *and* the changed sentences are simulated;
nothing of them is used to validate or to test.

Source: counterfactually augmented data, Kaushik et al. 2020, arXiv 1909.12434 (there people rewrote the texts).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from r2gen_lib.data.study import Study, by_split
from r2gen_lib.errors import DataError
from r2gen_lib.findings.chexpert import DENIALS, untrue_of
from r2gen_lib.findings.finding import LEARNT_NAMES, Finding
from r2gen_lib.findings.reading_order import in_reading_order
from r2gen_lib.findings.report_labeler import State, label_reports, sentence_labels
from r2gen_lib.findings.sentences import SAYABLE, sentence_for
from r2gen_lib.simulation.coded_findings import drawn_anew
from r2gen_lib.simulation.render import simulated_pictures

#: What the laptop's encoder sees at 224 x 224 pixels; nodules and fractures are too faint. A finding that is named in
#: reports and not seen is learnt all the same, as something to say now and then: it becomes an invention.
CLEAR = tuple(
    name for name in SAYABLE if name in LEARNT_NAMES and name not in ("Nodule", "Rib Fracture", "Clavicle Fracture")
)


def rewritten_studies(
    studies: Sequence[Study], count: int, seed: int = 0, findings: Sequence[str] = CLEAR
) -> list[Study]:
    """``count`` new studies of the train split, each from a normal one: one to three findings, a report that says so.

    The patient is new, and has the findings and nothing else. The report is the normal study's; sentences that deny
    what is now there have given way to one that says it.

    Args:
        studies: those of simulated pictures; of these the normal ones of the train split are taken.
        seed: of studies, findings and words.
        findings: names of what is drawn, all equally likely; at least three of ``findings.sentences.SAYABLE``.

    Raises:
        DataError: a finding has no sentence, there are fewer than three, or there is no normal study with simulated
            pictures in the train split.
    """
    unknown = [name for name in findings if name not in SAYABLE]
    if unknown or len(set(findings)) < 3:
        raise DataError(
            f"rewritten studies: found findings {', '.join(findings) or 'none'}; expected at least three of "
            f"{', '.join(SAYABLE)}."
        )
    normal = normal_studies(studies)
    if not normal:
        raise DataError(
            "rewritten studies: found no normal study with simulated pictures in the train split. Give the studies of "
            "load_studies('openi_sim')."
        )
    rng = np.random.default_rng(seed)
    return [_rewritten(normal[rng.integers(len(normal))], findings, rng) for _ in range(count)]


def normal_studies(studies: Sequence[Study]) -> list[Study]:
    """Those of the train split, with simulated pictures, in which neither codes nor report name a finding."""
    normal = [
        study
        for study in by_split(studies, "train")
        if "normal" in study.mesh and study.pictures and all(picture.simulated for picture in study.pictures)
    ]
    nothing_found = label_reports(study.report for study in normal)[:, 0] == State.PRESENT  # the codes' "normal" errs
    return [study for study, nothing in zip(normal, nothing_found, strict=True) if nothing]


def _rewritten(study: Study, names: Sequence[str], rng: np.random.Generator) -> Study:
    names = rng.choice(names, size=rng.choice([1, 2, 3], p=[0.5, 0.35, 0.15]), replace=False)
    findings = tuple(drawn_anew(str(name), rng) for name in names)
    report = rewrite(study.report, findings, rng)
    # a patient of its own: build and pose follow from the id, and two may be made of one study and the same findings
    digest = hashlib.sha256(repr((study.id, findings, report)).encode()).hexdigest()[:12]
    name = f"{study.id}-rewritten-{digest}"
    pictures = simulated_pictures(name, findings)
    return replace(
        study, id=name, report=report, sections={}, mesh=(), pictures=pictures, findings=findings, patient=""
    )


def rewrite(report: str, findings: Sequence[Finding], rng: np.random.Generator) -> str:
    """A normal report that says ``findings`` are there, and of all else what it said.

    The first sentence that denies a finding gives way to the one that says it, others that deny it fall away, and what
    they denied beside it is denied again. All sentences then stand in the order of reading.

    Raises:
        SimulationError: a finding has no sentence.
    """
    said = {finding: sentence_for(finding, rng) for finding in findings}
    sentences: list[str] = []
    for sentence, states in sentence_labels(report if report.rstrip().endswith(".") else f"{report}."):
        denied = {name for name, state in states.items() if state == State.ABSENT}
        here = [finding for finding in findings if denied & untrue_of(finding)]
        if not here:
            sentences.append(sentence)
            continue
        sentences += [said.pop(finding) for finding in here if finding in said]
        still = denied - set().union(*map(untrue_of, findings))
        sentences += [DENIALS[name] for name in sorted(still) if name in DENIALS]
    return " ".join(in_reading_order(dict.fromkeys([*sentences, *said.values()])))
