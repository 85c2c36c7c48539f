"""Grey bytes to what a vision model takes: made square, three channels, normalised."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from r2gen_lib.errors import ImageError

FITS = ("pad", "crop", "stretch")


def to_pixel_values(
    grey: np.ndarray, image_size: int, mean: float | Sequence[float], std: float | Sequence[float], fit: str = "pad"
) -> np.ndarray:
    """Grey bytes ``(H, W)`` -> normalised float32 ``(3, S, S)``, three equal channels before mean and std.

    Args:
        grey: uint8 ``(H, W)``.
        image_size: ``S``, in pixels.
        mean, std: of intensities in 0..1, one number or one a channel.
        fit: ``"pad"`` or ``"crop"``, as ``to_square`` says.

    Raises:
        ImageError: ``grey`` is not a grey 8-bit picture, or ``fit`` is unknown.
    """
    return normalise(to_square(grey, image_size, fit), mean, std)


def to_square(grey: np.ndarray, image_size: int, fit: str = "pad") -> np.ndarray:
    """Grey bytes ``(H, W)`` -> grey bytes ``(S, S)``, the aspect kept unless it is stretched.

    ``"pad"`` scales the longer side to ``S`` and pads with black, equally on both sides: nothing of the picture is
    lost. ``"crop"`` scales the shorter side to ``S`` and keeps the middle: larger, without the ends of the longer side.
    ``"stretch"`` scales each side to ``S`` by itself, as the original does: a heart may look larger than it is.

    Raises:
        ImageError: ``grey`` is not a grey 8-bit picture, or ``fit`` is unknown.
    """
    if not isinstance(grey, np.ndarray) or grey.dtype != np.uint8 or grey.ndim != 2 or not grey.size:
        found = f"{grey.dtype} {grey.shape}" if isinstance(grey, np.ndarray) else type(grey).__name__
        raise ImageError(f"picture: found {found}, expected uint8 (H, W). Read files with load_grey().")
    check_fit(fit)
    height, width = grey.shape
    image = Image.fromarray(grey)
    if fit == "stretch":
        return np.array(image.resize((image_size, image_size), Image.Resampling.BICUBIC))
    if fit == "crop":
        side = min(height, width)
        left, top = (width - side) / 2, (height - side) / 2
        box = (left, top, left + side, top + side)
        return np.array(image.resize((image_size, image_size), Image.Resampling.BICUBIC, box))
    scale = image_size / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))  # Pillow wants (W, H)
    square = np.zeros((image_size, image_size), dtype=np.uint8)
    top, left = (image_size - size[1]) // 2, (image_size - size[0]) // 2
    square[top : top + size[1], left : left + size[0]] = image.resize(size, Image.Resampling.BICUBIC)
    return square


def check_fit(fit: str) -> None:
    """Raise ImageError unless ``fit`` is a way of making pictures square."""
    if fit not in FITS:
        raise ImageError(f"fit: found {fit!r}, expected one of {', '.join(FITS)}.")


def normalise(square: np.ndarray, mean: float | Sequence[float], std: float | Sequence[float]) -> np.ndarray:
    """Grey bytes ``(S, S)`` -> float32 ``(3, S, S)``: to 0..1, then less ``mean``, over ``std``, for each channel."""
    grey = square.astype(np.float32) / 255
    mean_, std_ = (np.broadcast_to(np.asarray(x, dtype=np.float32), 3)[:, None, None] for x in (mean, std))
    return np.ascontiguousarray((grey[None] - mean_) / std_, dtype=np.float32)  # (3, S, S)
