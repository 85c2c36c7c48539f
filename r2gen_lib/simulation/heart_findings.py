"""Findings of the heart, the great vessels and the mediastinum. Sizes in mm, Hounsfield units."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np

from r2gen_lib.simulation.findings import Finding
from r2gen_lib.simulation.geometry import (
    SOFT_TISSUE,
    Box,
    Edit,
    ball_box,
    box_grid,
    distance_mm,
    lung_root,
    smooth_path,
    tubes,
)
from r2gen_lib.simulation.thorax import VOXEL_MM, Thorax, bounding_box

LYMPH_CALCIUM = 2200.0  # old tuberculous nodes are as dense as cortical bone


@lru_cache(maxsize=1)
def _fillable(thorax: Thorax) -> np.ndarray:
    """Boolean: lung and fat, where a larger organ shows; the airway stays open."""
    return (thorax.hu < 0) & (thorax.organ != 16)


@lru_cache(maxsize=1)
def _beyond_heart(thorax: Thorax) -> tuple[Box, np.ndarray, np.ndarray]:
    """A box around the heart, and in it the distance to the heart and where a larger heart could be (mm).

    The second field is the distance divided by how much that side of the heart gives way: the apex most, the right
    border half as much, the base little, because the great vessels hold it. It is infinite where nothing can grow.
    """
    from scipy import ndimage

    heart = bounding_box(thorax.heart)
    box = bounding_box(thorax.heart, 20)
    distance = ndimage.distance_transform_edt(~thorax.heart[box], sampling=VOXEL_MM).astype(np.float32)
    z, y, x = ((axis - part.start) / (part.stop - part.start) for axis, part in zip(box_grid(box), heart, strict=True))
    gives_way = np.interp(x, [0.2, 0.8], [0.5, 1.0]) * np.interp(z, [0.3, 1.0], [1.0, 0.45])
    gives_way = gives_way * np.interp(y, [-0.1, 0.2], [0.6, 1.0])
    inside = _fillable(thorax)[box] & ((thorax.lobe[box] > 0) | (distance < 8))  # the fat of the chest wall stays
    return box, distance, np.where(inside, distance / gives_way, np.inf).astype(np.float32)


def cardiomegaly(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """A larger heart: the left border moves out by ``reach`` mm, the right one by half of that."""
    reach = 2 + 30 * finding.severity + rng.uniform(-1, 1)
    box, _, needed = _beyond_heart(thorax)
    margin = int(20 - reach / VOXEL_MM - 1)
    inner = tuple(slice(margin, size - margin) for size in needed.shape) if margin > 0 else (slice(None),) * 3
    whole = tuple(
        slice(part.start + (cut.start or 0), part.start + (cut.start or 0) + size)
        for part, cut, size in zip(box, inner, needed[inner].shape, strict=True)
    )
    weight = np.clip((reach - needed[inner]) / VOXEL_MM + 0.5, 0, 1)
    return [Edit(finding, whole, weight, SOFT_TISSUE)]


@lru_cache(maxsize=2)
def _cardiophrenic_angle(thorax: Thorax, side: str) -> tuple[float, float]:
    """Where (z, x) the front of a lung begins between the heart's border and the diaphragm, seen from the front."""
    heart, outward = bounding_box(thorax.heart), 1 if side == "left" else -1
    front = slice((heart[1].start + heart[1].stop) // 2, heart[1].stop)
    borders, beside = [], []
    for plane in range(heart[0].start, (heart[0].start + heart[0].stop) // 2):
        border = np.flatnonzero(thorax.heart[plane].any(0))[-1 if side == "left" else 0]
        reach = sorted((border + 2 * outward, border + 8 * outward))
        borders.append(border)
        beside.append(thorax.lung(side)[plane, front, reach[0] : reach[1]].sum())
    first = int(np.flatnonzero(np.array(beside) > 0.3 * max(beside))[0])
    return float(heart[0].start + first), float(borders[first])


def epicardial_fat(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """A fat pad: a triangle that fills the angle between the heart and the front of the diaphragm."""
    size = (20 + 22 * finding.severity + rng.uniform(-2, 2)) / VOXEL_MM
    z0, x0 = _cardiophrenic_angle(thorax, finding.side)
    heart = bounding_box(thorax.heart)[1]
    middle_y, deep = heart.start + 0.75 * (heart.stop - heart.start), 22 / VOXEL_MM
    box = ball_box(thorax, np.array([z0, middle_y, x0]), 1.6 * size * VOXEL_MM)
    z, y, x = box_grid(box)
    outward = (x - x0) * (1 if finding.side == "left" else -1)
    inside = size - np.maximum(outward, -3) - 0.7 * np.maximum(z - z0, -8) - np.maximum(np.abs(y - middle_y) - deep, 0)
    weight = np.clip(inside + 0.5, 0, 1) * (outward > -8) * _fillable(thorax)[box]
    return [Edit(finding, box, weight.astype(np.float32), float(rng.uniform(-90, -40)))]


def _discs(thorax: Thorax, z: np.ndarray, centre: tuple, radius: tuple, power: float = 2.0) -> tuple[Box, np.ndarray]:
    """A stack of horizontal ellipses, one a plane of ``z``: box and weight.

    Args:
        centre, radius: (y, x) in voxels, each a number or an array as long as ``z``.
        power: 2 for ellipses, more for boxier ones, whose edge a radiograph shows more sharply.
    """
    centre = [np.broadcast_to(np.asarray(c, np.float32), len(z)) for c in centre]
    radius = [np.broadcast_to(np.asarray(r, np.float32), len(z)) for r in radius]
    box = (slice(int(z[0]), int(z[-1]) + 1),) + tuple(
        slice(max(int((c - r).min()) - 1, 0), min(int((c + r).max()) + 2, size))
        for c, r, size in zip(centre, radius, thorax.shape[1:], strict=True)
    )
    _, y, x = box_grid(box)
    (cy, cx), (ry, rx) = ([a[:, None, None] for a in pair] for pair in (centre, np.maximum(radius, 0.1)))
    out = (np.abs((y - cy) / ry) ** power + np.abs((x - cx) / rx) ** power) ** (1 / power)
    return box, np.clip((1 - out) * rx + 0.5, 0, 1).astype(np.float32)


@lru_cache(maxsize=1)
def aorta_line(thorax: Thorax) -> dict[str, np.ndarray]:
    """Centres (z, y, x) of the aorta: ``"descending"`` and ``"ascending"`` (n, 3, from below), ``"knob"`` (3,)."""
    top = int(np.flatnonzero(thorax.aorta.any((1, 2)))[-1])
    lines: dict[str, list] = {"descending": [], "ascending": []}
    arch_y = np.nonzero(thorax.aorta[top - 6])[0].mean()
    for plane in range(top - 6):
        y, x = np.nonzero(thorax.aorta[plane])
        for name, part in (("descending", y < arch_y - 1), ("ascending", y > arch_y + 1)):
            if part.sum() > 30 and plane > top - (80 if name == "descending" else 40):
                lines[name].append([plane, y[part].mean(), x[part].mean()])
    y, x = np.nonzero(thorax.aorta[top - 6])
    knob = {"knob": np.array([top - 6, np.median(y), x.max()], np.float32)}
    return {name: np.array(line, np.float32) for name, line in lines.items()} | knob


def tortuous_aorta(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """An aorta grown long and wide: the descending part bows to the left, the arch and the ascending part bulge."""
    severity, lines = finding.severity, aorta_line(thorax)
    low, up = lines["descending"], lines["ascending"]
    along = np.linspace(0, 1, len(low))
    bow = (10 + 22 * severity) / VOXEL_MM * np.sin(np.pi * along ** rng.uniform(1.1, 1.5))
    wide = (12 + 4 * severity) / VOXEL_MM
    parts = [_discs(thorax, low[:, 0], (low[:, 1], low[:, 2] + bow), (wide, wide))]
    bulge = np.sin(np.pi * np.linspace(0.1, 0.9, len(up)))
    wide = (13 + 6 * severity) / VOXEL_MM * (0.6 + 0.4 * bulge)
    right = (4 + 12 * severity) / VOXEL_MM * bulge
    parts.append(_discs(thorax, up[:, 0], (up[:, 1], up[:, 2] - right), (wide, wide)))
    arch = smooth_path(np.stack([up[-1], lines["knob"] + [1 + 3 * severity, 0, -5 + 2 * severity], low[-1]]), 4.0)
    parts.append(tubes(thorax, arch, np.full(len(arch), 14 + 8 * severity)))
    return [Edit(finding, box, weight * _fillable(thorax)[box], 50.0) for box, weight in parts]


@lru_cache(maxsize=1)
def _arch_outline(thorax: Thorax) -> tuple[Box, np.ndarray, np.ndarray]:
    """A box around the arch, in it the wall that the frontal view shows edge-on, and the direction from the middle.

    Directions are degrees in the frontal view: 0 to the patient's left, 90 up, -90 down.
    """
    from scipy import ndimage

    knob = aorta_line(thorax)["knob"]
    box = bounding_box(thorax.aorta, 3)
    box = (slice(int(knob[0]) - 36, box[0].stop), slice(box[1].start, int(knob[1]) + 12), box[2])
    aorta = thorax.aorta[box]
    shadow = aorta.any(1)
    depth = ndimage.distance_transform_edt(shadow) - ndimage.distance_transform_edt(~shadow)
    depth = ndimage.gaussian_filter(depth, 1.5, mode="nearest")  # no steps of voxels in a line that is seen so sharply
    wall = aorta * np.clip(1.3 - np.abs(depth - 1), 0, 1)[:, None]
    z, _, x = box_grid(box)
    angle = np.degrees(np.arctan2(z - knob[0] + 4, x - knob[2] + 7))
    return box, wall.astype(np.float32), angle.astype(np.float32)


def aortic_calcification(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """A thin bright curved line: chalk in the wall of the arch, on its left and upper side."""
    box, wall, angle = _arch_outline(thorax)
    half, middle = 35 + 50 * finding.severity, rng.uniform(0, 35)
    arc = np.clip((half - np.abs(angle - middle)) / 8, 0, 1)
    gap = rng.uniform(-half, half) + middle  # chalk comes in plates
    arc = arc * np.clip(np.abs(angle - gap) / 8 - 0.4, 0, 1)
    return [Edit(finding, box, wall * arc, 1500.0 + 900.0 * finding.severity)]


def enlarged_mediastinum(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """Soft tissue beside the trachea and the great vessels; one side only where it is paratracheal."""
    narrow = finding.zone == "paratracheal"
    if narrow and not finding.side:
        finding = replace(finding, side="right")  # where enlarged paratracheal nodes are most often seen
    lungs = [thorax.lung_box(side)[0] for side in ("left", "right")]
    low, high = max(lung.start for lung in lungs), min(lung.stop for lung in lungs)
    ends = (0.66, 0.97) if narrow else (0.48, 0.98)
    z = np.arange(int(low + ends[0] * (high - low)), int(low + ends[1] * (high - low)))
    along = np.linspace(0, 1, len(z))
    swell = np.clip(np.sin(np.pi * along), 0, 1) ** 0.5
    edits = []
    for side in [finding.side] if finding.side else ["left", "right"]:
        lumps = 1 + 0.1 * np.sin(2 * np.pi * (rng.uniform(1.2, 2.2) * along + rng.random()))
        wide = ((26 if side == "right" else 38) + 6 + 28 * finding.severity) / VOXEL_MM * swell * lumps
        toward = 1 if side == "left" else -1
        middle = thorax.spine_centre[z, 1]
        depth = (32 if narrow else 42) / VOXEL_MM * swell
        box, weight = _discs(thorax, z, (68, middle), (depth, wide), 3.0)
        weight = weight * (toward * (box_grid(box)[2] - middle[:, None, None]) > 0)
        edits.append(Edit(finding, box, (weight * _fillable(thorax)[box]).astype(np.float32), SOFT_TISSUE))
    return edits


def enlarged_hilum(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """Swollen lymph nodes around the root of a lung: a few balls that merge into one lumpy shadow."""
    root = lung_root(thorax, finding.side)
    radius = 9 + 7 * finding.severity
    box = ball_box(thorax, root, 2.6 * radius)
    weight = np.zeros([part.stop - part.start for part in box], np.float32)
    outward = 1 if finding.side == "left" else -1
    for offset in np.linspace(-1.1, 1.1, 4):
        centre = root + radius / VOXEL_MM * np.array(
            [offset, rng.uniform(-0.5, 0.5), outward * rng.uniform(0.1, 0.7 - 0.3 * abs(offset))]
        )  # fmt: skip
        ball = np.clip((radius * rng.uniform(0.8, 1.1) - distance_mm(box, centre)) / VOXEL_MM + 0.5, 0, 1)
        weight = np.maximum(weight, ball)
    return [Edit(finding, box, (weight * _fillable(thorax)[box]).astype(np.float32), SOFT_TISSUE)]


def hiatal_hernia(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """Stomach behind the heart: a round wall, fluid below, gas above a level line."""
    radius = 20 + 16 * finding.severity
    low = thorax.lung_box("left")[0]
    height = low.start + 0.13 * (low.stop - low.start) + radius / VOXEL_MM
    spine_y, spine_x = thorax.spine_centre[int(height)]
    centre = np.array([height, spine_y + 12 + radius / VOXEL_MM, spine_x + rng.uniform(3, 9)], np.float32)
    box = ball_box(thorax, centre, radius * 1.3)
    distance = distance_mm(box, centre, (1.0, 0.9, 1.15))
    outer = np.clip((radius - distance) / VOXEL_MM + 0.5, 0, 1) * (thorax.hu[box] < 150)
    gas = np.clip((radius - 4 - distance) / VOXEL_MM + 0.5, 0, 1) * (box_grid(box)[0] > centre[0] + rng.uniform(0, 3))
    return [Edit(finding, box, outer.astype(np.float32), (SOFT_TISSUE - 1000.0 * gas).astype(np.float32))]


def calcified_nodes(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """A cluster of dense, irregular lymph nodes at the root of a lung or beside the trachea."""
    if finding.zone == "mediastinum":
        lung = thorax.lung_box(finding.side)[0]
        z = lung.start + rng.uniform(0.62, 0.75) * (lung.stop - lung.start)
        middle = thorax.spine_centre[int(z), 1]
        anchor = np.array([z, 66, middle + (12 if finding.side == "left" else -12)])
    else:
        finding = replace(finding, zone="hilum")
        anchor = lung_root(thorax, finding.side)
    edits = []
    for _ in range(3 + int(4 * finding.severity) + ("multiple" in finding.pattern)):
        centre, radius = anchor + rng.normal(0, [5, 3, 3.0]), rng.uniform(2.2, 4) + finding.severity
        box = ball_box(thorax, centre, radius * 1.6)
        lumpy = distance_mm(box, centre, rng.uniform(0.7, 1.3, 3)) + rng.normal(
            0, 0.8, [part.stop - part.start for part in box]
        )
        edits.append(Edit(finding, box, np.clip((radius - lumpy) / VOXEL_MM + 0.5, 0, 1).astype(np.float32), LYMPH_CALCIUM))
    return edits


DRAWERS = {
    "Cardiomegaly": cardiomegaly,
    "Epicardial Fat": epicardial_fat,
    "Tortuous Aorta": tortuous_aorta,
    "Aortic Calcification": aortic_calcification,
    "Enlarged Mediastinum": enlarged_mediastinum,
    "Enlarged Hilum": enlarged_hilum,
    "Hiatal Hernia": hiatal_hernia,
    "Calcified Lymph Nodes": calcified_nodes,
}
