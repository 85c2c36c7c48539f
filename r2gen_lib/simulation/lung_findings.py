"""Findings in the lungs and the pleura: how each changes the volume. Sizes in mm, tissue in Hounsfield units."""

from __future__ import annotations

import numpy as np

from r2gen_lib.simulation.findings import Finding
from r2gen_lib.simulation.geometry import (
    CALCIUM,
    WATER,
    Edit,
    ball_box,
    box_grid,
    distance_mm,
    hilum,
    lung_height,
    random_place,
    sigmoid,
    smooth_noise,
    tube_along,
)
from r2gen_lib.simulation.thorax import VOXEL_MM, Thorax


def effusion(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    box = thorax.lung_box(finding.side)
    lung = thorax.lung(finding.side)[box]
    depth = np.where(lung, thorax.pleura_mm[box], 0)
    level = 0.07 + 0.42 * finding.severity + rng.uniform(-0.015, 0.015)
    meniscus = (0.07 + 0.10 * finding.severity) * np.exp(-depth / 9.0)  # fluid climbs along the chest wall
    tilt = 0.04 * smooth_noise(lung.shape, 90, rng)
    weight = lung * sigmoid((level + meniscus + tilt - lung_height(thorax, finding.side, box)) * 60)
    return [Edit(finding, box, weight.astype(np.float32), WATER)]


def atelectasis(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    zoned = finding if finding.zone else Finding("Atelectasis", finding.side, "base", finding.severity, finding.code)
    edits = []
    for _ in range(1 + round(2 * finding.severity)):
        centre = random_place(thorax, zoned, rng, (6, 22))
        box = ball_box(thorax, centre, 42)
        z, y, x = box_grid(box)
        slope = rng.uniform(-0.35, 0.35, 2)
        plane = centre[0] + slope[0] * (x - centre[2]) + slope[1] * (y - centre[1])
        bend = 0.012 * ((x - centre[2]) ** 2 + (y - centre[1]) ** 2) * rng.uniform(-0.3, 0.6)
        thickness = (2.0 + 3.5 * finding.severity) / VOXEL_MM
        spread = np.sqrt((x - centre[2]) ** 2 + (y - centre[1]) ** 2) * VOXEL_MM
        weight = np.exp(-(((z - plane - bend) / thickness) ** 2)) * sigmoid((30 - spread) / 4)
        edits.append(Edit(zoned, box, (weight * thorax.lung(finding.side)[box] * 0.85).astype(np.float32), 30.0))
    return edits


def _cloud(thorax: Thorax, finding: Finding, rng, radius_mm: float, target: float, peak: float) -> Edit:
    """A soft-edged, lumpy cloud in the lung."""
    centre = random_place(thorax, finding, rng, (10, 45))
    box = ball_box(thorax, centre, radius_mm * 1.7)
    distance = distance_mm(box, centre, rng.uniform(0.8, 1.25, 3))
    ragged = radius_mm * (1 + 0.28 * smooth_noise(distance.shape, 16, rng))
    texture = np.clip(0.85 + 0.25 * smooth_noise(distance.shape, 9, rng), 0, 1)
    weight = peak * texture * sigmoid((ragged - distance) / (0.13 * radius_mm)) * thorax.lung(finding.side)[box]
    return Edit(finding, box, np.clip(weight, 0, 1).astype(np.float32), target)


def opacity(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    radius = 20 + 22 * finding.severity
    return [_cloud(thorax, finding, rng, radius, -120.0, 0.45 + 0.3 * finding.severity)]


def consolidation(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    return [_cloud(thorax, finding, rng, 26 + 22 * finding.severity, 40.0, 0.9)]


def edema(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    edits = []
    for side in ("left", "right"):
        box = thorax.lung_box(side)
        distance = distance_mm(box, np.array(hilum(thorax, side)), (1.5, 1.3, 1.0))
        wings = np.exp(-((distance / 52) ** 2))
        streaks = np.clip(1 + 0.9 * smooth_noise(wings.shape, 7, rng), 0, 3)
        weight = np.clip((0.25 + wings) * streaks, 0, 3) * thorax.lung(side)[box] / 3
        chosen = Finding("Edema", side, finding.zone, finding.severity, finding.code)
        edits.append(Edit(chosen, box, weight.astype(np.float32), 450.0 + 520.0 * finding.severity, add=True))
    return edits


def interstitial(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    edits = []
    for side in ("left", "right"):
        box = thorax.lung_box(side)
        lines = np.abs(smooth_noise([part.stop - part.start for part in box], 11, rng))
        net = np.exp(-((lines / 0.16) ** 2))  # the zero crossings of smooth noise are a net of thin sheets
        height = lung_height(thorax, side, box)
        weight = net * (1.15 - 0.6 * height) * thorax.lung(side)[box]
        chosen = Finding(finding.name, side, finding.zone, finding.severity, finding.code)
        edits.append(
            Edit(chosen, box, np.clip(weight, 0, 1).astype(np.float32), 260 + 420 * finding.severity, add=True)
        )
    return edits


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


def nodule(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    radius = 5.0 + 12.0 * finding.severity + rng.uniform(0, 2)
    centre = random_place(thorax, finding, rng)
    box = ball_box(thorax, centre, radius * 1.5)
    distance = distance_mm(box, centre, rng.uniform(0.9, 1.1, 3))
    weight = sigmoid((radius - distance) / 0.9) * (thorax.lobe[box] > 0)
    return [Edit(finding, box, weight.astype(np.float32), 60.0)]


def granuloma(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    edits = []
    for _ in range(int(rng.integers(1, 3))):
        centre = random_place(thorax, finding, rng)
        radius = rng.uniform(3.5, 5.5)
        box = ball_box(thorax, centre, radius * 2)
        weight = sigmoid((radius - distance_mm(box, centre)) / 0.7)
        edits.append(Edit(finding, box, weight.astype(np.float32), CALCIUM))
    return edits


def scar(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    zoned = (
        finding if finding.zone else Finding("Scar", finding.side, str(rng.choice(["apex", "base"])), finding.severity)
    )
    edits = []
    for _ in range(3):
        start = random_place(thorax, zoned, rng, (2, 14))
        end = start + rng.normal(0, 9, 3)
        middle = (start + end) / 2 + rng.normal(0, 2.5, 3)
        box, weight = tube_along(thorax, np.stack([start, middle, end]), 1.8)
        edits.append(Edit(zoned, box, weight * thorax.lung(finding.side)[box], 150.0))
    return edits


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
