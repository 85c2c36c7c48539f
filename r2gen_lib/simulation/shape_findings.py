"""Findings that move the anatomy: the diaphragm, the size of the lungs, the place of heart and mediastinum.

Sizes in mm; displacements in voxels on ``coarse_grid``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from r2gen_lib.simulation.findings import Finding
from r2gen_lib.simulation.geometry import COARSE, Edit, coarse_grid, diaphragm, sigmoid
from r2gen_lib.simulation.thorax import VOXEL_MM, Thorax

SIDES = ("left", "right")
NOWHERE = (slice(0, 1),) * 3


@dataclass(frozen=True, eq=False)
class Chest:
    """Where the diaphragm and the chest wall are, for displacements. Maps are float32 (Y, X).

    Attributes:
        inside: 0 at the chest wall, which stays, to 1 from 30 mm inside it.
        of_side: for each side 1 over its half, 0 over the other, a smooth step at the midline.
        dome: height of the diaphragm in voxels.
        height: (z, y, x) on the coarse grid, voxels above the diaphragm.
        room: (1, y, x) on the coarse grid, voxels from the diaphragm to the apex.
        middle: (z, 1, 1) on the coarse grid, x of the midline.
        front_of_spine: (z, y, 1) on the coarse grid, 0 in the spine to 1 before it: it doesn't move.
    """

    inside: np.ndarray
    of_side: dict[str, np.ndarray]
    dome: np.ndarray
    height: np.ndarray
    room: np.ndarray
    middle: np.ndarray
    front_of_spine: np.ndarray


@lru_cache(maxsize=1)
def chest_of(thorax: Thorax) -> Chest:
    from scipy import ndimage

    under = thorax.lung("both").any(0)
    between = np.maximum.accumulate(under, 1) & np.maximum.accumulate(under[:, ::-1], 1)[:, ::-1]
    deep_mm = ndimage.distance_transform_edt(between, sampling=VOXEL_MM)
    apex = max(thorax.lung_box(side)[0].stop for side in SIDES)
    middle = thorax.spine_centre[:, 1]
    left = sigmoid((np.arange(thorax.shape[2]) - middle[int(0.4 * apex)]) / 4).astype(np.float32)[None]
    dome = left * diaphragm(thorax, "left") + (1 - left) * diaphragm(thorax, "right")
    z, y, _ = coarse_grid(thorax)
    coarse_dome = dome[None, ::COARSE, ::COARSE]
    spine_y = thorax.spine_centre[::COARSE, :1, None]
    return Chest(
        inside=_step(deep_mm / 30).astype(np.float32),
        of_side={"left": left, "right": 1 - left},
        dome=dome,
        height=(z - coarse_dome).astype(np.float32),
        room=(apex - coarse_dome).astype(np.float32),
        middle=middle[::COARSE, None, None],
        front_of_spine=sigmoid((y - spine_y - 9) / 2).astype(np.float32),
    )


def _step(x: np.ndarray) -> np.ndarray:
    """0 below 0, 1 above 1, smooth between."""
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def _moved(finding: Finding, axis: int, voxels: np.ndarray) -> Edit:
    """A displacement beside another edit that has the finding's mask."""
    return Edit(finding, NOWHERE, np.zeros((1, 1, 1), np.float32), shift=(axis, voxels.astype(np.float32)))


def _diaphragm(thorax: Thorax, finding: Finding, up: np.ndarray, side: str, fade_mm: float | None = None) -> Edit:
    """Move one hemidiaphragm by ``up`` (Y, X) voxels; the lung above gives way, up to ``fade_mm`` or its apex.

    The mask is what crosses the old dome: the slab of abdomen that rises above it or of lung that sinks below it.
    """
    chest = chest_of(thorax)
    up = (up * chest.inside * chest.of_side[side]).astype(np.float32)
    above = chest.room if fade_mm is None else fade_mm / VOXEL_MM
    fade = np.where(chest.height > 0, 1 - chest.height / above, 1 + chest.height * (VOXEL_MM / 110))
    shift = up[None, ::COARSE, ::COARSE] * np.clip(fade, 0, 1)

    _, rows, columns = thorax.lung_box(side)
    up, dome = up[rows, columns], chest.dome[rows, columns]
    low = max(int((dome - np.maximum(up, 0)).min()) - 1, 0)
    high = int((dome - np.minimum(up, 0)).max()) + 2
    z = np.arange(low, high, dtype=np.float32)[:, None, None]
    weight = np.clip((np.abs(up) + 1) / 2 - np.abs(z - dome + up / 2), 0, 1) * np.clip(np.abs(up) - 1, 0, 1)
    box = (slice(low, high), slice(int(rows.start), int(rows.stop)), slice(int(columns.start), int(columns.stop)))
    return Edit(finding, box, weight.astype(np.float32), shift=(0, shift))


@lru_cache(maxsize=4)
def _lung_weight(thorax: Thorax, side: str) -> tuple[tuple[slice, slice, slice], np.ndarray]:
    box = tuple(slice(int(part.start), int(part.stop)) for part in thorax.lung_box(side))
    return box, thorax.lung(side)[box].astype(np.float32)


def _denser(thorax: Thorax, finding: Finding, side: str, hu: float) -> Edit:
    return Edit(finding, *_lung_weight(thorax, side), hu, add=True)


def _widen_heart(thorax: Thorax, finding: Finding, factor: float) -> Edit:
    """Stretch heart and mediastinum across by up to ``factor`` a unit, about the midline; below 0 makes them narrow."""
    chest = chest_of(thorax)
    _, _, x = coarse_grid(thorax)
    aside = x - chest.middle
    reach = 140 / VOXEL_MM
    still = np.clip(1 - (aside / reach) ** 2, 0, 1)
    upright = _step(1 - (chest.height / chest.room - 0.75) / 0.35) * _step(1 + chest.height / 40)
    inside = chest.inside[None, ::COARSE, ::COARSE]
    return _moved(finding, 2, factor * aside * still * upright * inside * chest.front_of_spine)


def _deepen(thorax: Thorax, finding: Finding, forward_mm: float) -> Edit:
    """Push the front chest wall forward: the space behind the sternum widens, the heart stays."""
    chest = chest_of(thorax)
    _, y, _ = coarse_grid(thorax)
    rows = thorax.lung_box("right")[1]
    front = _step((y - (rows.stop - 0.32 * (rows.stop - rows.start))) / (0.34 * (rows.stop - rows.start)))
    upright = _step(1 - (chest.height / chest.room - 0.7) / 0.5) * _step(1 + chest.height / 40)
    return _moved(finding, 1, forward_mm / VOXEL_MM * front * upright)


def _dome_shape(thorax: Thorax, side: str) -> np.ndarray:
    """(Y, X): 1 at the top of the dome, 0 at its lowest edge."""
    dome = diaphragm(thorax, side)
    _, rows, columns = thorax.lung_box(side)
    low, high = np.percentile(dome[rows, columns], [15, 95])
    return np.clip((dome - low) / (high - low), 0, 1)


def hyperinflation(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """Low flat diaphragms, large dark lungs, a narrow heart, air behind the sternum."""
    severity = finding.severity
    down = (14 + 24 * severity + rng.uniform(-2, 2)) / VOXEL_MM
    edits = []
    for side in SIDES:
        flat = 0.5 + 0.5 * _dome_shape(thorax, side)
        edits += [_diaphragm(thorax, finding, -down * flat, side), _denser(thorax, finding, side, -25 - 35 * severity)]
    return [*edits, _widen_heart(thorax, finding, -0.08 - 0.22 * severity), _deepen(thorax, finding, 6 + 14 * severity)]


def hypoinflation(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """High diaphragms, small dense lungs with crowded vessels, a wide heart."""
    severity = finding.severity
    up = (18 + 28 * severity + rng.uniform(-2, 2)) / VOXEL_MM
    edits = []
    for side in SIDES:
        high = np.full(thorax.shape[1:], up)
        edits += [_diaphragm(thorax, finding, high, side), _denser(thorax, finding, side, 35 + 55 * severity)]
    return [*edits, _widen_heart(thorax, finding, 0.06 + 0.14 * severity)]


def flattened_diaphragm(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """The dome's centre lowered, its edges where they were."""
    down = (14 + 26 * finding.severity + rng.uniform(-2, 2)) / VOXEL_MM
    return [_diaphragm(thorax, finding, -down * _dome_shape(thorax, finding.side), finding.side)]


def elevated_diaphragm(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    up = (20 + 32 * finding.severity + rng.uniform(-2, 2)) / VOXEL_MM
    return [_diaphragm(thorax, finding, np.full(thorax.shape[1:], up), finding.side)]


def eventration(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """A hump of one hemidiaphragm: before the middle of the right one; of the left, beside the heart, or it is hidden."""
    _, rows, columns = thorax.lung_box(finding.side)
    wide = columns.stop - columns.start
    medial = (0.4 if finding.side == "right" else 0.55) + rng.uniform(-0.05, 0.05)
    x = columns.stop - medial * wide if finding.side == "right" else columns.start + medial * wide
    y = rows.start + (0.66 + rng.uniform(-0.05, 0.05)) * (rows.stop - rows.start)
    radius = (20 + 4 * finding.severity) / VOXEL_MM
    gy, gx = np.ogrid[: thorax.shape[1], : thorax.shape[2]]
    hump = np.exp(-((((gy - y) / (1.4 * radius)) ** 2 + ((gx - x) / radius) ** 2) ** 1.3))
    up = (20 + 26 * finding.severity) / VOXEL_MM
    return [_diaphragm(thorax, finding, up * hump, finding.side, fade_mm=100)]


def volume_loss(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """A smaller lung draws heart, trachea and hilum to its side and its diaphragm up."""
    chest, severity = chest_of(thorax), finding.severity
    towards = 1 if finding.side == "left" else -1
    _, _, x = coarse_grid(thorax)
    near = np.clip(1 - ((x - chest.middle) * VOXEL_MM / 140) ** 2, 0, 1) ** 2
    upright = _step(1 - (chest.height / chest.room - 0.95) / 0.3) * _step(1 + chest.height / 40)
    aside_mm = towards * (10 + 18 * severity + rng.uniform(-2, 2))
    across = aside_mm / VOXEL_MM * near * upright * chest.front_of_spine * chest.inside[None, ::COARSE, ::COARSE]
    up = np.full(thorax.shape[1:], (10 + 16 * severity) / VOXEL_MM)
    return [
        _denser(thorax, finding, finding.side, 30 + 60 * severity),
        _diaphragm(thorax, finding, up, finding.side),
        _moved(finding, 2, across),
    ]


DRAWERS = {
    "Hyperinflation": hyperinflation,
    "Hypoinflation": hypoinflation,
    "Flattened Diaphragm": flattened_diaphragm,
    "Elevated Diaphragm": elevated_diaphragm,
    "Eventration": eventration,
    "Volume Loss": volume_loss,
}
