"""Findings all over the lungs: vessels, interstitium, water, too much air. Sizes in mm, Hounsfield units."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np

from r2gen_lib.findings.finding import Finding
from r2gen_lib.simulation.anatomy.geometry import Box, Edit, ball_box, distance_mm, noise_crop, sigmoid, within
from r2gen_lib.simulation.anatomy.lung_regions import lung_height, lung_root, open_places
from r2gen_lib.simulation.anatomy.thorax import VOXEL_MM, Thorax, bounding_box
from r2gen_lib.simulation.anatomy.tubes import curves, tubes
from r2gen_lib.simulation.drawers.lung import apart, overlap, place


def _sides(finding: Finding) -> tuple[str, ...]:
    return (finding.side,) if finding.side else ("left", "right")


@lru_cache(maxsize=32)
def _profile(thorax: Thorax, side: str, zone: str) -> np.ndarray:
    """(lung box) 0 to 1: the heights that a code's zone names, softly bordered; everywhere without one."""
    box = thorax.lung_box(side)
    height = lung_height(thorax, side, box)
    if zone in ("base", "lower lobe", "lingula", "retrocardiac"):
        profile = sigmoid((0.45 - height) / 0.05)
    elif zone in ("upper lobe", "apex"):
        profile = sigmoid((height - (0.75 if zone == "apex" else 0.58)) / 0.05)
    elif zone == "middle lobe":
        profile = np.exp(-(((height - 0.42) / 0.15) ** 2))
    elif zone == "hilum":
        profile = np.exp(-((distance_mm(box, lung_root(thorax, side), (1.3, 1.3, 1.0)) / 40) ** 2))
    else:
        profile = np.ones_like(height)
    return (profile * thorax.lung(side, box)).astype(np.float32)


@lru_cache(maxsize=2)
def _wing(thorax: Thorax, side: str) -> tuple[Box, np.ndarray]:
    """Box and weight of half a bat's wings: around the root, sparing apex, base and the lung's rim."""
    root = lung_root(thorax, side)
    box = overlap(ball_box(thorax, root, 100), thorax.lung_box(side))
    distance = distance_mm(box, root, (1.35, 1.5, 1.0))
    wing = np.exp(-((distance / 46) ** 2)) * np.clip(thorax.pleura_mm[box] / 10, 0.2, 1)
    return box, (wing * thorax.lung(side, box)).astype(np.float32)


@lru_cache(maxsize=32)
def _rim(thorax: Thorax, side: str, zones: tuple[str, ...]) -> tuple[Box, np.ndarray]:
    """Box and weight of what the vessels of a lung's zones cover in addition if each is 2 mm thicker all around."""
    from scipy import ndimage

    box = thorax.lung_box(side)
    inside = thorax.lung(side, box) & (thorax.pleura_mm[box] > 5)
    vessel = np.clip((np.where(inside, thorax.hu[box], -1000) + 700) / 500, 0, 1)
    wide = ndimage.maximum_filter(vessel, footprint=ndimage.generate_binary_structure(3, 1))
    rim = np.clip(ndimage.gaussian_filter(wide, 0.5) - vessel, 0, 1) * inside
    rim *= np.max([_profile(thorax, side, zone) for zone in zones], axis=0)
    part = bounding_box(rim > 0.02)
    whole = tuple(slice(b.start + p.start, b.start + p.stop) for b, p in zip(box, part, strict=True))
    return whole, np.ascontiguousarray(rim[part], np.float32)


def _thicker(thorax: Thorax, finding: Finding, side: str, zones: tuple[str, ...]) -> Edit:
    """The lung's own vessels widened in some zones."""
    return Edit(finding, *_rim(thorax, side, zones), 640 + 560 * finding.severity, add=True)


def _haze(thorax: Thorax, finding: Finding, side: str, hu: float, rng: np.random.Generator) -> Edit:
    box, wing = _wing(thorax, side)
    uneven = 0.3 * noise_crop(wing.shape, 16.0, rng)
    uneven += 0.8
    uneven *= wing
    return Edit(finding, box, np.clip(uneven, 0, 1, out=uneven), hu, add=True)


def _tree(thorax: Thorax, finding: Finding, side: str, zones: dict[str, int], thick_mm: float, rng) -> Edit:
    """So many vessels that leave the root for each zone of the lung, tapering, each with a branch."""
    root = lung_root(thorax, side)
    targets = [open_places(thorax, side, zone, (8.0, 45.0)) for zone in zones]
    ends = np.concatenate([t[rng.integers(len(t), size=n)] for t, n in zip(targets, zones.values(), strict=True)])
    count = len(ends)
    starts = root + 0.15 * (ends - root) + rng.normal(0, 4, (count, 3))
    middles = (starts + ends) / 2 + rng.normal(0, 4, (count, 3))
    forks = 0.3 * starts + 0.45 * middles + 0.25 * ends
    tips = ends + rng.normal(0, 9, (count, 3))
    lines = [(starts, forks), (middles, (forks + tips) / 2), (ends, tips)]
    points, line, along = curves(*(np.concatenate(pair) for pair in lines), step_mm=0.8 * thick_mm)
    tapered = np.where(line < count, 1 - 0.65 * along, 0.6 - 0.25 * along)
    box, weight = tubes(thorax, points, thick_mm * tapered)
    weight *= np.float32(0.9) * thorax.lung(side, box)
    return Edit(finding, box, weight, 30.0)


def edema(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """Haze (420 to 840 HU at its densest), vessels of the upper lobes widened, and septal lines; all by eye."""
    edits = []
    for side in _sides(finding):
        edits.append(_haze(thorax, finding, side, 420 + 420 * finding.severity, rng))
        edits.append(_tree(thorax, finding, side, {"upper lobe": 3}, 3.0 + finding.severity, rng))
        edits.append(_septal_lines(thorax, finding, side, rng))
    return edits


def _septal_lines(thorax: Thorax, finding: Finding, side: str, rng: np.random.Generator) -> Edit:
    """Kerley's B lines: short level lines that end at the pleura above the costophrenic angle."""
    edge = _side_wall(thorax, side)
    count = 4 + round(4 * finding.severity)
    rows = np.linspace(0, len(edge) - 1, count) + rng.normal(0, 1, count)
    starts = edge[np.clip(rows, 0, len(edge) - 1).astype(int)]
    inwards = -1 if side == "left" else 1
    length = rng.uniform(10, 17, count) / VOXEL_MM
    ends = starts + np.stack([rng.normal(0, 0.7, count), rng.normal(0, 1.5, count), inwards * length], 1)
    points, _, _ = curves(starts, (starts + ends) / 2, ends)
    box, weight = tubes(thorax, points, np.full(len(points), 1.2), deep_mm=12)
    return Edit(finding, box, 0.6 * weight * thorax.lung(side, box), 0.0)


@lru_cache(maxsize=2)
def _side_wall(thorax: Thorax, side: str) -> np.ndarray:
    """(n, 3): the outermost point of a lung's lower third, plane by plane."""
    low, high = (thorax.lung_box(side)[0].start + s * 120 / VOXEL_MM for s in (0.35, 0.85))
    points = []
    for z in range(int(low), int(high)):
        y, x = np.nonzero(thorax.lung(side, (z, slice(None), slice(None))))
        outer = x.max() if side == "left" else x.min()
        points.append((z, y[x == outer].mean(), outer))
    return np.array(points, np.float32)


def congestion(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """Less haze than ``edema`` (70 to 180 HU), no septal lines, thicker vessels; by eye."""
    edits = []
    for side in _sides(finding):
        edits.append(_thicker(thorax, finding, side, ("hilum", "upper lobe")))
        edits.append(_haze(thorax, finding, side, 70 + 110 * finding.severity, rng))
        edits.append(_tree(thorax, finding, side, {"upper lobe": 5}, 3.8 + 1.8 * finding.severity, rng))
        edits.append(_tree(thorax, finding, side, {"hilum": 5}, 6.0 + 3.0 * finding.severity, rng))
    return edits


def bronchovascular(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """Markings around bronchi and vessels: the lung's own made denser, and further branches; by eye."""
    zones = {finding.zone: 14} if finding.zone else {"": 6, "lower lobe": 10}
    edits = []
    for side in _sides(finding):
        edits.append(_thicker(thorax, finding, side, (finding.zone,) if finding.zone else ("hilum", "base")))
        edits.append(_tree(thorax, finding, side, zones, 3.0 + 1.8 * finding.severity, rng))
    return edits


@lru_cache(maxsize=16)
def _scarred(thorax: Thorax, side: str, zone: str) -> np.ndarray:
    """(lung box) 0 to 1: where scarred interstitium lies: near the lung's surface, mostly low; evenly if "diffuse"."""
    box = thorax.lung_box(side)
    inside = thorax.lung(side, box)
    thick = inside.sum(axis=1, keepdims=True)  # the recess behind the dome is thin: a net there would speckle the liver
    shown = np.clip(3 * thick / thick.max() - 1, 0, 1)
    shown = np.where(thorax.heart[box].any(axis=1, keepdims=True), 0.4 * shown, shown)
    if zone == "diffuse":
        return (0.6 * shown * inside).astype(np.float32)
    near = np.clip(1.3 - thorax.pleura_mm[box] / 28, 0.2, 1)
    low = np.clip(1.3 - 1.2 * lung_height(thorax, side, box), 0.15, 1)
    return (near * shown * (_profile(thorax, side, zone) if zone else low * inside)).astype(np.float32)


def interstitial(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """A net of thin sheets, about 12 mm a mesh and 600 to 1100 HU above the lung; by eye."""
    edits = []
    for side in _sides(finding):
        box = thorax.lung_box(side)
        net = np.abs(noise_crop([part.stop - part.start for part in box], 12.0, rng))
        net *= np.float32(-1 / 0.28)  # the zeros of smooth noise are a net of thin sheets
        net += np.float32(1.1)
        np.clip(net, 0, 1, out=net)
        net *= _scarred(thorax, side, finding.zone or ("diffuse" if "diffuse" in finding.pattern else ""))
        edits.append(Edit(finding, box, net, 600 + 500 * finding.severity, add=True))
    return edits


def bulla(
    thorax: Thorax,
    finding: Finding,
    rng: np.random.Generator,
    centre: np.ndarray,
    radius_mm: float,
    wall_hu: float = 0.0,
) -> list[Edit]:
    """A space of nothing but air about ``centre`` (z, y, x, in voxels) in a wall of 2 mm: the air, then the wall."""
    box = overlap(ball_box(thorax, centre, radius_mm * 1.3 + 4), thorax.lung_box(finding.side))
    depth = radius_mm - distance_mm(box, centre, (1.0, 1.25, 1.0))
    uneven = noise_crop(depth.shape, 26.0, rng)
    depth += 0.13 * radius_mm * uneven
    inside = thorax.lung(finding.side, box)
    air = within(depth) * inside
    wall = np.clip(1 - np.abs(depth) / 2.3, 0, 1) * np.clip(0.8 - 0.25 * uneven, 0.3, 1) * inside
    return [Edit(finding, box, air.astype(np.float32), -1000.0), Edit(finding, box, wall.astype(np.float32), wall_hu)]


def lucency(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """One ``bulla`` of radius 17 to 35 mm; by eye."""
    return bulla(thorax, finding, rng, place(thorax, finding, rng, (18.0, 60.0)), 17 + 18 * finding.severity)


@lru_cache(maxsize=2)
def _upper(thorax: Thorax, side: str) -> tuple[Box, np.ndarray]:
    """Box and weight of the upper half of a lung."""
    lung = thorax.lung_box(side)
    box = (slice(lung[0].start + int(0.36 * (lung[0].stop - lung[0].start)), lung[0].stop), lung[1], lung[2])
    upper = sigmoid((lung_height(thorax, side, box) - 0.5) / 0.06) * thorax.lung(side, box)
    return box, upper.astype(np.float32)


def emphysema(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """Upper lung thinned towards -995 HU, with up to 3 bullae of radius 9 to 22 mm at the apex; by eye."""
    edits = []
    for side in _sides(finding):
        box, upper = _upper(thorax, side)
        weight = noise_crop(upper.shape, 22.0, rng) * np.float32(0.3)
        weight += np.float32(0.85)
        np.clip(weight, 0, 1, out=weight)
        weight *= np.float32(0.5 + 0.5 * finding.severity)
        weight *= upper
        edits.append(Edit(finding, box, weight, -995.0))  # the small vessels go with the walls
        apical = replace(finding, side=side, zone="apex")
        for centre in apart(thorax, apical, rng, max(1, round(3 * finding.severity)), (2.0, 20.0)):
            for part in bulla(thorax, apical, rng, centre, rng.uniform(9, 14) + 8 * finding.severity, -500.0):
                edits.append(replace(part, finding=finding))
    return edits


DRAWERS = {
    "Edema": edema,
    "Vascular Congestion": congestion,
    "Bronchovascular Markings": bronchovascular,
    "Interstitial Markings": interstitial,
    "Emphysema": emphysema,
    "Lucency": lucency,
}
