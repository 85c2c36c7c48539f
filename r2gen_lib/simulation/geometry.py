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
        hu[self.box] = self.changed(hu[self.box])

    def changed(self, part: np.ndarray) -> np.ndarray:
        """What the box's Hounsfield units ``part`` become."""
        return part + (self.weight * self.target if self.add else self.weight * (self.target - part))


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
    lung = thorax.lung(side)
    thick = lung.sum(axis=1, dtype=np.int16)  # (Z, X)
    clear = thick > 0.5 * thick.max()
    if zone == "base":
        low = lung_height(thorax, side, tuple(slice(0, size) for size in thorax.shape)) < 0.52
        inside = lung & low & (np.cumsum(clear, axis=0) <= 36 / VOXEL_MM)[:, None]
    elif zone == "hilum":
        whole = tuple(slice(0, size) for size in thorax.shape)
        inside = lung & (distance_mm(whole, lung_root(thorax, side)) < 30)
    else:
        inside = region(thorax, side, zone)
    heart = thorax.heart.any(axis=1)
    shown = heart & (thick > 10) if zone == "retrocardiac" else clear & ~heart
    inside = inside & shown[:, None]
    at_depth = inside & (thorax.pleura_mm > depth_mm[0]) & (thorax.pleura_mm < depth_mm[1])
    voxels = np.argwhere(at_depth if at_depth.sum() > 50 else inside)
    return voxels[:: max(1, len(voxels) // 4000)].astype(np.float32)


@lru_cache(maxsize=8)
def _noise_bank(cell_mm: float) -> np.ndarray:
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


def tubes(thorax: Thorax, points: np.ndarray, radii_mm: np.ndarray, deep_mm: float = 0.0) -> tuple[Box, np.ndarray]:
    """Box and weight of round strands: balls of ``radii_mm`` (n,) at ``points`` (n, 3), set close together.

    ``deep_mm`` draws them out by that much to the front and the back: ribbons that the frontal view sees edge-on.
    """
    points = np.clip(points, 0, np.array(thorax.shape) - 1).astype(np.float32)
    radii = (np.asarray(radii_mm, np.float32) / VOXEL_MM)[:, None]
    flatter = radii / (radii + deep_mm / VOXEL_MM)
    reach = np.array([radii.max() + 1, radii.max() + deep_mm / VOXEL_MM + 1, radii.max() + 1]).astype(int)
    centres = np.round(points).astype(np.int64)
    low, high = centres.min(0) - reach, centres.max(0) + reach + 1
    weight = np.zeros(high - low, np.float32)
    steps = np.stack(np.meshgrid(*(np.arange(-r, r + 1) for r in reach), indexing="ij")).reshape(3, -1)
    z, y, x = ((centres - points).astype(np.float32).T[:, :, None] + steps[:, None]).astype(np.float32)
    y *= flatter
    covered = radii + np.float32(0.5) - np.sqrt(z * z + y * y + x * x)  # share of the voxel, (n, steps)
    strides = np.array([weight.shape[1] * weight.shape[2], weight.shape[2], 1])
    index = ((centres - low) @ strides)[:, None] + strides @ steps
    inside = covered > 0
    np.maximum.at(weight.reshape(-1), index[inside], np.minimum(covered[inside], 1))
    first, last = np.maximum(low, 0), np.minimum(high, thorax.shape)
    box = tuple(slice(int(a), int(b)) for a, b in zip(first, last, strict=True))
    return box, weight[tuple(slice(a, b) for a, b in zip(first - low, last - low, strict=True))]


def curves(starts: np.ndarray, middles: np.ndarray, ends: np.ndarray, step_mm: float = 2.0) -> tuple:
    """Points (n, 3) along bent lines (m, 3 each), and for each point which line it is on and how far along, 0 to 1."""
    lengths = np.linalg.norm(ends - starts, axis=1) * VOXEL_MM
    counts = np.maximum((lengths * 1.15 / step_mm).astype(int), 2)
    line = np.repeat(np.arange(len(starts)), counts)
    along = np.concatenate([np.linspace(0, 1, count, dtype=np.float32) for count in counts])
    t = along[:, None]
    points = (1 - t) ** 2 * starts[line] + 2 * t * (1 - t) * middles[line] + t**2 * ends[line]
    return points.astype(np.float32), line, along


def smooth_path(waypoints: np.ndarray, step_mm: float = 1.0) -> np.ndarray:
    """Points (n, 3) every ``step_mm`` along a smooth line through ``waypoints`` (m, 3): a Catmull-Rom spline."""
    knots = np.asarray(waypoints, np.float32)
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(knots, axis=0), axis=1))])
    count = max(2, int(along[-1] * VOXEL_MM / step_mm) + 1)
    place = np.interp(np.linspace(0, along[-1], count), along, np.arange(len(knots)))
    first = np.minimum(place.astype(int), len(knots) - 2)
    t = (place - first)[:, None].astype(np.float32)
    padded = np.concatenate([2 * knots[:1] - knots[1:2], knots, 2 * knots[-1:] - knots[-2:-1]])
    a, b, c, d = (padded[first + offset] for offset in range(4))
    return b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))


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
