"""From what the beam met to the picture on the screen: scatter, quanta, display curve, collimator, side marker."""

from __future__ import annotations

import numpy as np

from r2gen_lib.simulation.acquisition import Acquisition

WATER_PER_MM = 0.0195  # attenuation of water at the beam's mean energy (about 70 keV)
_LETTERS = {
    "R": ("11110", "10001", "10001", "11110", "10100", "10010", "10001"),
    "L": ("10000", "10000", "10000", "10000", "10000", "10000", "11111"),
}


def develop(water_mm: np.ndarray, acquisition: Acquisition, view: str = "frontal") -> np.ndarray:
    """The detector's picture of what the beam went through.

    Args:
        water_mm: (S, S) millimetres of water that each ray met.
        view: decides where the side marker lies; each view has its own noise.

    Returns:
        uint8 (S, S); bright is dense, as radiologists read it.
    """
    density = _detected(water_mm, acquisition, view)
    level = np.clip(_displayed(density, water_mm, acquisition), 0, 1) ** 0.9
    _put_marker(level, acquisition, view)
    _close_shutter(level, acquisition)
    return (level * 255).astype(np.uint8)


def _detected(water_mm: np.ndarray, acquisition: Acquisition, view: str) -> np.ndarray:
    """Logarithm of the quanta that the detector counts: what came straight, what was scattered, and chance."""
    from scipy import ndimage

    straight = np.exp(-WATER_PER_MM * water_mm)
    wide = ndimage.zoom(ndimage.gaussian_filter(straight[::4, ::4], len(straight) / 50), 4, order=1)
    quanta = acquisition.photons * (straight + acquisition.scatter * wide[: len(straight), : len(straight)] + 4e-4)
    chance = np.random.default_rng([acquisition.noise_seed, view == "lateral"]).standard_normal(quanta.shape)
    return -np.log(np.maximum(quanta + np.sqrt(quanta) * chance.astype(np.float32), 1) / acquisition.photons)


def _displayed(density: np.ndarray, water_mm: np.ndarray, acquisition: Acquisition) -> np.ndarray:
    """Grey levels: the broad shading halved, edges enhanced, the body's own range stretched over the screen's."""
    from scipy import ndimage

    size = len(density)
    smooth = ndimage.zoom(ndimage.gaussian_filter(density[::4, ::4], size / 56), 4, order=1)[:size, :size]
    fine = density - ndimage.gaussian_filter(density, 1.6 * size / 224)
    shown = density - 0.5 * smooth + acquisition.detail * 0.5 * fine
    body = shown[water_mm > 30]
    low, high = np.percentile(body if body.size > 1000 else shown, [0.8, 99.7])
    level = np.clip((shown - low) / (high - low + 1e-6) * 0.93 + 0.07, 0, 1)
    return 0.5 + (level - 0.5) * acquisition.contrast + acquisition.brightness


def _put_marker(level: np.ndarray, acquisition: Acquisition, view: str) -> None:
    """A lead letter near the upper edge: R at the patient's right of a frontal view, L on a lateral one."""
    letter = "L" if view == "lateral" else "R"
    size = len(level)
    scale = max(size // 112, 1)
    glyph = np.kron([[int(dot) for dot in row] for row in _LETTERS[letter]], np.ones((scale, scale))) > 0
    top, left = (int(share * size) for share in acquisition.marker)
    place = level[top : top + glyph.shape[0], left : left + glyph.shape[1]]
    place[glyph[: place.shape[0], : place.shape[1]]] = 0.97


def _close_shutter(level: np.ndarray, acquisition: Acquisition) -> None:
    """Black where the collimator kept the beam away."""
    top, bottom, left, right = (int(edge * len(level) / 224) for edge in acquisition.shutter)
    level[:top], level[:, :left] = 0, 0
    level[len(level) - bottom :], level[:, len(level) - right :] = 0, 0
