"""Which simulated findings a report can be asked about: their CheXpert observation, and sentences that say and deny it.

Only findings with an observation of CheXpert's are here; a scoliosis or a hiatal hernia has none, so that no label can
flip for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from r2gen_lib.findings.finding import Finding, names_chosen

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
        finding: one of ``simulation.findings.FINDING_NAMES``.
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


def _there(finding: str, observation: str, words: str, article: str = "a ") -> Case:
    return Case(finding, observation, f"There is {article}{words}.", f"There is no {words}.")


#: Every finding that can be asked about, the most telling first.
CASES: dict[str, Case] = {
    case.finding: case
    for case in (
        Case("Cardiomegaly", "Cardiomegaly", "The heart is enlarged.", "The heart is normal in size."),
        _there("Pleural Effusion", "Pleural Effusion", "pleural effusion"),
        _there("Pneumothorax", "Pneumothorax", "pneumothorax"),
        _there("Edema", "Edema", "pulmonary edema", ""),
        Case("Opacity", "Lung Opacity", "There is an airspace opacity.", "The lungs are clear."),
        Case("Device", "Support Devices", "A pacemaker is in place.", "There is no pacemaker."),
        _there("Atelectasis", "Atelectasis", "atelectasis", ""),
        _there("Consolidation", "Consolidation", "consolidation"),
        _there("Nodule", "Lung Lesion", "pulmonary nodule"),
        _there("Mass", "Lung Lesion", "lung mass"),
        Case(
            "Vascular Congestion",
            "Edema",
            "There is pulmonary vascular congestion.",
            "The pulmonary vascularity is normal.",
        ),
        Case(
            "Enlarged Mediastinum",
            "Enlarged Cardiomediastinum",
            "The mediastinum is widened.",
            "The mediastinum is normal.",
        ),  # fmt: skip
        _there("Pleural Thickening", "Pleural Other", "pleural thickening", ""),
        _there("Rib Fracture", "Fracture", "rib fracture"),
        _there("Clavicle Fracture", "Fracture", "clavicle fracture"),
        Case("Catheter", "Support Devices", "A central venous catheter is in place.", "There is no catheter."),
        _there("Tube", "Support Devices", "endotracheal tube", "an "),
    )
}
#: Findings that are not asked about, but whose usual words are labelled with an observation.
_ALSO = {
    **dict.fromkeys(("Scar", "Interstitial Markings", "Bronchovascular Markings", "Volume Loss"), "Lung Opacity"),
    **dict.fromkeys(("Sternal Wires", "Spinal Hardware", "Stent", "Surgical Clips"), "Support Devices"),
    "Vertebral Deformity": "Fracture",
}
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


def covers(finding: Finding, case: Case) -> bool:
    """Whether a drawn finding is the case's own, or would be labelled with its observation or a kind of it."""
    if finding.name == case.finding:
        return True
    other = CASES[finding.name].observation if finding.name in CASES else _ALSO.get(finding.name, "")
    return case.observation in (other, PARENT.get(other))
