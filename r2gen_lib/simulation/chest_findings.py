"""Findings outside the lungs: heart, aorta, spine, hernia, and what surgeons left. Sizes in mm, Hounsfield units."""

from __future__ import annotations

import numpy as np

from r2gen_lib.simulation.findings import Finding
from r2gen_lib.simulation.geometry import (
    METAL,
    Edit,
    ball_box,
    box_grid,
    distance_mm,
    random_place,
    sigmoid,
    smooth_noise,
    tube_along,
)
from r2gen_lib.simulation.thorax import VOXEL_MM, Thorax, bounding_box


def cardiomegaly(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    from scipy import ndimage

    scale = 1.12 + 0.38 * finding.severity + rng.uniform(-0.02, 0.02)
    heart = thorax.heart
    centre = np.argwhere(heart).mean(0)
    box = tuple(
        slice(max(int(c - (c - b.start) * scale - 2), 0), min(int(c + (b.stop - c) * scale + 3), n))
        for c, b, n in zip(centre, bounding_box(heart), thorax.shape, strict=True)
    )
    growth = np.array([1 + 0.55 * (scale - 1), 1 + 0.7 * (scale - 1), scale])
    anchor = centre + [8, 0, -0.1 * (bounding_box(heart)[2].stop - centre[2])]  # grows down and to the left
    corner = np.array([part.start for part in box])
    large = ndimage.affine_transform(
        heart.astype(np.float32), 1 / growth, anchor + (corner - anchor) / growth,
        [part.stop - part.start for part in box], order=1,
    )  # fmt: skip
    weight = ndimage.gaussian_filter(large, 0.8) * (thorax.hu[box] < 0) * (thorax.hu[box] > -1000)
    return [Edit(finding, box, np.clip(weight, 0, 1).astype(np.float32))]


def _arch_top(thorax: Thorax) -> int:
    """The highest plane of the aorta."""
    return int(np.flatnonzero(thorax.aorta.any((1, 2)))[-1])


def aorta(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    from scipy import ndimage

    top = _arch_top(thorax)
    box = bounding_box(thorax.aorta, 14)
    box = (slice(max(box[0].start, top - 75), min(top + 8, thorax.shape[0])), box[1], box[2])
    widen = 3 + 8 * finding.severity + rng.uniform(0, 1.5)
    distance = ndimage.distance_transform_edt(~thorax.aorta[box], sampling=VOXEL_MM)
    z, y, x = box_grid(box)
    leftward = np.clip((x - thorax.spine_centre[box[0], 1][:, None, None]) / 8, 0, 1)
    weight = sigmoid((widen * leftward - distance) * 1.2) * (thorax.hu[box] < 0)
    return [Edit(finding, box, weight.astype(np.float32), 50.0)]


def aortic_calcification(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    from scipy import ndimage

    top = _arch_top(thorax)
    box = bounding_box(thorax.aorta, 3)
    box = (slice(max(top - 26, 0), min(top + 3, thorax.shape[0])), box[1], box[2])
    aorta = thorax.aorta[box]
    wall = aorta & ~ndimage.binary_erosion(aorta, iterations=1, border_value=1)
    patches = smooth_noise(aorta.shape, 12, rng) > 0.5 - 0.9 * finding.severity
    weight = ndimage.gaussian_filter((wall & patches).astype(np.float32), 0.5)
    return [Edit(finding, box, np.clip(weight * 1.3, 0, 1), 1100.0)]


def hiatal_hernia(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    z = thorax.lung_box("left")[0]
    height = z.start + 0.26 * (z.stop - z.start)
    spine_y, spine_x = thorax.spine_centre[int(height)]
    centre = np.array([height, spine_y + 26, spine_x + rng.uniform(4, 10)], np.float32)
    radius = 22 + 16 * finding.severity
    box = ball_box(thorax, centre, radius * 1.3)
    distance = distance_mm(box, centre, (1.0, 0.8, 1.1))
    shell = sigmoid((radius - distance) / 1.0)
    gas = sigmoid((radius - 5 - distance) / 1.0) * (box_grid(box)[0] > centre[0] + 2)
    return [Edit(finding, box, shell.astype(np.float32), (50.0 - 950.0 * gas).astype(np.float32))]


def spine(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    from scipy import ndimage

    box = bounding_box(thorax.spine, 4)
    z, y, x = box_grid(box)
    centre = thorax.spine_centre[box[0]]
    disc = np.clip(np.cos(2 * np.pi * (z - rng.uniform(0, 12)) / 11.5), 0, 1) ** 3  # one bridge a disc, about 23 mm
    distance = ndimage.distance_transform_edt(~thorax.spine[box], sampling=VOXEL_MM)
    side = np.abs(x - centre[:, 1][:, None, None]) * VOXEL_MM
    front = y > centre[:, 0][:, None, None] - 2
    reach = (3 + 6 * finding.severity) * disc
    weight = sigmoid((reach - distance) * 1.5) * (disc > 0.05) * front * (side < 34) * (side > 8)
    return [Edit(finding, box, weight.astype(np.float32), 900.0)]


def device(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """A pacemaker: the generator under the left or right clavicle and one or two leads to the heart."""
    z, y, x = thorax.lung_box(finding.side)
    outer = x.start + 0.62 * (x.stop - x.start) if finding.side == "left" else x.stop - 0.62 * (x.stop - x.start)
    front = np.flatnonzero(thorax.hu[int(z.stop - 26), :, int(outer)] > -300).max() - 3
    centre = np.array([z.stop - 26 + rng.uniform(-4, 4), front, outer + rng.uniform(-4, 4)], np.float32)
    box = ball_box(thorax, centre, 30)
    gz, gy, gx = box_grid(box)
    shape = (np.abs(gz - centre[0]) / 10) ** 3 + (np.abs(gx - centre[2]) / 12) ** 3
    case = (shape < 1) & (np.abs(gy - centre[1]) < 3)
    edits = [Edit(finding, box, case.astype(np.float32), 2500.0)]
    heart = bounding_box(thorax.heart)
    middle = thorax.spine_centre[int(z.stop - 20), 1]
    for tip in range(int(rng.integers(1, 3))):
        end = np.array([heart[0].start + 12 + 22 * tip, heart[1].stop - 14, middle + (18 if tip == 0 else -8)])
        path = np.stack([centre, [z.stop - 14, front - 16, (outer + middle) / 2], [z.stop - 34, front - 34, middle - 9],
                         [heart[0].stop - 14, front - 40, middle - 14], end])  # fmt: skip
        tube, weight = tube_along(thorax, path, 1.3)
        edits.append(Edit(finding, tube, weight, METAL))
    return edits


def catheter(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """A central venous line or port: from the neck or chest wall to the superior vena cava."""
    side = finding.side
    z, y, x = thorax.lung_box(side)
    middle = thorax.spine_centre[int(z.stop - 20), 1]
    depth = (y.start + y.stop) / 2 + 12
    outer = x.start + 0.5 * (x.stop - x.start) if side == "left" else x.stop - 0.5 * (x.stop - x.start)
    start = [thorax.shape[0] - 3, depth, middle + (14 if side == "left" else -14)] if rng.random() < 0.4 else \
        [z.stop - 32, depth + 22, outer]  # fmt: skip
    tip = [z.start + (0.45 + 0.12 * rng.random()) * (z.stop - z.start), depth - 4, middle - 11]
    path = np.array([start, [z.stop - 10, depth + 6, (start[2] + middle) / 2], [z.stop - 26, depth, middle - 11], tip])
    box, weight = tube_along(thorax, path, 1.6)
    edits = [Edit(finding, box, weight, METAL)]
    if start[0] < z.stop:
        port = ball_box(thorax, np.array(start), 16)
        disc = distance_mm(port, np.array(start)) < 11
        edits.append(Edit(finding, port, disc.astype(np.float32), 1800.0))
    return edits


def clips(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    if finding.zone or finding.severity < 0.4:
        anchor = random_place(thorax, finding, rng)
    else:  # sternal wires and clips after heart surgery, in front of the heart
        heart = bounding_box(thorax.heart)
        anchor = np.array([heart[0].stop - 5, heart[1].stop - 4, thorax.spine_centre[heart[0].stop, 1]], float)
    edits = []
    for _ in range(int(rng.integers(4, 8))):
        start = anchor + rng.normal(0, 1, 3) * [9, 2, 4]
        box, weight = tube_along(thorax, np.stack([start, start + rng.normal(0, 2.5, 3)]), 1.5)
        edits.append(Edit(finding, box, weight, METAL))
    return edits
