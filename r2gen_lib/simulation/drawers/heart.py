"""Findings of the heart, the great vessels and the mediastinum. Sizes in mm, Hounsfield units."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np

from r2gen_lib.findings.finding import Finding
from r2gen_lib.simulation.anatomy.geometry import (
    SOFT_TISSUE,
    Box,
    Edit,
    ball_box,
    box_grid,
    distance_mm,
    smooth_noise,
    within,
)
from r2gen_lib.simulation.anatomy.landmarks import aorta_line, at_lung, heart_box, organ_voxels
from r2gen_lib.simulation.anatomy.lung_regions import lung_root
from r2gen_lib.simulation.anatomy.thorax import TRACHEA, VOXEL_MM, Thorax, bounding_box
from r2gen_lib.simulation.anatomy.tubes import smooth_path, tubes

_MARGIN = 20  # voxels around the heart that a larger heart may reach
LYMPH_CALCIUM = 2200.0  # old tuberculous nodes are as dense as cortical bone


@lru_cache(maxsize=1)
def _fillable(thorax: Thorax) -> np.ndarray:
    """Boolean: lung and fat, where a larger organ shows; the airway stays open."""
    return (thorax.hu < 0) & (thorax.organ != TRACHEA)


@lru_cache(maxsize=1)
def _beyond_heart(thorax: Thorax) -> tuple[Box, np.ndarray]:
    """A box around the heart, and at each voxel how much (mm) the heart must grow to reach it.

    That is the distance to the heart divided by how much that side of it gives way: the apex most, the right border
    half as much, the base little, because the great vessels hold it. It is infinite where nothing can grow.
    """
    from scipy import ndimage

    box = bounding_box(thorax.heart, _MARGIN)
    heart = thorax.heart[box]
    distance = ndimage.distance_transform_edt(~heart, sampling=VOXEL_MM) - ndimage.distance_transform_edt(heart)
    distance = ndimage.gaussian_filter(distance, 3)  # notches of the border fill in as it grows
    axes = zip(box_grid(box), heart_box(thorax), strict=True)
    z, y, x = ((axis - part.start) / (part.stop - part.start) for axis, part in axes)
    gives_way = np.interp(x, [0.2, 0.8], [0.5, 1.0]) * np.interp(z, [0.3, 1.0], [1.0, 0.45])
    gives_way = gives_way * np.interp(y, [-0.1, 0.2], [0.6, 1.0])
    inside = _fillable(thorax)[box] & ((thorax.lobe[box] > 0) | (distance < 8))  # the fat of the chest wall stays
    return box, np.where(inside, distance / gives_way, np.inf).astype(np.float32)


def cardiomegaly(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """A larger heart: the left border moves out by ``reach`` mm, the right one by half of that."""
    reach = 4 + 30 * finding.severity + rng.uniform(-1, 1)
    box, needed = _beyond_heart(thorax)
    cut = max(_MARGIN - int(reach / VOXEL_MM) - 2, 0)  # what is out of reach
    box = tuple(slice(part.start + cut, part.stop - cut) for part in box)
    inner = tuple(slice(cut, size - cut) for size in needed.shape)
    return [Edit(finding, box, within(reach - needed[inner]), SOFT_TISSUE)]


@lru_cache(maxsize=2)
def _heart_border(thorax: Thorax, side: str) -> tuple[float, np.ndarray]:
    """The height z where the front lung begins beside the heart; at each z the heart's border x, straightened."""
    heart, outward = heart_box(thorax), 1 if side == "left" else -1
    front = slice((heart[1].start + heart[1].stop) // 2, heart[1].stop)
    planes = np.arange(heart[0].start, heart[0].stop)
    border = np.array([np.flatnonzero(thorax.heart[z].any(0))[-1 if side == "left" else 0] for z in planes])
    lung = thorax.lung(side)
    to = [(x + 2 * outward, x + 8 * outward) for x in border]
    beside = [lung[z, front, near:far:outward].sum() for z, (near, far) in zip(planes, to, strict=True)]
    angle = planes[np.flatnonzero(np.array(beside) > 0.3 * max(beside))[0]]
    known = (planes >= angle) & (planes < angle + 25)
    return float(angle), np.polyval(np.polyfit(planes[known], border[known], 1), np.arange(thorax.shape[0]))


def epicardial_fat(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """A fat pad: a triangle that fills the angle between the heart and the front of the diaphragm."""
    size = (24 + 20 * finding.severity + rng.uniform(-2, 2)) / VOXEL_MM
    low, border = _heart_border(thorax, finding.side)
    heart = heart_box(thorax)[1]
    middle_y, deep = heart.start + 0.75 * (heart.stop - heart.start), 16 / VOXEL_MM
    box = ball_box(thorax, np.array([low, middle_y, border[int(low)]]), 1.6 * size * VOXEL_MM)
    z, y, x = box_grid(box)
    outward = (x - border[box[0], None, None]) * (1 if finding.side == "left" else -1)
    inside = size - np.maximum(outward, -5) - 0.95 * np.maximum(z - low, 0)
    inside = inside - np.maximum(np.abs(y - middle_y) - deep, 0) - 2 * np.maximum(-6 - outward, 0)
    weight = np.clip(inside + 0.5, 0, 1) * thorax.lung(finding.side, box)
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
    out = np.abs((y - cy) / ry) ** power + np.abs((x - cx) / rx) ** power
    return box, np.clip((1 - out) * (rx / power) + 0.5, 0, 1).astype(np.float32)  # about a voxel from 1 to 0


def tortuous_aorta(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """An aorta grown long and wide: the descending part bows to the left, the arch and the ascending part bulge."""
    severity, lines = finding.severity, aorta_line(thorax)
    low, up = lines["descending"], lines["ascending"]
    along = np.linspace(0, 1, len(low))
    bow = (10 + 22 * severity) / VOXEL_MM * np.sin(0.82 * np.pi * along ** rng.uniform(0.9, 1.2))
    bowed = low + np.outer(bow, [0, 0, 1])
    wide = (12 + 4 * severity + 3 * severity * along) / VOXEL_MM
    parts = [_discs(thorax, low[:, 0], (low[:, 1], bowed[:, 2]), (wide, wide))]
    bulge = np.sin(np.pi * np.linspace(0.1, 0.9, len(up)))
    wide = (13 + 6 * severity) / VOXEL_MM * (0.6 + 0.4 * bulge)
    right = (4 + 12 * severity) / VOXEL_MM * bulge
    parts.append(_discs(thorax, up[:, 0], (up[:, 1], up[:, 2] - right), (wide, wide)))
    arch = smooth_path(np.stack([up[-1], lines["knob"] + [1 + 3 * severity, 0, -5 + 2 * severity], bowed[-1]]), 4.0)
    parts.append(tubes(thorax, arch, np.full(len(arch), 13 + 6 * severity)))
    return [Edit(finding, box, weight * _fillable(thorax)[box], 50.0) for box, weight in parts]


def aortic_calcification(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """A thin bright curved line: chalk in the wall of the arch, on its left and upper side."""
    knob, radius = aorta_line(thorax)["knob"], 17 / VOXEL_MM
    half, middle = 40 + 45 * finding.severity, rng.uniform(15, 40)  # degrees: 0 is the patient's left, 90 is up
    angle = np.arange(middle - half, middle + half, 2.0)
    plates = np.sin(np.radians(angle * rng.uniform(4, 7) + rng.uniform(0, 360))) > -0.75
    angle = np.radians(angle[plates])
    bumpy = radius + rng.normal(0, 0.12, len(angle))
    line = np.stack([knob[0] + 6 + bumpy * np.sin(angle) - radius, 0 * angle + knob[1],
                     knob[2] + bumpy * np.cos(angle) - radius + 0.5], 1)  # fmt: skip
    box, weight = tubes(thorax, line, np.full(len(line), 1.0), deep_mm=14.0)
    return [Edit(finding, box, weight, 1300.0 + 900.0 * finding.severity)]


def enlarged_mediastinum(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """A wide upper mediastinum, from the arch to the clavicles, with nearly straight borders; one side if paratracheal.

    Each border moves out by 8 to 28 mm.
    """
    narrow = finding.zone == "paratracheal"
    if narrow and not finding.side:
        finding = replace(finding, side="right")  # where enlarged paratracheal nodes are most often seen
    lungs = [thorax.lung_box(side)[0] for side in ("left", "right")]
    low, high = max(lung.start for lung in lungs), min(lung.stop for lung in lungs)
    ends = (0.64, 0.97) if narrow else (0.46, 1.0)
    z = np.arange(int(low + ends[0] * (high - low)), int(low + ends[1] * (high - low)))
    along = np.linspace(0, 1, len(z))
    flat = np.clip(np.sin(np.pi * along), 0, 1) ** 0.55  # rises at the ends, and bends little between
    airway = organ_voxels(thorax, TRACHEA)[:, 1].mean()
    edits = []
    for side in [finding.side] if finding.side else ["left", "right"]:
        wavy = rng.uniform(0.8, 1.15) * (1 + 0.06 * np.sin(2 * np.pi * (rng.uniform(0.8, 1.5) * along + rng.random())))
        normal = 32 if side == "left" and not narrow else 22  # the arch of the aorta reaches further to the left
        wide = normal * np.interp(along, [0.4, 1], [1, 0.6]) + (8 + 20 * finding.severity) * flat * wavy
        toward = 1 if side == "left" else -1
        middle = thorax.spine_centre[z, 1]
        deep = (20 + 10 * finding.severity) * (0.5 + 0.5 * flat)
        box, weight = _discs(thorax, z, (airway, middle), (deep / VOXEL_MM, wide / VOXEL_MM), 3.0)
        weight = weight * (toward * (box_grid(box)[2] - middle[:, None, None]) > 0)
        edits.append(Edit(finding, box, (weight * _fillable(thorax)[box]).astype(np.float32), SOFT_TISSUE))
    return edits


def enlarged_hilum(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """Swollen lymph nodes around the root of a lung: a few balls that merge into one lumpy shadow."""
    root = lung_root(thorax, finding.side)
    radius = 10 + 7 * finding.severity
    box = ball_box(thorax, root, 2.6 * radius)
    weight = np.zeros([part.stop - part.start for part in box], np.float32)
    outward = 1 if finding.side == "left" else -1
    for offset in np.linspace(-1.1, 1.1, 4):
        away = np.array([offset, rng.uniform(-0.5, 0.5), outward * rng.uniform(0.1, 0.7 - 0.3 * abs(offset))])
        centre = root + away * radius / VOXEL_MM
        ball = within(radius * rng.uniform(0.8, 1.1) - distance_mm(box, centre, (1, 1.5, 1)))
        weight = np.maximum(weight, ball)
    return [Edit(finding, box, (weight * _fillable(thorax)[box]).astype(np.float32), SOFT_TISSUE)]


def hiatal_hernia(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """Stomach behind the heart, just above the diaphragm: an uneven oval, lying; mostly gas above a level line."""
    radius = 19 + 15 * finding.severity
    low = thorax.lung_box("left")[0]
    height = low.start + 0.2 * (low.stop - low.start) + 0.6 * radius / VOXEL_MM
    spine_y, spine_x = thorax.spine_centre[int(height)]
    centre = np.array([height, spine_y + 12 + 0.75 * radius / VOXEL_MM, spine_x + rng.uniform(5, 12)], np.float32)
    box = ball_box(thorax, centre, radius * 1.5)
    lean = rng.uniform(-0.25, 0.25)  # the oval's long axis is seldom level
    z, y, x = (axis - c for axis, c in zip(box_grid(box), centre, strict=True))
    round_mm = VOXEL_MM * np.sqrt(((z - lean * x) / rng.uniform(0.85, 0.97)) ** 2 + (y / 0.75) ** 2 + (x / 1.15) ** 2)
    uneven = round_mm + 0.07 * radius * smooth_noise(round_mm.shape, 24, rng)
    outer = within(radius - uneven) * (thorax.hu[box] < 150)
    level = rng.uniform(-0.2, 0.3) * radius / VOXEL_MM if rng.random() < 0.85 else np.inf
    gas = within(radius - 4 - uneven) * np.clip(z - level + 0.5, 0, 1)
    return [Edit(finding, box, outer.astype(np.float32), (SOFT_TISSUE - 1000.0 * gas).astype(np.float32))]


def calcified_nodes(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """A cluster of dense, irregular lymph nodes at the root of a lung or beside the trachea."""
    if finding.zone == "mediastinum":
        anchor = at_lung(thorax, finding.side, rng.uniform(0.62, 0.75), 0.21, front=0.54)
    else:
        finding = replace(finding, zone="hilum")
        anchor = lung_root(thorax, finding.side)
    edits = []
    for _ in range(3 + int(4 * finding.severity) + ("multiple" in finding.pattern)):
        centre, radius = anchor + rng.normal(0, [5, 3, 3.0]), rng.uniform(2.4, 4.2) + finding.severity
        box = ball_box(thorax, centre, radius * 1.6)
        distance = distance_mm(box, centre, rng.uniform(0.7, 1.3, 3))
        rough = distance + rng.normal(0, 0.8, distance.shape)
        weight = within(radius - rough).astype(np.float32)
        edits.append(Edit(finding, box, weight, LYMPH_CALCIUM))
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
