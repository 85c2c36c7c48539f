"""A user's own pictures and reports: a folder and a CSV file.

The columns, in any order and with any of the usual delimiters:

- ``picture``: a path relative to the picture folder, one a row; rows with the same ``id`` are views of one study. Or
  ``frontal`` and ``lateral``: both views in one row.
- ``report``: the text. Or ``findings`` and ``impression`` (and ``comparison``, ``indication``, ``technique``).
- ``id``: optional with one row a study; without it the id is the first picture's path without its suffix.
- ``view``: optional, beside ``picture``: frontal, lateral, other, or a ViewPosition (PA, AP, LATERAL, LL, RL).
- ``split``: optional: train, val or test.
- ``patient``: optional, and worth having: without it two studies of one person may fall into two splits.

A cell that says ``nan``, ``None``, ``N/A`` or the like counts as empty, in every column (``tables.read_table``).
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from r2gen_lib.data.readers.csv_table import Row, header_of, read_table
from r2gen_lib.data.readers.error_list import ErrorList, quoted
from r2gen_lib.data.readers.records import LOG, Record, Target, picture_folder, to_studies, view_in_order
from r2gen_lib.data.readers.safe_paths import inside
from r2gen_lib.data.study import SPLITS, Picture, Study
from r2gen_lib.data.views import VIEW_WORDS
from r2gen_lib.errors import DataError

_PICTURES = ("picture", "frontal", "lateral")
_TARGETS = ("report", "findings", "impression")
_SECTIONS = ("comparison", "indication", "technique", "findings", "impression", "report")
_SPLIT_WORDS = {**{split: split for split in SPLITS}, **dict.fromkeys(("valid", "validate", "validation"), "val")}


def load_folder_csv(
    path: str | Path,
    pictures: str | Path | None = None,
    *,
    section: str = "findings",
    clean: str | Callable[[str], str] = "gentle",
    missing: str = "error",
    credentialed: bool = False,
) -> list[Study]:
    """The studies of a user's own CSV file, in the order of their first rows. Pictures are not opened.

    Without a ``split`` column the studies are split by ``hash_split`` of their patient, or of their id where no
    patient is given; the log says how many fell where.

    Args:
        path: the CSV file; its columns are described in this module.
        pictures: the folder that picture paths are relative to; by default the file's own.
        section: a column, ``"both"`` (findings and impression), or several joined by ``+``. A file whose only text is
            ``report`` has it as its findings.
        clean: a cleaning by name, or a function; applied to the target text only.
        missing: ``"error"``, or ``"skip"`` to leave out studies without that text and log how many.
        credentialed: whether the data are under a use agreement, so that notebooks must not save them.

    Raises:
        DataError: not a table, a column is missing, rows of one study contradict each other, an unknown split or view,
            no picture, or a path that leaves the picture folder (the first five and a count).
    """
    target, path = Target(section, clean, missing), Path(path)
    others = (*_PICTURES, *_SECTIONS, "id", "view", "split", "patient")
    rows = read_table(path, (_PICTURES, _TARGETS), optional=others, verbatim=("comparison",))
    if "picture" in rows[0] and ("frontal" in rows[0] or "lateral" in rows[0]):
        raise DataError(
            f"{path}: found the columns picture and frontal or lateral, expected one kind. Remove the other."
        )
    root = picture_folder(pictures, path.parent)
    errors, groups = ErrorList(path), {}
    for row in rows:
        with errors.collecting():
            groups.setdefault(_study_id(row), []).append(row)
    records = []
    for study_id, group in groups.items():
        with errors.collecting():
            records.append(_record(study_id, group, root, target))
    studies = to_studies(records, errors, target, source=path.stem, credentialed=credentialed)
    if "split" not in rows[0]:
        counts = Counter(study.split for study in studies)
        places = ", ".join(f"{split} {counts[split]}" for split in SPLITS)
        LOG.warning("%s: no column 'split': split by a hash, about 80/10/10: %s.", path.name, places)
    return studies


def own_tables(folder: Path) -> list[Path]:
    """The files in ``folder`` that ``load_folder_csv`` reads, by their columns."""
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".csv", ".tsv"))
    return [path for path in paths if (header := header_of(path)) & {*_PICTURES} and header & {*_TARGETS}]


def hash_split(key: str) -> str:
    """``"train"`` for eight keys of ten, ``"val"`` and ``"test"`` for one each: always the same for the same key.

    The place of a key depends on nothing but the key (its SHA-256), so neither sorting a file nor adding studies to it
    moves a patient from training to test. Of few keys the shares are rough, and a split may stay empty.
    """
    place = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64
    return "train" if place < 0.8 else "val" if place < 0.9 else "test"


def _study_id(row: Row) -> str:
    if "id" in row:
        if not row["id"]:
            raise DataError(f"line {row.line}: its 'id' is empty. Fill the column, or remove it.")
        return row["id"]
    picture = next((row[name] for name in _PICTURES if row.get(name)), "")
    if not picture:
        raise DataError(f"line {row.line}: no picture. Fill the column, or leave the row out.")
    return os.path.splitext(picture.replace("\\", "/"))[0]


def _record(study_id: str, rows: list[Row], root: Path, target: Target) -> Record:
    where = f"line {rows[0].line} ({quoted(study_id)})"
    if len(rows) > 1 and "id" not in rows[0]:
        raise DataError(
            f"{where}: the picture of line {rows[1].line} has the same name. Add a column 'id', or remove one."
        )
    patient = _agreed(rows, "patient", where)
    sections = {name: _agreed(rows, name, where) for name in _SECTIONS if name in rows[0]}
    if not {"findings", "impression"} & set(sections):
        sections |= target.one_text(sections.pop("report"))
    return Record(
        id=study_id,
        split=_split(rows, where) if "split" in rows[0] else hash_split(patient or study_id),
        sections=sections,
        pictures=_pictures(rows, root, where),
        where=where,
        patient=patient,
    )


def _agreed(rows: list[Row], column: str, where: str) -> str:
    """What the rows of one study say in a column; rows may leave it to others."""
    values = {row[column]: row.line for row in reversed(rows) if row.get(column)}
    if len(values) > 1:
        lines = " and ".join(str(line) for line in sorted(values.values())[:2])
        raise DataError(
            f"{where}: lines {lines} have the same id and another {column!r}; rows of one id are views of one study. "
            "Make them agree, or give them ids of their own."
        )
    return next(iter(values), "")


def _split(rows: list[Row], where: str) -> str:
    word = _agreed(rows, "split", where)
    if word.lower() not in _SPLIT_WORDS:
        raise DataError(
            f"{where}: its split is {quoted(word)}, expected train, val or test. "
            "Correct it, or remove the column to have the studies split by a hash."
        )
    return _SPLIT_WORDS[word.lower()]


def _pictures(rows: list[Row], root: Path, where: str) -> tuple[Picture, ...]:
    found: list[Picture] = []
    for row in rows:
        for column in _PICTURES:
            if row.get(column):
                place = f"line {row.line}, {column}"
                view = column if column != "picture" else _view(row, len(found), place)
                found.append(Picture(view, inside(root, row[column], place)))
    if not found:
        raise DataError(f"{where}: no picture. Fill the column, or leave the study out.")
    return tuple(found)


def _view(row: Row, index: int, place: str) -> str:
    if not row.get("view"):
        return view_in_order(index)
    if row["view"].lower() not in VIEW_WORDS:
        raise DataError(
            f"{place}: its view is {quoted(row['view'])}, expected one of {', '.join(VIEW_WORDS)}. Correct it."
        )
    return VIEW_WORDS[row["view"].lower()]
