"""Findings of the pleura. Sizes in mm, Hounsfield units."""

from __future__ import annotations

import numpy as np

from r2gen_lib.simulation.findings import Finding
from r2gen_lib.simulation.geometry import (
    WATER,
    Edit,
    box_grid,
    lung_height,
    sigmoid,
    smooth_noise,
)
from r2gen_lib.simulation.thorax import Thorax


def effusion(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    box = thorax.lung_box(finding.side)
    lung = thorax.lung(finding.side)[box]
    depth = np.where(lung, thorax.pleura_mm[box], 0)
    level = 0.07 + 0.42 * finding.severity + rng.uniform(-0.015, 0.015)
    meniscus = (0.07 + 0.10 * finding.severity) * np.exp(-depth / 9.0)  # fluid climbs along the chest wall
    tilt = 0.04 * smooth_noise(lung.shape, 90, rng)
    weight = lung * sigmoid((level + meniscus + tilt - lung_height(thorax, finding.side, box)) * 60)
    return [Edit(finding, box, weight.astype(np.float32), WATER)]


def pneumothorax(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    box = thorax.lung_box(finding.side)
    lung = thorax.lung(finding.side)[box]
    depth = np.where(lung, thorax.pleura_mm[box], 0)
    height = lung_height(thorax, finding.side, box)
    z, y, x = box_grid(box)
    across = (x - box[2].start) / (box[2].stop - box[2].start)
    lateral = across if finding.side == "left" else 1 - across  # 0 beside the heart, 1 at the ribs
    rim = (
        (10 + 34 * finding.severity)
        * (0.25 + 0.95 * np.clip(height, 0, 1) ** 1.5)
        * np.clip(0.15 + 1.2 * lateral, 0, 1)
    )
    air = lung * sigmoid((rim - depth) * 1.2)
    line = lung * np.exp(-(((depth - rim) / 1.8) ** 2))
    target = np.where(line > 0.3, -150.0, -1000.0).astype(np.float32)
    weight = np.clip(air + line, 0, 1).astype(np.float32)
    collapsed = Edit(finding, box, (lung * (1 - weight)).astype(np.float32), 60.0 + 120 * finding.severity, add=True)
    return [Edit(finding, box, weight, target), collapsed]


def pleural_thickening(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    box = thorax.lung_box(finding.side)
    lung = thorax.lung(finding.side)[box]
    depth = np.where(lung, thorax.pleura_mm[box], 99)
    z, y, x = box_grid(box)
    across = (x - box[2].start) / (box[2].stop - box[2].start)
    lateral = across if finding.side == "left" else 1 - across
    height = lung_height(thorax, finding.side, box)
    apical = finding.zone == "apex" or (not finding.zone and rng.random() < 0.5)
    where = sigmoid((height - 0.72) * 40) if apical else sigmoid((0.45 - height) * 40)
    thick = (5 + 7 * finding.severity) * (1 + 0.3 * smooth_noise(lung.shape, 25, rng))
    weight = lung * where * np.clip(lateral * 2 - 0.4 + 0.8 * (height > 0.72), 0, 1) * sigmoid((thick - depth) * 1.5)
    return [Edit(finding, box, weight.astype(np.float32), 40.0)]


DRAWERS = {
    "Pleural Effusion": effusion,
    "Pneumothorax": pneumothorax,
    "Pleural Thickening": pleural_thickening,
}
