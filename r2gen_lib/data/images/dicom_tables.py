"""Lookup tables of a DICOM file: a Modality LUT, a VOI LUT, a palette."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from r2gen_lib.data.images.dicom_elements import tag, words

if TYPE_CHECKING:
    from pydicom import Dataset


class Table(NamedTuple):
    """A lookup table: ``first`` is the value that ``entries`` ``(N,)`` begin with, ``bits`` what is declared."""

    first: int
    entries: np.ndarray
    bits: int

    def look_up(self, values: np.ndarray) -> np.ndarray:
        """Values, rounded; those before and behind the table get its first and last entry."""
        places = np.clip(np.rint(values), self.first, self.first + len(self.entries) - 1) - self.first
        return self.entries[places.astype(np.int64)]


def read_table(
    item: Dataset, name: str, signed: bool, seen: tuple[float, float], notes: list[str], prefix: str = "LUT"
) -> Table | None:
    """A table from a Modality or VOI LUT Sequence's item, or a palette's; None, which is noted, if it cannot be used.

    Own code, since pydicom's (3.0.2) wants entries of 8 or 16 bits for a Modality LUT, and in neither table unpacks two
    entries of 8 bits from a word, reads a UN, or survives entries that need more bits than are declared.

    Args:
        item: holds LUT Descriptor and LUT Data.
        name: what the table is called in notes.
        signed: whether the values that go through it may be below zero. This decides what the descriptor's second
            value means (PS3.3, C.11.1.1 and C.11.2.1.1), not the VR it was written with.
        seen: the least and greatest of these values in the picture.
        notes: gets a sentence for each problem.
        prefix: what the two elements' keywords begin with.
    """
    described, listed = f"{prefix}Descriptor", f"{prefix}Data"
    descriptor, data = words(item, described).tolist(), words(item, listed)
    for part, keyword, enough in (("descriptor", described, len(descriptor) >= 3), ("table", listed, len(data) > 0)):
        if not enough:
            notes.append(f"{name} without a whole {part} at {tag(keyword)}: not used")
            return None
    count, first, bits = descriptor[0] or 1 << 16, descriptor[1], descriptor[2]
    entries = data
    if len(data) < count and (bits <= 8 or 0 <= 2 * len(data) - count <= 1):  # one byte an entry, the low byte first
        entries = data.astype("<u2").view(np.uint8)
        if bits > 8:
            notes.append(f"{name} of {bits} bits at {tag(described)} has one byte an entry: read so")
    length = f"{name} of {count:,} entries at {tag(described)} holds {len(entries):,}"
    if len(entries) > count:
        padding = not entries[count:].any()
        if not padding or len(entries) > count + 1:
            notes.append(f"{length}: {f'the first {count:,}' if padding else 'all'} are used")
        entries = entries[:count] if padding else entries
    first = _first_mapped(first, len(entries), f"{name} at {tag(described)}", signed, seen, notes)
    if len(entries) < count:
        used = seen[1] <= first + len(entries) - 1  # the values' own part is there
        notes.append(f"{length}: {'' if used else 'not '}used")
        if not used:
            return None
    return Table(first, entries.astype(np.int64), bits)


def _first_mapped(first: int, length: int, name: str, signed: bool, seen: tuple[float, float], notes: list[str]) -> int:
    """The descriptor's second value, 0..65535, as the signed or unsigned number that it means."""
    if first < 1 << 15:
        return first
    readings = [first - (1 << 16), first] if signed else [first, first - (1 << 16)]
    meets = [reading <= seen[1] and reading + length - 1 >= seen[0] for reading in readings]
    if meets == [False, True]:
        notes.append(
            f"{name} begins at {readings[0]} by {tag('LUTDescriptor')}, past all values: read as {readings[1]}"
        )
        return readings[1]
    return readings[0]
