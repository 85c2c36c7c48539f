"""Open-i as downloaded: its XML reports beside its own PNG or DICOM pictures."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from r2gen_lib import assets
from r2gen_lib.data.readers.error_list import ErrorList
from r2gen_lib.data.readers.openi import OpeniRecord, archive_xml, check_size, parse_record, read_split_table
from r2gen_lib.data.readers.openi_views import header_view, known_views, name_views, picture_key
from r2gen_lib.data.readers.records import LOG, Record, Target, to_studies
from r2gen_lib.data.study import Picture, Study
from r2gen_lib.errors import DataError

# Where a picture is there in several formats, the first of these is taken.
_SUFFIXES = (".png", ".jpg", ".jpeg", ".dcm")
_LOOKED_AT = 100_000  # files and folders, in the search for one XML file
_DOWNLOAD = "Open-i offers NLMCXR_reports.tgz; r2gen_lib.data.download.download_openi fetches it."


def load_openi_files(
    root: str | Path,
    pictures: str | Path | None = None,
    *,
    split_table: str | Path | None = None,
    section: str = "findings",
    clean: str | Callable[[str], str] = "gentle",
    missing: str = "skip",
) -> list[Study]:
    """The studies of an Open-i download that the split table names, with their real pictures.

    A picture's view comes from the tables in the data wheel, then from its DICOM header, then from its place in the
    report; see ``openi_views``. Pictures that the report names and the folder lacks are kept, with the path where they
    were expected, so that ``r2gen doctor`` can list them. No picture is decoded.

    Args:
        root: a folder with the XML files (in any depth) or with ``NLMCXR_reports.tgz``, or that archive itself.
        pictures: a folder with the PNG or DICOM files, in any depth; ``root`` (or the archive's folder) by default,
            where it is no error to have none. A picture that is there in both formats is taken as PNG.
        split_table: CSV with the columns ``study`` and ``split``; by default ``data/openi_split.csv``, the 2,955
            studies of the IU-Xray benchmark. Studies that it doesn't name are left out, and the log says how many.
        section: the target text: ``"findings"``, ``"impression"``, ``"both"``, or several joined by ``+``.
        clean: a cleaning's name, or a function of one text.
        missing: ``"error"``, or ``"skip"`` to leave studies without that text out and log how many.

    Returns:
        Studies in the order of the split table. Open-i doesn't say which studies are of one patient.

    Raises:
        AssetError: the data wheel with the table of views is not installed.
        DataError: no report is there, an XML file is damaged or hostile (the first five and a count), two files hold
            one study, or what ``to_studies`` finds.
    """
    root = Path(root)
    target = Target(section, clean, missing)
    splits = read_split_table(Path(split_table or assets.repository_data("openi_split.csv")))
    errors = ErrorList(root)
    found = read_openi_folder(root, errors)
    errors.check()
    wanted = {study_id: split for study_id, split in splits.items() if study_id in found}
    if not wanted:
        raise DataError(
            f"{root}: none of its {len(found):,} reports, such as {next(iter(found))}, is in the split table, which "
            f"names studies such as {next(iter(splits))}. Pass the table of these reports as split_table."
        )
    if len(wanted) < len(splits):
        absent = len(splits) - len(wanted)
        LOG.warning("%s: %d of the %d studies in the split table are not there.", root, absent, len(splits))
    if len(wanted) < len(found):
        LOG.warning("%s: %d reports left out: the split table does not name them.", root, len(found) - len(wanted))
    shelf = _Shelf.of(pictures, root if root.is_dir() else root.parent)
    records = [_record(found[study_id], split, shelf) for study_id, split in wanted.items()]
    return to_studies(records, errors, target, source="openi")


def holds_openi_reports(root: Path) -> bool:
    """Whether a folder has Open-i's archive of reports, or an XML file in any depth.

    Folders are searched level by level, up to the first such file or 100,000 others.
    """
    if _archives(root):
        return True
    pending, seen = deque([os.fspath(root)]), 0
    while pending and seen < _LOOKED_AT:
        try:
            with os.scandir(pending.popleft()) as entries:
                for entry in entries:
                    seen += 1
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
                    elif entry.name.lower().endswith(".xml") and not entry.name.startswith("."):
                        return True
        except OSError:  # may not be listed: whoever reads the files says so
            continue
    return False


def read_openi_folder(root: Path, errors: ErrorList) -> dict[str, OpeniRecord]:
    """Study id -> record, from every XML file of a folder or an archive; what is wrong with a file goes to ``errors``.

    Raises:
        DataError: there is no XML file, or the archive cannot be read.
    """
    records: dict[str, OpeniRecord] = {}
    places: dict[str, str] = {}
    for name, read in _xml_files(root):
        try:
            record = parse_record(read())
        except (DataError, OSError) as error:
            errors.add(f"{name}: {error}")
            continue
        if record.id in records:
            errors.add(f"{name}: holds study {record.id}, as {places[record.id]} does. Keep one of the files.")
        records[record.id], places[record.id] = record, name
    if not records:
        errors.check()
        raise DataError(f"{root}: found no XML file, expected Open-i's reports. {_DOWNLOAD}")
    return records


def _xml_files(root: Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Name and a function that reads it, of each XML file in a folder, or else in the reports' archive there."""
    if not root.exists():
        raise DataError(f"{root}: found nothing, expected a folder or an archive of Open-i reports. {_DOWNLOAD}")
    archives = [root] if root.is_file() else []
    if root.is_dir():
        paths = [path for path in _files(root) if path.suffix.lower() == ".xml"]
        yield from ((str(path.relative_to(root)), lambda path=path: _read_small(path)) for path in paths)
        if not paths:
            archives = _archives(root)
    for archive in archives:
        for name, xml in archive_xml(archive, "Download it again."):
            yield name, lambda xml=xml: xml


def _archives(root: Path) -> list[Path]:
    return sorted(path for path in root.glob("*.tgz") if "report" in path.name.lower())


def _read_small(path: Path) -> bytes:
    check_size("it", path.stat().st_size)
    return path.read_bytes()


def _files(folder: Path) -> Iterator[Path]:
    """Every file below a folder but hidden ones, in a stable order. Links to folders are not followed."""
    for place, folders, names in os.walk(folder):
        folders.sort()
        yield from (Path(place, name) for name in sorted(names) if not name.startswith("."))


@dataclass(frozen=True)
class _Shelf:
    """The pictures that are there, by ``picture_key``. ``suffix`` is that of pictures that ought to be there."""

    folder: Path
    by_key: Mapping[str, Path]
    suffix: str

    @classmethod
    def of(cls, pictures: str | Path | None, beside: Path) -> _Shelf:
        """What lies in ``pictures``, or in ``beside`` if that is None."""
        folder = Path(pictures or beside)
        if not folder.is_dir():
            what = "a file" if folder.exists() else "nothing"
            raise DataError(
                f"{folder}: found {what}, expected the folder with Open-i's PNG or DICOM pictures. An archive must be "
                "unpacked first: r2gen_lib.data.download.extract_archive."
            )
        ranked = [(_SUFFIXES.index(path.suffix.lower()), path) for path in _files(folder) if _is_picture(path)]
        ranked.sort(key=lambda pair: pair[0], reverse=True)
        if pictures is not None and not ranked:
            raise DataError(
                f"{folder}: found no PNG or DICOM file with a name of Open-i's, such as CXR1_1_IM-0001-3001.png or "
                "1_IM-0001-3001.dcm. Give the folder that holds them, in any depth."
            )
        by_key = {picture_key(path.name): path for _, path in ranked}  # the best format comes last, and stays
        return cls(folder, by_key, ranked[-1][1].suffix if ranked else "")


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in _SUFFIXES and "_IM-" in path.name


def _record(found: OpeniRecord, split: str, shelf: _Shelf) -> Record:
    pictures: tuple[Picture, ...] = ()
    if shelf.by_key:
        names = [Path(name.replace("\\", "/")).name for name in found.images]  # a name, whatever the report says
        paths = [shelf.by_key.get(picture_key(name), shelf.folder / (name + shelf.suffix)) for name in names]
        views = name_views([_hint(path) for path in paths])
        pictures = tuple(Picture(view, path) for view, path in zip(views, paths, strict=True))
    return Record(found.id, split, found.sections, pictures, f"study {found.id}", found.mesh)


def _hint(path: Path) -> str:
    """What is known of a picture's view: from the wheel's tables or, for a picture that they lack, its DICOM header."""
    key = picture_key(path.name)
    if key in known_views() or path.suffix.lower() != ".dcm":
        return known_views().get(key, "")
    import pydicom

    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["ViewPosition", "SeriesDescription"])
    except Exception:  # missing or damaged: whoever loads it says so
        return ""
    return header_view(str(header.get("ViewPosition", "")), str(header.get("SeriesDescription", "")))
