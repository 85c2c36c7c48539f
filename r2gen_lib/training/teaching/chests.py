"""Simulated chests to be taught on: none, one, two or three findings that have a sentence, and now and then others."""

from __future__ import annotations

import numpy as np

from r2gen_lib.data.study import Study
from r2gen_lib.findings.finding import LEARNT_NAMES, Finding
from r2gen_lib.simulation.coded_findings import drawn_anew
from r2gen_lib.simulation.render import simulated_pictures
from r2gen_lib.simulation.simulate import seed_of
from r2gen_lib.training.rare_findings.counterfactual_reports import CLEAR

_COUNTS = (0.25, 0.4, 0.25, 0.1)  # shares of the chests with so many findings that have a sentence
_FURTHER = 0.3  # share with one more, that has none
_WITHOUT_SENTENCE = tuple(name for name in LEARNT_NAMES if name not in CLEAR)


def lesson_studies(count: int, seed: int) -> list[Study]:
    """``count`` chests, each of a new patient; the same for the same seed. Their reports are empty."""
    return [_chest(f"teach-{seed}-{number}", seed) for number in range(count)]


def _chest(name: str, seed: int) -> Study:
    rng = np.random.default_rng(seed_of(name, seed, "findings"))
    names = list(rng.choice(CLEAR, size=rng.choice(len(_COUNTS), p=_COUNTS), replace=False))
    if rng.random() < _FURTHER:
        names.append(rng.choice(_WITHOUT_SENTENCE))
    findings: tuple[Finding, ...] = tuple(drawn_anew(str(each), rng) for each in names)
    pictures = simulated_pictures(name, findings)
    return Study(name, "train", "", mesh=(), pictures=pictures, findings=findings, source="lessons")
