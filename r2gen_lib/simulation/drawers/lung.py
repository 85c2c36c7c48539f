"""Findings in the lungs that have a place: what each changes in the volume. Sizes in mm, Hounsfield units."""

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
    noise_crop,
    within,
)
from r2gen_lib.simulation.anatomy.lung_regions import dome, lung_height, lung_root, open_places
from r2gen_lib.simulation.anatomy.thorax import VOXEL_MM, Thorax, bounding_box
from r2gen_lib.simulation.anatomy.tubes import curves, tubes

MANY = {"multiple", "scattered", "diffuse"}
#: What a consolidation fills where its code names no zone.
_LOBES = {"left": ("upper lobe", "lingula", "lower lobe"), "right": ("upper lobe", "middle lobe", "lower lobe")}
#: Where a lobe that loses its air folds to, seen from the root: (up, front, outwards).
_COLLAPSES = {
    "upper lobe": (1.0, 0.25, 0.22),
    "middle lobe": (-0.3, 0.7, 0.7),
    "lingula": (-0.3, 0.7, 0.7),
    "lower lobe": (-1.0, -0.35, 0.22),
    "retrocardiac": (-1.0, -0.35, 0.15),
}


def place(
    thorax: Thorax, finding: Finding, rng: np.random.Generator, depth_mm: tuple[float, float] = (8.0, 40.0)
) -> np.ndarray:
    """A random place of the finding's region, in voxels (z, y, x), so deep below the lung's surface (least, most)."""
    voxels = open_places(thorax, finding.side, finding.zone, depth_mm)
    return voxels[rng.integers(len(voxels))] + rng.uniform(-0.5, 0.5, 3).astype(np.float32)


def apart(
    thorax: Thorax, finding: Finding, rng: np.random.Generator, count: int, depth_mm: tuple[float, float]
) -> list[np.ndarray]:
    """``count`` places of the finding's region, each the one of four tries that is farthest from the earlier ones."""
    chosen = [place(thorax, finding, rng, depth_mm)]
    for _ in range(count - 1):
        tries = [place(thorax, finding, rng, depth_mm) for _ in range(4)]
        chosen.append(max(tries, key=lambda voxel: min(np.linalg.norm(voxel - other) for other in chosen)))
    return chosen


def overlap(box: Box, other: Box) -> Box:
    """The voxels that both boxes hold."""
    return tuple(slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(box, other, strict=True))


def atelectasis(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """A folded lobe where one is named, else 1 to 3 plates, 5 to 10 cm long and 3.5 to 7 mm thick; by eye."""
    if finding.zone in _COLLAPSES and not {"streaky", "focal"} & set(finding.pattern):
        return [_collapse(thorax, finding, rng)]
    zoned = finding if finding.zone else replace(finding, zone="base")
    many = finding.severity > 0.7 or bool(MANY & set(finding.pattern))
    count = 1 + int(rng.random() < 0.35 + 0.5 * finding.severity) + int(many)
    return [_plate(thorax, zoned, rng, centre) for centre in apart(thorax, zoned, rng, count, (10.0, 35.0))]


def _plate(thorax: Thorax, finding: Finding, rng: np.random.Generator, centre: np.ndarray) -> Edit:
    """A thin, nearly level sheet of lung without air: the beam meets it edge-on and sees a long bright band."""
    across, thick = 26 + 14 * finding.severity + rng.uniform(0, 6), 3.5 + 3.5 * finding.severity
    box = ball_box(thorax, centre, across + 4)
    z, y, x = (VOXEL_MM * (axis - c) for axis, c in zip(box_grid(box), centre, strict=True))
    plane = rng.uniform(-0.3, 0.3) * x + rng.uniform(-0.06, 0.06) * y + rng.uniform(-0.004, 0.004) * x**2
    outline = np.clip(1.15 - (x / across) ** 2 - (y / 18) ** 2, 0, 1)  # (1, y, x): thinner towards its ends
    rough = 0.3 * VOXEL_MM * noise_crop((len(z), y.shape[1], x.shape[2]), 10.0, rng)
    weight = np.clip((thick * np.sqrt(outline) / 2 - np.abs(z - plane + rough)) / 3 + 0.5, 0, 1) * (outline > 0)
    return Edit(finding, box, (0.9 * weight * thorax.lung(finding.side, box)).astype(np.float32), 20.0)


def _collapse(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> Edit:
    """A lobe folded to a wedge whose tip is the lung's root, its borders drawn in, and haze around."""
    up, front, out = _COLLAPSES[finding.zone]
    axis = np.array([up, front, out if finding.side == "left" else -out]) + rng.normal(0, 0.08, 3)
    axis /= np.linalg.norm(axis)
    box, root = thorax.lung_box(finding.side), lung_root(thorax, finding.side)
    offsets = [VOXEL_MM * (grid - c).astype(np.float32) for grid, c in zip(box_grid(box), root, strict=True)]
    along = sum(offset * np.float32(a) for offset, a in zip(offsets, axis, strict=True))
    # width across the wedge as the frontal view sees it; it runs through the lung from front to back
    level = np.hypot(axis[0], axis[2])
    off = np.abs(offsets[0] * np.float32(axis[2] / level) - offsets[2] * np.float32(axis[0] / level))
    half = 5 + (0.10 + 0.22 * finding.severity) * np.clip(along, 0, 90)
    wedge = np.clip((half - off) / 4 + 0.5, 0, 1) * np.clip(along / 8 + 1, 0, 1)
    depth = np.clip((45 - np.abs(offsets[1] - along * np.float32(axis[1]))) / 12, 0, 1)
    haze = 0.16 * np.clip((2.6 * half - off) / 25, 0, 1) * np.clip(along / 8 + 1, 0, 1)
    weight = np.maximum((0.45 + 0.45 * finding.severity) * wedge * depth, haze) * thorax.lung(finding.side, box)
    return Edit(finding, box, weight.astype(np.float32), 40.0)


def opacity(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """Streaks, a round cloud (radius 14 to 26 mm), 3 to 5 patches (15 to 26), or a large cloud (18 to 44); by eye."""
    severity, pattern = finding.severity, set(finding.pattern)
    if "streaky" in pattern:
        return _streaks(thorax, finding, rng)
    if "round" in pattern:
        return [_cloud(thorax, finding, rng, place(thorax, finding, rng), 14 + 12 * severity, 0.85, 0.12)]
    peak = 0.65 + 0.25 * severity
    if pattern & (MANY | {"patchy"}):
        places = apart(thorax, finding, rng, 3 + round(2 * severity), (8.0, 40.0))
        return [_cloud(thorax, finding, rng, c, rng.uniform(15, 19) + 7 * severity, peak, 0.5) for c in places]
    radius = 26 + 18 * severity
    if finding.zone == "retrocardiac":  # no larger than the heart's shadow, and dense enough to show through it
        radius, peak = 18 + 9 * severity, 0.9 + 0.1 * severity
    return [_cloud(thorax, finding, rng, place(thorax, finding, rng, (12.0, 45.0)), radius, peak, 0.5)]


def _cloud(thorax: Thorax, finding: Finding, rng, centre, radius_mm: float, peak: float, ragged: float) -> Edit:
    """Air spaces partly filled: lumpy, denser in the middle, its border nowhere to be pinned down."""
    stretch = np.array([rng.uniform(0.8, 1.1), 1.5, rng.uniform(0.9, 1.25)])
    box = overlap(ball_box(thorax, centre, radius_mm * 1.9), thorax.lung_box(finding.side))
    distance = distance_mm(box, centre, stretch) / radius_mm
    inside = 1.1 - distance + ragged * 0.6 * noise_crop(distance.shape, 14.0, rng)
    weight = np.clip(inside * 1.6, 0, 1) if ragged > 0.2 else np.clip(inside * 4, 0, 1)
    weight *= np.clip(0.8 + 0.3 * noise_crop(distance.shape, 10.0, rng), 0.15, 1)
    return Edit(finding, box, (peak * weight * thorax.lung(finding.side, box)).astype(np.float32), -40.0)


def _streaks(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """Several soft, short bands that run from the root outwards through one faint cloud."""
    centre = place(thorax, finding, rng)
    outwards = centre - lung_root(thorax, finding.side)
    outwards /= max(np.linalg.norm(outwards), 1)
    count, length = 3 + round(3 * finding.severity), (16 + 10 * finding.severity) / VOXEL_MM
    middles = centre + rng.normal(0, [7, 3, 6], (count, 3))
    half = length * (outwards + rng.normal(0, 0.16, (count, 3)))
    points, _, along = curves(middles - half, middles + rng.normal(0, 1, (count, 3)), middles + half)
    box, weight = tubes(thorax, points, 1.2 + (1.6 + finding.severity) * np.sin(np.pi * along), deep_mm=14)
    bands = Edit(finding, box, 0.9 * weight * thorax.lung(finding.side, box), 40.0)
    return [_cloud(thorax, finding, rng, centre, 26 + 10 * finding.severity, 0.35, 0.4), bands]


@lru_cache(maxsize=5)
def _lobe(thorax: Thorax, number: int) -> tuple[Box, np.ndarray]:
    """Box and weight of what a consolidation fills of a lobe: to the fissure, thinning out at the lung's surface.

    The lobes' borders are steps of a voxel; within 4 mm of the fissure they are smoothed away.
    """
    from scipy import ndimage

    box = bounding_box(thorax.lobe == number)
    lobe, lung = ((part[box]).astype(np.float32) for part in (thorax.lobe == number, thorax.lobe > 0))
    share = ndimage.gaussian_filter(lobe, 2) / np.maximum(ndimage.gaussian_filter(lung, 2), 0.05)
    reach = 5  # voxels: closes the gaps that large vessels leave, which are no surface
    near = ndimage.distance_transform_edt(np.pad(lung, 2 * reach, mode="edge") == 0) <= reach
    inner = tuple(slice(2 * reach, -2 * reach) for _ in range(3))
    surface_mm = VOXEL_MM * (ndimage.distance_transform_edt(near)[inner] - reach)
    return box, (lobe * np.clip(3 * share - 1.5, 0, 1) * np.clip(surface_mm / 6, 0, 1)).astype(np.float32)


def consolidation(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """A lobe without air within 32 to 60 mm of a place in it; in 7 of 10 its bronchi keep theirs. By eye."""
    if not finding.zone:
        finding = replace(finding, zone=str(rng.choice(_LOBES[finding.side])))
    centre = place(thorax, finding, rng, (8.0, 35.0))
    number = int(thorax.lobe[tuple(centre.astype(int))])
    radius = 32 + 28 * finding.severity
    whole, lobe = _lobe(thorax, number)
    box = overlap(ball_box(thorax, centre, radius * 1.4), whole)
    distance = distance_mm(box, centre, (1.0, 1.25, 1.0))
    filled = np.clip((radius * (1 + 0.16 * noise_crop(distance.shape, 16.0, rng)) - distance) / 15 + 0.5, 0, 1)
    inside = tuple(slice(b.start - w.start, b.stop - w.start) for b, w in zip(box, whole, strict=True))
    weight = filled * lobe[inside] * _above_dome(thorax, finding.side, box)
    if rng.random() < 0.7:
        _keep_bronchi_open(thorax, finding, rng, centre, box, weight)
    return [Edit(finding, box, (0.95 * weight).astype(np.float32), 40.0)]


def _above_dome(thorax: Thorax, side: str, box: Box) -> np.ndarray:
    """(Z, 1, X) 1 above the diaphragm's outline; below it, where the lung lies behind the liver, fading to 0.2."""
    z, _, x = box_grid(box)
    return np.clip(1 + VOXEL_MM * (z - dome(thorax, side)[x]) / 30, 0.2, 1).astype(np.float32)


def _keep_bronchi_open(thorax: Thorax, finding: Finding, rng, centre, box: Box, weight: np.ndarray) -> None:
    """Air bronchogram: take the branches that run from the root through ``weight`` out of it."""
    ends = centre + rng.normal(0, 9, (4, 3))
    starts = np.repeat(lung_root(thorax, finding.side)[None], 4, axis=0)
    points, _, along = curves(starts, (starts + ends) / 2 + rng.normal(0, 3, (4, 3)), ends)
    where, air = tubes(thorax, points, 3.4 - 1.4 * along)
    both = overlap(box, where)
    if all(part.start < part.stop for part in both):
        ours = tuple(slice(p.start - o.start, p.stop - o.start) for p, o in zip(both, box, strict=True))
        theirs = tuple(slice(p.start - o.start, p.stop - o.start) for p, o in zip(both, where, strict=True))
        weight[ours] *= 1 - air[theirs]


def nodule(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """A ball 13 to 30 mm across, or 3 to 6 smaller ones; 30 mm is the Fleischner Society's limit, the rest by eye."""
    many = bool(MANY & set(finding.pattern))
    edits = []
    for centre in apart(thorax, finding, rng, int(rng.integers(3, 7)) if many else 1, (8.0, 40.0)):
        radius = 6.5 + 8.5 * finding.severity * (rng.uniform(0.5, 1.0) if many else 1.0)
        edits.append(_ball(thorax, finding, rng, centre, radius, 380.0, 5.0))  # old nodules hold a little calcium
    return edits


def _ball(thorax: Thorax, finding: Finding, rng, centre, radius_mm: float, target: float, soft_mm=VOXEL_MM) -> Edit:
    """A ball whose border is ``soft_mm`` wide."""
    box = ball_box(thorax, centre, radius_mm + 3)
    distance = distance_mm(box, centre, rng.uniform(0.92, 1.08, 3))
    weight = np.clip((radius_mm - distance) / soft_mm + 0.5, 0, 1) * thorax.lung(finding.side, box)
    return Edit(finding, box, weight.astype(np.float32), target)


def mass(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """A lump of several merged balls: its outline is lobulated but sharp."""
    radius = 16.0 + 14.0 * finding.severity
    centre = place(thorax, finding, rng, (4.0 if finding.zone == "hilum" else 14.0, 60.0))
    box = overlap(ball_box(thorax, centre, radius * 1.3 + 4), thorax.lung_box(finding.side))
    depth = 0.86 * radius - distance_mm(box, centre, rng.uniform(0.9, 1.1, 3))
    for _ in range(5):
        towards = rng.normal(0, 1, 3)
        lump = centre + 0.62 * radius / VOXEL_MM * towards / np.linalg.norm(towards)
        np.maximum(depth, rng.uniform(0.4, 0.56) * radius - distance_mm(box, lump), out=depth)
    weight = within(depth) * thorax.lung(finding.side, box)
    return [Edit(finding, box, weight.astype(np.float32), SOFT_TISSUE + 15)]


def granuloma(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """A calcified ball of radius 2.3 to 4.7 mm, or 3 to 7 of them; sizes by eye."""
    edits = []
    count = int(rng.integers(3, 8)) if MANY & set(finding.pattern) else 1
    for centre in apart(thorax, finding, rng, count, (6.0, 40.0)):
        radius = 2.3 + 2.0 * finding.severity + rng.uniform(0, 0.4)
        edits.append(_ball(thorax, finding, rng, centre, radius, 3000.0))
    return edits


def scar(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """Coarse stiff strands that run from knots under the pleura towards the root; at the apex also a pleural cap."""
    zoned = finding if finding.zone else replace(finding, zone=str(rng.choice(["apex", "apex", "base"])))
    count = 5 + round(4 * finding.severity)
    knot = place(thorax, zoned, rng, (6.0, 20.0))
    towards = lung_root(thorax, finding.side) - knot
    towards /= np.linalg.norm(towards)
    starts = knot + rng.normal(0, [4, 4, 6], (count, 3))
    ends = starts + rng.uniform(6, 11 + 5 * finding.severity, (count, 1)) * (towards + rng.normal(0, 0.5, (count, 3)))
    points, _, along = curves(starts, (starts + ends) / 2 + rng.normal(0, 1.2, (count, 3)), ends)
    points += rng.normal(0, 0.25, points.shape)
    box, weight = tubes(thorax, points, (1.7 + 0.7 * finding.severity) * (1.2 - 0.7 * along), deep_mm=12)
    haze = _cloud(thorax, zoned, rng, knot + 4 * towards, 13 + 8 * finding.severity, 0.28, 0.4)
    edits = [haze, Edit(zoned, box, weight * thorax.lung(finding.side, box), 120.0)]
    return edits + ([_cap(thorax, zoned, rng)] if zoned.zone == "apex" else [])


def _cap(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> Edit:
    """Thickened pleura over the apex, ragged below."""
    lung = thorax.lung_box(finding.side)
    top = lung[0].stop
    box = (slice(top - 16, top), lung[1], lung[2])
    thick = 2.5 + 4 * finding.severity + 2 * noise_crop([p.stop - p.start for p in box], 14.0, rng)
    height = lung_height(thorax, finding.side, box)
    weight = np.clip((thick - thorax.pleura_mm[box]) / VOXEL_MM, 0, 1) * np.clip((height - 0.88) / 0.04, 0, 1)
    return Edit(finding, box, (weight * thorax.lung(finding.side, box)).astype(np.float32), 40.0)


DRAWERS = {
    "Atelectasis": atelectasis,
    "Opacity": opacity,
    "Consolidation": consolidation,
    "Nodule": nodule,
    "Mass": mass,
    "Calcified Granuloma": granuloma,
    "Scar": scar,
}
