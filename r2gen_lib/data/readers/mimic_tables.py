"""MIMIC-CXR's two tables: which pictures a study has, of which view, and the official split."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from r2gen_lib.data.readers.csv_table import read_table
from r2gen_lib.data.readers.error_list import ErrorList
from r2gen_lib.data.readers.records import LOG
from r2gen_lib.errors import DataError

SPLIT_NAMES = {"train": "train", "validate": "val", "val": "val", "test": "test"}

# Where ViewPosition is empty (15,769 of 377,110 pictures), other columns may name the one view that it can be.
_CODE_MEANINGS = {
    **{"postero-anterior": "PA", "antero-posterior": "AP", "lateral": "LATERAL", "left lateral": "LL"},
    "chest (portable ap)": "AP",
}
_CODES = (
    "ViewCodeSequence_CodeMeaning",
    "ProcedureCodeSequence_CodeMeaning",
    "PerformedProcedureStepDescription",
)
_NUMBER = re.compile(r"\d+", re.ASCII)
_DICOM_ID = re.compile(r"[\w-]+", re.ASCII)


@dataclass
class TableStudy:
    """A study as the tables give it: its pictures as (ViewPosition, dicom id)."""

    study: str
    patient: str
    split: str
    line: int
    dicoms: list[tuple[str, str]] = field(default_factory=list)

    @property
    def group(self) -> str:
        return f"p{self.patient[:2]}"

    @property
    def folder(self) -> str:
        return f"{self.group}/p{self.patient}/s{self.study}"


def table_in(folder: Path, what: str) -> Path | None:
    """``mimic-cxr-<version>-<what>.csv`` or ``.csv.gz``, the unzipped one if both are there; None if neither is."""
    found = [path for suffix in ("csv", "csv.gz") for path in sorted(folder.glob(f"mimic-cxr-*-{what}.{suffix}"))]
    return found[0] if found else None


def find_table(root: Path, what: str) -> Path:
    """``table_in``, where a missing table is an error.

    Raises:
        DataError: the table is not there; the message says where it comes from.
    """
    found = table_in(root, what)
    if found:
        return found
    there = ", ".join(sorted(path.name for path in islice(root.iterdir(), 5))) if root.is_dir() else "no such folder"
    raise DataError(
        f"{root}: no mimic-cxr-2.0.0-{what}.csv or .csv.gz; found {there or 'an empty folder'}. The table comes with "
        "MIMIC-CXR-JPG on PhysioNet, also for those who use the DICOM pictures: put it into this folder."
    )


def read_positions(metadata_table: Path) -> dict[str, str]:
    """Dicom id -> ViewPosition in capitals, ``""`` where no column says it.

    Raises:
        DataError: the file is no table, or lacks a column.
    """
    return {
        row["dicom_id"]: row["ViewPosition"].upper()
        or next((_CODE_MEANINGS[text] for name in _CODES if (text := row.get(name, "").lower()) in _CODE_MEANINGS), "")
        for row in read_table(metadata_table, ["dicom_id", "ViewPosition"], optional=_CODES)
    }


def read_tables(split_table: Path, metadata_table: Path, errors: ErrorList) -> list[TableStudy]:
    """The studies, in the order of the split table. What is wrong with its rows goes to ``errors``; pictures that only
    the metadata name are left out and counted in the log.

    Raises:
        DataError: a file is no table, or lacks a column.
    """
    position = read_positions(metadata_table)
    entries: dict[str, TableStudy] = {}
    for row in read_table(split_table, ["dicom_id", "study_id", "subject_id", "split"]):
        study, patient, dicom = row["study_id"], row["subject_id"], row["dicom_id"]
        split = SPLIT_NAMES.get(row["split"].lower())
        if not (_NUMBER.fullmatch(study) and _NUMBER.fullmatch(patient) and _DICOM_ID.fullmatch(dicom) and split):
            errors.add(
                f"line {row.line}: found study_id {study!r}, subject_id {patient!r}, dicom_id {dicom!r}, split "
                f"{row['split']!r}; expected two numbers, letters, digits and '-', and train, validate or test."
            )
            continue
        entry = entries.setdefault(study, TableStudy(study, patient, split, row.line))
        if (entry.patient, entry.split) != (patient, split):
            errors.add(
                f"line {row.line}: study {study} is in {split}, of subject {patient}; line {entry.line} has it in "
                f"{entry.split}, of subject {entry.patient}. A study has one split and one subject: correct the table."
            )
        elif dicom not in position:
            errors.add(
                f"line {row.line}: picture {dicom} is not in {metadata_table.name}, so its view is not known. "
                "Take both tables from the same release."
            )
        else:
            entry.dicoms.append((position[dicom], dicom))
    named = {dicom for entry in entries.values() for _, dicom in entry.dicoms}
    if len(named) < len(position) and not errors.count:
        LOG.warning(
            "%s: %d of %d pictures left out: %s does not name them.",
            *(metadata_table.name, len(position) - len(named), len(position), split_table.name),
        )
    return list(entries.values())
