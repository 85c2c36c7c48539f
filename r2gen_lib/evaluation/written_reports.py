"""Generated reports in a file, so that they are scored again without a model: a metric that changes costs seconds.

A CSV with a row a study: ``study`` (or ``id``) and ``generated`` (or ``report``). Columns of controls may stand beside
it, named as ``controls`` names them (``blank picture``, ``nearest neighbour``, ``oracle``, in older files ``perfect
eye``); that is what ``reports.csv`` of ``r2gen evaluate`` holds. A nearest neighbour may also be given by its study's
id, ``nearest study``: its text is a radiologist's, and Open-i's licence lets nobody pass that on. ``shareable`` makes
such a file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from r2gen_lib.data.study import Study
from r2gen_lib.errors import DataError
from r2gen_lib.evaluation.controls import BLANK, MODEL, NEAREST, ORACLE, SHUFFLED, shuffled
from r2gen_lib.files import atomic_write
from r2gen_lib.former_names import CONTROLS

NEAREST_STUDY = "nearest study"
_IDS, _TEXTS = ("study", "id"), ("generated", "report")


def read_reports(path: Path, train: Sequence[Study] = ()) -> dict[str, dict[str, str]]:
    """What each system wrote, by a file as described above.

    Args:
        path: the file.
        train: the training studies, in which ``nearest study`` is looked up.

    Returns:
        System -> (study id -> report): the model, the same with the pictures shuffled, and the controls that are there.

    Raises:
        DataError: no such file, a column is missing, an id stands there twice or is empty, or a nearest study is none
            of ``train``.
    """
    table, texts = read_table(path)
    table = table.rename(columns=CONTROLS)
    systems = {MODEL: table[texts].to_dict()}
    systems[SHUFFLED] = {study: systems[MODEL][other] for study, other in shuffled(table.index).items()}
    systems |= {name: table[name].to_dict() for name in (BLANK, NEAREST, ORACLE) if name in table}
    if NEAREST_STUDY in table:
        known = {study.id: study.report for study in train}
        strange = [study for study in table[NEAREST_STUDY] if study not in known]
        if strange:
            raise DataError(
                f"{path}, column {NEAREST_STUDY}: found {strange[0]}, expected ids of the data's training studies. "
                "Give the data that the file was made with, or leave the column out."
            )
        systems[NEAREST] = {study: known[other] for study, other in table[NEAREST_STUDY].items()}
    return systems


def read_table(path: Path) -> tuple[pd.DataFrame, str]:
    """A file as described above: a row a study, by its id, every cell a text; and the column of the generated reports.

    Raises:
        DataError: no such file, it is no CSV, a column is missing, or an id stands there twice or is empty.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file. Give a CSV with the columns study and generated.") from error
    except (OSError, ValueError, pd.errors.ParserError) as error:
        raise DataError(f"{path}: cannot be read as a CSV file ({error}).") from error
    ids, texts = (_column(path, table, names) for names in (_IDS, _TEXTS))
    twice = table[ids][table[ids].duplicated()]
    if not len(table) or len(twice) or not table[ids].str.strip().all():
        found = f"{twice.iloc[0]} twice" if len(twice) else "an empty one" if len(table) else "no row"
        raise DataError(f"{path}, column {ids}: found {found}, expected one row a study, each with its id.")
    return table.set_index(ids), texts


def _column(path: Path, table: pd.DataFrame, names: Sequence[str]) -> str:
    for name in names:
        if name in table:
            return name
    raise DataError(f"{path}: found columns {', '.join(map(str, table))}; expected one of {' or '.join(names)}.")


def references_of(path: Path, systems: Mapping[str, Mapping[str, str]], studies: Sequence[Study]) -> dict[str, str]:
    """Study id -> the radiologist's report, for the studies of a file, in the data's order.

    Raises:
        DataError: the file holds a study that the data's split does not, or lacks one of it.
    """
    known = {study.id: study.report for study in studies}
    written = systems[MODEL]
    strange, missing = [i for i in written if i not in known], [i for i in known if i not in written]
    if strange or missing:
        found = f"{strange[0]}, which the split does not have" if strange else f"no report of {missing[0]}"
        raise DataError(
            f"{path}: found {found} ({len(strange)} such, {len(missing)} missing); expected the {len(known)} studies "
            "of the split. Name it and the data with --split and --data, or give --partial to score what is there."
        )
    return known


def keep_reports(path: Path, references: Mapping[str, str], systems: Mapping[str, Mapping[str, str]]) -> None:
    """Write what ``read_reports`` reads: ``id``, ``reference``, ``generated`` (the model's), and a column a control."""
    controls = {name: texts for name, texts in systems.items() if name != MODEL}
    columns = {"reference": references, "generated": systems[MODEL], **controls}
    with atomic_write(path) as temporary:
        pd.DataFrame(columns).rename_axis("id").to_csv(temporary)


def shareable(systems: Mapping[str, Mapping[str, str]], train: Sequence[Study]) -> pd.DataFrame:
    """The table of a file without a radiologist's word: neighbours by id, and no references.

    Raises:
        DataError: a nearest neighbour's text is no training study's.
    """
    columns = {"generated": systems[MODEL]} | {name: systems[name] for name in (BLANK, ORACLE) if name in systems}
    if NEAREST in systems:
        ids = {study.report: study.id for study in reversed(train)}
        try:
            columns[NEAREST_STUDY] = {study: ids[text] for study, text in systems[NEAREST].items()}
        except KeyError as error:
            raise DataError(f"{NEAREST}: found a report that is no training study's: {str(error)[:60]} ...") from error
    return pd.DataFrame(columns).rename_axis("study")
