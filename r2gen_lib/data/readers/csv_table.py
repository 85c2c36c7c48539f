"""Tables as people have them: CSV by any of four delimiters, with or without a BOM, gzipped or not."""

from __future__ import annotations

import codecs
import csv
import difflib
import gzip
import io
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from r2gen_lib.data.readers.error_list import ErrorList
from r2gen_lib.data.reports import NO_VALUES
from r2gen_lib.errors import DataError

DELIMITERS = (",", ";", "\t", "|")
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_SHOWN_COLUMNS = 12
_BEGINNING = 1 << 16  # bytes
_NO_RECORD: tuple[int, list[str]] = (1, [])
_SAVE_AGAIN = "Save it again as 'CSV UTF-8'."


class Row(dict):
    """Column name -> text of its cell; ``line`` is where the row begins in the file, the header being line 1."""

    __slots__ = ("line",)

    line: int


def read_table(
    path: str | Path,
    required: Sequence[str | Sequence[str]],
    *,
    optional: Sequence[str] = (),
    verbatim: Sequence[str] = (),
) -> list[Row]:
    """The rows of a CSV file with a header, in order.

    The delimiter (``,`` ``;`` tab or ``|``) is the one that finds most of the columns asked for in the header. Column
    names are compared without regard to case and surrounding blanks. Texts may be quoted and hold line breaks. UTF-8
    with or without a BOM, UTF-16 with one, and gzip are read as such; nothing else is guessed.

    Args:
        path: the file.
        required: column names; in the place of a name, a tuple of names of which at least one must be there.
        optional: columns that are read if they are there.
        verbatim: those of the columns in which "None" or "-" is a text that a person may have written.

    Returns:
        A ``Row`` a row, never an empty list. Its keys are the names asked for, as they were asked for, that the file
        has: test an optional one with ``in``. Cells are stripped, empty ones ``""``; so are those that say no more than
        ``nan``, ``None``, ``<NA>``, ``N/A``, ``null`` or ``-`` (``reports.NO_VALUES``), in any case: an empty cell that
        went through pandas or a spreadsheet. Other columns are left out.

    Raises:
        DataError: the file is missing, empty, in another encoding or not a table; a column is missing (the message
            names those found and suggests the nearest) or is there twice; rows have too few or too many cells (the
            first five and a count).
    """
    path = Path(path)
    groups = [(entry,) if isinstance(entry, str) else tuple(entry) for entry in required]
    names = dict.fromkeys([name for group in groups for name in group] + list(optional))
    text = _text_of(path)
    records = _records(path, text, _delimiter(path, text, {_key(name) for name in names}))
    _, header = next(records, _NO_RECORD)
    columns = _columns(path, header, groups, list(names))
    errors, rows = ErrorList(path), []
    for line, cells in records:
        if len(cells) < len(header) or any(cell.strip() for cell in cells[len(header) :]):
            errors.add(
                f"line {line}: found {len(cells)} cells, expected {len(header)} like the header. "
                "A delimiter inside a text needs quotes around the text."
            )
            continue
        row = Row((name, _value(cells[index], name in verbatim)) for name, index in columns.items())
        row.line = line
        rows.append(row)
    errors.check()
    if not rows:
        raise DataError(f"{path}: found a header and no rows, expected at least one row. Check that the file is whole.")
    return rows


def _value(cell: str, verbatim: bool) -> str:
    text = cell.strip()
    return text if verbatim or text.lower() not in NO_VALUES else ""


def header_of(path: str | Path) -> set[str]:
    """The column names of a table in lower case, from the beginning of the file; none if it cannot be read.

    For recognising a file, not for reading it: nothing is checked.
    """
    try:
        with open(path, "rb") as stream:
            raw = stream.read(_BEGINNING)
    except OSError:
        return set()
    lines = (line for line in raw.decode(_encoding(raw), errors="ignore").splitlines() if line.strip())
    first = next(lines, "")
    headers = [next(csv.reader([first], delimiter=sign, skipinitialspace=True), []) for sign in DELIMITERS]
    return {_key(cell) for cell in max(headers, key=len)}


def _encoding(raw: bytes) -> str:
    return "utf-16" if raw.startswith(_UTF16) else "utf-8-sig"


def _text_of(path: Path) -> str:
    """The whole file, unzipped and decoded."""
    try:
        raw = path.read_bytes()
        if raw.startswith(b"\x1f\x8b"):
            raw = gzip.decompress(raw)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{path}: the table cannot be read ({getattr(error, 'strerror', None) or error}). "
            "Give the path of a CSV file, or copy or download it again if it is damaged."
        ) from error
    if raw.startswith(b"PK\x03\x04"):
        raise DataError(f"{path}: found a zip file or an Excel workbook, expected a text table. {_SAVE_AGAIN}")
    try:
        text = raw.decode(_encoding(raw))
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise DataError(
            f"{path}, line {line}: found a byte that is not {error.encoding} text. {_SAVE_AGAIN}"
        ) from error
    if "\0" in text:
        raise DataError(f"{path}: found binary data, expected a text table. {_SAVE_AGAIN}")
    if not text.strip():
        raise DataError(f"{path}: the file is empty, expected a CSV table with a header. Copy or download it again.")
    return text


def _records(path: Path, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """(line where it begins, cells) of every record that isn't blank, the header first."""
    # strict: a quote that is never closed would otherwise swallow the rest of the table without a word
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)
    line = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"{path}, line {line}: the row that begins here cannot be read ({error}). Close its quotes; a quote "
            'inside a quoted text is written twice ("").'
        ) from error


def _delimiter(path: Path, text: str, wanted: set[str]) -> str:
    def fit(delimiter: str) -> tuple[int, int]:
        try:
            _, header = next(_records(path, text, delimiter), _NO_RECORD)
        except DataError:  # quotes that do not fit this delimiter
            return (-1, 0)
        return (len(wanted & set(map(_key, header))), len(header))

    return max(DELIMITERS, key=fit)  # the first of the best


def _columns(path: Path, header: list[str], groups: list[tuple[str, ...]], names: Sequence[str]) -> dict[str, int]:
    """Name as asked for -> its place in the header."""
    found = [_key(cell) for cell in header]
    lacking = [group for group in groups if not any(_key(name) in found for name in group)]
    if lacking:
        shown = ", ".join(repr(cell.strip()) for cell in header[:_SHOWN_COLUMNS]) or "none"
        shown += f" and {len(header) - _SHOWN_COLUMNS} more" if len(header) > _SHOWN_COLUMNS else ""
        missing = "; ".join(" or ".join(map(repr, group)) + _near(group, header) for group in lacking)
        raise DataError(f"{path}: no column {missing}. Found {shown}. Rename or add the column in the file's header.")
    twice = [name for name in names if found.count(_key(name)) > 1]
    if twice:
        raise DataError(
            f"{path}: found more than one column {', '.join(map(repr, twice))}, expected one each. "
            "Rename or remove the others."
        )
    return {name: found.index(_key(name)) for name in names if _key(name) in found}


def _near(group: Sequence[str], header: Sequence[str]) -> str:
    by_key = {_key(cell): cell.strip() for cell in header}
    near = [match for name in group for match in difflib.get_close_matches(_key(name), by_key, n=1)]
    return f" (is it {' or '.join(repr(by_key[match]) for match in dict.fromkeys(near))}?)" if near else ""


def _key(name: str) -> str:
    return name.strip().casefold()
