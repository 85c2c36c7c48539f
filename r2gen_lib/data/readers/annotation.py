"""The annotation JSON of the R2Gen project, in which IU-Xray and MIMIC-CXR circulate.

``{"train": [{"id", "report", "image_path": [...], "split"}, ...], "val": [...], "test": [...]}``; the picture paths
are relative to a folder that is passed beside it.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from r2gen_lib.data.readers.error_list import ErrorList, quoted
from r2gen_lib.data.readers.mimic_tables import read_positions, table_in
from r2gen_lib.data.readers.records import LOG, Record, Target, picture_folder, to_studies, view_in_order
from r2gen_lib.data.readers.safe_paths import inside
from r2gen_lib.data.reports import NO_VALUES
from r2gen_lib.data.study import SPLITS, Picture, Study
from r2gen_lib.data.views import VIEW_WORDS
from r2gen_lib.errors import DataError, shown

_MIMIC_PATH = re.compile(r"(?:^|/)p\d\d/p(\d{8})/s\d{8}/")
_MIMIC_GROUP = re.compile(r"p\d\d(?=/)")
_IU_XRAY_ID = re.compile(r"CXR\d+_IM-")
_KINDS = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}


def load_annotation(
    path: str | Path,
    pictures: str | Path | None = None,
    *,
    section: str = "findings",
    clean: str | Callable[[str], str] = "gentle",
    missing: str = "error",
    credentialed: bool | None = None,
    metadata: str | Path | None = None,
) -> list[Study]:
    """The studies of an R2Gen annotation file: its train list, then val, then test. Pictures are not opened.

    The file has one text a study, the findings in the R2Gen project's own files; ask for it as ``"findings"`` or, if
    yours holds something else, as ``"report"``. A report that is null or NaN is an empty one. An ``image_path`` that is
    a text and no list is the path of the study's one picture.

    Views are not in the file. With two pictures the first is called frontal and the second lateral, as in IU-Xray.
    The MIMIC-CXR file has an entry *a picture*, lateral ones included, so its views come from ``metadata`` where that
    is there; without it every picture is called frontal, as the R2Gen project takes it, and the log says so.

    Args:
        path: ``annotation.json``.
        pictures: the folder that ``image_path`` is relative to, or PhysioNet's, whose ``files`` is that; by default
            ``images`` beside the file, else the file's own folder.
        section: ``"findings"`` or ``"report"``.
        clean: a cleaning by name, or a function; applied to the target text only.
        missing: ``"error"``, or ``"skip"`` to leave out studies whose report is empty.
        credentialed: whether the studies are under a use agreement. None: yes if an entry has a ``subject_id`` or a
            path like MIMIC-CXR's.
        metadata: PhysioNet's ``mimic-cxr-2.0.0-metadata.csv``; by default the one beside ``path``, in the picture
            folder or beside that, if there.

    Raises:
        DataError: not such a JSON file; a split is missing (the message names the keys found); entries without id,
            report or pictures, with an id that appears twice, in the list of another split, or with a path that leaves
            the picture folder (the first five and a count).
    """
    target, path = Target(section, clean, missing), Path(path)
    root = picture_folder(pictures, path.parent, ("images",))
    lists = _read(path)
    _tell_of_others(path, lists)
    views = _views(metadata, (path.parent, root, root.parent))
    root = _with_groups(root, lists)
    errors, records = ErrorList(path), []
    for split in SPLITS:
        for index, entry in enumerate(lists[split]):
            with errors.collecting():
                records.append(_record(entry, split, f"{split}[{index}]", root, views, target))
    mimic = any(record.patient for record in records)
    if mimic and not views and all(len(record.pictures) == 1 for record in records):
        LOG.warning(
            "%s: no mimic-cxr-2.0.0-metadata.csv beside it or its pictures, so every picture is called frontal, the "
            "lateral ones too.",
            path.name,
        )
    return to_studies(
        records,
        errors,
        target,
        source="mimic_cxr" if mimic else "iu_xray" if records and _IU_XRAY_ID.match(records[0].id) else path.stem,
        credentialed=mimic if credentialed is None else credentialed,
    )


def _read(path: Path) -> dict[str, list]:
    """The file's lists by split."""
    try:
        raw = path.read_bytes()
        content = json.loads(raw, object_pairs_hook=_each_key_once)
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror or error}). Give the annotation file's path."
        ) from error
    except (ValueError, RecursionError) as error:
        page = raw.lstrip()[:1] == b"<"
        hint = " It looks like a web page: was a login page saved in its place?" if page else ""
        raise DataError(
            f"{path}: not JSON that can be used ({error}).{hint} Expected an R2Gen annotation file: download it again."
        ) from error
    expected = "expected an object with the lists 'train', 'val' and 'test'"
    if not isinstance(content, dict):
        raise DataError(f"{path}: found {_kind(content)}, {expected}. Sort its entries into such lists by split.")
    lacking = [split for split in SPLITS if split not in content]
    if lacking:
        found = shown([quoted(key) for key in content], 10) or "none"
        near = {split: difflib.get_close_matches(split, content, n=1) for split in lacking}
        hint = "".join(f" Is {quoted(key)} {split}?" for split, keys in near.items() for key in keys)
        raise DataError(
            f"{path}: no split {', '.join(lacking)}; found the keys {found}; {expected}.{hint} "
            "Rename the key, or add an empty list."
        )
    for split in SPLITS:
        if not isinstance(content[split], list):
            raise DataError(f"{path}: {split!r} is {_kind(content[split])}, expected a list of entries.")
    return content


def _tell_of_others(path: Path, content: Mapping[str, Any]) -> None:
    """Log the lists that belong to no split: their studies are left out."""
    others = {key: len(entries) for key, entries in content.items() if key not in SPLITS and isinstance(entries, list)}
    if any(others.values()):
        listed = shown([f"{quoted(key)} ({count:,})" for key, count in others.items()])
        LOG.warning("%s: the lists %s are not read: expected train, val and test alone.", path.name, listed)


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):  # JSON readers keep the last one without a word
        keys = [key for key, _ in pairs]
        raise ValueError(f"an object has the key {quoted(next(key for key in keys if keys.count(key) > 1))} twice")
    return found


def _record(entry: Any, split: str, place: str, root: Path, views: Mapping[str, str], target: Target) -> Record:
    if not isinstance(entry, dict):
        raise DataError(f"{place}: found {_kind(entry)}, expected an object with 'id', 'report' and 'image_path'.")
    study_id = _text(entry, "id", place, numbers=True)
    if not study_id.strip():
        raise DataError(f"{place}: its 'id' is empty, expected one that no other entry has.")
    place = f"{place} ({quoted(study_id)})"
    if entry.get("split", split) != split:
        raise DataError(
            f"{place}: its 'split' is {quoted(entry['split'])} and it is in the list {split!r}. "
            "Move it to the list of its split, or correct the field."
        )
    paths = _paths(entry)
    if not isinstance(paths, list) or not paths:
        found = "an empty list" if paths == [] else _kind(_field(entry, "image_path", place))
        raise DataError(
            f"{place}: 'image_path' is {found}, expected a list of at least one path, such as [\"{study_id}/0.png\"]. "
            "Write the picture's path there, or leave the entry out if it has no picture."
        )
    files = [inside(root, relative, f"{place}, image_path[{i}]") for i, relative in enumerate(paths)]
    return Record(
        id=study_id,
        split=split,
        sections=target.one_text("" if _is_absent(_field(entry, "report", place)) else _text(entry, "report", place)),
        pictures=tuple(Picture(views.get(file.stem) or view_in_order(i), file) for i, file in enumerate(files)),
        where=place,
        patient=_patient(entry, paths, place),
    )


def _paths(entry: dict) -> Any:
    """What ``image_path`` says; of one text a list."""
    paths = entry.get("image_path")
    return [paths] if isinstance(paths, str) else paths


def _is_absent(value: Any) -> bool:
    """Whether a value says that there is none: null, or the NaN that pandas writes into JSON."""
    return value is None or value != value


def _patient(entry: dict, paths: list[str], place: str) -> str:
    subject = entry.get("subject_id")
    if not _is_absent(subject) and not (isinstance(subject, str) and subject.strip().lower() in NO_VALUES):
        return _text(entry, "subject_id", place, numbers=True)
    match = _MIMIC_PATH.search(paths[0].replace("\\", "/"))
    return match.group(1) if match else ""


def _field(entry: dict, name: str, place: str) -> Any:
    if name not in entry:
        raise DataError(
            f"{place}: no {name!r}; found {shown([quoted(key) for key in entry], 10) or 'no field'}. Add it."
        )
    return entry[name]


def _text(entry: dict, name: str, place: str, numbers: bool = False) -> str:
    value = _field(entry, name, place)
    if numbers and type(value) is int:
        value = str(value)
    if not isinstance(value, str):
        raise DataError(f"{place}: {name!r} is {_kind(value)}, expected a text. Correct the entry.")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{place}: {name!r} holds half a character ({error.reason}). Correct the entry.") from error
    return value


def _kind(value: Any) -> str:
    return _KINDS.get(type(value), "a number")


def _views(metadata: str | Path | None, folders: Iterable[Path]) -> dict[str, str]:
    """Picture's file name without suffix -> view, from PhysioNet's metadata; empty where there is none."""
    table = metadata or next(filter(None, (table_in(folder, "metadata") for folder in folders)), None)
    positions = read_positions(Path(table)) if table else {}
    return {dicom: VIEW_WORDS.get(position.lower(), "other") for dicom, position in positions.items()}


def _with_groups(root: Path, lists: Mapping[str, list]) -> Path:
    """``root``, or PhysioNet's folder ``files`` in it, if that holds the ``p10`` to ``p19`` that paths begin with."""
    for entry in (entry for split in SPLITS for entry in lists[split][:1] if isinstance(entry, dict)):
        paths = _paths(entry)
        first = paths[0] if isinstance(paths, list) and paths and isinstance(paths[0], str) else ""
        group = _MIMIC_GROUP.match(first.replace("\\", "/"))
        if group and not (root / group[0]).is_dir() and (root / "files" / group[0]).is_dir():
            return root / "files"
    return root
