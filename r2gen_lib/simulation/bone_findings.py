"""Findings of the bones: spine, ribs, clavicles. Sizes in mm, Hounsfield units."""

from __future__ import annotations

import numpy as np

from r2gen_lib.simulation.findings import Finding
from r2gen_lib.simulation.geometry import (
    Edit,
    box_grid,
    sigmoid,
)
from r2gen_lib.simulation.thorax import VOXEL_MM, Thorax, bounding_box


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


DRAWERS = {
    "Degenerative Spine": spine,
}
