"""A PNG, JPEG or DICOM file to grey bytes."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image, JpegImagePlugin, PngImagePlugin

from r2gen_lib.data.images import limits
from r2gen_lib.data.images.limits import EXPECTED, check_size, quiet
from r2gen_lib.errors import ImageError

_OPENERS = ((b"\x89PNG\r\n\x1a\n", PngImagePlugin.PngImageFile), (b"\xff\xd8\xff", JpegImagePlugin.JpegImageFile))
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

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
        ImageError: there is no such file, it may not be read, is empty, or has more than ``limits.MAX_BYTES``.
    """
    path = Path(path)
    try:
        if not path.is_file():
            found = "a folder" if path.is_dir() else "no file"
            raise ImageError(f"{path}: found {found}, {EXPECTED}. Check the path.")
        size = path.stat().st_size
        if size > limits.MAX_BYTES:
            raise ImageError(
                f"{path}: found {size:,} bytes, {EXPECTED} of at most {limits.MAX_BYTES:,}. Scale it down first."
            )
        content = path.read_bytes()
    except OSError as error:  # is_file raises for a name that is too long, or a folder that may not be read
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
        from r2gen_lib.data.images.dicom import decode_dicom

        return decode_dicom(content, path, notes)
    opener = next((opener for beginning, opener in _OPENERS if content.startswith(beginning)), None)
    if opener is None:
        raise ImageError(f"{path}: found {_describe(content)}, {EXPECTED}. {_advice(path)}")
    try:
        # not Image.open: it warns of pictures that check_size refuses, and takes a JPEG's other frames into account
        with quiet():
            image = opener(io.BytesIO(content))
        with image:
            check_size(*image.size, path)
            image.load()
            return _to_grey(_upright(image, notes))
    except ImageError:
        raise
    except MemoryError as error:
        raise ImageError(f"{path}: there is not enough memory to decode this picture. Scale it down first.") from error
    except Exception as error:  # damaged pictures make Pillow raise many kinds
        what = " ".join(str(error).split())[:120] or type(error).__name__
        raise ImageError(
            f"{path}: the file begins like a picture but cannot be read to its end ({what}; "
            f"{len(content):,} bytes), {EXPECTED} that is whole. It is truncated or damaged: copy or "
            "download it again."
        ) from error


def _upright(image: Image.Image, notes: list[str] | None) -> Image.Image:
    """A picture turned as its orientation tag says; as it is stored if the tag cannot be read."""
    turn = None
    with quiet():
        try:
            turn = _TURNS.get(image.getexif().get(_ORIENTATION))
        except Exception:  # a damaged tag raises many kinds, and is not the picture
            if notes is not None:
                notes.append("orientation tag that cannot be read: shown as it is stored")
    return image if turn is None else image.transpose(turn)


def _to_grey(image: Image.Image) -> np.ndarray:
    """Pillow's picture in any mode that PNG and JPEG give -> uint8 ``(H, W)``."""
    if image.mode.startswith("I"):  # 16-bit grey; older Pillows open it as 32-bit
        deep = np.asarray(image).clip(0, (1 << 16) - 1).astype(np.uint16)
        transparent = image.info.get("transparency")
        if isinstance(transparent, int):
            deep[deep == transparent] = 0
        full_scale = (1 << max(8, int(deep.max()).bit_length())) - 1
        return np.round(np.arange(full_scale + 1) * (255 / full_scale)).astype(np.uint8)[deep]
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image)
    return np.array(image.convert("L"), dtype=np.uint8)


def _describe(content: bytes) -> str:
    """What a file that is no PNG, JPEG or DICOM seems to be."""
    for beginning, name in _NOT_PICTURES:
        if content.lstrip().startswith(beginning):
            return name
    with quiet():
        try:
            with Image.open(io.BytesIO(content)) as image:
                return f"a {image.format} picture"
        except Exception:  # it is no picture that Pillow knows: describe its bytes instead
            return f"{len(content):,} bytes beginning {content[:8]!r}"


def _advice(path: Path) -> str:
    if path.suffix.lower() in (".dcm", ".dicom"):
        return "It lacks a DICOM file's header ('DICM' at byte 128): export it again as a DICOM file, or as PNG."
    return f"Convert {path.name} to PNG, or give another file."
