"""DICOM radiographs as a viewer first shows them: modality LUT or rescale, then VOI LUT or window, then MONOCHROME1.

Decoding and tables are pydicom's (DICOM PS3.3, C.11.1 and C.11.2). pydicom is imported when the first such file is
read. Nothing is turned or mirrored, and overlays are not drawn.
"""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from r2gen_lib.data.images import check_size
from r2gen_lib.errors import ImageError

if TYPE_CHECKING:
    from pydicom import Dataset

_COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT", "PALETTE COLOR")
_GREY = ("MONOCHROME1", "MONOCHROME2")
_ONE_AT_A_TIME = threading.Lock()


def decode_dicom(content: bytes, path: Path, notes: list[str] | None = None) -> np.ndarray:
    """The picture of a DICOM file, of several frames the first, as uint8 ``(H, W)``: black 0, white 255.

    Values go through the file's own modality LUT or rescale, then its first VOI LUT or, without one, its first window.
    Without either, the range from the darkest to the brightest pixel becomes black to white. MONOCHROME1 is turned
    round, padding becomes black, colour becomes luminance.

    Args:
        content: the file's bytes.
        path: the file, for errors.
        notes: one sentence is appended for each fall-back that was taken, as ``images.load_grey`` says.

    Raises:
        ImageError: no pixel data, more than 16 bits, truncated or damaged, or compressed in a way that no installed
            plugin can undo.
    """
    from pydicom import dcmread
    from pydicom.pixels import pixel_array

    notes = [] if notes is None else notes
    try:
        with _quiet():
            dataset = dcmread(io.BytesIO(content))  # no force: a file without a DICOM header is not guessed at
            _check(dataset, path)
            return _to_grey(pixel_array(dataset, index=0), dataset, path, notes)
    except ImageError:
        raise
    except Exception as error:  # pydicom, its plugins and damaged tables raise many kinds
        what = " ".join(str(error).split())[:300]
        raise ImageError(
            f"{path}: a DICOM file that cannot be read ({type(error).__name__}: {what}; {len(content):,} bytes), "
            "expected a whole one that follows the standard. Copy or export it again, or export it as PNG."
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Without pydicom's warnings: they quote elements of the file, and a damaged folder would give thousands."""
    with _ONE_AT_A_TIME, warnings.catch_warnings():  # the list of filters belongs to all threads
        warnings.simplefilter("ignore")
        yield


def _check(dataset: Dataset, path: Path) -> None:
    """See that there is a picture that can be decoded, before memory is spent on it."""
    if not dataset.get("PixelData"):
        kind = dataset.file_meta.get("MediaStorageSOPClassUID")
        what = f" ({kind.name})" if kind else ""
        raise ImageError(
            f"{path}: found no pixel data in this DICOM file{what}, expected a radiograph. Leave the file out; if it "
            "should have a picture, it is cut short: copy it again."
        )
    check_size(dataset.Columns, dataset.Rows, path)
    photometric = dataset.PhotometricInterpretation
    if photometric not in _GREY + _COLOUR:
        raise ImageError(
            f"{path}: its PhotometricInterpretation is {photometric!r}, expected one of {', '.join(_GREY + _COLOUR)}. "
            "Export it as PNG."
        )
    if dataset.BitsStored > 16:
        raise ImageError(f"{path}: BitsStored is {dataset.BitsStored}, expected at most 16. Export it as PNG.")
    if dataset.get("RescaleSlope") == 0:
        raise ImageError(f"{path}: RescaleSlope is 0, expected another number. Export the picture again.")
    _check_decoder(dataset.file_meta.TransferSyntaxUID, path)


def _check_decoder(syntax: str, path: Path) -> None:
    from pydicom.pixels import get_decoder
    from pydicom.uid import UID

    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        advice = "Nothing here can decode that: export the picture uncompressed, or as PNG."
    else:
        if decoder.is_available:
            return
        lacking = "; ".join(decoder.missing_dependencies)
        advice = f'No plugin for it is installed: pip install "r2gen-course[dicom]" (or one of: {lacking}).'
    raise ImageError(
        f"{path}: its transfer syntax is {UID(syntax).name}, expected one that pydicom can decode. {advice}"
    )


def _to_grey(pixels: np.ndarray, dataset: Dataset, path: Path, notes: list[str]) -> np.ndarray:
    """Stored values ``(H, W)``, or colours ``(H, W, 3)``, -> uint8 ``(H, W)``."""
    if dataset.PhotometricInterpretation in _COLOUR:
        return _luminance(pixels, dataset)
    padding = _padding(pixels, dataset)
    lowest, highest = int(pixels.min()), int(pixels.max())
    stored = np.arange(lowest, highest + 1)  # at most 65,536 values: the tables are worked out for these
    seen = pixels if padding is None else pixels[~padding]
    if not seen.size:
        raise ImageError(f"{path}: every pixel is padding, expected a radiograph. Export the picture again.")
    shades = _shades(stored, dataset, np.array([seen.min(), seen.max()], dtype=np.int64), notes)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        shades = 1 - shades
    table = np.round(shades * 255).astype(np.uint8)
    grey = table[pixels.astype(np.int32) - lowest]
    if padding is not None:
        grey[padding] = 0
    return grey


def _shades(stored: np.ndarray, dataset: Dataset, ends: np.ndarray, notes: list[str]) -> np.ndarray:
    """Stored values -> 0..1, low values first. ``ends`` are the picture's darkest and brightest stored value."""
    from pydicom.pixels import apply_modality_lut, apply_windowing

    values = apply_modality_lut(stored, dataset)
    if dataset.get("VOILUTSequence"):
        low, (shown, high) = 0, _voi_lut(values, dataset)
    elif dataset.get("WindowWidth") == 0:
        notes.append("window width 0 at (0028,1051): shown without a window")
        shown = values
        low, high = np.sort(apply_modality_lut(ends, dataset))
    elif dataset.get("WindowCenter") is not None and dataset.get("WindowWidth") is not None:
        # pydicom stretches the window over the range that the file's bits allow; infinities give that range's ends
        with np.errstate(over="ignore"):  # a steep sigmoid
            shown = apply_windowing(np.concatenate([values, [-np.inf, np.inf]]), dataset)
        shown, low, high = shown[:-2], shown[-2], shown[-1]
    else:
        shown = values
        low, high = np.sort(apply_modality_lut(ends, dataset))
    return np.clip((shown - low) / ((high - low) or 1), 0, 1)


def _voi_lut(values: np.ndarray, dataset: Dataset) -> tuple[np.ndarray, int]:
    """Values through the first VOI LUT, and the highest value that its entries have bits for."""
    from pydicom.pixels import apply_voi

    item = dataset.VOILUTSequence[0]
    entries, first, bits = item.LUTDescriptor
    item.LUTDescriptor = [entries, first, 16]  # pydicom counts in the entries' type: 8 bits would not reach entry 256
    within = np.clip(np.rint(values).astype(np.int64), first, first + (entries or 1 << 16) - 1)
    return apply_voi(within, dataset), (1 << bits) - 1


def _padding(pixels: np.ndarray, dataset: Dataset) -> np.ndarray | None:
    """Where a picture ``(H, W)`` holds no radiograph; None: it has no padding."""
    value = dataset.get("PixelPaddingValue")
    if value is None:
        return None
    limit = dataset.get("PixelPaddingRangeLimit")
    low, high = sorted((value, value if limit is None else limit))
    return (pixels >= low) & (pixels <= high)


def _luminance(pixels: np.ndarray, dataset: Dataset) -> np.ndarray:
    from pydicom.pixels import apply_color_lut

    full_scale = (1 << dataset.BitsStored) - 1
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        pixels = apply_color_lut(pixels, dataset)[..., :3]
        full_scale = np.iinfo(pixels.dtype).max
    colours = np.round(pixels * (255 / full_scale)).astype(np.uint8)  # (H, W, 3)
    return np.array(Image.fromarray(colours).convert("L"), dtype=np.uint8)
