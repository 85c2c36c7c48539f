"""An edit of the volume, and the geometry that findings share: boxes, balls, noise, soft borders."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from r2gen_lib.files import atomic_write, cache_dir
from r2gen_lib.findings.finding import Finding
from r2gen_lib.simulation.anatomy.thorax import VERSION, VOXEL_MM, Thorax

Box = tuple[slice, slice, slice]
SOFT_TISSUE, WATER, METAL = 45.0, 15.0, 6000.0


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
        hu[self.box] = self.changed(hu[self.box])

    def changed(self, part: np.ndarray) -> np.ndarray:
        """What the box's Hounsfield units ``part`` become."""
        return part + (self.weight * self.target if self.add else self.weight * (self.target - part))


COARSE = 4  # voxels between the points where a displacement is given


def coarse_grid(thorax: Thorax) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Open (z, y, x) voxel coordinates of every 4th voxel: where a displacement is given."""
    return tuple(np.ogrid[tuple(slice(0, size, COARSE) for size in thorax.shape)])


def box_grid(box: Box) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Voxel indices of a box along z, y and x, which NumPy broadcasts: ``(Z, 1, 1)``, ``(1, Y, 1)``, ``(1, 1, X)``."""
    return np.ogrid[box[0], box[1], box[2]]


def smooth_noise(shape: tuple[int, ...], cell_mm: float, rng: np.random.Generator) -> np.ndarray:
    """Noise of mean 0 and deviation about 1 whose lumps are ``cell_mm`` wide."""
    from scipy import ndimage

    cells = [max(2, round(size * VOXEL_MM / cell_mm) + 1) for size in shape]
    coarse = rng.standard_normal(cells).astype(np.float32)
    factors = [size / cell for size, cell in zip(shape, cells, strict=True)]
    return ndimage.zoom(coarse, factors, order=1, grid_mode=True, mode="nearest")


def sigmoid(x: np.ndarray) -> np.ndarray:
    """The logistic function, elementwise, without overflow."""
    return 1.0 / (1.0 + np.exp(-np.clip(x, -30, 30)))


def ball_box(thorax: Thorax, centre: np.ndarray, radius_mm: float) -> Box:
    """The box of voxels around a ball: ``centre`` in voxels (z, y, x), cut off at the volume's borders."""
    radius = radius_mm / VOXEL_MM
    return tuple(
        slice(max(int(c - radius), 0), min(int(c + radius) + 2, size))
        for c, size in zip(centre, thorax.shape, strict=True)
    )


def distance_mm(box: Box, centre: np.ndarray, stretch: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> np.ndarray:
    """Distance in mm from ``centre`` at each voxel of the box, each axis divided by ``stretch``."""
    offsets = [(axis - c) / s for axis, c, s in zip(box_grid(box), centre, stretch, strict=True)]
    return VOXEL_MM * np.sqrt(sum(offset**2 for offset in offsets)).astype(np.float32)


@lru_cache(maxsize=8)
def _noise_bank(cell_mm: float) -> np.ndarray:
    """Smooth noise (144, 128, 144), made once and kept beside the thorax; all processes read the same memory."""
    path = cache_dir("thorax") / f"noise_v{VERSION}_{round(cell_mm * 10)}.npy"
    try:
        return np.asarray(np.load(path, mmap_mode="r"))
    except (OSError, EOFError, ValueError):  # not there, or damaged
        bank = _noise(cell_mm)
        with atomic_write(path) as temporary, open(temporary, "wb") as stream:
            np.save(stream, bank)
        return bank


def _noise(cell_mm: float) -> np.ndarray:
    from scipy import ndimage

    white = np.random.default_rng(round(cell_mm * 10)).standard_normal((144, 128, 144)).astype(np.float32)
    bank = ndimage.gaussian_filter(white, 0.45 * cell_mm / VOXEL_MM, mode="wrap")
    return bank / bank.std()


def noise_crop(shape: tuple[int, ...], cell_mm: float, rng: np.random.Generator) -> np.ndarray:
    """As ``smooth_noise``, for shapes up to (144, 128, 144): cut at random, and turned over, out of one large field."""
    bank = _noise_bank(cell_mm)
    starts = [rng.integers(0, size - n + 1) for size, n in zip(bank.shape, shape, strict=True)]
    part = bank[tuple(slice(start, start + n) for start, n in zip(starts, shape, strict=True))]
    flips = rng.integers(0, 2, 3) * 2 - 1
    return part[:: flips[0], :: flips[1], :: flips[2]]


def within(border_mm: np.ndarray) -> np.ndarray:
    """Share of a voxel that lies inside a border ``border_mm`` away, negative outside."""
    return np.clip(0.5 + border_mm / VOXEL_MM, 0, 1)


def added(finding: Finding, box: Box, change: np.ndarray) -> Edit:
    """An edit that adds ``change`` (Hounsfield units) and whose weight is where that shows: 150 HU count fully."""
    weight = np.clip(np.abs(change) / 150, 0, 1).astype(np.float32)
    return Edit(finding, box, weight, (change / np.maximum(weight, 1e-6)).astype(np.float32), add=True)
