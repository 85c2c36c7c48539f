"""What doctors left in the chest: devices, lines, tubes, clips. Sizes in mm, Hounsfield units."""

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
    tube_along,
)
from r2gen_lib.simulation.thorax import Thorax, bounding_box


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


DRAWERS = {
    "Device": device,
    "Catheter": catheter,
    "Surgical Clips": clips,
}
