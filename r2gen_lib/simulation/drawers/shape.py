"""Findings that move the anatomy: the diaphragm, the size of the lungs, the place of heart and mediastinum.

Sizes in mm; displacements in voxels on ``coarse_grid``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from r2gen_lib.findings.finding import Finding
from r2gen_lib.simulation.anatomy.geometry import COARSE, Edit, coarse_grid, sigmoid
from r2gen_lib.simulation.anatomy.lung_regions import diaphragm
from r2gen_lib.simulation.anatomy.thorax import VOXEL_MM, Thorax

SIDES = ("left", "right")
NOWHERE = (slice(0, 1),) * 3


@dataclass(frozen=True, eq=False)
class Chest:
    """Where diaphragm, chest wall and spine are, for displacements; float32, grids of ``coarse_grid``.

    Attributes:
        dome: (Y, X) height of the diaphragm in voxels.
        free: (Y, X) at the diaphragm: 0 at the chest wall, which stays, to 1 in the middle of each half.
        inside: (z, y, x) the same at every height.
        of_side: for each side (1, X), 1 over its half, 0 over the other, a smooth step at the midline.
        height: (z, y, x) voxels above the diaphragm.
        room: (1, y, x) voxels from the diaphragm to the apex.
        aside: (z, 1, x) voxels to the left of the midline.
        before_spine: (z, y, 1) 0 beside the spine, which stays, to 1 in front of it.
        off_spine: (z, y, x) the same, and 1 aside from it.
    """

    dome: np.ndarray
    free: np.ndarray
    inside: np.ndarray
    of_side: dict[str, np.ndarray]
    height: np.ndarray
    room: np.ndarray
    aside: np.ndarray
    before_spine: np.ndarray
    off_spine: np.ndarray


@lru_cache(maxsize=1)
def chest_of(thorax: Thorax) -> Chest:
    """What findings of the chest's shape are drawn by, on the coarse grid."""
    from scipy import ndimage

    half = COARSE // 2
    # A plane's outline includes all lung above it: below the dome the chest goes on to the foot of the lungs.
    lungs = np.maximum.accumulate(thorax.lung("both")[::-1], axis=0)[::-1]
    outline = np.maximum.accumulate(lungs, 2) & np.maximum.accumulate(lungs[:, :, ::-1], 2)[:, :, ::-1]
    deep_mm = ndimage.distance_transform_edt(outline[::half, ::half, ::half], sampling=half * VOXEL_MM)[::2, ::2, ::2]
    free_mm = ndimage.distance_transform_edt(outline[0], sampling=VOXEL_MM)
    apex = max(thorax.lung_box(side)[0].stop for side in SIDES)
    middle = thorax.spine_centre[:, 1]
    left = sigmoid((np.arange(thorax.shape[2]) - middle[int(0.4 * apex)]) / 4).astype(np.float32)[None]
    dome = left * diaphragm(thorax, "left") + (1 - left) * diaphragm(thorax, "right")
    z, y, x = coarse_grid(thorax)
    coarse_dome = dome[None, ::COARSE, ::COARSE]
    rows = np.arange(thorax.shape[1])[:, None]
    front = ndimage.gaussian_filter1d((rows * thorax.spine.any(2)[:, :, None]).max((1, 2)).astype(np.float32), 6)
    before_spine = sigmoid((y - front[::COARSE, None, None] - 2) / 1.5).astype(np.float32)
    aside = (x - middle[::COARSE, None, None]).astype(np.float32)
    return Chest(
        dome=dome,
        free=_round(free_mm / 60),
        inside=_round(ndimage.gaussian_filter(deep_mm, 0.7) / 60),
        of_side={"left": left, "right": 1 - left},
        height=(z - coarse_dome).astype(np.float32),
        room=(apex - coarse_dome).astype(np.float32),
        aside=aside,
        before_spine=before_spine,
        off_spine=1 - sigmoid((front[::COARSE, None, None] + 8 - y) / 4) * np.exp(-((aside * VOXEL_MM / 28) ** 4)),
    )


def _round(x: np.ndarray) -> np.ndarray:
    """0 at 0, 1 above 1, rising like a dome."""
    x = np.clip(x, 0, 1).astype(np.float32)
    return x * (2 - x)


def _step(x: np.ndarray) -> np.ndarray:
    """0 below 0, 1 above 1, smooth between."""
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def _moved(finding: Finding, axis: int, voxels: np.ndarray) -> Edit:
    """A displacement beside another edit that has the finding's mask."""
    return Edit(finding, NOWHERE, np.zeros((1, 1, 1), np.float32), shift=(axis, voxels.astype(np.float32)))


def _diaphragm(thorax: Thorax, finding: Finding, up: np.ndarray, side: str, fade_mm: float | None = None) -> Edit:
    """Move one hemidiaphragm by ``up`` (Y, X) voxels; the lung above gives way, up to ``fade_mm`` or its apex.

    The mask is what crosses the old dome: the slab of abdomen that rises above it or of lung that sinks below it. The
    low back of the dome, which a frontal view hides behind the abdomen, is left out.
    """
    chest = chest_of(thorax)
    up = (up * chest.of_side[side]).astype(np.float32)
    above = chest.room if fade_mm is None else fade_mm / VOXEL_MM
    fade = np.where(chest.height > 0, 1 - chest.height / above, 1 + chest.height * (VOXEL_MM / 110))
    shift = up[None, ::COARSE, ::COARSE] * np.clip(fade, 0, 1) * chest.inside * chest.off_spine

    _, rows, columns = thorax.lung_box(side)
    up, dome = (up * chest.free)[rows, columns], chest.dome[rows, columns]
    low = max(int((dome - np.maximum(up, 0)).min()) - 1, 0)
    high = int((dome - np.minimum(up, 0)).max()) + 2
    z = np.arange(low, high, dtype=np.float32)[:, None, None]
    shown = np.clip((dome - np.percentile(dome, 90)) * (VOXEL_MM / 15) + 3, 0, 1) * np.clip(np.abs(up) - 1, 0, 1)
    shown *= chest.of_side[side][:, columns] > 0.5
    weight = np.clip((np.abs(up) + 1) / 2 - np.abs(z - dome + up / 2), 0, 1) * shown
    box = (slice(low, high), slice(int(rows.start), int(rows.stop)), slice(int(columns.start), int(columns.stop)))
    return Edit(finding, box, weight.astype(np.float32), shift=(0, shift))


@lru_cache(maxsize=4)
def _lung_weight(thorax: Thorax, side: str) -> tuple[tuple[slice, slice, slice], np.ndarray]:
    box = tuple(slice(int(part.start), int(part.stop)) for part in thorax.lung_box(side))
    return box, thorax.lung(side, box).astype(np.float32)


def _denser(thorax: Thorax, finding: Finding, side: str, hu: float) -> Edit:
    return Edit(finding, *_lung_weight(thorax, side), hu, add=True)


def _widen_heart(thorax: Thorax, finding: Finding, factor: float) -> Edit:
    """Stretch heart and mediastinum across by up to ``factor`` a unit, about the midline; below 0 makes them narrow."""
    chest = chest_of(thorax)
    near = np.clip(1 - (chest.aside * VOXEL_MM / 140) ** 2, 0, 1)
    return _moved(finding, 2, factor * chest.aside * near * _upright(chest, 0.75) * chest.inside * chest.before_spine)


def _upright(chest: Chest, top: float) -> np.ndarray:
    """(z, y, x): 1 in the chest up to ``top`` of its height, fading above it and in the abdomen."""
    return _step(1 - (chest.height / chest.room - top) / 0.35) * _step(1 + chest.height / 40)


def _deepen(thorax: Thorax, finding: Finding, forward_mm: float) -> Edit:
    """Push the front chest wall forward: the space behind the sternum widens, the heart stays."""
    chest = chest_of(thorax)
    _, y, _ = coarse_grid(thorax)
    rows = thorax.lung_box("right")[1]
    front = _step(1 + (y - rows.stop) / (0.32 * (rows.stop - rows.start)))
    return _moved(finding, 1, forward_mm / VOXEL_MM * front * _upright(chest, 0.55))


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
    return [*edits, _widen_heart(thorax, finding, -0.08 - 0.22 * severity), _deepen(thorax, finding, 4 + 10 * severity)]


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
    """One half of the diaphragm moved up by 18 to 54 mm; by eye."""
    up = (20 + 32 * finding.severity + rng.uniform(-2, 2)) / VOXEL_MM
    return [_diaphragm(thorax, finding, np.full(thorax.shape[1:], up), finding.side)]


def eventration(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """A hump of one hemidiaphragm: right anteromedial; of the left, beside the heart, which would hide it."""
    _, rows, columns = thorax.lung_box(finding.side)
    wide = columns.stop - columns.start
    medial = (0.48 if finding.side == "right" else 0.55) + rng.uniform(-0.05, 0.05)
    x = columns.stop - medial * wide if finding.side == "right" else columns.start + medial * wide
    y = rows.start + (0.66 + rng.uniform(-0.05, 0.05)) * (rows.stop - rows.start)
    radius = (26 + 4 * finding.severity) / VOXEL_MM
    gy, gx = np.ogrid[: thorax.shape[1], : thorax.shape[2]]
    hump = np.exp(-((((gy - y) / (1.4 * radius)) ** 2 + ((gx - x) / radius) ** 2) ** 1.6))
    up = (20 + 26 * finding.severity) / VOXEL_MM
    return [_diaphragm(thorax, finding, up * hump, finding.side, fade_mm=100)]


def volume_loss(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """A smaller lung draws heart, trachea and hilum to its side and its diaphragm up."""
    chest, severity = chest_of(thorax), finding.severity
    towards = 1 if finding.side == "left" else -1
    near = np.clip(1 - (chest.aside * VOXEL_MM / 140) ** 2, 0, 1) ** 2
    aside = towards * (9 + 15 * severity + rng.uniform(-2, 2)) / VOXEL_MM
    across = aside * near * _upright(chest, 0.95) * chest.before_spine * chest.inside
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
