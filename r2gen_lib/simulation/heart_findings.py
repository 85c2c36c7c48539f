"""Findings of the heart, the great vessels and the mediastinum. Sizes in mm, Hounsfield units."""

from __future__ import annotations

import numpy as np

from r2gen_lib.simulation.findings import Finding
from r2gen_lib.simulation.geometry import (
    Edit,
    ball_box,
    box_grid,
    distance_mm,
    sigmoid,
    smooth_noise,
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


DRAWERS = {
    "Cardiomegaly": cardiomegaly,
    "Tortuous Aorta": aorta,
    "Aortic Calcification": aortic_calcification,
    "Hiatal Hernia": hiatal_hernia,
}
