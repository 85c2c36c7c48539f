"""Findings in the lungs that have a place: what each changes in the volume. Sizes in mm, Hounsfield units."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from r2gen_lib.simulation.findings import Finding
from r2gen_lib.simulation.geometry import (
    CALCIUM,
    Edit,
    ball_box,
    box_grid,
    distance_mm,
    random_place,
    sigmoid,
    smooth_noise,
    tube_along,
)
from r2gen_lib.simulation.thorax import VOXEL_MM, Thorax


def atelectasis(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    zoned = finding if finding.zone else replace(finding, zone="base")
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
    zoned = finding if finding.zone else replace(finding, zone=str(rng.choice(["apex", "base"])))
    edits = []
    for _ in range(3):
        start = random_place(thorax, zoned, rng, (2, 14))
        end = start + rng.normal(0, 9, 3)
        middle = (start + end) / 2 + rng.normal(0, 2.5, 3)
        box, weight = tube_along(thorax, np.stack([start, middle, end]), 1.8)
        edits.append(Edit(zoned, box, weight * thorax.lung(finding.side)[box], 150.0))
    return edits


DRAWERS = {
    "Atelectasis": atelectasis,
    "Opacity": opacity,
    "Consolidation": consolidation,
    "Nodule": nodule,
    "Calcified Granuloma": granuloma,
    "Scar": scar,
}
