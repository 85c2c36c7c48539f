"""Findings of the pleura: fluid, air and thickening between lung and chest wall. Sizes in mm, Hounsfield units."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from r2gen_lib.findings.finding import Finding
from r2gen_lib.simulation.anatomy.geometry import SOFT_TISSUE, WATER, Box, Edit, distance_mm, sigmoid, smooth_noise
from r2gen_lib.simulation.anatomy.lung_regions import diaphragm, lung_root
from r2gen_lib.simulation.anatomy.thorax import TRACHEA, VOXEL_MM, Thorax

MARGIN = 2  # voxels around the lung's box, so that its half-filled border voxels can change too


@dataclass(frozen=True, eq=False)
class Hemithorax:
    """One side of the chest, what depends on the thorax alone. Arrays are float32 (N,), one value a lung voxel.

    Attributes:
        box: the lung's box with ``MARGIN``.
        place: int, where each voxel lies in the flattened box, in rising order of height.
        plane: int, the plane of the box it is in.
        up_mm: height above the lung's lowest point.
        dome_mm: height above the diaphragm, on the same vertical.
        back_mm: distance from the lung's most posterior plane.
        across: 0 beside the mediastinum to 1 at the lateral wall.
        wall_mm: distance to the chest wall: not to mediastinum, fissures or diaphragm.
        side_mm: distance to the lateral wall alone, not to back and apex.
        edge_mm: distance to the chest wall beside and above the lung, as the frontal view shows it.
        hilum_mm: distance to the hilum, as the frontal view shows it.
        below: (planes,) the part of the lung's volume below each plane of the box.
    """

    box: Box
    place: np.ndarray
    plane: np.ndarray
    up_mm: np.ndarray
    dome_mm: np.ndarray
    back_mm: np.ndarray
    across: np.ndarray
    wall_mm: np.ndarray
    side_mm: np.ndarray
    edge_mm: np.ndarray
    hilum_mm: np.ndarray
    below: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels of the box along z, y and x."""
        return tuple(part.stop - part.start for part in self.box)

    @property
    def height(self) -> np.ndarray:
        """(planes,): 0 at the lung's lowest point, 1 at its apex."""
        return (np.arange(self.shape[0], dtype=np.float32) - MARGIN) / (self.shape[0] - 2 * MARGIN)

    def edit(self, finding: Finding, weight: np.ndarray, target: float | np.ndarray, add: bool = False) -> Edit:
        """The edit that gives each lung voxel its ``weight``, in the smallest stack of planes that holds them all."""
        used = np.flatnonzero(weight > 0.003)
        low, high = (int(self.plane[used[0]]), int(self.plane[used[-1]]) + 1) if len(used) else (0, 1)
        shape = (high - low, *self.shape[1:])
        place = self.place[used] - low * shape[1] * shape[2]
        volume = np.zeros(shape, np.float32)
        volume.reshape(-1)[place] = weight[used]
        if isinstance(target, np.ndarray):
            values, target = target[used], np.zeros(shape, np.float32)
            target.reshape(-1)[place] = values
        box = (slice(self.box[0].start + low, self.box[0].start + high), *self.box[1:])
        return Edit(finding, box, volume, target, add)


@lru_cache(maxsize=2)
def hemithorax(thorax: Thorax, side: str) -> Hemithorax:
    """What pleural findings are drawn in, of one ``side`` ("left", "right")."""
    from scipy import ndimage

    inner = thorax.lung_box(side)
    box = tuple(
        slice(int(max(part.start - MARGIN, 0)), int(min(part.stop + MARGIN, size)))
        for part, size in zip(inner, thorax.shape, strict=True)
    )
    lung = thorax.lung(side, box)
    closed = ndimage.binary_closing(lung, iterations=3)  # its vessels belong to it
    border = ndimage.binary_dilation(closed) & (thorax.hu[box] < -150) & (thorax.organ[box] != TRACHEA)
    space = closed | (border & (thorax.lobe[box] == 0))
    lateral, behind = _walls(closed if side == "left" else closed[:, :, ::-1])
    edge = _edge_mm(closed if side == "left" else closed[:, :, ::-1])
    if side == "right":
        lateral, behind, edge = lateral[:, :, ::-1], behind[:, :, ::-1], edge[:, ::-1]
    z, y, x = np.nonzero(space)
    across = (x - MARGIN) / (inner[2].stop - inner[2].start)
    below = np.concatenate([[0], np.cumsum(lung.sum((1, 2)))])
    values = (
        (z - MARGIN) * VOXEL_MM,
        (z + box[0].start - diaphragm(thorax, side)[box[1], box[2]][y, x]) * VOXEL_MM,
        (y - MARGIN) * VOXEL_MM,
        across if side == "left" else 1 - across,
        ndimage.distance_transform_edt(~(lateral | behind), sampling=VOXEL_MM)[z, y, x],
        ndimage.distance_transform_edt(~lateral, sampling=VOXEL_MM)[z, y, x],
        edge[z, x],
        distance_mm(box, lung_root(thorax, side), (1.0, np.inf, 1.0))[z, y, x],
    )
    values = (value.astype(np.float32) for value in values)
    return Hemithorax(box, np.flatnonzero(space), z, *values, below=below / below[-1])


def _walls(lung: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The chest wall beside and behind a lung whose lateral side is at high x.

    The lung's outline at a height includes all lung above it, so that the diaphragm's dome doesn't count as wall.
    """
    outline = np.maximum.accumulate(lung[::-1], axis=0)[::-1]
    lateral = ~np.maximum.accumulate(outline[:, :, ::-1], axis=2)[:, :, ::-1]
    behind = ~np.maximum.accumulate(outline, axis=1) & outline.any(1, keepdims=True)
    return lateral & outline.any(2, keepdims=True), behind


def _edge_mm(lung: np.ndarray) -> np.ndarray:
    """(Z, X): distance from the outline, beside and above, of a lung whose lateral side is at high x; negative outside.

    As in ``_walls``, the outline at a height includes all lung above it.
    """
    from scipy import ndimage

    shadow = np.maximum.accumulate(lung.any(1)[::-1], axis=0)[::-1]
    inside = np.maximum.accumulate(shadow[:, ::-1], axis=1)[:, ::-1]
    distance = [ndimage.distance_transform_edt(part, sampling=VOXEL_MM) for part in (inside, ~inside)]
    return ndimage.gaussian_filter(distance[0] - distance[1], 1.5)


def effusion(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """Water up to a level, and above it along the chest wall (the meniscus) and over the diaphragm."""
    chest = hemithorax(thorax, finding.side)
    severity = finding.severity
    share = 0.02 + 0.5 * severity**1.5 + rng.uniform(-0.008, 0.008)
    level = np.interp(share, chest.below, np.arange(len(chest.below))) * VOXEL_MM - MARGIN * VOXEL_MM
    level = level + rng.normal(0, 5) * (chest.across - 0.5)  # a patient never sits quite upright
    level += (0.3 - 0.2 * severity) * (60 - chest.back_mm)  # a little fluid lies behind
    meniscus = (14 + 14 * severity) * np.exp(chest.wall_mm / -18) + (24 + 26 * severity) * np.exp(chest.side_mm / -13)
    above_level = chest.up_mm - level - meniscus
    above_film = chest.dome_mm - 22 * max(severity - 0.25, 0) - 0.3 * meniscus
    weight = np.clip(0.5 - np.minimum(above_level, above_film) / 4, 0, 1)
    return [chest.edit(finding, weight, WATER)]


def blunted_angle(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """The angle between diaphragm and lateral wall filled, and the lowest of the gutter behind: no level in sight."""
    chest = hemithorax(thorax, finding.side)
    deep = 34 + 22 * finding.severity + rng.uniform(-2, 2)
    hind = np.clip((140 - chest.back_mm) / 30, 0, 1)
    beside = np.exp(chest.side_mm / -(11 + 5 * finding.severity))
    behind = 0.5 * np.exp(chest.wall_mm / -8) * np.clip(4 * chest.across - 1, 0, 1)
    fill = deep * hind * np.maximum(beside, behind)
    weight = np.clip((fill - chest.dome_mm) / 4 + 0.5, 0, 1) * np.clip(fill / 3 - 1, 0, 1)
    return [chest.edit(finding, weight, WATER)]


def pneumothorax(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """Air between wall and lung, deepest at the apex; the more of it, the more the lung shrinks to its hilum."""
    chest = hemithorax(thorax, finding.side)
    severity = finding.severity
    shrunk = 0.08 + 0.12 * severity + 0.24 * severity**3 + rng.uniform(-0.01, 0.01)
    part = shrunk * sigmoid((chest.height - 0.75 + 0.75 * severity) * 7)  # a small one stays at the apex
    outside = (part / (1 - part))[chest.plane] * chest.hilum_mm - chest.edge_mm  # mm beyond the lung's new surface
    lifted = 1.2 * max(severity - 0.5, 0) * chest.hilum_mm - np.maximum(chest.dome_mm, 0) - 4
    outside = np.maximum(outside, lifted)  # a collapsed lung leaves the diaphragm
    line = np.clip(1 - np.abs(outside) / 2, 0, 1) * np.clip(40 * part - 0.4, 0, 1)[chest.plane]
    air = np.maximum(np.clip(outside / 1.5 + 0.5, 0, 1), line)
    # The same tissue in less room: hardly any weight, because the mask is about the air.
    denser = 50 * (30 + 130 * severity + 290 * severity**4)
    return [
        chest.edit(finding, air, -1000 + 400 * line),
        chest.edit(finding, 0.02 * (1 - air), denser, add=True),
    ]


def pleural_thickening(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """A cap over the apex, or a band along the lateral chest wall."""
    chest = hemithorax(thorax, finding.side)
    apical = rng.random() < 0.5  # always drawn, so that naming the zone changes nothing else
    middle = rng.uniform(0.3, 0.4) + 0.25 * (finding.zone == "upper lobe")
    apical = finding.zone == "apex" or (apical and not finding.zone)
    planes, rows, columns = chest.shape
    lumps = smooth_noise((planes, rows), 22, rng)
    height = chest.height[:, None]
    if apical:
        deep = (8 + 10 * finding.severity) * np.clip((height - 0.8) / 0.1, 0, 1) * (1 + 0.25 * lumps)
        distance = chest.wall_mm
    else:
        deep = (5 + 7 * finding.severity) * np.exp(-(((height - middle) / 0.3) ** 6)) * (1 + 0.15 * lumps[:, :1])
        deep = np.broadcast_to(deep, lumps.shape)
        distance = chest.edge_mm
    deep = deep.astype(np.float32).reshape(-1)[chest.place // columns]
    weight = np.clip((deep - distance) / 2 + 0.5, 0, 1) * (deep > 1)
    return [chest.edit(replace(finding, zone="apex") if apical else finding, weight, SOFT_TISSUE)]


DRAWERS = {
    "Pleural Effusion": effusion,
    "Blunted Costophrenic Angle": blunted_angle,
    "Pneumothorax": pneumothorax,
    "Pleural Thickening": pleural_thickening,
}
