"""The pair of CSV files in which the Indiana University radiographs circulate.

``indiana_reports.csv`` (uid, MeSH, Problems, image, indication, comparison, findings, impression) and
``indiana_projections.csv`` (uid, filename, projection), beside a folder of PNG pictures. The reports are Open-i's: uid
12 is Open-i's CXR12.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from pathlib import Path

from r2gen_lib import assets
from r2gen_lib.data.readers.csv_table import Row, header_of, read_table
from r2gen_lib.data.readers.error_list import ErrorList, quoted
from r2gen_lib.data.readers.openi import read_split_table
from r2gen_lib.data.readers.records import LOG, Record, Target, picture_folder, to_studies
from r2gen_lib.data.readers.safe_paths import inside
from r2gen_lib.data.study import Picture, Study
from r2gen_lib.data.views import VIEW_WORDS
from r2gen_lib.errors import DataError

REPORTS, PROJECTIONS = "indiana_reports.csv", "indiana_projections.csv"
_COLUMNS = {REPORTS: {"uid", "mesh", "findings", "impression"}, PROJECTIONS: {"uid", "filename", "projection"}}
_PICTURES = ("images/images_normalized", "images_normalized", "images")
_SECTIONS = ("comparison", "indication", "findings", "impression")
_UID = re.compile(r"(?:CXR)?0*(\d+)", re.IGNORECASE)


def load_indiana_csv(
    root: str | Path,
    pictures: str | Path | None = None,
    *,
    split_table: str | Path | None = None,
    section: str = "findings",
    clean: str | Callable[[str], str] = "gentle",
    missing: str = "error",
) -> list[Study]:
    """The studies of the Indiana CSV pair that a split table names, in the table's order. Pictures are not opened.

    Args:
        root: the folder with both files; under other names they are known by their columns.
        pictures: the folder of the pictures; by default ``images/images_normalized``, ``images_normalized`` or
            ``images`` in ``root``, the first that is there, else ``root``.
        split_table: CSV with the columns ``study`` (12 or CXR12) and ``split``; by default the IU-Xray benchmark's own
            ``data/openi_split.csv``, which leaves about a quarter of the reports out.
        section: ``"findings"``, ``"impression"``, ``"both"``, or several joined by ``+``.
        clean: a cleaning by name, or a function; applied to the target text only.
        missing: ``"error"``, or ``"skip"`` to leave out (and count in the log) studies of the split table that have no
            such text or no report at all.

    Returns:
        Studies with ids like ``CXR12``, their MeSH codes, and their frontal pictures before their lateral ones. A study
        without pictures stays; ``r2gen doctor`` counts them.

    Raises:
        DataError: a file is missing or not such a table, a uid is no number or has two reports, a projection is
            unknown, or a file name leaves the picture folder (the first five and a count).
    """
    target, root = Target(section, clean, missing), Path(root)
    splits = _splits(split_table)
    reports = indiana_table(root, REPORTS)
    others = ("comparison", "indication")
    rows = read_table(reports, ("uid", "MeSH", "findings", "impression"), optional=others, verbatim=("comparison",))
    views = _pictures(root, picture_folder(pictures, root, _PICTURES), splits)
    errors, found, unnamed = ErrorList(reports), {}, 0
    for row in rows:
        with errors.collecting():
            study_id = _study_id(row["uid"], f"line {row.line}")
            if study_id not in splits:
                unnamed += 1
                continue
            if study_id in found:
                raise DataError(
                    f"line {row.line}: uid {row['uid']} was already in {found[study_id].where}. Remove one."
                )
            found[study_id] = _record(row, study_id, splits[study_id], views.get(study_id, ()))
    lacking = [study_id for study_id in splits if study_id not in found]
    _tell(errors, unnamed, lacking, target)
    return to_studies([found[key] for key in splits if key in found], errors, target, source="indiana_csv")


def indiana_table(root: Path, name: str) -> Path:
    """``root / name``, or where that is missing the one CSV file in ``root`` that has its columns."""
    if not (root / name).is_file():
        fitting = [path for path in sorted(root.glob("*.csv")) if _COLUMNS[name] <= header_of(path)]
        if len(fitting) == 1:
            return fitting[0]
    return root / name


def _splits(table: str | Path | None) -> dict[str, str]:
    """Study id -> split."""
    path = Path(table) if table is not None else assets.repository_data("openi_split.csv")
    splits: dict[str, str] = {}
    errors = ErrorList(path)
    for name, split in read_split_table(path).items():
        with errors.collecting():
            study_id = _study_id(name, f"study {name!r}")
            if study_id in splits:
                raise DataError(f"study {name!r}: {study_id} is there already. Keep one of the lines.")
            splits[study_id] = split
    errors.check()
    return splits


def _study_id(uid: str, where: str) -> str:
    match = _UID.fullmatch(uid)
    if not match:
        raise DataError(
            f"{where}: the uid is {quoted(uid)}, expected a number such as 12 (or CXR12). Correct the line."
        )
    return f"CXR{match.group(1)}"


def _record(row: Row, study_id: str, split: str, pictures: tuple[Picture, ...]) -> Record:
    codes = tuple(code.strip() for code in row["MeSH"].split(";") if code.strip())
    sections = {name: row.get(name, "") for name in _SECTIONS}
    return Record(study_id, split, sections, pictures, f"line {row.line} ({study_id})", mesh=codes or ("normal",))


def _pictures(root: Path, folder: Path, wanted: Collection[str]) -> dict[str, tuple[Picture, ...]]:
    """Study id -> its pictures, frontal ones first, each view in the order of the file."""
    projections = indiana_table(root, PROJECTIONS)
    errors, found = ErrorList(projections), {}
    for row in read_table(projections, ("uid", "filename", "projection")):
        where = f"line {row.line}"
        with errors.collecting():
            study_id = _study_id(row["uid"], where)
            view = VIEW_WORDS.get(row["projection"].lower())
            if view is None:
                raise DataError(f"{where}: the projection is {quoted(row['projection'])}, expected Frontal or Lateral.")
            if study_id in wanted:
                found.setdefault(study_id, []).append(Picture(view, inside(folder, row["filename"], where)))
    errors.check()
    return {key: tuple(sorted(views, key=lambda picture: picture.view != "frontal")) for key, views in found.items()}


def _tell(errors: ErrorList, unnamed: int, lacking: list[str], target: Target) -> None:
    if unnamed:
        LOG.warning("%s: %d reports left out: the split table does not name them.", REPORTS, unnamed)
    if lacking:
        words = f"{len(lacking):,} studies of the split table have no report here, such as {', '.join(lacking[:5])}"
        if target.missing == "error":
            errors.add(f"{words}. Download the file again, pass your own split_table, or missing='skip'.")
        else:
            LOG.warning("%s: %s.", REPORTS, words)
