"""Which simulated findings a report can be asked about: their CheXpert observation, and sentences that say and deny it.

Only findings with an observation of CheXpert's can be; a scoliosis or a hiatal hernia has none, so that no label can
flip for it. Observations and sentences stand in ``kinds``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from r2gen_lib.findings.finding import Finding, names_chosen
from r2gen_lib.findings.kinds import KINDS

#: CheXpert's tree (Irvin et al., arXiv 1901.07031, figure 1): an observation -> what it is a kind of. A report that
#: names the kind has made no mistake.
PARENT = {
    "Cardiomegaly": "Enlarged Cardiomediastinum",
    "Lung Lesion": "Lung Opacity",
    "Edema": "Lung Opacity",
    "Consolidation": "Lung Opacity",
    "Pneumonia": "Lung Opacity",
    "Atelectasis": "Lung Opacity",
}


@dataclass(frozen=True)
class Case:
    """A finding that is put into chests or taken out of them.

    Attributes:
        finding: one of ``finding.FINDING_NAMES``.
        observation: CheXpert's, which should flip with it.
        present, absent: sentences that say and deny it; their log-odds are the softer measure.
    """

    finding: str
    observation: str
    present: str
    absent: str

    @property
    def may_change(self) -> frozenset[str]:
        """Observations whose change is no mistake: its own, its kind by CheXpert's tree, and "No Finding"."""
        return frozenset({self.observation, PARENT.get(self.observation, self.observation), "No Finding"})


#: The most telling findings, first; further ones follow in the order of ``KINDS``.
_FIRST = (
    "Cardiomegaly", "Pleural Effusion", "Pneumothorax", "Edema", "Opacity", "Device", "Atelectasis", "Consolidation",
    "Nodule", "Mass", "Vascular Congestion", "Enlarged Mediastinum", "Pleural Thickening",
)  # fmt: skip
_SAID = sorted((kind for kind in KINDS if kind.present), key=lambda kind: (*_FIRST, kind.name).index(kind.name))
#: Every finding that can be asked about, the most telling first.
CASES: dict[str, Case] = {kind.name: Case(kind.name, kind.observation, kind.present, kind.absent) for kind in _SAID}
_OBSERVATION = {kind.name: kind.observation for kind in KINDS}
#: Observation -> a sentence that denies it.
DENIALS = {case.observation: case.absent for case in reversed(CASES.values())}
#: What is asked about unless you say otherwise.
DEFAULT_FINDINGS = tuple(CASES)[:6]


def chosen_cases(names: Sequence[str]) -> list[Case]:
    """Cases by finding, in the order given and each once: case does not matter, and a part that fits one will do.

    Args:
        names: such as ``["Cardiomegaly", "effusion"]``.

    Raises:
        SimulationError: a name fits none or several, or there are no names.
    """
    return [CASES[name] for name in names_chosen(names, CASES, "with a CheXpert observation")]


def observation_of(finding: Finding) -> str:
    """CheXpert's observation of a drawn finding; "" for none."""
    return _OBSERVATION[finding.name]


def untrue_of(finding: Finding) -> set[str]:
    """The observations that may not be denied beside a finding. A large heart leaves the mediastinum as it is."""
    own = CASES[finding.name].observation
    return {own, "Lung Opacity"} if PARENT.get(own) == "Lung Opacity" else {own}


def covers(finding: Finding, case: Case) -> bool:
    """Whether a drawn finding is the case's own, or would be labelled with its observation or a kind of it."""
    if finding.name == case.finding:
        return True
    other = _OBSERVATION[finding.name]
    return case.observation in (other, PARENT.get(other))
