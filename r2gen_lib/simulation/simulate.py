"""A study's radiographs, simulated: findings -> edits -> projection -> picture, the same for the same (study, seed)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from r2gen_lib.errors import SimulationError
from r2gen_lib.findings.finding import FINDING_NAMES, Finding
from r2gen_lib.findings.mesh_codes import findings_from_mesh
from r2gen_lib.simulation.acquisition import Acquisition
from r2gen_lib.simulation.anatomy.geometry import COARSE, Edit
from r2gen_lib.simulation.anatomy.thorax import VOXEL_MM, Thorax, load_thorax
from r2gen_lib.simulation.detector import develop
from r2gen_lib.simulation.drawers.draw import draw
from r2gen_lib.simulation.projection import VIEWS, Rays, project, project_box, put_edits, rays_of, slabs_unedited

if TYPE_CHECKING:
    from r2gen_lib.data.study import Study

VERSION = 3  # raise it whenever a picture changes: the caches of pictures and features depend on it
SIZE = 224
TOKENS = 7


@dataclass(frozen=True)
class Truth:
    """What is known about one finding of a simulated radiograph.

    Attributes:
        finding: with the side, zone and severity that were drawn.
        mask: float32 (S, S): millimetres of edited tissue behind each point of the picture.
        edits: the voxels that were edited: boxes of the volume with weights from 0 to 1.
    """

    finding: Finding
    mask: np.ndarray
    edits: tuple[Edit, ...]

    @property
    def volume_ml(self) -> float:
        """Millilitres that were edited, each voxel by its weight."""
        return float(sum(edit.weight.sum() for edit in self.edits) * VOXEL_MM**3 / 1000)

    @cached_property
    def hu_change(self) -> float:
        """Mean change of the edited voxels in Hounsfield units, by their weight; 0 where anatomy only moved."""
        hu = load_thorax().hu
        change = weight = 0.0
        for edit in self.edits:
            if edit.shift is None:
                part = hu[edit.box]
                change += float((edit.changed(part) - part).sum())
            weight += float(edit.weight.sum())
        return change / weight if weight else 0.0


@dataclass(frozen=True)
class Simulated:
    """One simulated radiograph and what is known about it.

    Attributes:
        picture: uint8 (224, 224).
        truth: one entry a finding and side that was drawn; empty where it was not asked for.
        view: "frontal" or "lateral".
    """

    picture: np.ndarray
    truth: tuple[Truth, ...]
    view: str

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was drawn, with the sides, zones and severities that were chosen."""
        return tuple(one.finding for one in self.truth)

    @property
    def masks(self) -> np.ndarray:
        """float32 (len(findings), S, S): the masks of ``truth``."""
        return np.stack([one.mask for one in self.truth]) if self.truth else np.zeros((0, SIZE, SIZE), np.float32)

    def token_labels(self) -> np.ndarray:
        """uint8 (len(FINDING_NAMES), 7, 7): which finding lies under which visual token."""
        return token_labels(self.findings, self.masks)


def token_labels(findings: Iterable[Finding], masks: np.ndarray) -> np.ndarray:
    """Pool masks (F, S, S) to one label a finding and visual token: uint8 (len(FINDING_NAMES), 7, 7).

    A token carries a finding when a ninth of its square, or half of what the fullest token has, lies behind at least a
    third of the finding's thickest shadow.
    """
    labels = np.zeros((len(FINDING_NAMES), TOKENS, TOKENS), np.uint8)
    for finding, mask in zip(findings, masks, strict=True):
        cell = len(mask) // TOKENS
        pooled = mask.reshape(TOKENS, cell, TOKENS, cell)
        share = (pooled > max(mask.max() / 3, 0.5)).mean(axis=(1, 3))
        hit = share > min(0.12, 0.5 * share.max())
        labels[FINDING_NAMES.index(finding.name)] |= hit.astype(np.uint8)
    return labels


def seed_of(study_id: str, seed: int, purpose: str) -> int:
    """A 64-bit seed that depends on the study, the run's seed and what it is for, on every platform alike."""
    digest = hashlib.sha256(f"{study_id}|{seed}|{purpose}".encode()).digest()
    return int.from_bytes(digest[:8], "little")


class Patient:
    """One study's chest: the volume edited once, from which both views are projected.

    Args:
        study_id: names the patient: build, pose, breath and exposure follow from it and ``seed`` alone.
        findings: what to draw.
        seed: another seed is another patient with the same findings.
    """

    def __init__(self, study_id: str, findings: Iterable[Finding] = (), seed: int = 0) -> None:
        self.thorax = load_thorax()
        self.acquisition = Acquisition.draw(np.random.default_rng(seed_of(study_id, seed, "acquisition")))
        self.edits: list[Edit] = []
        for finding in findings:  # each its own generator, so that taking one away changes no other
            purpose = f"{finding.name}|{finding.side}|{finding.zone}"
            self.edits.extend(draw(self.thorax, finding, np.random.default_rng(seed_of(study_id, seed, purpose))))
        self.hu = edited_volume(self.thorax, self.edits)
        self.shifts = _displacement(self.thorax, self.edits)

    def radiograph(self, view: str = "frontal", truth: bool = True, truth_size: int = SIZE) -> Simulated:
        """Project a view; ``truth`` also projects what was edited, to masks of ``truth_size`` pixels."""
        if view not in VIEWS:
            raise SimulationError(f"view {view!r}: expected one of {', '.join(VIEWS)}.")
        rays = rays_of(self.thorax, self.acquisition, view, self.shifts)
        plain = slabs_unedited(self.thorax, self.acquisition, view)
        touched = [edit.box for edit in self.edits if edit.shift is None]
        water_mm = project(put_edits(plain, self.thorax, self.hu, touched, view), rays, SIZE)
        picture = develop(water_mm, self.acquisition, view, project(plain, rays, SIZE // 4))
        return Simulated(picture, self._truth(rays, truth_size) if truth else (), view)

    def _truth(self, rays: Rays, size: int) -> tuple[Truth, ...]:
        of_one: dict[tuple[str, str, str], list[Edit]] = {}
        for edit in self.edits:
            of_one.setdefault((edit.finding.name, edit.finding.side, edit.finding.zone), []).append(edit)
        return tuple(
            Truth(
                edits[0].finding,
                np.max([project_box(self.thorax, edit.box, edit.weight, rays, size) for edit in edits], axis=0),
                tuple(edits),
            )
            for edits in of_one.values()
        )


def simulate(
    study: Study | str,
    findings: Iterable[Finding] | None = None,
    view: str = "frontal",
    seed: int = 0,
    truth: bool = True,
    *,
    without: str | Iterable[str] = (),
    with_: str | Finding | Iterable[str | Finding] = (),
    truth_size: int = SIZE,
) -> Simulated:
    """Draw one view of a study.

    Args:
        study: a ``Study``, or an id: a patient's name. Build, pose, breath, exposure and noise follow from the id and
            ``seed`` alone, so that the same patient with other findings is a counterfactual pair.
        findings: what to draw; None: the study's own (none for an id).
        view: "frontal" or "lateral".
        seed: another seed is another patient with the same findings.
        truth: also project what was edited; without it ``truth`` is empty.
        without: names of findings to leave out, such as "Pleural Effusion".
        with_: findings to add: a ``Finding``, a name of ``FINDING_NAMES`` or a MeSH code with its modifiers, such as
            "Pleural Effusion/left/large".
        truth_size: pixels along each side of the masks, a multiple of 7.

    Raises:
        SimulationError: an unknown view or finding, or one to leave out that is not there.
        AssetError: the CT's wheel is missing.
    """
    name = study if isinstance(study, str) else study.id
    if findings is None:
        findings = () if isinstance(study, str) else study.findings
    return Patient(name, _changed(tuple(findings), without, with_, name), seed).radiograph(view, truth, truth_size)


def _changed(findings: tuple[Finding, ...], without, with_, study: str) -> tuple[Finding, ...]:
    """The findings less those of ``without`` and with those of ``with_``."""
    for name in [without] if isinstance(without, str) else without:
        kept = tuple(finding for finding in findings if finding.name != name)
        if len(kept) == len(findings):
            has = ", ".join(sorted({finding.name for finding in findings})) or "none"
            raise SimulationError(f"without={name!r}: study {study} has no such finding; it has: {has}.")
        findings = kept
    for added in [with_] if isinstance(with_, (str, Finding)) else with_:
        findings += as_findings(added)
    return findings


def as_findings(what: str | Finding) -> tuple[Finding, ...]:
    """A ``Finding`` as it is; a name of ``FINDING_NAMES``, or a MeSH code, as the findings it stands for."""
    if isinstance(what, Finding):
        return (what,)
    if what in FINDING_NAMES:
        return (Finding(what),)
    return findings_from_mesh([what], strict=True)


def edited_volume(thorax: Thorax, edits: Iterable[Edit]) -> np.ndarray:
    """A copy of the CT (Z, Y, X), Hounsfield units, with every edit applied in order."""
    hu = thorax.hu.copy()
    for edit in edits:
        edit.apply(hu)
    return hu


def _displacement(thorax: Thorax, edits: Iterable[Edit]) -> np.ndarray | None:
    """(3, z, y, x) on ``coarse_grid``: the displacement, in voxels, that the edits ask for; None if there is none."""
    moving = [edit.shift for edit in edits if edit.shift is not None]
    if not moving:
        return None
    total = np.zeros((3, *(len(range(0, size, COARSE)) for size in thorax.shape)), np.float32)
    for axis, shift in moving:
        total[axis] += shift
    return total
