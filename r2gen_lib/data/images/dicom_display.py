"""From a DICOM file's stored values to shades, by the file's own tables, in spite of elements that are empty or odd.

There are two steps (DICOM PS3.3, C.11.1 and C.11.2). In each, the first of these that can be used is used, and what is
passed over is noted:

1. the modality: a Modality LUT; rescale slope and intercept, of which an empty, missing or unreadable one counts as 1
   and 0, as does a slope of 0; the stored values themselves.
2. what is of interest: the VOI LUTs in their order; the windows in their order; the range from the picture's darkest
   to its brightest value.

Elements of the first frame's functional group come before those that all frames share, and these before the file's own.
A table or window that would show a picture of different values in one shade is passed over as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from r2gen_lib.data.images.dicom_elements import items, numbers, sources, tag
from r2gen_lib.data.images.dicom_tables import Table, read_table

if TYPE_CHECKING:
    from pydicom import Dataset

_FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")


def modality_values(
    stored: np.ndarray, seen: np.ndarray, limits: tuple[int, int], dataset: Dataset, notes: list[str]
) -> tuple[np.ndarray, bool]:
    """Stored values ``(N,)`` through the Modality LUT or rescale, and whether values below zero are possible.

    Args:
        stored: values that occur or lie between such.
        seen: bool ``(N,)``, which of them the picture shows.
        limits: the least and the greatest value that the file's bits allow.
        dataset: the file.
        notes: gets a sentence for each fall-back.
    """
    shown = stored[seen]
    for item in items(dataset, "ModalityLUTSequence", notes)[:1]:
        table = read_table(item, "Modality LUT", limits[0] < 0, (shown.min(), shown.max()), notes)
        if table is not None:
            values = table.look_up(stored)
            if len(shown) == 1 or values[seen].min() < values[seen].max():
                if table.bits not in (8, 16):
                    notes.append(
                        f"Modality LUT of {table.bits} bits at {tag('LUTDescriptor')}, not 8 or 16: used as it is"
                    )
                return values, False
            notes.append(f"Modality LUT at {tag('ModalityLUTSequence')} shows one shade only: not used")
    for source in sources(dataset, "PixelValueTransformationSequence", notes):
        rescale = _rescale(source, notes)
        if rescale is not None:
            slope, intercept = rescale
            return stored * slope + intercept, min(limit * slope + intercept for limit in limits) < 0
    return stored, limits[0] < 0


def _rescale(source: Dataset, notes: list[str]) -> tuple[float, float] | None:
    """Slope and intercept, or None if there is neither."""
    defaults = {"RescaleSlope": 1.0, "RescaleIntercept": 0.0}
    found = {}
    for keyword, default in defaults.items():
        if keyword not in source:
            continue
        number = (numbers(source, keyword, notes) or [None])[0]
        if number is None or (keyword == "RescaleSlope" and number == 0):
            what = "0" if number == 0 else "empty or no number"
            notes.append(f"{keyword} at {tag(keyword)} is {what}: taken as {default:g}")
        else:
            found[keyword] = number
    if not found:
        return None
    for keyword in defaults:
        if keyword not in source:
            notes.append(f"{keyword} at {tag(keyword)} is missing: taken as {defaults[keyword]:g}")
    slope, intercept = (found.get(keyword, default) for keyword, default in defaults.items())
    return slope, intercept


def shades(values: np.ndarray, seen: np.ndarray, signed: bool, dataset: Dataset, notes: list[str]) -> np.ndarray:
    """Values after ``modality_values`` -> 0..1 ``(N,)``, by the first VOI LUT or window that shows them.

    Args:
        values: ``(N,)``.
        seen: bool ``(N,)``, which of them the picture shows.
        signed: whether values below zero are possible.
        dataset: the file.
        notes: gets a sentence for each fall-back.
    """
    shown = values[seen]
    low, high = float(shown.min()), float(shown.max())
    for name, candidate in _candidates(values, signed, (low, high), dataset, notes):
        candidate = np.clip(np.nan_to_num(candidate), 0, 1)
        if low == high or candidate[seen].min() < candidate[seen].max():
            return candidate
        notes.append(f"{name} shows one shade only: not used")
    return np.clip((values - low) / ((high - low) or 1), 0, 1)


def _candidates(
    values: np.ndarray, signed: bool, seen: tuple[float, float], dataset: Dataset, notes: list[str]
) -> Iterator[tuple[str, np.ndarray]]:
    """The ways in which the file would have its values shown, best first, each with what to call it."""
    for source in sources(dataset, "FrameVOILUTSequence", notes):
        for item in items(source, "VOILUTSequence", notes):
            table = read_table(item, "VOI LUT", signed, seen, notes)
            if table is not None and table.entries.min() == table.entries.max():
                notes.append(f"VOI LUT at {tag('LUTData')} has one shade only: not used")
            elif table is not None:
                yield f"VOI LUT at {tag('VOILUTSequence')}", table.look_up(values) / _full_scale(table, notes)
        for center, width, function in _windows(source, notes):
            name = f"window {center:g}, {width:g} at {tag('WindowCenter')}"
            yield name, _through_window(values, center, width, function)


def _full_scale(table: Table, notes: list[str]) -> int:
    """What white is: the highest number of the declared bits, or the highest entry if it needs more bits or fewer.

    An Image IOD allows 8 or 16 bits unless it says otherwise (PS3.3, C.11.2.1.1), so 16 often tells how entries are
    stored, not how far they go.
    """
    highest = int(table.entries.max())
    if highest.bit_length() == table.bits:
        return (1 << table.bits) - 1
    notes.append(
        f"VOI LUT of {table.bits} bits at {tag('LUTDescriptor')} has entries up to {highest:,}: shown from 0 to that"
    )
    return highest


def _windows(source: Dataset, notes: list[str]) -> Iterator[tuple[float, float, str]]:
    """Each usable window: center, width, function."""
    if "WindowCenter" not in source and "WindowWidth" not in source:
        return
    centers, widths = (numbers(source, keyword, notes) for keyword in ("WindowCenter", "WindowWidth"))
    if len(centers) != len(widths) or not centers:
        numbered = f"{len(centers)} centers at {tag('WindowCenter')}, {len(widths)} widths at {tag('WindowWidth')}"
        notes.append(f"{numbered}: shown {'with those that have both' if centers and widths else 'without a window'}")
    pairs = list(zip(centers, widths, strict=False))
    function = _function(source, notes) if pairs else "LINEAR"
    for i, (center, width) in enumerate(pairs):
        if center is None or width is None or width <= 0:
            said = "that is empty or no number" if center is None or width is None else f"width {width:g}"
            then = "the next is tried" if i + 1 < len(pairs) else "shown without a window"
            notes.append(f"window {said} at {tag('WindowCenter' if center is None else 'WindowWidth')}: {then}")
        elif width < 1 and function == "LINEAR":
            notes.append(f"window width {width:g} at {tag('WindowWidth')} is below 1: shown as LINEAR_EXACT")
            yield center, width, "LINEAR_EXACT"
        else:
            yield center, width, function


def _function(source: Dataset, notes: list[str]) -> str:
    element = source.get_item("VOILUTFunction")
    if element is None:
        return "LINEAR"
    value = element.value
    text = value.decode("latin-1") if isinstance(value, bytes) else str(value or "")
    function = text.split("\\")[0].strip(" \0").upper()
    if function in _FUNCTIONS:
        return function
    what = f"is {function[:16]!r}, which is unknown" if function else "is empty"
    notes.append(f"VOILUTFunction at {tag('VOILUTFunction')} {what}: shown as LINEAR")
    return "LINEAR"


def _through_window(values: np.ndarray, center: float, width: float, function: str) -> np.ndarray:
    """PS3.3, C.11.2.1.2 and C.11.2.1.3, on a range of 0..1, not yet cut off at its ends.

    Own code, since pydicom's (3.0.2) ``apply_windowing`` fails for empty elements and works on the file's full range.
    """
    values = values.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):  # a steep sigmoid
        if function == "SIGMOID":
            return 1 / (1 + np.exp(-4 * (values - center) / width))
        if function == "LINEAR_EXACT":
            return (values - center) / width + 0.5
        if width == 1:
            return (values > center - 0.5).astype(np.float64)
        return (values - (center - 0.5)) / (width - 1) + 0.5


def pixel_shape(dataset: Dataset, notes: list[str]) -> tuple[float, float]:
    """A pixel's height and width, in a unit that both share: of the first element that says so, else 1, 1.

    The elements' order: PixelSpacing, ImagerPixelSpacing, NominalScannedPixelSpacing, PixelAspectRatio.
    """
    places = (
        ("PixelMeasuresSequence", "PixelSpacing"),
        ("FramePixelDataPropertiesSequence", "ImagerPixelSpacing"),
        ("", "NominalScannedPixelSpacing"),
        ("", "PixelAspectRatio"),
    )
    for macro, keyword in places:
        for source in sources(dataset, macro, notes) if macro else [dataset]:
            if keyword not in source:
                continue
            pair = numbers(source, keyword, notes)
            if len(pair) == 2 and all(side is not None and side > 0 for side in pair):
                if max(pair) <= 10 * min(pair):
                    return pair[0], pair[1]
                notes.append(f"{keyword} at {tag(keyword)} is {pair[0]:g} by {pair[1]:g}: not used")
            elif pair:
                notes.append(f"{keyword} at {tag(keyword)} is not two numbers above 0: not used")
    return 1.0, 1.0
