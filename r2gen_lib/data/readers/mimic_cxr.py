"""MIMIC-CXR as PhysioNet lays it out: free-text reports, two tables, and JPG or DICOM pictures.

Johnson et al., Scientific Data 2019. The data are under a use agreement: nothing of them is shipped or downloaded here,
and every study is marked ``credentialed``. What is read, below one folder or two:

    mimic-cxr-2.0.0-split.csv(.gz)  mimic-cxr-2.0.0-metadata.csv(.gz)     from MIMIC-CXR-JPG
    files/p10/p10000032/s50414267/02aa804e-....jpg (or .dcm)              from MIMIC-CXR-JPG or MIMIC-CXR
    files/p10/p10000032/s50414267.txt, or below mimic-cxr-reports/        mimic-cxr-reports.zip, unpacked
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from tqdm import tqdm

from r2gen_lib.data.readers.error_list import ErrorList
from r2gen_lib.data.readers.mimic_sections import mimic_sections
from r2gen_lib.data.readers.mimic_tables import TableStudy, find_table, read_tables
from r2gen_lib.data.readers.records import LOG, Record, Target, to_studies
from r2gen_lib.data.study import Picture, Study
from r2gen_lib.data.views import FRONTAL_POSITIONS, LATERAL_POSITIONS
from r2gen_lib.errors import DataError

_GROUP = re.compile(r"p\d\d")
_SUFFIXES = (".jpg", ".png", ".dcm")
_LOOKED_AT = 5_000  # pictures, at most, in the search for one that is there


def load_mimic_cxr(
    root: str | Path,
    pictures: str | Path | None = None,
    *,
    reports: str | Path | None = None,
    section: str = "findings",
    clean: str | Callable[[str], str] = "gentle",
    missing: str = "skip",
    views: Sequence[str] = FRONTAL_POSITIONS,
    limit: int | None = None,
) -> list[Study]:
    """The studies of a local copy of MIMIC-CXR, with the official split.

    If only some of the folders ``p10`` to ``p19`` were downloaded, the studies of the others are left out and counted
    in the log. Within these, pictures are not looked for: a missing one is for ``r2gen doctor`` to list.

    Args:
        root: the folder with the split table and the metadata table.
        pictures: the folder with ``files/p10/...``, or that ``files`` folder; by default ``root``.
        reports: the folder with the reports' ``files/p10/...``; by default ``root/mimic-cxr-reports`` or ``root``.
        section: the target text: ``"findings"``, ``"impression"``, ``"both"``, or several joined by ``+``.
        clean: a cleaning's name, or a function of one text.
        missing: ``"error"``, or ``"skip"`` to leave out studies without a report file or without that text (about a
            third of MIMIC-CXR's reports have no findings) and log how many.
        views: the ViewPositions that count as frontal, the preferred one first. ``views.LATERAL_POSITIONS`` are
            lateral, whatever else there is (LAO, SWIMMERS, PA LLD, none) becomes ``"other"``.
        limit: at most so many studies of each split, the first ones; the reports of the others aren't read, which
            otherwise takes minutes.

    Returns:
        Studies in the order of the split table, ids like ``"s50414267"``, patients like ``"10000032"``. A study's
        pictures are sorted: frontal ones in the order of ``views``, lateral ones, others.

    Raises:
        DataError: a table or the folder of reports isn't there, an id is none, a picture is in the split table and not
            in the metadata, a study is in two splits (the first five and a count), or what ``to_studies`` finds.
    """
    root = Path(root)
    target = Target(section, clean, missing)
    target.check(root, Record("of MIMIC-CXR", "train", mimic_sections(""), (), ""))
    positions = _checked_views(views)
    split_table = find_table(root, "split")
    errors = ErrorList(split_table)
    entries = read_tables(split_table, find_table(root, "metadata"), errors)
    errors.check()
    shelf = _Shelf.find(root, pictures, reports)
    entries = shelf.present(entries)
    shelf.suffix = _suffix(shelf.pictures, entries)
    records = _read_reports(entries, shelf, positions, target, limit, errors)
    return to_studies(records, errors, target, source="mimic_cxr", credentialed=True)


def _checked_views(views: Sequence[str]) -> list[str]:
    if isinstance(views, str) or not views or not all(isinstance(view, str) and view.strip() for view in views):
        raise DataError(f"views={views!r}: expected one or more ViewPositions, such as ('PA', 'AP').")
    positions = [view.strip().upper() for view in views]
    if set(positions) & set(LATERAL_POSITIONS):
        raise DataError(f"views={views!r}: found a lateral position, expected those that count as frontal.")
    return positions


@dataclass
class _Shelf:
    """Where the files are: two folders that hold ``p10`` to ``p19``, those that are there, and the pictures' suffix."""

    reports: Path
    pictures: Path
    groups: set[str]
    suffix: str = ".jpg"

    @classmethod
    def find(cls, root: Path, pictures: str | Path | None, reports: str | Path | None) -> _Shelf:
        places = [Path(reports)] if reports else [root / "mimic-cxr-reports", root / "reports", root]
        report_folder, groups = _folder_of_groups(places)
        if not groups:
            raise DataError(
                f"{' or '.join(map(str, places))}: found no files/p10 to files/p19, expected the free-text reports as "
                "files/p10/p10000032/s50414267.txt. Unpack mimic-cxr-reports.zip of MIMIC-CXR there, or pass reports."
            )
        picture_folder, with_pictures = _folder_of_groups([Path(pictures) if pictures else root])
        if pictures and not with_pictures:
            raise DataError(
                f"{pictures}: found no files/p10 to files/p19, expected the pictures as "
                "files/p10/p10000032/s50414267/<dicom_id>.jpg or .dcm. Give the folder that holds them."
            )
        return cls(report_folder, picture_folder, groups & with_pictures if with_pictures else groups)

    def present(self, entries: list[TableStudy]) -> list[TableStudy]:
        """The studies whose folders were downloaded."""
        there = [entry for entry in entries if entry.group in self.groups]
        if not there:
            raise DataError(
                f"{self.reports}, {self.pictures}: found {', '.join(sorted(self.groups)) or 'no folder p10 to p19'} in "
                "both, and no study of the split table is in these. Download pictures and reports of the same patients."
            )
        if len(there) < len(entries):
            LOG.warning(
                "MIMIC-CXR: %d of %d studies left out: of p10 to p19, only %s are there, with reports and pictures.",
                *(len(entries) - len(there), len(entries), ", ".join(sorted(self.groups))),
            )
        return there


def _folder_of_groups(places: Sequence[Path]) -> tuple[Path, set[str]]:
    """The first folder that holds ``p10`` to ``p19``, among ``places`` and the ``files`` folders in them."""
    candidates = [folder for place in places for folder in (place / "files", place)]
    for folder in candidates:
        names = {path.name for path in folder.iterdir() if _GROUP.fullmatch(path.name)} if folder.is_dir() else set()
        if names:
            return folder, names
    return candidates[0], set()


def _suffix(folder: Path, entries: list[TableStudy]) -> str:
    """The suffix of the first picture that is there; a copy has one format."""
    dicoms = (f"{entry.folder}/{dicom}" for entry in entries for _, dicom in entry.dicoms)
    for name in islice(dicoms, _LOOKED_AT):
        for suffix in _SUFFIXES:
            if (folder / (name + suffix)).is_file():
                return suffix
    return _SUFFIXES[0]


def _read_reports(
    entries: list[TableStudy], shelf: _Shelf, positions: list[str], target: Target, limit: int | None, errors: ErrorList
) -> list[Record]:
    """The studies with their sections; those without a report file are left out and counted, or are errors."""
    records, lacking, taken = [], 0, Counter()
    for entry in tqdm(entries, desc="MIMIC-CXR reports", unit="report", disable=len(entries) < 5000 or None):
        if limit is not None and taken[entry.split] >= limit:
            continue
        path = shelf.reports / f"{entry.folder}.txt"
        try:
            text = path.read_bytes().decode("utf-8-sig")
        except FileNotFoundError:
            lacking += 1
            if target.missing == "error":
                errors.add(f"line {entry.line}: no report {path}. Download it, or leave it out with missing='skip'.")
            continue
        except (OSError, UnicodeDecodeError) as error:
            errors.add(f"line {entry.line}: {path} cannot be read ({error}). Download the report again.")
            continue
        pictures = _pictures(entry, shelf, positions)
        where, sections = f"study s{entry.study}", mimic_sections(text)
        record = Record(f"s{entry.study}", entry.split, sections, pictures, where, patient=entry.patient)
        records.append(record)
        taken[entry.split] += limit is not None and bool(target.text(record))
    if lacking == len(entries):
        raise DataError(
            f"{shelf.reports}: found none of {lacking:,} reports, such as {entries[0].folder}.txt. "
            "Unpack mimic-cxr-reports.zip of MIMIC-CXR, and pass the folder as reports if it lies elsewhere."
        )
    if lacking:
        LOG.warning("MIMIC-CXR: %d of %d studies left out: no report file.", lacking, len(entries))
    return records


def _pictures(entry: TableStudy, shelf: _Shelf, positions: list[str]) -> tuple[Picture, ...]:
    ranked = []
    for position, dicom in entry.dicoms:
        if position in positions:
            rank, view = positions.index(position), "frontal"
        else:
            rank, view = (len(positions), "lateral") if position in LATERAL_POSITIONS else (len(positions) + 1, "other")
        ranked.append((rank, Picture(view, shelf.pictures / f"{entry.folder}/{dicom}{shelf.suffix}")))
    return tuple(picture for _, picture in sorted(ranked, key=lambda pair: pair[0]))
