"""Pictures: a PNG, JPEG or DICOM file to grey bytes, and grey bytes to what a vision model takes."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from r2gen_lib.errors import ImageError

FORMATS = ("PNG", "JPEG")
FITS = ("pad", "crop", "stretch")
#: A radiograph has up to 20 million pixels; far beyond that a file is refused before memory is spent on it.
MAX_PIXELS = 80_000_000
MAX_BYTES = 1 << 30
EXPECTED = "expected a PNG, JPEG or DICOM picture"

_NOT_PICTURES = (
    (b"<", "a web page or XML (was a login page saved in its place?)"),
    (b"version https://git-lfs", "a Git LFS pointer (run `git lfs pull`)"),
    (b"\x1f\x8b", "a gzip archive (unpack it first)"),
    (b"PK\x03\x04", "a zip archive (unpack it first)"),
)


def load_grey(path: str | Path, notes: list[str] | None = None) -> np.ndarray:
    """A radiograph from a PNG, JPEG or DICOM file, as uint8 ``(H, W)``: black 0, white 255.

    The file's content decides what it is, not its name. Colour becomes luminance, transparent parts become black,
    the orientation tag of a JPEG is applied, and an animation gives its first frame. Grey PNGs of more than 8 bits are
    divided by the full scale of the bits their brightest pixel needs (a 12-bit picture stored in 16 bits is divided by
    4095), so the picture keeps its black and its contrast. DICOM files are shown as ``data.dicom`` says.

    Args:
        path: the file.
        notes: where given, one sentence is appended for each fall-back that was taken, such as "window width 0 at
            (0028,1051): shown without a window". Nothing is printed or warned about.

    Raises:
        ImageError: missing, empty, truncated, absurdly large, not a picture, or of another format. Nothing is guessed.
    """
    return decode_grey(read_picture_file(path), path, notes)


def read_picture_file(path: str | Path) -> bytes:
    """The bytes of a picture file.

    Raises:
        ImageError: there is no such file, it may not be read, is empty, or has more than ``MAX_BYTES``.
    """
    path = Path(path)
    if not path.is_file():
        found = "a folder" if path.is_dir() else "no file"
        raise ImageError(f"{path}: found {found}, {EXPECTED}. Check the path.")
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise ImageError(f"{path}: found {size:,} bytes, {EXPECTED} of at most {MAX_BYTES:,}. Scale it down first.")
        content = path.read_bytes()
    except OSError as error:
        raise ImageError(
            f"{path}: cannot be opened ({error.strerror or error}), {EXPECTED}. Check that you may read it."
        ) from error
    if not content:
        raise ImageError(f"{path}: found an empty file, {EXPECTED}. Copy or download it again.")
    return content


def decode_grey(content: bytes, path: str | Path, notes: list[str] | None = None) -> np.ndarray:
    """What ``load_grey`` gives, from a file's bytes; ``path`` is named in errors, ``notes`` are as there.

    Raises:
        ImageError: as ``load_grey``.
    """
    path = Path(path)
    if content[128:132] == b"DICM":
        from r2gen_lib.data.dicom import decode_dicom

        return decode_dicom(content, path, notes)
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            check_size(*image.size, path)
            image.load()
            return _to_grey(ImageOps.exif_transpose(image))
    except UnidentifiedImageError as error:
        raise ImageError(f"{path}: found {_describe(content)}, {EXPECTED}. {_advice(path)}") from error
    except Image.DecompressionBombError as error:
        raise ImageError(f"{path}: {error}; {EXPECTED} of ordinary size. Scale it down first.") from error
    except (OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, struct.error) as error:
        raise ImageError(
            f"{path}: the file begins like a picture but cannot be read to its end ({error}; "
            f"{len(content):,} bytes), {EXPECTED} that is whole. It is truncated or damaged: copy or "
            "download it again."
        ) from error


def check_size(width: int, height: int, path: Path) -> None:
    """Raise ImageError unless a picture has 1 to ``MAX_PIXELS`` pixels."""
    if not 0 < width * height <= MAX_PIXELS:
        raise ImageError(
            f"{path}: found {width:,} x {height:,} pixels, {EXPECTED} of at most {MAX_PIXELS:,} pixels. "
            "Scale it down first."
        )


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


def _describe(content: bytes) -> str:
    """What a file that is no PNG, JPEG or DICOM seems to be."""
    for beginning, name in _NOT_PICTURES:
        if content.lstrip().startswith(beginning):
            return name
    try:
        with Image.open(io.BytesIO(content)) as image:
            return f"a {image.format} picture"
    except Exception:  # it is no picture that Pillow knows: describe its bytes instead
        return f"{len(content):,} bytes beginning {content[:8]!r}"


def _advice(path: Path) -> str:
    if path.suffix.lower() in (".dcm", ".dicom"):
        return "It lacks a DICOM file's header ('DICM' at byte 128): export it again as a DICOM file, or as PNG."
    return f"Convert {path.name} to PNG, or give another file."


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
