"""Findings of the spine: bent, worn, crushed or held by metal. Sizes in mm, Hounsfield units."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from r2gen_lib.findings.finding import Finding
from r2gen_lib.simulation.anatomy.geometry import (
    COARSE,
    METAL,
    Box,
    Edit,
    added,
    box_grid,
    coarse_grid,
    sigmoid,
    within,
)
from r2gen_lib.simulation.anatomy.skeleton import C7, L1, L2, T1, T12, Vertebra, thoracic_spine, vertebrae
from r2gen_lib.simulation.anatomy.thorax import VOXEL_MM, Thorax
from r2gen_lib.simulation.anatomy.tubes import tubes


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
    """The thoracic spine bows backwards, the neck comes forward and the chest grows shorter.

    It shortens from below and the volume's lowest planes stay, so that no ray reads beyond what was scanned.
    """
    z, y, x = coarse_grid(thorax)
    lung = thorax.lung_box("left")[0]
    height = lung.stop - lung.start
    apex = lung.start + rng.uniform(0.42, 0.58) * height
    hump = np.exp(-(((z - apex) / (0.36 * height)) ** 2))
    neck = sigmoid((z - (lung.start + 0.95 * height)) / (0.07 * height))
    behind = sigmoid((thorax.spine_centre[::COARSE, 0, None, None] + 22 - y) / 7)
    back_mm, forward_mm, shorter_mm = np.array([12, 7, 6]) + finding.severity * np.array([22, 17, 12])
    lean = (forward_mm * neck - back_mm * hump * behind) / VOXEL_MM
    rise = shorter_mm / VOXEL_MM * sigmoid((apex - z) / (0.12 * height)) * np.clip(z / lung.start, 0, 1)
    spine = thoracic_spine(thorax)
    return [Edit(finding, *spine, shift=(axis, move.astype(np.float32))) for axis, move in ((1, lean), (0, rise))]


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
    root = np.clip(1 - outside / (reach + 0.1), 0, 1)  # 1 at the vertebra, 0 at the spur's tip
    beak = 1.0 + (1 + severity) * root - np.abs(np.abs(up) - 1.5 - 3 * root)  # one from each vertebra, bent to the disc
    spur = within(reach - outside) * within(outside + 3) * within(beak)
    plate = (0.45 + 0.35 * severity) * within(1.4 - np.abs(np.abs(up) - 3.6)) * within(-outside)
    return box, np.maximum(spur, plate)


def _merged(parts: list[tuple[Box, np.ndarray]]) -> tuple[Box, np.ndarray]:
    """One box and weight for many."""
    box = tuple(slice(min(b[a].start for b, _ in parts), max(b[a].stop for b, _ in parts)) for a in range(3))
    weight = np.zeros([part.stop - part.start for part in box], np.float32)
    for small, values in parts:
        place = weight[tuple(slice(s.start - b.start, s.stop - b.start) for s, b in zip(small, box, strict=True))]
        np.maximum(place, values, out=place)
    return box, weight


def vertebral_deformity(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """A wedged vertebral body between T7 and T12 or, lumbar, L1 (lower ones are below the picture); or two or three."""
    count = int(rng.integers(2, 4)) if "multiple" in finding.pattern else 1
    lowest = L1 if finding.zone == "lumbar" else int(rng.integers(T12, T12 + 6))
    return [_wedge(thorax, finding, vertebrae(thorax)[label]) for label in range(lowest, lowest + count)]


def _wedge(thorax: Thorax, finding: Finding, body: Vertebra) -> Edit:
    """The upper end plate sinks towards the front, what is above stretches after it, the crushed bone is denser."""
    from scipy import ndimage

    high, roof = body.height, 2.6 * body.height
    box = body.box(thorax, (-high - 2, -body.depth - 2, -body.width - 2), (roof, body.depth + 4, body.width + 2))
    up, front, left = body.frame(box)
    loss = 2 * high * (0.28 + 0.4 * finding.severity) * np.clip(0.55 + 0.55 * front / body.depth, 0.1, 1)
    plate = high - loss
    source = np.where(up < plate, -high + (up + high) * 2 * high / (plate + high),
                      high + (up - plate) * (roof - high) / (roof - plate))  # fmt: skip
    rise = np.where((up > -high) & (up < roof), source - up, 0) / VOXEL_MM
    points = [axis - b.start + rise * float(p) for axis, b, p in zip(box_grid(box), box, body.axes[0], strict=True)]
    hu = thorax.hu[box]
    moved = ndimage.map_coordinates(hu, points, order=1, mode="nearest")
    beside = 1 - np.sqrt((front / (body.depth + 1)) ** 2 + (left / (body.width + 1)) ** 2)
    near = np.clip(8 * beside + 1, 0, 1)
    inside = within(up + high) * within(plate - up) * np.clip(8 * beside, 0, 1)
    rim = np.exp(-(((plate - up - 2) / 2) ** 2)) + 0.5 * np.exp(-(((up + high - 2) / 2) ** 2))
    crushed = (600 + 400 * finding.severity) * (1 + 1.5 * rim)  # trabeculae pressed together, most under the plate
    return added(finding, box, near * (moved - hu) + inside * crushed)


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
        lowest = L2 if finding.zone == "lumbar" else int(rng.integers(L1, T12 + 2))
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
    "Spinal Hardware": spinal_hardware,
}
