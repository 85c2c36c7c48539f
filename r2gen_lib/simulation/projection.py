"""From an edited volume to a radiograph: where the beam goes and what it meets (the detector is in ``detector``).

The volume is averaged into slabs across the beam, and every ray of a diverging beam is read where it crosses each
slab. Pose, habitus, breath and an elastic warp bend the rays instead of the volume, so that one volume serves every
view and every warp, and reading is two-dimensional: torch has a vectorised kernel for that and none for three
dimensions (``benchmarks/simulator.py``).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from r2gen_lib.simulation.acquisition import Acquisition
from r2gen_lib.simulation.anatomy.geometry import Box, coarse_grid
from r2gen_lib.simulation.anatomy.thorax import VOXEL_MM, Thorax
from r2gen_lib.simulation.attenuation import attenuation

if TYPE_CHECKING:  # a second of import, which who only reads pictures, or lets others draw them, is spared
    import torch

FIELD_MM = 296.0  # side of the square that the picture shows, at the middle of the chest
SOURCE_MM = 1600.0  # from the X-ray source to the middle of the chest; about 1.8 m to the detector
SLAB = 3  # voxels along the beam that are averaged before the rays read them: a sum is a sum either way
VIEWS = ("frontal", "lateral")
_AXIS = {"frontal": 1, "lateral": 2}  # of the volume, along the beam
_RAYS = 24  # along each side: rays are bent exactly at these, and smoothly between
_DEPTHS = 12  # points along such a ray


@dataclass(frozen=True)
class Rays:
    """Where the rays of one view cross the slabs.

    Attributes:
        view: "frontal" or "lateral".
        rows, columns: (slabs, 24, 24): where ray (r, c) crosses a slab, as ``grid_sample`` counts, -1 to 1 across
            the volume's z and across its other axis.
        step_mm: (24, 24): millimetres of the ray in a slab.
    """

    view: str
    rows: torch.Tensor
    columns: torch.Tensor
    step_mm: torch.Tensor


def slabs_of(density: np.ndarray, view: str) -> np.ndarray:
    """Average ``density`` (Z, Y, X) over slabs across the beam: (slabs, Z, X) frontal, (slabs, Z, Y) lateral."""
    axis = _AXIS[view]
    count = density.shape[axis] // SLAB
    first = np.moveaxis(density, axis, 0)[: count * SLAB]
    slabs = np.ascontiguousarray(first[::SLAB])
    for k in range(1, SLAB):
        slabs += first[k::SLAB]
    slabs /= np.float32(SLAB)
    return slabs


@lru_cache(maxsize=4)
def _parts(thorax: Thorax, view: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Slabs of the CT without its soft tissue, of that soft tissue, and of the breasts that may be added."""
    density = thorax.density
    soft = np.where(thorax.soft, density, 0)
    return slabs_of(density - soft, view), slabs_of(soft, view), slabs_of(thorax.breasts, view)


def slabs_unedited(thorax: Thorax, acquisition: Acquisition, view: str) -> np.ndarray:
    """Attenuation of the patient's chest, before any finding, in slabs across the beam."""
    rest, soft, breasts = _parts(thorax, view)
    slabs = np.float32(acquisition.soft_tissue) * soft
    slabs += rest
    if acquisition.breast:
        slabs += np.float32(acquisition.breast) * breasts
    return slabs


def put_edits(slabs: np.ndarray, thorax: Thorax, hu: np.ndarray, touched: list[Box], view: str) -> np.ndarray:
    """``slabs`` with what edits changed; only what they touched is worked out anew.

    Args:
        hu: the edited volume (Z, Y, X).
        touched: the boxes outside which ``hu`` is the CT's.
    """
    slabs = slabs.copy()
    axis = _AXIS[view]
    for box in _joined(touched):
        start, stop = box[axis].start // SLAB, min(-(-box[axis].stop // SLAB), len(slabs))
        part = list(box)
        part[axis] = slice(start * SLAB, stop * SLAB)
        change = slabs_of(attenuation(hu[tuple(part)]) - thorax.density[tuple(part)], view)
        slabs[start:stop, part[0], part[3 - axis]] += change
    return slabs


def _joined(boxes: list[Box]) -> list[Box]:
    """Boxes that cover the same voxels without overlapping: those that meet are replaced by their hull."""
    joined: list[Box] = []
    for box in boxes:
        meeting = [other for other in joined if _meet(box, other)]
        while meeting:
            joined = [other for other in joined if not any(other is m for m in meeting)]
            box = tuple(
                slice(min(b.start for b in axis), max(b.stop for b in axis)) for axis in zip(box, *meeting, strict=True)
            )
            meeting = [other for other in joined if _meet(box, other)]
        joined.append(box)
    return joined


def _meet(one: Box, other: Box) -> bool:
    """Whether two boxes share a slab: a slab that both touch may be worked out only once."""
    return all(a.start < b.stop + SLAB and b.start < a.stop + SLAB for a, b in zip(one, other, strict=True))


def rays_of(thorax: Thorax, acquisition: Acquisition, view: str, shifts: np.ndarray | None = None) -> Rays:
    """Where every ray reads the volume.

    Args:
        view: "frontal" (posterior-anterior) or "lateral" (left side to the detector, the front shown on the left).
        shifts: (3, z, y, x) displacement in voxels that findings add, on ``coarse_grid``; None for none.
    """
    import torch

    axis = _AXIS[view]
    voxel = _bent(thorax, acquisition, view, shifts)  # (3, depths, rays, rays)
    slabs = thorax.shape[axis] // SLAB
    wanted = torch.arange(slabs) * SLAB + (SLAB - 1) / 2  # where the slabs' middles are
    rows, columns = _at_depths(voxel, axis, wanted)
    size_z, size_across = thorax.shape[0], thorax.shape[3 - axis]
    along = voxel[:, -1] - voxel[:, 0]  # (3, rays, rays)
    habitus = torch.tensor(acquisition.habitus, dtype=torch.float32)[:, None, None]
    length = (along * habitus).norm(dim=0) / along[axis].abs()  # voxels of ray in a voxel of depth
    return Rays(view, (2 * rows + 1) / size_z - 1, (2 * columns + 1) / size_across - 1, length * SLAB * VOXEL_MM)


def _bent(thorax: Thorax, acquisition: Acquisition, view: str, shifts: np.ndarray | None) -> torch.Tensor:
    """(3, depths, rays, rays): the voxel (z, y, x) that each point of a few rays reads."""
    import torch

    middle = [(part.start + part.stop) / 2 for part in thorax.lung_box("both")]
    depth_mm = thorax.shape[_AXIS[view]] * VOXEL_MM * 1.15
    half = FIELD_MM * acquisition.zoom / 2
    s, v, u = torch.meshgrid(
        torch.linspace(-0.5, 0.5, _DEPTHS) * depth_mm,
        torch.linspace(half, -half, _RAYS) + float(acquisition.centre_mm[1]),
        torch.linspace(-half, half, _RAYS) + float(acquisition.centre_mm[0]),
        indexing="ij",
    )
    magnify = (SOURCE_MM + s) / SOURCE_MM
    v, u = v * magnify, u * magnify
    mm = torch.stack([v, s, u]) if view == "frontal" else torch.stack([v, -u, s])
    rotation = torch.from_numpy(_rotation(acquisition.rotation_deg))
    habitus = torch.tensor(acquisition.habitus, dtype=torch.float32)
    mm = torch.einsum("ij,jdrc->idrc", rotation, mm) / habitus[:, None, None, None]
    voxel = mm / VOXEL_MM + torch.tensor(middle, dtype=torch.float32)[:, None, None, None]
    finer = _spread(25, acquisition.warp_mm.shape[1])  # smooth between its few points: no creases
    warp = torch.from_numpy(acquisition.warp_mm) / VOXEL_MM
    for _ in range(3):
        warp = torch.tensordot(warp, finer, dims=([1], [1]))  # takes the first axis left, puts the finer one last
    voxel = voxel - _read(thorax, warp[None], voxel)
    moved = _breath(thorax) * np.float32(acquisition.breath_mm / VOXEL_MM)
    if shifts is not None:
        moved = moved + shifts
    return voxel - _read(thorax, torch.from_numpy(moved)[None], voxel)


def _read(thorax: Thorax, field: torch.Tensor, voxel: torch.Tensor) -> torch.Tensor:
    """A displacement field (1, 3, ...) over the whole volume, read at voxels (3, d, r, c)."""
    import torch
    from torch.nn import functional as F

    size = torch.tensor(thorax.shape, dtype=torch.float32)[:, None, None, None]
    normal = (voxel / (size - 1) * 2 - 1).flip(0).permute(1, 2, 3, 0)[None]
    return F.grid_sample(field, normal, padding_mode="border", align_corners=True)[0]


def _at_depths(voxel: torch.Tensor, axis: int, wanted: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """z and the other coordinate (slabs, rays, rays) where each ray is at the ``wanted`` depths of ``axis``."""
    spacing = (voxel[axis, -1] - voxel[axis, 0]) / (_DEPTHS - 1)  # (rays, rays), nearly the same everywhere
    place = (wanted[:, None, None] - voxel[axis, 0]) / spacing  # (slabs, rays, rays), in points along the ray
    for _ in range(2):  # the warp makes the spacing uneven; two corrections leave less than a tenth of a voxel
        place = place + (wanted[:, None, None] - _between(voxel[axis], place)) / spacing
    return _between(voxel[0], place), _between(voxel[3 - axis], place)


def _between(points: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
    """``points`` (depths, rays, rays) at fractional depths ``place`` (slabs, rays, rays), extended straight on."""
    low = place.floor().clamp(0, _DEPTHS - 2)
    first = points.gather(0, low.long())
    return first + (place - low) * (points.gather(0, low.long() + 1) - first)


@lru_cache(maxsize=1)
def _breath(thorax: Thorax) -> np.ndarray:
    """(3, z, y, x) on ``coarse_grid``: where anatomy moves when the diaphragm moves one voxel up."""
    z, y, x = coarse_grid(thorax)
    lung = thorax.lung_box("both")[0]
    base, top = lung.start + 0.2 * (lung.stop - lung.start), lung.stop
    up = np.where(z < base, np.clip(1 - (base - z) / 90, 0, 1), np.clip((top - z) / (top - base), 0, 1))
    field = np.zeros((3, len(z), y.shape[1], x.shape[2]), np.float32)
    field[0] = up
    return field


@lru_cache(maxsize=8)
def _spread(size: int, points: int = _RAYS) -> torch.Tensor:
    """(size, points): values at ``size`` places as smooth mixtures of the values at a few, from edge to edge."""
    import torch
    from torch.nn import functional as F

    basis = torch.eye(points)[None, None]
    return F.interpolate(basis, size=(size, points), mode="bicubic", align_corners=True)[0, 0].contiguous()


def project(slabs: np.ndarray, rays: Rays, size: int, first: int = 0) -> np.ndarray:
    """Sum along the rays, in mm times the slabs' unit: (size, size).

    Args:
        slabs: (n, Z, across), or only some of them: ``first`` is the number of the first one given.
        size: pixels along each side of the square picture.
    """
    import torch
    from torch.nn import functional as F

    spread = _spread(size)
    last = first + len(slabs)
    grid = torch.stack([rays.columns[first:last], rays.rows[first:last]], 1)  # (n, 2, 24, 24)
    volume, across = torch.from_numpy(slabs)[:, None], spread.T.contiguous()
    down = spread @ grid  # (n, 2, size, 24)
    fine = torch.empty((2 * size, size))  # one slab's rays, in the processor's cache while it is read
    where = fine.view(1, 2, size, size).permute(0, 2, 3, 1)
    samples = torch.empty((len(slabs), size, size))
    for k, slab in enumerate(volume):
        torch.mm(down[k].reshape(2 * size, -1), across, out=fine)
        samples[k] = F.grid_sample(slab[None], where, padding_mode="border", align_corners=False)[0, 0]
    return (samples.sum(0) * (spread @ rays.step_mm @ spread.T)).numpy()


def project_box(thorax: Thorax, box: Box, values: np.ndarray, rays: Rays, size: int) -> np.ndarray:
    """As ``project``, for values in a box of the volume and nothing elsewhere: a finding's mask."""
    axis = _AXIS[rays.view]
    first, last = box[axis].start // SLAB, min(-(-box[axis].stop // SLAB), thorax.shape[axis] // SLAB)
    if last <= first:
        return np.zeros((size, size), np.float32)
    shape = list(thorax.shape)
    shape[axis] = (last - first) * SLAB
    part = list(box)
    part[axis] = slice(box[axis].start - first * SLAB, box[axis].stop - first * SLAB)
    volume = np.zeros(shape, np.float32)
    inside = volume[tuple(part)]
    inside[...] = values[tuple(slice(0, n) for n in inside.shape)]
    return project(slabs_of(volume, rays.view), rays, size, first)


def _rotation(degrees: np.ndarray) -> np.ndarray:
    """3x3 float32 rotation in (z, y, x): about the head-foot, then left-right, then front-back axis."""
    yaw, pitch, roll = np.deg2rad(degrees)
    turn = np.eye(3)
    for first, second, angle in ((1, 2, yaw), (0, 1, pitch), (0, 2, roll)):
        step = np.eye(3)
        step[first, first] = step[second, second] = np.cos(angle)
        step[first, second], step[second, first] = -np.sin(angle), np.sin(angle)
        turn = step @ turn
    return turn.astype(np.float32)
