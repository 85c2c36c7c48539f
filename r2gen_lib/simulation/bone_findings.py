"""Findings of the bones: spine, ribs, clavicles. Sizes in mm, Hounsfield units."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from r2gen_lib.simulation.findings import Finding
from r2gen_lib.simulation.geometry import (
    COARSE,
    METAL,
    Box,
    Edit,
    ball_box,
    box_grid,
    coarse_grid,
    distance_mm,
    sigmoid,
    tubes,
)
from r2gen_lib.simulation.skeleton import (
    C7,
    CLAVICLE,
    FIRST_RIB,
    MUSCLE,
    T1,
    T12,
    Vertebra,
    bone_voxels,
    middle_line,
    mineral,
    thoracic_spine,
    vertebrae,
)
from r2gen_lib.simulation.thorax import VOXEL_MM, Thorax

VISIBLE = 150.0  # Hounsfield units of change that count as fully edited


def scoliosis(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """The spine bends to the side of its convexity, and a little back below and above; the ribs near it follow."""
    z, y, x = coarse_grid(thorax)
    towards = 1 if finding.side == "left" else -1
    lung = thorax.lung_box(finding.side)[0]
    height = lung.stop - lung.start
    apex = lung.start + rng.uniform(0.4, 0.6) * height
    bend = 1.35 * np.exp(-(((z - apex) / (0.38 * height)) ** 2)) - 0.35
    centre = thorax.spine_centre[::COARSE, :, None, None]
    near = np.exp(-(((x - centre[:, 1]) * VOXEL_MM / 60) ** 2))
    behind = sigmoid((centre[:, 0] + 34 - y) / 6)  # the heart and sternum move less
    amplitude = towards * (12 + 20 * finding.severity) / VOXEL_MM
    shift = (amplitude * bend * near * (0.35 + 0.65 * behind)).astype(np.float32)
    return [Edit(finding, *thoracic_spine(thorax), shift=(2, shift))]


def kyphosis(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """The thoracic spine bows backwards, the neck comes forward and the chest sinks."""
    z, y, x = coarse_grid(thorax)
    lung = thorax.lung_box("left")[0]
    height = lung.stop - lung.start
    apex = lung.start + rng.uniform(0.42, 0.58) * height
    hump = np.exp(-(((z - apex) / (0.36 * height)) ** 2))
    neck = sigmoid((z - (lung.start + 0.95 * height)) / (0.07 * height))
    behind = sigmoid((thorax.spine_centre[::COARSE, 0, None, None] + 22 - y) / 7)
    back_mm, forward_mm, sink_mm = np.array([10, 8, 8]) + finding.severity * np.array([22, 18, 14])
    lean = (forward_mm * neck - back_mm * hump * behind) / VOXEL_MM
    sink = -sink_mm / VOXEL_MM * sigmoid((z - apex) / (0.16 * height))
    spine = thoracic_spine(thorax)
    return [Edit(finding, *spine, shift=(axis, move.astype(np.float32))) for axis, move in ((1, lean), (0, sink))]


def degenerative_spine(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """Osteophytes about the disc margins, in front and at both sides, and dense end plates, at three discs or more."""
    count = 3 + round(7 * finding.severity)
    lowest = int(rng.integers(T12, T12 + 3))
    bodies = vertebrae(thorax)
    parts = []
    for label in range(lowest, min(lowest + count, T1)):
        middle = (bodies[label].centre + bodies[label + 1].centre) / 2
        parts.append(_disc(thorax, replace(bodies[label], centre=middle), finding.severity, rng))
    return [Edit(finding, *_merged(parts), 900.0)]


def _disc(thorax: Thorax, disc: Vertebra, severity: float, rng: np.random.Generator) -> tuple[Box, np.ndarray]:
    """Box and weight of one disc's osteophytes and end plates; ``disc`` is the vertebra below, moved up to the disc."""
    spurs = (4.0 + 8.0 * severity) * rng.uniform([0.6, 0.4, 0.7], [1.2, 1.0, 1.4])  # the aorta keeps the left smaller
    ahead, left_side, right_side = (float(spur) for spur in spurs)
    box = disc.box(thorax, (-7, -disc.depth, -disc.width - right_side - 2),
                   (7, disc.depth + ahead + 2, disc.width + left_side + 2))  # fmt: skip
    up, front, left = disc.frame(box)
    radius = np.sqrt((front / disc.depth) ** 2 + (left / disc.width) ** 2) + 1e-3
    outside = (radius - 1) * (disc.depth + disc.width) / 2
    forward, leftward = front / disc.depth / radius, left / disc.width / radius
    reach = ahead * np.maximum(forward, 0) ** 2 + np.where(leftward > 0, left_side, right_side) * leftward**2
    reach *= np.clip(1 + 1.4 * forward, 0, 1)  # none towards the spinal canal
    thick = 1.5 + (2 + 2 * severity) * np.clip(1 - outside / (reach + 0.1), 0, 1)  # beaks, thick at the vertebra
    spur = _inside(reach - outside) * _inside(outside + 3) * _inside(thick - np.abs(up))
    plate = (0.25 + 0.35 * severity) * _inside(1.2 - np.abs(np.abs(up) - 2.6)) * _inside(-outside)
    return box, np.maximum(spur, plate)


def _inside(border_mm: np.ndarray) -> np.ndarray:
    """Share of a voxel that lies inside a border ``border_mm`` away, negative outside."""
    return np.clip(0.5 + border_mm / VOXEL_MM, 0, 1)


def _merged(parts: list[tuple[Box, np.ndarray]]) -> tuple[Box, np.ndarray]:
    """One box and weight for many."""
    box = tuple(slice(min(b[a].start for b, _ in parts), max(b[a].stop for b, _ in parts)) for a in range(3))
    weight = np.zeros([part.stop - part.start for part in box], np.float32)
    for small, values in parts:
        place = weight[tuple(slice(s.start - b.start, s.stop - b.start) for s, b in zip(small, box, strict=True))]
        np.maximum(place, values, out=place)
    return box, weight


def _changed(finding: Finding, box: Box, change: np.ndarray) -> Edit:
    """An edit that adds ``change`` (Hounsfield units) and whose weight is where that shows."""
    weight = np.clip(np.abs(change) / VISIBLE, 0, 1).astype(np.float32)
    return Edit(finding, box, weight, (change / np.maximum(weight, 1e-6)).astype(np.float32), add=True)


def vertebral_deformity(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """A wedged vertebral body between T7 and T12, or two to three above each other."""
    count = int(rng.integers(2, 4)) if "multiple" in finding.pattern else 1
    lowest = int(rng.integers(T12, T12 + 6))
    return [_wedge(thorax, finding, vertebrae(thorax)[label]) for label in range(lowest, lowest + count)]


def _wedge(thorax: Thorax, finding: Finding, body: Vertebra) -> Edit:
    """The upper end plate sinks towards the front, what is above stretches after it, the crushed bone is denser."""
    from scipy import ndimage

    high, roof = body.height, 2.6 * body.height
    box = body.box(thorax, (-high - 2, -body.depth - 2, -body.width - 2), (roof, body.depth + 4, body.width + 2))
    up, front, left = body.frame(box)
    loss = 2 * high * (0.2 + 0.45 * finding.severity) * np.clip(0.55 + 0.55 * front / body.depth, 0.1, 1)
    plate = high - loss
    source = np.where(up < plate, -high + (up + high) * 2 * high / (plate + high),
                      high + (up - plate) * (roof - high) / (roof - plate))  # fmt: skip
    rise = np.where((up > -high) & (up < roof), source - up, 0) / VOXEL_MM
    points = [axis - b.start + rise * float(p) for axis, b, p in zip(box_grid(box), box, body.axes[0], strict=True)]
    hu = thorax.hu[box]
    moved = ndimage.map_coordinates(hu, points, order=1, mode="nearest")
    beside = 1 - np.sqrt((front / (body.depth + 1)) ** 2 + (left / (body.width + 1)) ** 2)
    near = np.clip(8 * beside + 1, 0, 1)
    inside = _inside(up + high) * _inside(plate - up) * np.clip(8 * beside, 0, 1)
    rim = np.exp(-(((plate - up - 2) / 2) ** 2)) + 0.5 * np.exp(-(((up + high - 2) / 2) ** 2))
    crushed = (150 + 350 * finding.severity) * (1 + 1.5 * rim)  # trabeculae pressed together, most under the plate
    return _changed(finding, box, near * (moved - hu) + inside * crushed)


def rib_fracture(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """A rib, or three to five in a row, broken at the back or side of the chest."""
    ranges = {"upper lobe": (3, 5), "apex": (2, 4), "lower lobe": (7, 9), "base": (7, 9)}
    first, last = ranges.get(finding.zone, (4, 8))
    count = int(rng.integers(3, 6)) if "multiple" in finding.pattern else 1
    top = int(np.clip(rng.integers(first, last + 1) - count // 2, 2, 10 - count))
    angle = rng.uniform(45, 85)
    edits = []
    for rib in range(top, top + count):
        label = FIRST_RIB[finding.side] + rib - 1
        place = int(np.abs(middle_line(thorax, label)[0] - angle - rng.normal(0, 5)).argmin())
        edits.append(_broken(thorax, finding, label, place, rng.choice([-1, 1]) * (5 + 6 * finding.severity), 24.0))
    return edits


def clavicle_fracture(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """The shaft breaks in its middle: the arm's weight pulls the outer fragment down."""
    label = CLAVICLE[finding.side]
    place = int(np.abs(middle_line(thorax, label)[0] - rng.uniform(40, 52)).argmin())
    return [_broken(thorax, finding, label, place, -(8 + 10 * finding.severity), 60.0)]


def _broken(thorax: Thorax, finding: Finding, label: int, place: int, step_mm: float, reach_mm: float) -> Edit:
    """Break a bone at a point of its middle line: the outer fragment moves up by ``step_mm`` and over the inner one.

    The step fades over ``reach_mm``. A healed break steps less and is joined by callus; a fresh one bleeds.
    """
    points = middle_line(thorax, label)[1]
    place = int(np.clip(place, 1, len(points) - 2))
    centre = points[place]
    tangent = points[place + 1] - points[place - 1]
    tangent /= np.linalg.norm(tangent)
    healed = "healed" in finding.pattern or "chronic" in finding.pattern
    step = (0.5 if healed else 1.0) * step_mm * (np.array([1.0, 0, 0]) - tangent[0] * tangent)
    voxels, excess = bone_voxels(thorax, label)
    along = (voxels - centre) @ tangent * VOXEL_MM
    moving = (along > 0) & (along < reach_mm)
    voxels, along = voxels[moving], along[moving]
    moved = voxels + (1 - along / reach_mm)[:, None] * (step - 7 * tangent) / VOXEL_MM
    box = _around(thorax, np.concatenate([voxels, moved, [centre - 8, centre + 8]]))
    change = _splat(box, moved, 1.5 * excess[moving]) - _splat(box, voxels, excess[moving])
    ball = ball_box(thorax, centre + step / (2 * VOXEL_MM), 14)
    ball = tuple(slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(ball, box, strict=True))
    part = change[tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(ball, box, strict=True))]
    offsets = [VOXEL_MM * (axis - c) for axis, c in zip(box_grid(ball), centre + step / (2 * VOXEL_MM), strict=True)]
    beside = sum(float(t) * offset for t, offset in zip(tangent, offsets, strict=True))
    distance = np.sqrt(sum(offset**2 for offset in offsets) - (1 - 1 / 1.8**2) * beside**2)  # longer along the bone
    hu = thorax.hu[ball]
    thick_mm = 4.5 + 3.5 * finding.severity
    part += _inside(thick_mm - distance) * (
        (1000 if healed else MUSCLE) - np.minimum(hu + part, 1000 if healed else MUSCLE)
    )
    return _changed(finding, box, change)


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
    """All bone loses a third or more of what it has above soft tissue, its inside most."""
    box, weight = mineral(thorax)
    return [Edit(finding, box, weight * np.float32(0.3 + 0.4 * finding.severity), MUSCLE)]


def spinal_hardware(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """Two rods behind the lower thoracic spine on pedicle screws, or in the neck a plate in front with screws."""
    bodies = vertebrae(thorax)
    lines = []  # (start, end, radius in mm)
    if finding.zone == "neck":
        low, high = bodies[T1], bodies[C7]
        for left in (-6, -3, 0, 3, 6):  # rods side by side are a plate
            lines.append((low.at(-6, low.depth + 2, left), high.at(6, high.depth + 2, left), 1.6))
        for body in (low, high):
            lines += [(body.at(0, body.depth, left), body.at(0, -0.7 * body.depth, left), 2.0) for left in (-5, 5)]
    else:
        lowest = int(rng.integers(T12 - 1, T12 + 2))
        levels = [bodies[label] for label in range(lowest, lowest + 3 + round(3 * finding.severity))]
        for side in (-1, 1):
            heads = [body.at(0, -body.depth - 24, 14 * side) for body in levels]
            lines += [
                (head, body.at(0, 0.3 * body.depth, 9 * side), 2.6) for body, head in zip(levels, heads, strict=True)
            ]
            lines += [(low, high, 2.8) for low, high in zip(heads[:-1], heads[1:], strict=True)]
    points, radii = [], []
    for start, end, radius in lines:
        count = int(np.linalg.norm(end - start)) + 2
        points.append(np.linspace(start, end, count))
        radii += [radius] * count
    return [Edit(finding, *tubes(thorax, np.concatenate(points), np.array(radii)), METAL)]


DRAWERS = {
    "Scoliosis": scoliosis,
    "Kyphosis": kyphosis,
    "Degenerative Spine": degenerative_spine,
    "Vertebral Deformity": vertebral_deformity,
    "Rib Fracture": rib_fracture,
    "Clavicle Fracture": clavicle_fracture,
    "Osteopenia": osteopenia,
    "Spinal Hardware": spinal_hardware,
}
