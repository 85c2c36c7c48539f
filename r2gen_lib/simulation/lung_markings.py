"""Findings all over the lungs: vessels, interstitium, water. Sizes in mm, Hounsfield units."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from r2gen_lib.simulation.findings import Finding
from r2gen_lib.simulation.geometry import (
    Edit,
    distance_mm,
    hilum,
    lung_height,
    smooth_noise,
)
from r2gen_lib.simulation.thorax import Thorax


def edema(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    edits = []
    for side in ("left", "right"):
        box = thorax.lung_box(side)
        distance = distance_mm(box, np.array(hilum(thorax, side)), (1.5, 1.3, 1.0))
        wings = np.exp(-((distance / 52) ** 2))
        streaks = np.clip(1 + 0.9 * smooth_noise(wings.shape, 7, rng), 0, 3)
        weight = np.clip((0.25 + wings) * streaks, 0, 3) * thorax.lung(side)[box] / 3
        chosen = replace(finding, side=side)
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
        chosen = replace(finding, side=side)
        edits.append(
            Edit(chosen, box, np.clip(weight, 0, 1).astype(np.float32), 260 + 420 * finding.severity, add=True)
        )
    return edits


DRAWERS = {
    "Edema": edema,
    "Interstitial Markings": interstitial,
}
