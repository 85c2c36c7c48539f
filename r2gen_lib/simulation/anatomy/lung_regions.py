"""Where things are in a lung: zones that codes name, the root, places that the frontal view shows, the diaphragm."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from r2gen_lib.simulation.anatomy.geometry import Box, distance_mm
from r2gen_lib.simulation.anatomy.thorax import VOXEL_MM, Thorax


def lung_height(thorax: Thorax, side: str, box: Box) -> np.ndarray:
    """(Z, 1, 1): 0 at the lung's lowest plane, 1 at its top."""
    whole = thorax.lung_box(side)[0]
    z = np.arange(box[0].start, box[0].stop, dtype=np.float32)
    return ((z - whole.start) / (whole.stop - whole.start))[:, None, None]


def region(thorax: Thorax, side: str, zone: str, box: Box | None = None) -> np.ndarray:
    """Boolean (Z, Y, X), of a box or of the whole volume: the part of a lung that a code's zone names."""
    box = box or tuple(slice(0, size) for size in thorax.shape)
    lung, lobe = thorax.lung(side, box), thorax.lobe[box]
    height = lung_height(thorax, side, box)
    upper, lower = (10, 11) if side == "left" else (12, 14)
    if zone == "upper lobe":
        return (lobe == upper) & (height > 0.45)
    if zone in ("middle lobe", "lingula"):
        return (lobe == 13) if side == "right" else (lobe == 10) & (height < 0.45)
    if zone == "lower lobe":
        return lobe == lower
    if zone == "apex":
        return lung & (height > 0.78)
    if zone == "base":
        return lung & (height < 0.38) & (height > 0.08)
    if zone == "retrocardiac":
        return (lobe == lower) & (height < 0.5) & (height > 0.1)
    return lung & (height > 0.12) & (height < 0.9)


@lru_cache(maxsize=2)
def lung_root(thorax: Thorax, side: str) -> np.ndarray:
    """(z, y, x): where bronchus and vessels enter a lung: the outer end of the pulmonary veins, a little above it."""
    z, y, x = np.nonzero(thorax.organ == 53)
    outer = x.max() if side == "left" else x.min()
    near = np.abs(x - outer) < 12
    lung = thorax.lung_box(side)[0]
    return np.array([lung.start + 0.58 * (lung.stop - lung.start), y[near].mean(), outer], np.float32)


@lru_cache(maxsize=256)
def open_places(thorax: Thorax, side: str, zone: str, depth_mm: tuple[float, float] = (8.0, 40.0)) -> np.ndarray:
    """(n, 3) voxels of a zone, at a depth below the lung's surface, that the frontal view shows through clear lung.

    The thin lung behind the diaphragm's dome and, but for the retrocardiac zone, the lung behind the heart are left
    out: what lies there drowns in the shadow. The base is the lung just above the dome.
    """
    box = thorax.lung_box(side)  # outside it there is no such place
    lung = thorax.lung(side, box)
    thick = lung.sum(axis=1, dtype=np.int16)  # (Z, X)
    clear = thick > 0.5 * thick.max()
    if zone == "base":
        low = lung_height(thorax, side, box) < 0.52
        inside = lung & low & (np.cumsum(clear, axis=0) <= 36 / VOXEL_MM)[:, None]
    elif zone == "hilum":
        inside = lung & (distance_mm(box, lung_root(thorax, side)) < 30)
    else:
        inside = region(thorax, side, zone, box)
    shown = _behind_heart(thorax, side) if zone == "retrocardiac" else clear & ~_heart_shadow(thorax)[box[0], box[2]]
    inside = inside & shown[:, None]
    depth = thorax.pleura_mm[box]
    at_depth = inside & (depth > depth_mm[0]) & (depth < depth_mm[1])
    voxels = np.argwhere(at_depth if at_depth.sum() > 50 else inside)
    voxels = voxels[:: max(1, len(voxels) // 4000)] + [part.start for part in box]
    return voxels.astype(np.float32)


@lru_cache(maxsize=1)
def _heart_shadow(thorax: Thorax) -> np.ndarray:
    """Boolean (Z, X): where the frontal view shows the heart."""
    return thorax.heart.any(axis=1)


def _behind_heart(thorax: Thorax, side: str) -> np.ndarray:
    """Boolean (Z, X) of the lung's box: the lower half of the heart's shadow, well inside it where that leaves lung."""
    from scipy import ndimage

    heart, box = _heart_shadow(thorax), thorax.lung_box(side)
    thick = np.zeros(heart.shape, np.int16)
    thick[box[0], box[2]] = thorax.lung(side, box).sum(axis=1, dtype=np.int16)
    planes = np.flatnonzero(heart.any(1))
    low = heart & (thick > 10) & (np.arange(len(heart)) < (planes[0] + planes[-1]) / 2)[:, None]
    deep = ndimage.binary_erosion(low, iterations=5)
    return (deep if deep.any() else low)[box[0], box[2]]


@lru_cache(maxsize=2)
def dome(thorax: Thorax, side: str) -> np.ndarray:
    """(X,): height in voxels of a hemidiaphragm's outline as the frontal view shows it."""
    return diaphragm(thorax, side)[thorax.lung_box(side)[1]].max(0)


@lru_cache(maxsize=2)
def diaphragm(thorax: Thorax, side: str) -> np.ndarray:
    """(Y, X) float32: height of a hemidiaphragm in voxels, carried on smoothly under the heart and beyond the lung."""
    from scipy import ndimage

    lung, part = thorax.lung(side), thorax.lung_box(side)[2]
    lowest = lung.argmax(0).astype(np.float32)
    under_lung = ndimage.binary_erosion(lung.any(0))
    beside = np.arange(thorax.shape[2]) > (part.start + part.stop) / 2
    beside = beside if side == "left" else ~beside  # the lateral half, where no heart lies between lung and diaphragm
    known = under_lung & (lowest < np.percentile(lowest[under_lung & beside], 85) + 3)
    nearest = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)
    return ndimage.gaussian_filter(lowest[tuple(nearest)], 2.5)
