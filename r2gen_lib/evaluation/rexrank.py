"""Reports as the public board ReXrank exchanges them: one JSON for the IU-Xray studies, by study.

ReXrank (``rajpurkarlab/ReXrank`` on GitHub) scores IU-Xray on the 590 test and 296 validation studies of
``data/openi_split.csv``. Its key of a study is the name of the study's first picture without the last number: picture
``CXR2_IM-0652-1001`` makes ``CXR2_IM-0652``, and ``CXR3646_IM-1808-0001-0001`` makes ``CXR3646_IM-1808-0001``. That
gives every key of its two files, and each of its findings, impressions and contexts is what Open-i's XML holds.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from r2gen_lib import assets
from r2gen_lib.data.readers.openi import OpeniRecord, read_openi_records, read_split_table
from r2gen_lib.data.readers.openi_views import known_views, name_views, picture_key
from r2gen_lib.errors import DataError, shown
from r2gen_lib.evaluation.written_reports import read_table
from r2gen_lib.files import atomic_write

#: The splits that ReXrank has a file of.
SPLITS = ("test", "val")
_PICTURES = 2  # that ReXrank lists of each study, as R2Gen's copy of IU-Xray does

Key = Annotated[str, StringConstraints(pattern=r"^CXR\d+_IM-\d+(-\d+)?$")]
PicturePath = Annotated[str, StringConstraints(pattern=r"^CXR\d+_IM-\d+(-\d+)?/\d\.png$")]
Words = Annotated[str, StringConstraints(min_length=1)]


class Prediction(BaseModel):
    """What a model wrote for a study; it may be nothing."""

    model_config = ConfigDict(strict=True, extra="forbid")
    model_prediction: str


class FullStudy(Prediction):
    """A study with every field of ReXrank's own file, and what a model wrote for it."""

    key_image_path: PicturePath
    image_path: Annotated[list[PicturePath], Field(min_length=1)]
    report: Words
    section_findings: Words
    section_impression: str
    split: Literal["test", "val"]
    frontal_lateral: Annotated[list[Literal["Frontal", "Lateral", "Other"]], Field(min_length=1)]
    context: Words


def write_rexrank(reports: Path, out: Path, split: str = "test", full: bool = False) -> dict[str, Prediction]:
    """Write the reports of a file as ReXrank's JSON, whole or not at all.

    Args:
        reports: a CSV of ``written_reports``: a row a study of the split, by its id (``CXR2``) or ReXrank's key.
        out: the JSON.
        split: one of ``SPLITS``.
        full: every field of ReXrank's file, the radiologist's report among them; else ``model_prediction`` alone.

    Returns:
        Key -> what was written, in the order of the split table.

    Raises:
        DataError: the file is no such CSV, an id is no study of the split, is missing or stands there twice, or ``out``
            is there already; nothing is written.
        AssetError: the wheel with Open-i's reports is not installed.
    """
    if out.exists():
        raise DataError(f"--out {out}: there is a file already. Give another name.")
    table = read_split_table(assets.repository_data("openi_split.csv"))
    wanted = [study for study, of_split in table.items() if of_split == split]
    records = read_openi_records(assets.asset("openi_reports"), wanted)
    written = _predictions(reports, {study: rexrank_key(records[study]) for study in wanted}, split)
    entries = {}
    for study in wanted:
        fields = {"model_prediction": written[study]}
        entries[rexrank_key(records[study])] = (_reference(records[study], split) if full else {}) | fields
    try:
        checked = _SCHEMA[full].validate_python(entries)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise DataError(f"{reports}: {where}: {first['msg']}, found {str(first['input'])[:60]!r}.") from error
    with atomic_write(out) as temporary:
        temporary.write_bytes(_SCHEMA[full].dump_json(checked, indent=1))
    return checked


_SCHEMA = {False: TypeAdapter(dict[Key, Prediction]), True: TypeAdapter(dict[Key, FullStudy])}


def rexrank_key(record: OpeniRecord) -> str:
    """ReXrank's key of a study: its first picture's name without the last number.

    Raises:
        DataError: the record names no picture.
    """
    if not record.images:
        raise DataError(f"study {record.id}: found no picture in its record, so ReXrank has no key of it.")
    return picture_key(record.images[0]).rpartition("-")[0]


def _predictions(path: Path, keys: dict[str, str], split: str) -> dict[str, str]:
    """Study -> its report, by a file whose ids are studies or their keys."""
    table, texts = read_table(path)
    study_of = {key: study for study, key in keys.items()} | {study: study for study in keys}
    found = Counter(study_of.get(one, "") for one in table.index)
    strange = [one for one in table.index if one not in study_of]
    missing = [study for study in keys if not found[study]]
    twice = [f"{study} and {keys[study]}" for study in keys if found[study] > 1]
    if strange or missing or twice:
        counts = ((strange, "that the split lacks"), (missing, "missing"), (twice, "twice"))
        told = "; ".join(f"{len(ids)} {words}: {shown(ids, 3)}" for ids, words in counts if ids)
        names = " or ".join(next(iter(keys.items())))
        raise DataError(
            f"{path}: found ids {told}. Expected each of the {len(keys)} studies of the {split} split once, as "
            f"{names}. Nothing was written."
        )
    return {study_of[one]: text for one, text in table[texts].items()}


def _reference(record: OpeniRecord, split: str) -> dict[str, object]:
    """The fields of ReXrank's own file, from Open-i's record."""
    key, sections = rexrank_key(record), record.sections
    views = [view.capitalize() for view in name_views([known_views().get(picture_key(i), "") for i in record.images])]
    paths = [f"{key}/{number}.png" for number in range(min(_PICTURES, len(views)))]
    frontal = views.index("Frontal") if "Frontal" in views else len(paths)
    findings, impression = sections.get("findings", ""), sections.get("impression", "")
    indication, comparison = sections.get("indication", ""), sections.get("comparison", "")
    return {
        "key_image_path": paths[min(frontal, len(paths) - 1)],
        "image_path": paths,
        "report": f"Findings: {findings} Impression: {impression}",
        "section_findings": findings,
        "section_impression": impression,
        "split": split,
        "frontal_lateral": views,
        "context": (f"Indication: {indication}" if indication else "") + f" Comparison: {comparison or 'None'}",
    }
