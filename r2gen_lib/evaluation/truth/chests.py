"""Balanced simulated chests: a group with each finding, others with what looks like it, and normal ones.

Half of the chests that have a finding have a companion, another one from elsewhere: real reports seldom say one thing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from r2gen_lib.data.study import Study
from r2gen_lib.errors import DataError
from r2gen_lib.findings.chexpert import CASES, covers
from r2gen_lib.findings.finding import Finding
from r2gen_lib.simulation.coded_findings import drawn_anew
from r2gen_lib.simulation.render import simulated_pictures
from r2gen_lib.simulation.simulate import seed_of

#: Finding -> what lies in the same place, or looks like it, and has another observation. The findings are those that
#: the codes of the train split have most often, among those with an observation, a sentence, and a size that 224 x 224
#: pixels show; pneumothorax stands in for the tubes, which are as rare. An opacity's own look-alikes, consolidation
#: and atelectasis, are opacities by CheXpert's tree: to call them so is no mistake.
LOOK_ALIKES: dict[str, tuple[str, ...]] = {
    "Cardiomegaly": ("Enlarged Mediastinum",),
    "Pleural Effusion": ("Pleural Thickening", "Pneumothorax"),
    "Pneumothorax": ("Pleural Effusion", "Pleural Thickening"),
    "Pleural Thickening": ("Pleural Effusion",),
    "Opacity": ("Pleural Thickening",),
    "Consolidation": ("Opacity", "Atelectasis"),
    "Atelectasis": ("Consolidation", "Opacity"),
    "Edema": ("Interstitial Markings",),
    "Vascular Congestion": ("Interstitial Markings",),
    "Enlarged Mediastinum": ("Tortuous Aorta",),
    "Device": ("Foreign Body",),
    "Catheter": ("Foreign Body",),
}
NORMAL = "none"  # the group of the normal chests
#: Every group of chests, by what is drawn in it.
GROUPS = (*LOOK_ALIKES, *dict.fromkeys(n for names in LOOK_ALIKES.values() for n in names if n not in LOOK_ALIKES),
          NORMAL)  # fmt: skip
LEAST = 0.4  # severity: less than "moderate" is not asked for
COMPANIONS = 0.5  # the share of the chests with a finding that have another one, from elsewhere
SPLITS = ("val", "test")


def truth_studies(per_group: int = 100, split: str = "test", seed: int = 0) -> list[Study]:
    """``per_group`` chests of each group in turn, each of a patient of its own, with a finding, two, or none.

    Patients, zones, sides and severities follow from (split, seed, group, number): fewer a group are the first of more.
    No training, and no pretraining of the encoder, sees these patients; choose on "val", and look at "test" once.

    Args:
        per_group: chests with each of ``GROUPS``.
        split: "val" or "test".
        seed: of patients and findings.

    Raises:
        DataError: another split, or fewer than one chest a group.
    """
    if split not in SPLITS or per_group < 1:
        raise DataError(
            f"truth_studies: found split {split!r} and {per_group} chests a group, expected one of "
            f"{', '.join(SPLITS)}, and 1 or more."
        )
    return [_chest(group, number, split, seed) for group in GROUPS for number in range(per_group)]


def _chest(group: str, number: int, split: str, seed: int) -> Study:
    name = f"truth-{split}-{seed}-{group.lower().replace(' ', '-')}-{number}"
    findings: tuple[Finding, ...] = ()
    if group != NORMAL:
        rng = np.random.default_rng(seed_of(name, seed, "finding"))
        names = [group, *([str(rng.choice(_elsewhere(group)))] if rng.random() < COMPANIONS else [])]
        findings = tuple(replace(drawn_anew(each, rng), severity=float(rng.uniform(LEAST, 1.0))) for each in names)
    pictures = simulated_pictures(name, findings)
    mesh = () if findings else ("normal",)
    drawn = "; ".join(map(str, findings)) or "nothing"  # in place of a report, which nobody wrote
    return Study(name, split, drawn, mesh=mesh, pictures=pictures, findings=findings, source="truth")


def _elsewhere(group: str) -> list[str]:
    """Findings that neither look like a group's nor have its observation or a kind of it."""
    near = {group, *LOOK_ALIKES.get(group, ()), *(name for name, alike in LOOK_ALIKES.items() if group in alike)}
    return [
        name
        for name in LOOK_ALIKES
        if name not in near
        and not covers(Finding(group), CASES[name])
        and not (group in CASES and covers(Finding(name), CASES[group]))
    ]


def group_of(study: Study) -> str:
    """Which group a chest of ``truth_studies`` is of, by its first finding: one of ``GROUPS``."""
    return study.findings[0].name if study.findings else NORMAL


def absent(studies: Sequence[Study], finding: str) -> np.ndarray:
    """(chests,) bool: those that count for a finding's precision: as many look-alikes as there are chests with it, and
    the normal ones; none that has the finding, or another of its observation, as a companion.

    Args:
        studies: of ``truth_studies``.
        finding: one of ``LOOK_ALIKES``.
    """
    names, groups = LOOK_ALIKES[finding], np.array([group_of(study) for study in studies])
    wanted = int((groups == finding).sum())
    chosen = groups == NORMAL
    for place, name in enumerate(names):
        share = wanted // len(names) + (place < wanted % len(names))
        chosen[np.flatnonzero(groups == name)[:share]] = True
    has = [any(covers(one, CASES[finding]) for one in study.findings) for study in studies]
    return chosen & ~np.array(has)
