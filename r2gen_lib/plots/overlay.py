"""A map laid over a radiograph in red: into a figure, or into the pixels of a picture."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes


def red_layer(values: np.ndarray) -> np.ndarray:
    """A map ``(h, w)`` as red and its opacity, float ``(h, w, 4)`` in 0..1: 0.6 at its largest value, 0 below 0."""
    strength = np.clip(np.asarray(values, dtype=float), 0, None)
    largest = strength.max()
    layer = np.zeros((*strength.shape, 4))
    layer[..., 0], layer[..., 3] = 1.0, 0.6 * strength / largest if largest > 0 else 0.0
    return layer


def lay_over(ax: Axes, values: np.ndarray, shape: tuple[int, ...], smooth: bool = True) -> None:
    """Lay a map, which may be coarse, over a picture of ``shape`` that is drawn in ``ax`` (``red_layer``)."""
    extent = (-0.5, shape[1] - 0.5, shape[0] - 0.5, -0.5)
    ax.imshow(red_layer(values), extent=extent, interpolation="bilinear" if smooth else "nearest")


def blended(picture: np.ndarray, values: np.ndarray) -> np.ndarray:
    """A grey picture, uint8 ``(H, W)``, under a map ``(H, W)`` (``red_layer``): uint8 ``(H, W, 3)``."""
    layer = red_layer(values)
    opacity = layer[..., 3:]
    return (picture[..., None] * (1 - opacity) + 255 * layer[..., :3] * opacity).round().astype(np.uint8)
