"""Elements of a DICOM file, whatever it says they are: sequences, numbers and words that are empty, odd or damaged."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pydicom import Dataset

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def tag(keyword: str) -> str:
    """An element's number, as ``(0028,1051)``."""
    from pydicom.datadict import tag_for_keyword

    number = tag_for_keyword(keyword)
    return f"({number >> 16:04X},{number & 0xFFFF:04X})"


def items(dataset: Dataset, keyword: str, notes: list[str]) -> list[Dataset]:
    """The items of a sequence; none where it is missing, empty or, which is noted, unreadable."""
    try:
        return list(dataset.get(keyword) or [])
    except Exception as error:  # pydicom raises many kinds for damaged sequences
        notes.append(f"{keyword} at {tag(keyword)} cannot be read ({type(error).__name__}): not used")
        return []


def sources(dataset: Dataset, macro: str, notes: list[str]) -> list[Dataset]:
    """Where a display element may stand, the best place first: two functional groups' ``macro``, and the file."""
    found = []
    for groups in ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"):
        for group in items(dataset, groups, notes)[:1]:  # the first frame is shown
            found += items(group, macro, notes)[:1]
    return [*found, dataset]


def numbers(dataset: Dataset, keyword: str, notes: list[str]) -> list[float | None]:
    """The numbers of an element, None for one that is empty or no number; none at all where it is missing or empty.

    A decimal comma is read as a point, and noted. pydicom (3.0.2) raises ValueError for it, and for any other text.
    """
    element = dataset.get_item(keyword)
    if element is None:
        return []
    value = element.value
    if isinstance(value, bytes) and element.VR in ("FL", "FD", "US", "SS", "UL", "SL"):  # none of text, as it should be
        value = dataset[keyword].value
    if isinstance(value, bytes):
        texts = value.decode("latin-1").split("\\")
    elif value is None or isinstance(value, str | int | float):
        texts = str("" if value is None else value).split("\\")
    else:
        texts = ["" if part is None else str(part) for part in value]
    texts = [text.strip(" \0\t\r\n") for text in texts]
    if not any(texts):
        return []
    if any(text.count(",") == 1 and "." not in text for text in texts):
        texts = [text if "." in text else text.replace(",", ".", 1) for text in texts]
        notes.append(f"decimal comma in {keyword} at {tag(keyword)}: read as a point")
    parsed = [float(text) if _NUMBER.fullmatch(text) else math.nan for text in texts]
    return [number if math.isfinite(number) else None for number in parsed]


def words(dataset: Dataset, keyword: str) -> np.ndarray:
    """An element's value as unsigned 16-bit words ``(N,)``, whatever VR it says it has: US, SS, OW, UN, none.

    pydicom (3.0.2) gives numbers, bytes in the file's order, or for a UN of over 65,534 bytes bytes that it leaves
    alone, which its ``apply_voi`` and ``apply_modality_lut`` then take for numbers.
    """
    element = dataset.get_item(keyword)
    value = None if element is None else element.value
    if value is None or isinstance(value, str):
        return np.zeros(0, dtype=np.uint16)
    if not isinstance(value, bytes):
        return (np.atleast_1d(np.asarray(value, dtype=np.int64)) % (1 << 16)).astype(np.uint16)
    value += b"\0" * (len(value) % 2)
    little = np.frombuffer(value, dtype="<u2")
    if getattr(element, "is_little_endian", True):
        return little.astype(np.uint16)
    big = np.frombuffer(value, dtype=">u2")
    if element.VR != "UN":
        return big.astype(np.uint16)
    # UN is little-endian in any syntax (PS3.5, 6.2.2), but is also written in the file's order: tables are smooth
    jumps = [int(np.abs(np.diff(order.astype(np.int64))).sum()) for order in (little, big)]
    return (big if jumps[1] < jumps[0] else little).astype(np.uint16)
