"""From an edited volume to a radiograph: where the beam goes, what it meets, how the detector shows it.

One call of ``grid_sample`` reads the volume along every ray of a diverging beam; pose, habitus and an elastic warp
bend the rays instead of the volume, so that one volume serves every view and every warp.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch.nn import functional as F

from r2gen_lib.simulation.thorax import VOXEL_MM, Thorax

FIELD_MM = 318.0  # side of the square that the picture shows, at the middle of the chest
SOURCE_MM = 1600.0  # from the X-ray source to the middle of the chest
SLABS = 3  # voxels along the beam that are averaged before the rays read them: a sum is a sum either way
STEP_MM = SLABS * VOXEL_MM  # between two samples along a ray
WATER_PER_MM = 0.0195  # attenuation of water at the beam's mean energy (about 70 keV)
VIEWS = ("frontal", "lateral")


@dataclass(frozen=True)
class Acquisition:
    """Everything about a picture that is not a finding, drawn from the study's seed and independent of its findings.

    Attributes:
        rotation_deg: (3,) about the head-foot, left-right and front-back axes.
        habitus: (3,) size of the patient along (z, y, x), 1 as in the CT.
        centre_mm: (2,) how far the picture's middle is from the chest's (across, up).
        zoom: field of view, 1 for ``FIELD_MM``.
        warp_mm: (3, k, k, k) elastic displacement of the anatomy on a coarse grid.
        soft_tissue: factor on the attenuation of soft tissue outside the lungs (thin or heavy patients).
        contrast, brightness, noise, detail: the detector's curve.
    """

    rotation_deg: np.ndarray
    habitus: np.ndarray
    centre_mm: np.ndarray
    zoom: float
    warp_mm: np.ndarray
    soft_tissue: float
    contrast: float
    brightness: float
    noise: float
    detail: float
    noise_seed: int = field(default=0)

    @staticmethod
    def draw(rng: np.random.Generator) -> Acquisition:
        """A random but ordinary acquisition."""
        warp = rng.normal(0, 1, (3, 5, 5, 5)) * np.array([6.0, 4.0, 5.0])[:, None, None, None]
        return Acquisition(
            rotation_deg=rng.normal(0, [3.0, 2.0, 1.6]),
            habitus=np.clip(rng.normal(1, [0.045, 0.05, 0.05]), 0.88, 1.12),
            centre_mm=rng.normal(0, 6, 2),
            zoom=float(rng.uniform(0.95, 1.06)),
            warp_mm=warp.astype(np.float32),
            soft_tissue=float(rng.uniform(0.88, 1.12)),
            contrast=float(rng.uniform(0.85, 1.2)),
            brightness=float(rng.normal(0, 0.035)),
            noise=float(rng.uniform(0.002, 0.008)),
            detail=float(rng.uniform(0.9, 1.5)),
            noise_seed=int(rng.integers(2**31)),
        )


def attenuation(hu: np.ndarray) -> np.ndarray:
    """Linear attenuation relative to water (Z, Y, X); bone absorbs more than its Hounsfield units say at 70 keV."""
    relative = np.maximum(hu, -1000.0)
    relative *= 0.001
    relative += 1.0
    relative += 0.35 * np.maximum(relative - 1.1, 0)
    return relative


def ray_grid(
    thorax: Thorax, acquisition: Acquisition, view: str, size: int, shifts: np.ndarray | None = None
) -> torch.Tensor:  # fmt: skip
    """Where every ray reads the volume.

    Args:
        view: "frontal" (posterior-anterior) or "lateral" (left side to the detector, the front shown on the left).
        size: rays along each side of the square picture.
        shifts: (3, z, y, x) displacement in voxels that findings add, on a coarse grid over the volume; None for none.

    Returns:
        (1, depth, size, size, 3) coordinates for ``grid_sample``, in its order (x, y, z) and range (-1, 1).
    """
    box = [thorax.lung_box("left"), thorax.lung_box("right")]
    middle = [(min(b[a].start for b in box) + max(b[a].stop for b in box)) / 2 for a in range(3)]
    extent = thorax.shape[1] if view == "frontal" else thorax.shape[2]
    depth = int(extent * VOXEL_MM * 1.08 / STEP_MM)
    coarse = [max(8, depth // 6), max(12, size // 10), max(12, size // 10)]

    along = torch.linspace(-0.5, 0.5, coarse[0]) * depth * STEP_MM
    half = FIELD_MM * acquisition.zoom / 2
    rows = torch.linspace(half, -half, coarse[1]) + float(acquisition.centre_mm[1])
    columns = torch.linspace(-half, half, coarse[2]) + float(acquisition.centre_mm[0])
    s, v, u = torch.meshgrid(along, rows, columns, indexing="ij")
    magnify = (SOURCE_MM + s) / SOURCE_MM
    v, u = v * magnify, u * magnify
    mm = torch.stack([v, s, u]) if view == "frontal" else torch.stack([v, -u, s])  # (3, d, r, c): z, y, x
    rotation = torch.from_numpy(_rotation(acquisition.rotation_deg))
    habitus = torch.from_numpy(acquisition.habitus.astype(np.float32))
    mm = torch.einsum("ij,jdrc->idrc", rotation, mm) / habitus[:, None, None, None]
    voxel = mm / VOXEL_MM + torch.tensor(middle, dtype=torch.float32)[:, None, None, None]

    shape = torch.tensor(thorax.shape, dtype=torch.float32)[:, None, None, None]
    normal = (voxel / (shape - 1) * 2 - 1).flip(0).permute(1, 2, 3, 0)[None]
    warp = torch.from_numpy(acquisition.warp_mm)[None] / VOXEL_MM
    warp = F.interpolate(warp, size=(15, 15, 15), mode="trilinear", align_corners=True)
    voxel = voxel - F.grid_sample(warp, normal, padding_mode="border", align_corners=True)[0]
    if shifts is not None:
        field_ = torch.from_numpy(shifts)[None]
        normal = (voxel / (shape - 1) * 2 - 1).flip(0).permute(1, 2, 3, 0)[None]
        voxel = voxel - F.grid_sample(field_, normal, padding_mode="border", align_corners=True)[0]
    kept = shape.clone()
    beam = 1 if view == "frontal" else 2
    kept[beam] = thorax.shape[beam] // SLABS * SLABS
    normal = ((2 * voxel + 1) / kept - 1).flip(0)[None]
    fine = F.interpolate(normal, size=(depth, size, size), mode="trilinear", align_corners=True)
    return fine.permute(0, 2, 3, 4, 1)


def project(volume: np.ndarray, grid: torch.Tensor, view: str) -> np.ndarray:
    """Sum of ``volume`` (Z, Y, X) along the rays of ``grid``, times the step: (size, size), in mm of its unit.

    The volume is first averaged over slabs of 6 mm across the beam, which a sum along the beam can't tell from the
    whole and which halves the work.
    """
    axis = 1 if view == "frontal" else 2
    slabs = volume.shape[axis] // SLABS
    kept = volume[:, : slabs * SLABS] if axis == 1 else volume[:, :, : slabs * SLABS]
    split = (*kept.shape[:axis], slabs, SLABS, *kept.shape[axis + 1 :])
    thin = torch.from_numpy(np.ascontiguousarray(kept)).reshape(split).mean(axis + 1)
    samples = F.grid_sample(thin[None, None], grid, padding_mode="border", align_corners=False)
    return (samples[0, 0].sum(0) * STEP_MM).numpy()


def develop(water_mm: np.ndarray, acquisition: Acquisition) -> np.ndarray:
    """The detector's picture of what the beam went through.

    Args:
        water_mm: (S, S) millimetres of water that each ray met.

    Returns:
        uint8 (S, S); bright is dense, as radiologists read it.
    """
    from scipy import ndimage

    transmitted = np.exp(-WATER_PER_MM * water_mm)
    scatter = 0.02 * ndimage.gaussian_filter(transmitted, 18) + 0.0004
    density = -np.log(transmitted + scatter)
    noise = np.random.default_rng(acquisition.noise_seed).standard_normal(density.shape)
    density += acquisition.noise * noise * np.exp(0.3 * density)  # fewer quanta behind dense tissue
    smooth = ndimage.gaussian_filter(density, 16)
    fine = density - ndimage.gaussian_filter(density, 1.6)
    shown = 0.5 * smooth + (density - smooth) + acquisition.detail * 0.5 * fine
    body = shown[water_mm > 30]
    low, high = np.percentile(body if body.size > 1000 else shown, [0.8, 99.7])
    level = np.clip((shown - low) / (high - low + 1e-6) * 0.93 + 0.07, 0, 1)
    level = 0.5 + (level - 0.5) * acquisition.contrast + acquisition.brightness
    return (np.clip(level, 0, 1) ** 0.9 * 255).astype(np.uint8)


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
