"""Which layouts of data are known: a line of ``LAYOUTS`` each (docs/recipes/add_a_data_set.md adds one).

``load_studies``, and with it every command's ``--data``, reads whatever stands here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from r2gen_lib.data.readers.annotation import load_annotation
from r2gen_lib.data.readers.folder_csv import load_folder_csv, own_tables
from r2gen_lib.data.readers.indiana_csv import REPORTS, indiana_table, load_indiana_csv
from r2gen_lib.data.readers.mimic_cxr import load_mimic_cxr
from r2gen_lib.data.readers.mimic_tables import table_in
from r2gen_lib.data.readers.openi_files import holds_openi_reports, load_openi_files
from r2gen_lib.data.study import Study
from r2gen_lib.errors import DataError, shown

ANNOTATION, MIMIC_SPLIT = "annotation.json", "mimic-cxr-2.0.0-split.csv"


@dataclass(frozen=True)
class Layout:
    """How one kind of data lies on the disk, and who reads it.

    Attributes:
        words: what it is, for the error that lists what is known.
        find: what of a path ``read`` takes, a file or folder; None if the path is not of this layout. It may raise
            DataError where it is, but not clearly.
        read: place, picture folder or None, and the keywords ``section``, ``clean`` and ``missing`` of
            ``load_studies`` -> studies.
        limited: whether ``read`` takes ``limit`` too, because reading everything would take long.
    """

    words: str
    find: Callable[[Path], Path | None]
    read: Callable[..., list[Study]]
    limited: bool = False


def layout_of(path: Path) -> tuple[Layout, Path] | None:
    """The first layout that finds something at ``path``, and what it reads there; None if none does."""
    for layout in LAYOUTS:
        place = layout.find(path) if path.exists() else None
        if place is not None:
            return layout, place
    return None


def _annotation(path: Path) -> Path | None:
    inner = path / ANNOTATION
    return inner if inner.is_file() else _file(path, ".json")


def _mimic(path: Path) -> Path | None:
    return path if path.is_dir() and table_in(path, "split") else None


def _indiana(path: Path) -> Path | None:
    if path.is_file():
        return path.parent if path == indiana_table(path.parent, REPORTS) else None
    return path if indiana_table(path, REPORTS).is_file() else None


def _own_table(path: Path) -> Path | None:
    if path.is_file():
        return _file(path, ".csv", ".tsv")
    tables = own_tables(path)
    if len(tables) > 1:
        names = shown([table.name for table in tables])
        raise DataError(f"{path}: found {len(tables)} tables with pictures and reports ({names}). Name one of them.")
    return tables[0] if tables else None


def _openi(path: Path) -> Path | None:
    if path.is_dir():
        return path if holds_openi_reports(path) else None
    return _file(path, ".tgz")


def _file(path: Path, *suffixes: str) -> Path | None:
    return path if path.is_file() and path.suffix.lower() in suffixes else None


#: The first that finds something reads. Exact signs come first; what has to look through a folder, which may be huge,
#: comes last.
LAYOUTS: list[Layout] = [
    Layout(f"an R2Gen annotation (.json, or a folder with {ANNOTATION})", _annotation, load_annotation),
    Layout(f"MIMIC-CXR (a folder with {MIMIC_SPLIT})", _mimic, load_mimic_cxr, limited=True),
    Layout(f"the Indiana CSV pair (a folder with {REPORTS})", _indiana, load_indiana_csv),
    Layout("a CSV of your own (.csv or .tsv, or a folder with one)", _own_table, load_folder_csv),
    Layout("Open-i's XML reports (a folder or the .tgz)", _openi, load_openi_files),
]
