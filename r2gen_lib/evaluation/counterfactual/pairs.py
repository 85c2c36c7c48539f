"""Which pairs of simulated radiographs are compared: the same patient with and without one finding, and controls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from r2gen_lib.data.study import Study
from r2gen_lib.errors import DataError
from r2gen_lib.findings.chexpert import Case, covers
from r2gen_lib.findings.finding import MIDLINE, Finding
from r2gen_lib.simulation.acquisition import Acquisition
from r2gen_lib.simulation.simulate import Patient, Simulated, seed_of

#: What a pair is: a finding put into a normal chest, put beside other findings, or a study's own finding taken out;
#: or a control, in which no finding changes and the same patient is exposed once more.
NORMAL, BESIDE, OWN, CONTROL = "put into a normal chest", "put beside other findings", "taken out", "another exposure"
_EXPOSURE = ("rotation_deg", "breath_mm", "centre_mm", "zoom", "photons", "scatter", "contrast", "brightness",
             "detail", "shutter", "marker", "noise_seed")  # fmt: skip


@dataclass(frozen=True)
class Exposure:
    """A radiograph to be drawn: ``retake`` 0 has the study's own pose, breath and exposure, 1, 2, ... have others."""

    patient: str
    findings: tuple[Finding, ...] = ()
    retake: int = 0

    def draw(self, truth: bool = False) -> Simulated:
        """Its frontal view; with ``truth`` its findings' masks too. The same exposure is always the same picture."""
        patient = Patient(self.patient, self.findings)
        if self.retake:
            patient.acquisition = other_exposure(patient.acquisition, self.patient, self.retake)
        return patient.radiograph(truth=truth)


def other_exposure(acquisition: Acquisition, patient: str, number: int) -> Acquisition:
    """The same body in another picture: pose, breath, exposure, noise, collimation anew; build and anatomy kept."""
    other = Acquisition.draw(np.random.default_rng(seed_of(patient, number, "another exposure")))
    return replace(acquisition, **{name: getattr(other, name) for name in _EXPOSURE})


@dataclass(frozen=True)
class Pair:
    """Two radiographs of one patient that differ in one finding, or (``CONTROL``) in none.

    Attributes:
        kind: one of the four above.
        case: the finding; None for a control.
        without, with_: the two exposures; for a control the study's own picture and another exposure.
    """

    kind: str
    case: Case | None
    without: Exposure
    with_: Exposure

    @property
    def finding(self) -> str:
        """The finding's name; "" for a control."""
        return self.case.finding if self.case else ""

    @property
    def drawn(self) -> tuple[Finding, ...]:
        """What is in the second picture only."""
        return tuple(finding for finding in self.with_.findings if finding not in self.without.findings)


def make_pairs(
    studies: Sequence[Study],
    cases: Sequence[Case],
    patients: int = 12,
    beside: int = 4,
    own: int = 4,
    severity: float = 0.8,
    seed: int = 0,
) -> list[Pair]:
    """Pairs for every case, and a control for every base chest; the same for the same arguments.

    Args:
        studies: simulated studies that the model has not seen; patients are drawn from them.
        cases: the findings.
        patients: normal chests, the same ones for all findings.
        beside: chests with other findings, into which the finding is put too, for each finding; fewer if there are
            none that fit.
        own: studies that have the finding by their own codes, out of which it is taken, for each finding; fewer if
            there are none.
        severity: 0 to 1, of what is put in; what is taken out is as severe as its code says.
        seed: another seed draws other patients and sides.

    Raises:
        DataError: there are fewer normal chests than ``patients``.
    """
    order = np.random.default_rng(seed_of("patients", seed, "counterfactual")).permutation(len(studies))
    shuffled = [studies[i] for i in order]
    normal = [study for study in shuffled if not study.findings and "normal" in study.mesh]
    if len(normal) < patients or patients < 1:
        raise DataError(f"patients={patients}: expected 1 to {len(normal)}, the normal studies among {len(studies)}.")
    pairs = [_put_in(NORMAL, case, study, severity, seed) for case in cases for study in normal[:patients]]
    for case in cases:
        others = [study for study in shuffled if study.findings and not any(covers(f, case) for f in study.findings)]
        pairs += [_put_in(BESIDE, case, study, severity, seed) for study in others[:beside]]
        pairs += list(_taken_out(case, shuffled))[:own]
    bases = dict.fromkeys((pair.without.patient, pair.without.findings) for pair in pairs if pair.kind != OWN)
    return pairs + [Pair(CONTROL, None, Exposure(*base), Exposure(*base, retake=seed + 1)) for base in bases]


def _put_in(kind: str, case: Case, study: Study, severity: float, seed: int) -> Pair:
    left = seed_of(study.id, seed, f"side of {case.finding}") % 2 == 0
    side = "" if case.finding in MIDLINE else "left" if left else "right"
    findings = tuple(study.findings)
    added = Finding(case.finding, side, severity=severity)
    return Pair(kind, case, Exposure(study.id, findings), Exposure(study.id, (*findings, added)))


def _taken_out(case: Case, studies: Sequence[Study]) -> Iterator[Pair]:
    """Studies with the finding, less it; not those where what stays would be labelled the same."""
    for study in studies:
        stays = tuple(finding for finding in study.findings if finding.name != case.finding)
        if len(stays) < len(study.findings) and not any(covers(finding, case) for finding in stays):
            yield Pair(OWN, case, Exposure(study.id, stays), Exposure(study.id, tuple(study.findings)))
