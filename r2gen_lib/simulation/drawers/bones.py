"""Findings of the bones: broken ribs and clavicles, thin bone, and the spine's (``spine``)."""

from __future__ import annotations

import numpy as np

from r2gen_lib.findings.finding import Finding
from r2gen_lib.simulation.anatomy.geometry import Box, Edit, added, box_grid, within
from r2gen_lib.simulation.anatomy.skeleton import CLAVICLE, FIRST_RIB, MUSCLE, bone_voxels, middle_line, mineral
from r2gen_lib.simulation.anatomy.thorax import VOXEL_MM, Thorax
from r2gen_lib.simulation.drawers import spine as spine_findings

CALLUS = 700.0  # Hounsfield units of the new bone that joins a break
SPLINTERED = 1400.0  # by what a fragment's end exceeds whole bone: pieces pressed on each other


def rib_fracture(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """A rib, or three to five in a row, broken at the back or side of the chest, where lung lies behind it."""
    ranges = {"upper lobe": (3, 5), "apex": (2, 4), "lower lobe": (7, 9), "base": (7, 9)}
    first, last = ranges.get(finding.zone, (5, 8))
    count = int(rng.integers(3, 6)) if "multiple" in finding.pattern else 1
    top = int(np.clip(rng.integers(first, last + 1) - count // 2, 2, 10 - count))
    angle = rng.uniform(30, 52)
    edits = []
    for rib in range(top, top + count):
        label = FIRST_RIB[finding.side] + rib - 1
        place = int(np.abs(middle_line(thorax, label)[0] - angle - rng.normal(0, 5)).argmin())
        edits.append(
            _broken(thorax, finding, label, place, rng.choice([-1, 1]) * (6 + 8 * finding.severity), 30.0, 4.0)
        )
    return edits


def clavicle_fracture(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """The shaft breaks in its middle: the arm's weight pulls the outer fragment down."""
    label = CLAVICLE[finding.side]
    place = int(np.abs(middle_line(thorax, label)[0] - rng.uniform(40, 52)).argmin())
    return [_broken(thorax, finding, label, place, -(9 + 11 * finding.severity), 60.0, 6.5)]


def _broken(
    thorax: Thorax, finding: Finding, label: int, place: int, step_mm: float, reach_mm: float, thick_mm: float
) -> Edit:
    """Break a bone at a point of its middle line: a gap, and the outer fragment steps up by ``step_mm``.

    The step lies in the frontal plane and fades over ``reach_mm``. A healed break steps half as far and is joined by
    callus, thicker than the bone, whose radius is about ``thick_mm``.
    """
    points = middle_line(thorax, label)[1]
    place = int(np.clip(place, 1, len(points) - 2))
    centre = points[place]
    tangent = points[place + 1] - points[place - 1]
    tangent /= np.linalg.norm(tangent)
    across = np.array([abs(tangent[2]), 0, -tangent[0] * np.sign(tangent[2])])
    healed = "healed" in finding.pattern or "chronic" in finding.pattern
    step = (0.5 if healed else 1.0) * step_mm * across / np.linalg.norm(across)
    gap_mm = 0.0 if healed else 4.0 + 3.0 * finding.severity
    voxels, excess = bone_voxels(thorax, label)
    along = (voxels - centre) @ tangent * VOXEL_MM
    near = np.abs(along) < reach_mm
    voxels, excess, along = voxels[near], excess[near], along[near]
    fade = 1 - np.abs(along) / reach_mm
    moved = voxels + (fade * (along > 0))[:, None] * step / VOXEL_MM
    moved = moved + (np.sign(along) * fade * gap_mm / 2)[:, None] * tangent / VOXEL_MM
    near = np.exp(-((along / 20) ** 2))
    splinters = SPLINTERED * np.exp(-((along / 6) ** 2)) * np.clip(excess / 200, 0, 1)
    denser = excess * (1 + 0.8 * near) if healed else excess * (1 + 1.6 * near) + splinters
    box = _around(thorax, np.concatenate([voxels, moved, [centre - 11, centre + 11]]))
    change = _splat(box, moved, denser)
    change[tuple((voxels.astype(int) - [part.start for part in box]).T)] -= excess
    if healed:
        callus = _spindle(box, centre + step / (2 * VOXEL_MM), tangent, thick_mm + 1 + 2.5 * finding.severity)
        change += callus * (CALLUS - np.minimum(thorax.hu[box] + change, CALLUS))
    return added(finding, box, change)


def _spindle(box: Box, centre: np.ndarray, tangent: np.ndarray, radius_mm: float) -> np.ndarray:
    """Weight of a round swelling that is 2.4 times as long as thick."""
    offsets = [VOXEL_MM * (axis - c) for axis, c in zip(box_grid(box), centre, strict=True)]
    along = sum(part * offset for part, offset in zip(tangent, offsets, strict=True))
    return within(radius_mm - np.sqrt(sum(offset**2 for offset in offsets) - (1 - 2.4**-2) * along**2))


def _around(thorax: Thorax, points: np.ndarray) -> Box:
    low, high = np.floor(points.min(0)).astype(int) - 1, np.ceil(points.max(0)).astype(int) + 2
    return tuple(slice(max(int(a), 0), min(int(b), n)) for a, b, n in zip(low, high, thorax.shape, strict=True))


def _splat(box: Box, points: np.ndarray, values: np.ndarray) -> np.ndarray:
    """``values`` (n,) spread over the eight voxels around each of ``points`` (n, 3), summed over the box."""
    shape = [part.stop - part.start for part in box]
    inside = points - [part.start for part in box]
    base = np.floor(inside).astype(int)
    total = np.zeros(int(np.prod(shape)))
    for corner in np.ndindex(2, 2, 2):
        index = base + corner
        share = np.prod(1 - np.abs(inside - index), axis=1)
        kept = ((index >= 0) & (index < shape)).all(axis=1)
        total += np.bincount(np.ravel_multi_index(index[kept].T, shape), (share * values)[kept], len(total))
    return total.reshape(shape)


def osteopenia(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """All bone loses 66 to 84% of what it has above soft tissue, its cortex less: smaller losses don't show."""
    box, weight = mineral(thorax)
    return [Edit(finding, box, weight * np.float32(0.66 + 0.18 * finding.severity), MUSCLE)]


DRAWERS = {
    "Rib Fracture": rib_fracture,
    "Clavicle Fracture": clavicle_fracture,
    "Osteopenia": osteopenia,
    **spine_findings.DRAWERS,
}
