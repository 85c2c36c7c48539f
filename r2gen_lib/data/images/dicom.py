"""DICOM radiographs as a viewer first shows them: modality LUT or rescale, then VOI LUT or window, then MONOCHROME1.

Decoding is pydicom's; tables and windows, of which it cannot read all, are read by ``dicom_display`` (DICOM PS3.3,
C.11.1 and C.11.2). pydicom is imported when the first such file is read. Nothing is turned or mirrored, and overlays
are not drawn.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from r2gen_lib.data.images.dicom_display import modality_values, pixel_shape, shades
from r2gen_lib.data.images.dicom_elements import tag, words
from r2gen_lib.data.images.dicom_tables import read_table
from r2gen_lib.data.images.limits import check_size, quiet
from r2gen_lib.errors import ImageError

if TYPE_CHECKING:
    from pydicom import Dataset

_COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT", "PALETTE COLOR")
_GREY = ("MONOCHROME1", "MONOCHROME2")
_SQUARE = 0.005  # pixels whose sides differ by less count as square: spacings are written rounded


def decode_dicom(content: bytes, path: Path, notes: list[str] | None = None) -> np.ndarray:
    """The picture of a DICOM file, of several frames the first, as uint8 ``(H, W)``: black 0, white 255.

    Values go through the file's own modality LUT or rescale, then its first VOI LUT or, without one, its first window.
    Without either, the range from the darkest to the brightest pixel becomes black to white. Where one of these is
    empty, odd or damaged, the next is used, in the order that ``dicom_display`` gives. MONOCHROME1 is turned round,
    padding becomes black, colour becomes luminance. Pixels that are not square are made so, by enlarging the picture
    along their longer side.

    Args:
        content: the file's bytes.
        path: the file, for errors.
        notes: one sentence is appended for each fall-back that was taken, as ``images.load_grey`` says.

    Raises:
        ImageError: no pixel data, more than 16 bits, truncated or damaged, or compressed in a way that no installed
            plugin can undo.
    """
    from pydicom import dcmread

    found: list[str] = []
    try:
        with _quiet():
            dataset = dcmread(io.BytesIO(content))  # no force: a file without a DICOM header is not guessed at
            _check(dataset, path, found)
            grey = _square_pixels(_to_grey(dataset, path, found), dataset, path, found)
    except ImageError:
        raise
    except Exception as error:  # pydicom, its plugins and damaged tables raise many kinds
        what = " ".join(str(error).split())[:120]  # some quote a whole table
        raise ImageError(
            f"{path}: a DICOM file that cannot be read ({type(error).__name__}: {what}; {len(content):,} bytes), "
            "expected a whole one that follows the standard. Copy or export it again, or export it as PNG."
        ) from error
    if notes is not None:
        notes += dict.fromkeys(found)  # each once
    return grey


@contextmanager
def _quiet() -> Iterator[None]:
    """Without pydicom's warnings: they quote elements of the file, and a damaged folder would give thousands.

    It sends each one to Python's warnings and to its logger as well.
    """
    loggers = [logging.getLogger(name) for name in ("pydicom", "pylibjpeg", "libjpeg", "openjpeg")]
    with quiet():
        propagate = [logger.propagate for logger in loggers]
        try:
            for logger in loggers:
                logger.propagate = False
            yield
        finally:
            for logger, before in zip(loggers, propagate, strict=True):
                logger.propagate = before


def _check(dataset: Dataset, path: Path, notes: list[str]) -> None:
    """See that there is a picture that can be decoded, before memory is spent on it."""
    if not dataset.get("PixelData"):
        kind = dataset.file_meta.get("MediaStorageSOPClassUID")
        what = f" ({_name(kind)})" if kind else ""
        raise ImageError(
            f"{path}: found no pixel data in this DICOM file{what}, expected a radiograph. Leave the file out; if it "
            "should have a picture, it is cut short: copy it again."
        )
    for keyword in ("Rows", "Columns", "BitsStored", "BitsAllocated", "SamplesPerPixel"):
        number = dataset.get(keyword)
        if not isinstance(number, int):
            found = "missing or empty" if number is None else repr(number)[:40]
            raise ImageError(
                f"{path}: {keyword} at {tag(keyword)} is {found}, expected a whole number. Export the picture again."
            )
    check_size(dataset.Columns, dataset.Rows, path)
    photometric = dataset.get("PhotometricInterpretation")
    if photometric not in _GREY + _COLOUR:
        raise ImageError(
            f"{path}: its PhotometricInterpretation is {repr(photometric)[:40]}, expected one of "
            f"{', '.join(_GREY + _COLOUR)}. Export it as PNG."
        )
    samples, expected = dataset.SamplesPerPixel, 3 if photometric in _COLOUR[:-1] else 1
    if samples != expected and (photometric not in _GREY or samples != 3):
        raise _samples_error(dataset, path, f"expected {expected}")
    if dataset.BitsStored > 16:
        raise ImageError(f"{path}: BitsStored is {dataset.BitsStored}, expected at most 16. Export it as PNG.")
    if not dataset.file_meta.get("TransferSyntaxUID"):
        dataset.file_meta.TransferSyntaxUID = _assumed_syntax(dataset, path, notes)
    _check_decoder(dataset.file_meta.TransferSyntaxUID, path)
    frames = dataset.get("NumberOfFrames")
    if frames is not None and frames > 1:
        notes.append(f"{frames} frames at {tag('NumberOfFrames')}: the first is shown")


def _samples_error(dataset: Dataset, path: Path, expected: str) -> ImageError:
    return ImageError(
        f"{path}: SamplesPerPixel at {tag('SamplesPerPixel')} is {dataset.SamplesPerPixel} in a picture whose "
        f"PhotometricInterpretation is {dataset.PhotometricInterpretation}, {expected}. Export it as PNG."
    )


def _assumed_syntax(dataset: Dataset, path: Path, notes: list[str]) -> str:
    """The transfer syntax of a file that names none: of those that are not compressed, the one that it was read in."""
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    where = "no TransferSyntaxUID at (0002,0010)"
    pixel_data = dataset.get_item("PixelData")
    if getattr(pixel_data, "length", 0) == 0xFFFFFFFF or dataset["PixelData"].is_undefined_length:
        raise ImageError(
            f"{path}: {where}, and its pixel data is compressed, expected the name of the compression. Export the "
            "picture again."
        )
    implicit, little = dataset.original_encoding
    uncompressed = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian if little else ExplicitVRBigEndian
    notes.append(f"{where}: read as {uncompressed.name}")
    return uncompressed


def _check_decoder(syntax: str, path: Path) -> None:
    from pydicom.pixels import get_decoder

    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        advice = "Nothing here can decode that: export the picture uncompressed, or as PNG."
    else:
        if decoder.is_available:
            return
        lacking = "; ".join(decoder.missing_dependencies)
        advice = f'No plugin for it is installed: pip install "r2gen-course[dicom]" (or one of: {lacking}).'
    raise ImageError(f"{path}: its transfer syntax is {_name(syntax)}, expected one that pydicom can decode. {advice}")


def _name(uid: str) -> str:
    """What a UID means, or itself; short and in one line even if it is damaged."""
    from pydicom.uid import UID

    return " ".join(str(UID(uid).name).split())[:100]


def _to_grey(dataset: Dataset, path: Path, notes: list[str]) -> np.ndarray:
    """A file's picture as uint8 ``(H, W)``, its pixels as they are stored."""
    pixels = _stored_values(dataset, path, notes)  # (H, W), or colours (H, W, 3)
    if dataset.PhotometricInterpretation in _COLOUR:
        return _luminance(pixels, dataset, notes)
    if pixels.ndim == 3:  # a converter copied the elements of a grey picture: what it wrote is ready to be shown
        if dataset.PhotometricInterpretation != "MONOCHROME2" or (pixels != pixels[..., :1]).any():
            raise _samples_error(dataset, path, "expected 1, or in MONOCHROME2 3 that are the same")
        notes.append(f"MONOCHROME2 with 3 equal samples per pixel at {tag('SamplesPerPixel')}: shown as colours are")
        return _luminance(pixels, dataset, notes)
    limits = _limits(dataset)
    padding = _padding(pixels, limits, dataset)
    lowest, highest = int(pixels.min()), int(pixels.max())
    if highest - lowest >= 1 << 16:
        raise ImageError(
            f"{path}: found pixels of {lowest:,} to {highest:,}, expected the {dataset.BitsStored} bits of BitsStored. "
            "Export it as PNG."
        )
    stored = np.arange(lowest, highest + 1)  # at most 65,536 values: the tables are worked out for these
    seen = np.bincount((pixels if padding is None else pixels[~padding]).astype(np.int64).ravel() - lowest)
    seen = np.pad(seen, (0, len(stored) - len(seen))) > 0
    if not seen.any():
        raise ImageError(f"{path}: every pixel is padding, expected a radiograph. Export the picture again.")
    values, signed = modality_values(stored, seen, limits, dataset, notes)
    shown = shades(values, seen, signed, dataset, notes)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        shown = 1 - shown
    table = np.round(shown * 255).astype(np.uint8)
    grey = table[pixels.astype(np.int32) - lowest]
    if padding is not None:
        grey[padding] = 0
    return grey


def _limits(dataset: Dataset) -> tuple[int, int]:
    """The least and the greatest value that the file's bits allow."""
    bits = dataset.BitsStored
    return (-(1 << bits - 1), (1 << bits - 1) - 1) if dataset.PixelRepresentation else (0, (1 << bits) - 1)


def _stored_values(dataset: Dataset, path: Path, notes: list[str]) -> np.ndarray:
    """Decoded values ``(H, W)``, or colours ``(H, W, 3)``.

    pydicom (3.0.2) takes the lowest BitsStored bits whatever HighBit says. Another HighBit than BitsStored - 1 is
    forbidden now (PS3.5, 8.1.1), but was ACR-NEMA's way: there the bits are taken from where HighBit says, unless the
    values show that they lie lowest.
    """
    from pydicom.pixels import pixel_array

    pixels = pixel_array(dataset, index=0)
    bits, allocated = dataset.BitsStored, dataset.BitsAllocated
    high = int((*words(dataset, "HighBit").tolist(), -1)[0])
    if high == bits - 1:
        if bits < allocated and pixels.ndim == 2 and _sets_bits_above(pixels, dataset):
            notes.append(f"bits above the {bits} of BitsStored at {tag('BitsStored')} are set: left out")
        return pixels
    odd = f"HighBit at {tag('HighBit')} is {high if high >= 0 else 'missing'} for {bits} bits stored"
    if not bits <= high < allocated:
        notes.append(f"{odd}, which cannot be: the lowest bits are taken")
        return pixels
    raw = _raw(dataset)
    shift = high + 1 - bits
    if (raw & ((1 << shift) - 1)).any() and (raw == pixels).all():
        notes.append(f"{odd}, but the values lie in the lowest bits: taken from there")
        return pixels
    if pixels.ndim == 3:
        raise ImageError(f"{path}: {odd}, expected {bits - 1} in a picture of colours. Export it again, or as PNG.")
    notes.append(f"{odd}: bits {shift} to {high} are taken")
    values = (raw.astype(np.int64) >> shift) & ((1 << bits) - 1)
    return values - ((values >> bits - 1) << bits) if dataset.PixelRepresentation else values


def _sets_bits_above(pixels: np.ndarray, dataset: Dataset) -> bool:
    """Whether other pixels than padding lose bits that are not stored: overlays, or a BitsStored that is too low."""
    if dataset.file_meta.TransferSyntaxUID.is_compressed:  # what decompresses them leaves no such bits
        return False
    raw = _raw(dataset)
    lost = raw[raw != pixels]
    padding = words(dataset, "PixelPaddingValue")[:1].astype(lost.dtype)
    return bool((lost != padding).any() if padding.size else lost.size)


def _raw(dataset: Dataset) -> np.ndarray:
    """Decoded values with the bits above those stored still in them."""
    from pydicom.pixels import pixel_array

    left = {"correct_unused_bits": False, "apply_j2k_sign_correction": False, "apply_jls_sign_correction": False}
    return pixel_array(dataset, index=0, raw=True, **left)


def _padding(pixels: np.ndarray, limits: tuple[int, int], dataset: Dataset) -> np.ndarray | None:
    """Where a picture ``(H, W)`` holds no radiograph; None: it has no padding.

    Padding values have the sign that pixels have, whichever VR they were written with (PS3.3, C.7.5.1.1.2).
    """
    value, limit = (words(dataset, keyword)[:1].tolist() for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit"))
    if not value:
        return None
    ends = [word - (1 << 16) if dataset.PixelRepresentation and word >= 1 << 15 else word for word in value + limit]
    low, high = min(ends), max(ends)
    padding = (pixels >= low) & (pixels <= high)
    if limits[0] <= low and high <= limits[1]:
        return padding
    raw = _raw(dataset)  # it needs more bits than are stored: those above them are part of it
    full = 1 << 8 * raw.dtype.itemsize
    low, high = (end if -full // 2 <= end < full else end % full for end in (low, high))
    padding |= (raw >= low) & (raw <= high)
    if dataset.PixelRepresentation and not padding.any() and limits[1] < low == high <= 2 * limits[1] + 1:
        return pixels == low - 2 * (limits[1] + 1)  # the stored bits of a value below zero, read as unsigned
    return padding


def _luminance(pixels: np.ndarray, dataset: Dataset, notes: list[str]) -> np.ndarray:
    """Colours ``(H, W, 3)``, or a palette's places ``(H, W)``, -> their luminance, uint8 ``(H, W)``."""
    full_scale = (1 << dataset.BitsStored) - 1
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        pixels, full_scale = _palette_colours(pixels, dataset, notes)
    colours = np.round(pixels * (255 / full_scale)).astype(np.uint8)  # (H, W, 3)
    return np.array(Image.fromarray(colours).convert("L"), dtype=np.uint8)


def _palette_colours(pixels: np.ndarray, dataset: Dataset, notes: list[str]) -> tuple[np.ndarray, int]:
    """Colours ``(H, W, 3)`` and the highest that they may be."""
    from pydicom.pixels import apply_color_lut

    if "RedPaletteColorLookupTableData" not in dataset:  # segmented: lines instead of entries
        pixels = apply_color_lut(pixels, dataset)[..., :3]
        return pixels, np.iinfo(pixels.dtype).max
    signed, seen, tables = bool(dataset.PixelRepresentation), (int(pixels.min()), int(pixels.max())), []
    for colour in ("Red", "Green", "Blue"):
        name = f"{colour.lower()} palette"
        table = read_table(dataset, name, signed, seen, notes, f"{colour}PaletteColorLookupTable")
        if table is None:
            raise ValueError(f"the {name} cannot be used")
        tables.append(table)
    highest, bits = max(int(table.entries.max()) for table in tables), max(table.bits for table in tables)
    full_scale = max(highest, (1 << min(bits, 16)) - 1)
    if highest < 256 < full_scale:
        full_scale = 255
        notes.append(f"palette of {bits} bits has entries up to {highest}: read as 8 bits")
    return np.stack([table.look_up(pixels) for table in tables], axis=-1), full_scale


def _square_pixels(grey: np.ndarray, dataset: Dataset, path: Path, notes: list[str]) -> np.ndarray:
    """A picture ``(H, W)`` enlarged along the longer side of its pixels, so that they are square."""
    tall, wide = pixel_shape(dataset, notes)
    if abs(tall / wide - 1) < _SQUARE:
        return grey
    height, width = grey.shape
    height, width = round(height * max(1, tall / wide)), round(width * max(1, wide / tall))
    check_size(width, height, path)
    notes.append(f"pixels of {tall:g} by {wide:g}, height by width: made square, {width:,} x {height:,} of them")
    return np.array(Image.fromarray(grey).resize((width, height), Image.Resampling.BICUBIC), dtype=np.uint8)
