"""Pictures: a PNG or JPEG file to grey bytes, and grey bytes to what a vision model takes."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from r2gen_lib.errors import ImageError

FORMATS = ("PNG", "JPEG")
_EXPECTED = "expected a PNG or JPEG picture"


def load_grey(path: str | Path) -> np.ndarray:
    """A radiograph from a PNG or JPEG file, as uint8 ``(H, W)``: black 0, white 255.

    Colour becomes luminance, transparent parts become black, the orientation tag of a JPEG is applied, and
    an animation gives its first frame. Grey pictures of more than 8 bits are divided by the full scale of
    the bits their brightest pixel needs (a 12-bit picture stored in 16 bits is divided by 4095), so the
    picture keeps its black and its contrast.

    Raises:
        ImageError: missing, empty, truncated, not a picture, or of another format. Nothing is guessed.
    """
    path = Path(path)
    if not path.is_file():
        found = "a folder" if path.is_dir() else "no file"
        raise ImageError(f"{path}: found {found}, {_EXPECTED}. Check the path.")
    try:
        with Image.open(path, formats=FORMATS) as image:
            image.load()
            return _to_grey(ImageOps.exif_transpose(image))
    except UnidentifiedImageError as error:
        raise ImageError(f"{path}: found {_describe(path)}, {_EXPECTED}. {_advice(path)}") from error
    except Image.DecompressionBombError as error:
        raise ImageError(f"{path}: {error}; {_EXPECTED} of ordinary size. Scale it down first.") from error
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error) as error:
        raise ImageError(
            f"{path}: the file begins like a picture but cannot be read to its end ({error}; "
            f"{path.stat().st_size:,} bytes), {_EXPECTED} that is whole. It is truncated or damaged: copy or "
            "download it again."
        ) from error


def _to_grey(image: Image.Image) -> np.ndarray:
    """Pillow's picture in any mode that PNG and JPEG give -> uint8 ``(H, W)``."""
    if image.mode.startswith("I"):  # 16-bit grey; older Pillows open it as 32-bit
        deep = np.asarray(image).astype(np.int64)
        full_scale = (1 << max(8, int(deep.max()).bit_length())) - 1
        return np.round(deep * (255 / full_scale)).astype(np.uint8)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image)
    return np.array(image.convert("L"), dtype=np.uint8)


def _describe(path: Path) -> str:
    """What a file that is no PNG or JPEG seems to be."""
    size = path.stat().st_size
    if size == 0:
        return "an empty file"
    with open(path, "rb") as stream:
        head = stream.read(132)
    if head[128:132] == b"DICM":
        return "a DICOM file"
    try:
        with Image.open(path) as image:
            return f"a {image.format} picture"
    except Exception:  # it is no picture that Pillow knows: describe its bytes instead
        return f"{size:,} bytes beginning {head[:8]!r}"


def _advice(path: Path) -> str:
    return f"Convert {path.name} to PNG, or give another file."


def to_pixel_values(
    grey: np.ndarray, image_size: int, mean: float | Sequence[float], std: float | Sequence[float]
) -> np.ndarray:
    """Grey bytes ``(H, W)`` -> normalised float32 ``(3, S, S)``, three equal channels before mean and std.

    The longer side is scaled to ``S`` with its aspect kept (a stretched heart looks enlarged); the rest is
    padded with black, equally on both sides.

    Args:
        grey: uint8 ``(H, W)``.
        image_size: ``S``, in pixels.
        mean, std: of intensities in 0..1, one number or one a channel.

    Raises:
        ImageError: ``grey`` is not a grey 8-bit picture.
    """
    if not isinstance(grey, np.ndarray) or grey.dtype != np.uint8 or grey.ndim != 2 or not grey.size:
        found = f"{grey.dtype} {grey.shape}" if isinstance(grey, np.ndarray) else type(grey).__name__
        raise ImageError(f"picture: found {found}, expected uint8 (H, W). Read files with load_grey().")
    height, width = grey.shape
    scale = image_size / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))  # Pillow wants (W, H)
    scaled = np.asarray(Image.fromarray(grey).resize(size, Image.Resampling.BICUBIC), dtype=np.float32) / 255
    square = np.zeros((image_size, image_size), dtype=np.float32)
    top, left = (image_size - size[1]) // 2, (image_size - size[0]) // 2
    square[top : top + size[1], left : left + size[0]] = scaled
    mean_, std_ = (np.broadcast_to(np.asarray(x, dtype=np.float32), 3)[:, None, None] for x in (mean, std))
    return np.ascontiguousarray((square[None] - mean_) / std_, dtype=np.float32)  # (3, S, S)
