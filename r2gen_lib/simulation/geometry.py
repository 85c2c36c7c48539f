"""An edit of the volume, and the geometry the findings share: where a lung's zones are, balls, noise and tubes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from r2gen_lib.simulation.findings import Finding
from r2gen_lib.simulation.thorax import VOXEL_MM, Thorax

Box = tuple[slice, slice, slice]
SOFT_TISSUE, WATER, METAL, CALCIUM = 45.0, 15.0, 6000.0, 1400.0


@dataclass(frozen=True)
class Edit:
    """One finding in the volume.

    Attributes:
        finding: what is drawn, with the side and zone that were chosen.
        box: where, as slices (z, y, x).
        weight: float32, the box's shape, 0 (untouched) to 1.
        target: Hounsfield units that ``weight`` pulls towards; with ``add`` what is added.
        shift: for findings that move anatomy, else None: (axis, displacement in voxels, broadcastable to
            ``coarse_grid``).
    """

    finding: Finding
    box: Box
    weight: np.ndarray
    target: float | np.ndarray = SOFT_TISSUE
    add: bool = False
    shift: tuple[int, np.ndarray] | None = None

    def apply(self, hu: np.ndarray) -> None:
        """Edit ``hu`` (Z, Y, X) in place."""
        if self.shift is not None:
            return
        part = hu[self.box]
        part += self.weight * self.target if self.add else self.weight * (self.target - part)


COARSE = 4  # voxels between the points where a displacement is given


def coarse_grid(thorax: Thorax) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Open (z, y, x) voxel coordinates of every 4th voxel: where a displacement is given."""
    return tuple(np.ogrid[tuple(slice(0, size, COARSE) for size in thorax.shape)])


def box_grid(box: Box) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.ogrid[box[0], box[1], box[2]]


def smooth_noise(shape: tuple[int, ...], cell_mm: float, rng: np.random.Generator) -> np.ndarray:
    """Noise of mean 0 and deviation about 1 whose lumps are ``cell_mm`` wide."""
    from scipy import ndimage

    cells = [max(2, round(size * VOXEL_MM / cell_mm) + 1) for size in shape]
    coarse = rng.standard_normal(cells).astype(np.float32)
    factors = [size / cell for size, cell in zip(shape, cells, strict=True)]
    return ndimage.zoom(coarse, factors, order=1, grid_mode=True, mode="nearest")


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-np.clip(x, -30, 30)))


def lung_height(thorax: Thorax, side: str, box: Box) -> np.ndarray:
    """(Z, 1, 1): 0 at the lung's lowest plane, 1 at its top."""
    whole = thorax.lung_box(side)[0]
    z = np.arange(box[0].start, box[0].stop, dtype=np.float32)
    return ((z - whole.start) / (whole.stop - whole.start))[:, None, None]


def region(thorax: Thorax, side: str, zone: str) -> np.ndarray:
    """Boolean (Z, Y, X): the part of a lung that a code's zone names."""
    lung = thorax.lung(side)
    height = lung_height(thorax, side, tuple(slice(0, size) for size in thorax.shape))
    upper, lower = (10, 11) if side == "left" else (12, 14)
    if zone == "upper lobe":
        return (thorax.lobe == upper) & (height > 0.45)
    if zone in ("middle lobe", "lingula"):
        return (thorax.lobe == 13) if side == "right" else (thorax.lobe == 10) & (height < 0.45)
    if zone == "lower lobe":
        return thorax.lobe == lower
    if zone == "apex":
        return lung & (height > 0.78)
    if zone == "base":
        return lung & (height < 0.38) & (height > 0.08)
    if zone == "retrocardiac":
        return (thorax.lobe == lower) & (height < 0.5) & (height > 0.1)
    if zone == "hilum":
        z, y, x = np.ogrid[tuple(slice(0, size) for size in thorax.shape)]
        cz, cy, cx = hilum(thorax, side)
        return lung & ((z - cz) ** 2 + (y - cy) ** 2 + (x - cx) ** 2 < (22 / VOXEL_MM) ** 2)
    return lung & (height > 0.12) & (height < 0.9)


def hilum(thorax: Thorax, side: str) -> tuple[float, float, float]:
    """Where the vessels enter a lung: about mid-height, on the side of the heart."""
    z, y, x = thorax.lung_box(side)
    inner = x.start + 0.12 * (x.stop - x.start) if side == "left" else x.stop - 0.12 * (x.stop - x.start)
    return z.start + 0.52 * (z.stop - z.start), (y.start + y.stop) / 2, inner


def random_place(thorax: Thorax, finding: Finding, rng: np.random.Generator, depth_mm=(8.0, 30.0)) -> np.ndarray:
    """A random voxel of the finding's region, ``depth_mm`` below the lung's surface (z, y, x)."""
    voxels = candidates(thorax, finding.side, finding.zone, depth_mm)
    return voxels[rng.integers(len(voxels))].astype(np.float32)


@lru_cache(maxsize=256)
def candidates(thorax: Thorax, side: str, zone: str, depth_mm: tuple[float, float]) -> np.ndarray:
    inside = region(thorax, side, zone)
    at_depth = inside & (thorax.pleura_mm > depth_mm[0]) & (thorax.pleura_mm < depth_mm[1])
    return np.argwhere(at_depth if at_depth.any() else inside).astype(np.int16)


def ball_box(thorax: Thorax, centre: np.ndarray, radius_mm: float) -> Box:
    radius = radius_mm / VOXEL_MM
    return tuple(
        slice(max(int(c - radius), 0), min(int(c + radius) + 2, size))
        for c, size in zip(centre, thorax.shape, strict=True)
    )


def distance_mm(box: Box, centre: np.ndarray, stretch=(1.0, 1.0, 1.0)) -> np.ndarray:
    """Distance in mm from ``centre`` at each voxel of the box, each axis divided by ``stretch``."""
    offsets = [(axis - c) / s for axis, c, s in zip(box_grid(box), centre, stretch, strict=True)]
    return VOXEL_MM * np.sqrt(sum(offset**2 for offset in offsets)).astype(np.float32)


def tube_along(thorax: Thorax, points: np.ndarray, radius_mm: float) -> tuple[Box, np.ndarray]:
    """Box and weight of a smooth tube through ``points`` (n, 3)."""
    from scipy import interpolate, ndimage

    curve, _ = interpolate.splprep(np.asarray(points, float).T, s=0, k=min(3, len(points) - 1))
    path = np.array(interpolate.splev(np.linspace(0, 1, 600), curve)).T
    path = np.clip(path, 1, np.array(thorax.shape) - 2)
    low, high = path.min(0).astype(int) - 3, path.max(0).astype(int) + 4
    box = tuple(slice(max(a, 0), min(b, n)) for a, b, n in zip(low, high, thorax.shape, strict=True))
    away = np.ones([part.stop - part.start for part in box], bool)
    index = np.round(path).astype(int) - [part.start for part in box]
    away[tuple(index.T)] = False
    distance = ndimage.distance_transform_edt(away, sampling=VOXEL_MM)
    return box, np.clip(1.5 - distance / radius_mm, 0, 1).astype(np.float32)
