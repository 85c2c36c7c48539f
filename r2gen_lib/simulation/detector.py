"""From what the beam met to the picture on the screen: scatter, quanta, display curve, collimator, side marker."""

from __future__ import annotations

import numpy as np

from r2gen_lib.simulation.acquisition import Acquisition

WATER_PER_MM = 0.0195  # attenuation of water at the beam's mean energy (about 70 keV)
KNEE = 0.8  # grey level above which the display curve flattens, so that bone, fluid and metal stay apart
_LETTERS = {
    "R": ("11110", "10001", "10001", "11110", "10100", "10010", "10001"),
    "L": ("10000", "10000", "10000", "10000", "10000", "10000", "11111"),
}


def develop(
    water_mm: np.ndarray, acquisition: Acquisition, view: str = "frontal", unedited_mm: np.ndarray | None = None
) -> np.ndarray:
    """The detector's picture of what the beam went through.

    Args:
        water_mm: (S, S) millimetres of water that each ray met.
        view: decides where the side marker lies; each view has its own noise.
        unedited_mm: the same of the patient without findings, any size. The range of grey levels is set by it, so that
            a pacemaker or an effusion changes the picture where it is and nowhere else; by default ``water_mm``.

    Returns:
        uint8 (S, S); bright is dense, as radiologists read it.
    """
    reference = water_mm if unedited_mm is None else unedited_mm
    expected = _enhanced(_detected(reference, acquisition, None), acquisition)
    body = expected[reference > 30]
    low, high = np.percentile(body if body.size > 500 else expected, [0.8, 99.7])
    shown = _enhanced(_detected(water_mm, acquisition, view), acquisition)
    level = (shown - low) / (high - low + 1e-6) * 0.93 + 0.07
    level = 0.5 + (level - 0.5) * acquisition.contrast + acquisition.brightness
    level = np.clip(np.where(level > KNEE, 1 - (1 - KNEE) * np.exp((KNEE - level) / (1 - KNEE)), level), 0, 1) ** 0.9
    _put_marker(level, acquisition, view)
    _close_shutter(level, acquisition)
    return (level * 255).astype(np.uint8)


def _detected(water_mm: np.ndarray, acquisition: Acquisition, view: str | None) -> np.ndarray:
    """Logarithm of the quanta that the detector counts: straight, scattered and, where a view is given, by chance."""
    straight = np.exp(-WATER_PER_MM * water_mm)
    quanta = acquisition.photons * (straight + acquisition.scatter * _blurred(straight, len(straight) / 12.5) + 4e-4)
    if view is not None:
        chance = np.random.default_rng([acquisition.noise_seed, view == "lateral"]).standard_normal(quanta.shape)
        quanta += np.sqrt(quanta) * chance
    return -np.log(np.maximum(quanta, 1) / acquisition.photons)


def _enhanced(density: np.ndarray, acquisition: Acquisition) -> np.ndarray:
    """The broad shading halved and edges enhanced, as digital systems do before they show a picture."""
    from scipy import ndimage

    size = len(density)
    fine = density - ndimage.gaussian_filter(density, 1.6 * size / 224)
    return density - 0.5 * _blurred(density, size / 14) + acquisition.detail * 0.5 * fine


def _blurred(values: np.ndarray, sigma: float) -> np.ndarray:
    """A wide Gaussian blur, worked out on a quarter of the grid."""
    from scipy import ndimage

    small = ndimage.gaussian_filter(values[::4, ::4], sigma / 4)
    return ndimage.zoom(small, 4, order=1)[: len(values), : len(values)]


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
