"""Findings that move the anatomy instead of changing its tissue: diaphragm and spine."""

from __future__ import annotations

import numpy as np

from r2gen_lib.simulation.findings import Finding
from r2gen_lib.simulation.geometry import COARSE, Edit, coarse_grid, sigmoid
from r2gen_lib.simulation.thorax import VOXEL_MM, Thorax


def _diaphragm_shift(thorax: Thorax, finding: Finding, up_mm: float, side: str) -> Edit:
    """Move the diaphragm of one or both sides up (positive) or down, the lung stretching above it."""
    z, y, x = coarse_grid(thorax)
    lung = thorax.lung_box("left" if side == "both" else side)
    base, top = lung[0].start + 0.2 * (lung[0].stop - lung[0].start), lung[0].stop
    profile = np.where(z < base, np.clip(1 - (base - z) / 90, 0, 1), np.clip((top - z) / (top - base), 0, 1))
    shift = (up_mm / VOXEL_MM) * profile.astype(np.float32) * np.ones((1, 1, len(x[0, 0])), np.float32)
    if side != "both":
        middle = thorax.spine_centre[int(base), 1]
        shift = shift * sigmoid((x - middle) / 5 if side == "left" else (middle - x) / 5)
    weight = np.zeros(thorax.shape, np.float32)
    lungs = thorax.lung(side)
    low = np.arange(thorax.shape[0])[:, None, None] < lung[0].start + 0.45 * (lung[0].stop - lung[0].start)
    weight[lungs & low] = 1
    whole = tuple(slice(0, size) for size in thorax.shape)
    return Edit(finding, whole, weight, shift=(0, shift.astype(np.float32)))


def hyperinflation(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    whole = tuple(slice(0, size) for size in thorax.shape)
    darker = Edit(finding, whole, thorax.lung("both").astype(np.float32), -25.0 - 30 * finding.severity, add=True)
    return [_diaphragm_shift(thorax, finding, -(14 + 20 * finding.severity), "both"), darker]


def hypoinflation(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    whole = tuple(slice(0, size) for size in thorax.shape)
    denser = Edit(finding, whole, thorax.lung("both").astype(np.float32), 50.0 + 60 * finding.severity, add=True)
    return [_diaphragm_shift(thorax, finding, 22 + 26 * finding.severity, "both"), denser]


def elevated_diaphragm(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    return [_diaphragm_shift(thorax, finding, 24 + 26 * finding.severity, finding.side)]


def scoliosis(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    z, y, x = coarse_grid(thorax)
    towards = 1 if finding.side == "left" else -1
    amplitude = towards * (12 + 20 * finding.severity) / VOXEL_MM
    lung = thorax.lung_box("left")[0]
    apex = lung.start + rng.uniform(0.35, 0.6) * (lung.stop - lung.start)
    bend = amplitude * np.cos(np.pi * (z - apex) / (0.8 * (lung.stop - lung.start)))
    near = np.exp(-(((x - thorax.spine_centre[::COARSE, 1][:, None, None]) * VOXEL_MM / 55) ** 2))
    shift = (bend * near).astype(np.float32)
    whole = tuple(slice(0, size) for size in thorax.shape)
    return [Edit(finding, whole, thorax.spine.astype(np.float32), shift=(2, shift))]


DRAWERS = {
    "Hyperinflation": hyperinflation,
    "Hypoinflation": hypoinflation,
    "Elevated Diaphragm": elevated_diaphragm,
    "Scoliosis": scoliosis,
}
