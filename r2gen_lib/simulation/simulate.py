"""A study's radiographs, simulated: findings -> edits -> projection -> picture, the same for the same (study, seed)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from r2gen_lib.errors import SimulationError
from r2gen_lib.simulation.edits import draw
from r2gen_lib.simulation.findings import FINDING_NAMES, Finding
from r2gen_lib.simulation.geometry import COARSE, Edit
from r2gen_lib.simulation.projection import VIEWS, Acquisition, attenuation, develop, project, ray_grid
from r2gen_lib.simulation.thorax import Thorax, load_thorax

VERSION = 1  # raise it whenever a picture changes: the caches of pictures and features depend on it
SIZE = 224
TRUTH_SIZE = 56
TOKENS = 7


@dataclass(frozen=True)
class Simulated:
    """One simulated radiograph and what is known about it.

    Attributes:
        picture: uint8 (224, 224).
        findings: what was drawn, with the sides, zones and severities that were chosen.
        masks: float32 (len(findings), 56, 56): millimetres of edited tissue behind each point of the picture.
        view: "frontal" or "lateral".
    """

    picture: np.ndarray
    findings: tuple[Finding, ...]
    masks: np.ndarray
    view: str

    def token_labels(self) -> np.ndarray:
        """uint8 (len(FINDING_NAMES), 7, 7): which finding lies under which visual token."""
        return token_labels(self.findings, self.masks)


def token_labels(findings: Iterable[Finding], masks: np.ndarray) -> np.ndarray:
    """Pool masks (F, 56, 56) to one label a finding and visual token: uint8 (len(FINDING_NAMES), 7, 7).

    A token carries a finding when at least an eighth of the finding's thickest shadow reaches into its square.
    """
    labels = np.zeros((len(FINDING_NAMES), TOKENS, TOKENS), np.uint8)
    cell = TRUTH_SIZE // TOKENS
    for finding, mask in zip(findings, masks, strict=True):
        pooled = mask.reshape(TOKENS, cell, TOKENS, cell)
        thick = max(mask.max() / 3, 0.5)
        share = (pooled > thick).mean(axis=(1, 3))
        hit = share > min(0.12, 0.5 * share.max())
        labels[FINDING_NAMES.index(finding.name)] |= hit.astype(np.uint8)
    return labels


def seed_of(study_id: str, seed: int, purpose: str) -> int:
    """A 64-bit seed that depends on the study, the run's seed and what it is for, on every platform alike."""
    digest = hashlib.sha256(f"{study_id}|{seed}|{purpose}".encode()).digest()
    return int.from_bytes(digest[:8], "little")


def simulate(
    study_id: str, findings: Iterable[Finding] = (), view: str = "frontal", seed: int = 0, truth: bool = True
) -> Simulated:
    """Draw one view of a study.

    Args:
        study_id: names the patient: pose, habitus, warp and exposure follow from it and ``seed`` alone.
        findings: what to draw.
        view: "frontal" or "lateral".
        seed: another seed is another patient with the same findings.
        truth: also project what was edited (a fifth of the time); without it ``masks`` is empty.

    Raises:
        SimulationError: an unknown view.
        AssetError: the CT's wheel is missing.
    """
    if view not in VIEWS:
        raise SimulationError(f"view {view!r} of study {study_id}: expected one of {', '.join(VIEWS)}")
    thorax = load_thorax()
    acquisition = Acquisition.draw(np.random.default_rng(seed_of(study_id, seed, "acquisition")))
    edits = edits_of(thorax, study_id, findings, seed)
    hu = edited_volume(thorax, edits)
    shifts = _coarse_shifts(thorax, edits)
    grid = ray_grid(thorax, acquisition, view, SIZE, shifts)
    density = attenuation(hu)
    density *= np.where(thorax.soft, np.float32(acquisition.soft_tissue), np.float32(1))
    picture = develop(project(density, grid, view), acquisition)
    drawn, masks = _truth(thorax, acquisition, view, edits if truth else [], shifts)
    return Simulated(picture, drawn, masks, view)


def edits_of(thorax: Thorax, study_id: str, findings: Iterable[Finding], seed: int) -> list[Edit]:
    """The edits of a study's findings; each finding's own generator, so that taking one away changes no other."""
    edits: list[Edit] = []
    for finding in findings:
        purpose = f"{finding.name}|{finding.side}|{finding.zone}"
        edits.extend(draw(thorax, finding, np.random.default_rng(seed_of(study_id, seed, purpose))))
    return edits


def edited_volume(thorax: Thorax, edits: Iterable[Edit]) -> np.ndarray:
    """A copy of the CT (Z, Y, X), Hounsfield units, with every edit applied in order."""
    hu = thorax.hu.copy()
    for edit in edits:
        edit.apply(hu)
    return hu


def _coarse_shifts(thorax: Thorax, edits: Iterable[Edit]) -> np.ndarray | None:
    """(3, z, y, x): the displacement, in voxels, that the edits ask for, every 4th voxel; None if there is none."""
    moving = [edit.shift for edit in edits if edit.shift is not None]
    if not moving:
        return None
    total = np.zeros((3, *(len(range(0, size, COARSE)) for size in thorax.shape)), np.float32)
    for axis, shift in moving:
        total[axis] += shift
    return total


def _truth(
    thorax: Thorax, acquisition: Acquisition, view: str, edits: list[Edit], shifts: np.ndarray | None
) -> tuple[tuple, np.ndarray]:
    if not edits:
        return (), np.zeros((0, TRUTH_SIZE, TRUTH_SIZE), np.float32)
    grid = ray_grid(thorax, acquisition, view, TRUTH_SIZE, shifts)
    drawn: dict[tuple[str, str, str], list] = {}
    for edit in edits:
        volume = np.zeros(thorax.shape, np.float32)
        volume[edit.box] = edit.weight
        mask = project(volume, grid, view)
        key = (edit.finding.name, edit.finding.side, edit.finding.zone)
        if key in drawn:
            drawn[key][1] = np.maximum(drawn[key][1], mask)
        else:
            drawn[key] = [edit.finding, mask]
    return tuple(f for f, _ in drawn.values()), np.stack([mask for _, mask in drawn.values()])
