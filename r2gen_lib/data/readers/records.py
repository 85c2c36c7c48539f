"""From what a file says of a study to ``Study``: the target text, the views, the folder of the pictures.

What the readers of annotation files and tables share. ``Record`` is a study without its target text.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from r2gen_lib.data.cleaning import get_cleaning
from r2gen_lib.data.readers.error_list import ErrorList, quoted
from r2gen_lib.data.reports import choose_section, says_nothing, section_names
from r2gen_lib.data.study import Picture, Study
from r2gen_lib.errors import DataError

LOG = logging.getLogger("r2gen_lib")


@dataclass(frozen=True)
class Record:
    """A study as a file gives it. ``where`` is its place there; ``mesh`` is empty where the file has no codes."""

    id: str
    split: str
    sections: Mapping[str, str]
    pictures: tuple[Picture, ...]
    where: str
    mesh: tuple[str, ...] = ()
    patient: str = ""


class Target:
    """Which text is learnt and scored: a section, cleaned, and what happens to studies that have none.

    Args:
        section: ``"findings"``, ``"impression"``, ``"both"``, or several joined by ``+``.
        clean: a cleaning by name, or a function.
        missing: ``"error"``, or ``"skip"`` to leave studies without that text out and log how many.

    Raises:
        DataError: an unknown cleaning or ``missing``. Readers make their Target first, before they read for minutes.
    """

    def __init__(self, section: str, clean: str | Callable[[str], str], missing: str) -> None:
        if missing not in ("error", "skip"):
            raise DataError(f"missing={missing!r}: expected 'error' or 'skip'.")
        self.section, self.clean, self.missing = section, get_cleaning(clean), missing

    def check(self, path: str | Path, record: Record) -> None:
        """See that the file has the section asked for; all records of one file have the same sections."""
        try:
            choose_section(record.sections, self.section, record.id)
        except DataError as error:
            raise DataError(f"{path}: {error}") from error

    def text(self, record: Record) -> str:
        """The cleaned target text; ``""`` if there is none, or if it ``says_nothing``."""
        raw = self.raw(record)
        text = self.clean(raw) if raw else ""  # R2Gen's cleanings make " ." of nothing
        return "" if says_nothing(text) else text

    def raw(self, record: Record) -> str:
        """The target text before it is cleaned; ``""`` if there is none."""
        return choose_section(record.sections, self.section, record.id)

    def one_text(self, text: str) -> dict[str, str]:
        """The sections of a report of which the file has one text: its findings, or ``"report"`` if that was asked."""
        return {"report" if self.section.strip().lower() == "report" else "findings": text}


def to_studies(
    records: Sequence[Record], errors: ErrorList, target: Target, *, source: str, credentialed: bool = False
) -> list[Study]:
    """The studies, in the order of the records.

    Raises:
        DataError: what ``errors`` holds already; an id that appears twice; a study without the target text, unless the
            target says to skip them; a section that the file does not have; no study is left.
    """
    if records:
        target.check(errors.path, records[0])
    first: dict[str, Record] = {}
    studies = []
    for record in records:
        twin = first.setdefault(record.id, record)
        report = target.text(record)
        if twin is not record:
            errors.add(_twice(record, twin))
        elif report:
            parts = (record.id, record.split, report, record.sections, record.mesh, record.pictures)
            studies.append(Study(*parts, source=source, patient=record.patient, credentialed=credentialed))
        elif target.missing == "error":
            raw = target.raw(record)
            lost = f"nothing is left of its {target.section} text after cleaning; clean more gently"
            errors.add(
                f"{record.where}: {lost if raw else _empty(record, target.section)}. A report needs words to learn "
                "from: choose another section, or leave such studies out with missing='skip'."
            )
    errors.check()
    _tell(errors.path, len(records), len(studies), target.section)
    return studies


def _empty(record: Record, section: str) -> str:
    """That a text is empty, and what stands in its place if that is a word for a missing value."""
    said = " ".join(record.sections[name].strip() for name in section_names(section)).strip()
    return f"its {section} text is empty" + (f" (it says {quoted(said)})" if said else "")


def _twice(record: Record, twin: Record) -> str:
    leak = "" if record.split == twin.split else f", and a study of {twin.split} may not be in {record.split} too"
    return f"{record.where}: its id is that of {twin.where}{leak}. An id is one study's: remove one, or rename it."


def _tell(path: str | Path, found: int, left: int, section: str) -> None:
    if not left:
        why = f"none of the {found:,} studies has {section} text" if found else "it names no study"
        raise DataError(f"{path}: nothing to read: {why}, expected at least one. Choose another file or section.")
    if left < found:
        LOG.warning("%s: %d of %d studies left out: no %s text.", Path(path).name, found - left, found, section)


def picture_folder(pictures: str | Path | None, beside: Path, names: Iterable[str] = ()) -> Path:
    """The folder that picture paths are relative to: ``pictures``, else the first of ``names`` in ``beside``, else it.

    Raises:
        DataError: ``pictures`` is not a folder.
    """
    if pictures is None:
        return next((beside / name for name in names if (beside / name).is_dir()), beside)
    if not Path(pictures).is_dir():
        found = "a file" if Path(pictures).exists() else "nothing"
        raise DataError(f"{pictures}: found {found}, expected the folder that the picture paths are relative to.")
    return Path(pictures)


def view_in_order(index: int) -> str:
    """The view of the ``index``-th picture of a study whose file does not say: frontal, lateral, then other."""
    return ("frontal", "lateral")[index] if index < 2 else "other"
