"""Where the bones of the thorax are: vertebral bodies with their own axes, the middle lines of ribs and clavicles."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from r2gen_lib.simulation.anatomy.geometry import Box, box_grid
from r2gen_lib.simulation.anatomy.thorax import BONES, VOXEL_MM, Thorax, bounding_box

L2, L1, T12, T1, C7 = 30, 31, 32, 43, 44  # organ numbers of vertebrae; they grow by one to the head
FIRST_RIB = {"left": 92, "right": 104}
CLAVICLE = {"left": 73, "right": 74}
MUSCLE = 50.0  # Hounsfield units of what surrounds bone


@dataclass(frozen=True)
class Vertebra:
    """A vertebral body.

    Attributes:
        centre: (z, y, x) in voxels.
        axes: unit rows up, front and left, each (z, y, x).
        height, depth, width: half sizes in mm along the axes.
    """

    centre: np.ndarray
    axes: np.ndarray
    height: float
    depth: float
    width: float

    def at(self, up: float, front: float, left: float) -> np.ndarray:
        """The voxel (z, y, x) at these distances in mm from the centre."""
        return self.centre + np.array([up, front, left]) @ self.axes / VOXEL_MM

    def box(self, thorax: Thorax, low_mm: tuple, high_mm: tuple) -> Box:
        """Slices around the distances ``low_mm`` to ``high_mm`` (up, front, left) from the centre."""
        corners = np.array([self.at(*np.where(pick, high_mm, low_mm)) for pick in np.ndindex(2, 2, 2)])
        low, high = corners.min(0).astype(int), corners.max(0).astype(int) + 2
        return tuple(slice(max(int(a), 0), min(int(b), n)) for a, b, n in zip(low, high, thorax.shape, strict=True))

    def frame(self, box: Box) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(up, front, left): float32 distances in mm of each voxel from the centre, along the axes."""
        offsets = [VOXEL_MM * (axis - c).astype(np.float32) for axis, c in zip(box_grid(box), self.centre, strict=True)]
        return tuple(sum(float(part) * offset for part, offset in zip(row, offsets, strict=True)) for row in self.axes)


@lru_cache(maxsize=2)
def vertebrae(thorax: Thorax) -> dict[int, Vertebra]:
    """The bodies of L2 to C7 by organ number, without their arches."""
    from scipy import ndimage

    labels = range(L2, C7 + 1)
    box = bounding_box((thorax.organ >= L2) & (thorax.organ <= C7))
    organ, corner = thorax.organ[box], [int(part.start) for part in box]
    bodies = np.array([_body(np.argwhere(organ == label) + corner) for label in labels])
    bodies = ndimage.gaussian_filter1d(bodies, 0.7, axis=0, mode="nearest")
    found = {}
    for label, (*centre, depth, width), step in zip(labels, bodies, np.gradient(bodies[:, :3], axis=0), strict=True):
        up = step / np.linalg.norm(step)
        left = np.array([0, 0, 1]) - up[2] * up
        left /= np.linalg.norm(left)
        front = np.cross(left, up)
        height = 0.5 * VOXEL_MM * float(np.linalg.norm(step)) - 2.0  # half of a disc is about 2 mm
        axes = np.stack([up, front * np.sign(front[1]), left])
        found[label] = Vertebra(np.array(centre), axes, height, float(depth), float(width))
    return found


def _body(voxels: np.ndarray) -> tuple[float, ...]:
    """Centre (z, y, x) in voxels, half depth and half width in mm of the body among a vertebra's voxels (n, 3)."""
    middle = np.median(voxels[:, 2])
    runs = []
    for z, x in np.unique(voxels[np.abs(voxels[:, 2] - middle) <= 3][:, ::2], axis=0):
        y = np.sort(voxels[(voxels[:, 0] == z) & (voxels[:, 2] == x), 1])[::-1]
        length = int(np.argmax(np.append(np.diff(y) < -1, True))) + 1  # back to the spinal canal
        if 5 <= length <= 17:  # longer runs go through a pedicle
            runs.append((z, y[0] - (length - 1) / 2, length, y[0]))
    runs = np.array(runs)
    runs = runs[runs[:, 3] > np.percentile(runs[:, 3], 90) - 9]
    z, y = np.average(runs[:, :2], axis=0, weights=runs[:, 2])
    across = voxels[(np.abs(voxels[:, 0] - z) < 2) & (np.abs(voxels[:, 1] - y - 2) < 2), 2]
    low, high = np.percentile(across, [10, 90]) if len(across) else (middle - 6, middle + 6)
    return z, y, middle, np.median(runs[:, 2]), 0.55 * VOXEL_MM * (high - low)


@lru_cache(maxsize=32)
def middle_line(thorax: Thorax, label: int) -> tuple[np.ndarray, np.ndarray]:
    """The middle of a rib or clavicle: how far along each point is, and the points (n, 3) in voxels.

    A rib is measured by its angle from the back (0) round to the front (180 degrees), a clavicle by its distance in mm
    from the spine.
    """
    voxels = np.argwhere(thorax.organ == label).astype(float)
    across = np.abs(voxels[:, 2] - thorax.spine_centre[voxels[:, 0].astype(int), 1])
    if label in CLAVICLE.values():
        along = across * VOXEL_MM
    else:
        depth = [thorax.lung_box(side)[1] for side in ("left", "right")]
        middle = np.mean([(part.start + part.stop) / 2 for part in depth])
        along = np.rad2deg(np.arctan2(across, middle - voxels[:, 1]))
    bins = (along / 6).astype(int)
    kept = [value for value in np.unique(bins) if (bins == value).sum() > 12]
    points = np.array([voxels[bins == value].mean(0) for value in kept])
    return (np.array(kept) + 0.5) * 6, points


@lru_cache(maxsize=32)
def bone_voxels(thorax: Thorax, label: int) -> tuple[np.ndarray, np.ndarray]:
    """A bone's voxels with its blurred rim (n, 3), and by how many Hounsfield units each exceeds muscle (n,)."""
    from scipy import ndimage

    box = bounding_box(thorax.organ == label, 1)
    near = ndimage.binary_dilation(thorax.organ[box] == label)
    voxels = np.argwhere(near) + [part.start for part in box]
    excess = thorax.hu[tuple(voxels.T)] - MUSCLE
    return voxels[excess > 0].astype(np.float32), excess[excess > 0].astype(np.float32)


@lru_cache(maxsize=2)
def mineral(thorax: Thorax) -> tuple[Box, np.ndarray]:
    """Box and weight of all bone: 1 in the sponge inside, which is lost first, down to 0.85 in the cortex."""
    from scipy import ndimage

    bone = ndimage.binary_dilation(np.isin(thorax.organ, BONES)) & (thorax.hu > 80)
    box = bounding_box(bone)
    return box, (bone[box] * np.clip(1.2 - thorax.hu[box] / 1500, 0.85, 1)).astype(np.float32)


@lru_cache(maxsize=2)
def thoracic_spine(thorax: Thorax) -> tuple[Box, np.ndarray]:
    """Box and weight of T12 to T1 with their arches."""
    inside = (thorax.organ >= T12) & (thorax.organ <= T1)
    box = bounding_box(inside)
    return box, inside[box].astype(np.float32)
