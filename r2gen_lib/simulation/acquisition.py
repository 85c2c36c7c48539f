"""Everything about a picture that is not a finding: the patient's build, pose and breath, the exposure, the display."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Acquisition:
    """Drawn from the study's seed and independent of its findings; both views of a study share it.

    Attributes:
        rotation_deg: (3,) about the head-foot, left-right and front-back axes.
        habitus: (3,) size of the patient along (z, y, x), 1 as in the CT.
        breath_mm: how far the diaphragm is above (positive) where the CT has it.
        soft_tissue: factor on the attenuation of soft tissue outside the lungs (thin or heavy patients).
        breast: attenuation of the breasts, 0 for none.
        warp_mm: (3, k, k, k) elastic displacement of the anatomy on a coarse grid.
        centre_mm: (2,) how far the picture's middle is from the chest's (across, up).
        zoom: field of view, 1 for ``projection.FIELD_MM``.
        photons: quanta that would reach a pixel through air.
        scatter: share of the transmitted beam that is scattered over the whole picture.
        contrast, brightness, detail: the display curve and its edge enhancement.
        shutter: (4,) blackened pixels of 224 at the top, bottom, left and right: the collimator's edges.
        marker: (2,) where the side marker lies, as shares of the picture (down, in from its side).
        noise_seed: of the quantum noise.
    """

    rotation_deg: np.ndarray
    habitus: np.ndarray
    breath_mm: float
    soft_tissue: float
    breast: float
    warp_mm: np.ndarray
    centre_mm: np.ndarray
    zoom: float
    photons: float
    scatter: float
    contrast: float
    brightness: float
    detail: float
    shutter: np.ndarray
    marker: np.ndarray
    noise_seed: int

    @staticmethod
    def draw(rng: np.random.Generator) -> Acquisition:
        """A random but ordinary acquisition."""
        warp = rng.normal(0, 1, (3, 5, 5, 5)) * np.array([6.0, 4.0, 5.0])[:, None, None, None]
        return Acquisition(
            rotation_deg=rng.normal(0, [3.0, 2.0, 1.6]),
            habitus=np.clip(rng.normal(1, [0.045, 0.05, 0.05]), 0.88, 1.12),
            breath_mm=float(np.clip(rng.normal(0, 4), -8, 8)),
            soft_tissue=float(rng.uniform(0.88, 1.12)),
            breast=float(rng.uniform(0.35, 1.0) * (rng.random() < 0.5)),
            warp_mm=warp.astype(np.float32),
            centre_mm=rng.normal(0, 6, 2),
            zoom=float(rng.uniform(0.95, 1.06)),
            photons=float(10 ** rng.uniform(5.0, 5.8)),
            scatter=float(rng.uniform(0.015, 0.03)),
            contrast=float(rng.uniform(0.85, 1.2)),
            brightness=float(rng.normal(0, 0.035)),
            detail=float(rng.uniform(0.9, 1.5)),
            shutter=np.clip(rng.integers(-8, 9, 4), 0, None),
            marker=rng.uniform([0.05, 0.04], [0.16, 0.10]),
            noise_seed=int(rng.integers(2**31)),
        )
