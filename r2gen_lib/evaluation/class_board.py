"""A class board: the ``scores.json`` files of ``r2gen evaluate`` in one table, like ranked with like alone.

Two runs are alike where everything in ``PROTOCOL`` is, and where the constant report has the same score: it is chosen
from training reports and scored on the same references, so another score of it means other studies or other references.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import BaseModel, FiniteFloat, ValidationError, model_validator

from r2gen_lib.errors import DataError, shown
from r2gen_lib.evaluation.controls import CONSTANT, FLOORS, MODEL
from r2gen_lib.evaluation.run_metadata import settings_of_today

#: What must be the same before two runs are ranked with each other, beside ``SAME_CONSTANT``.
PROTOCOL = (
    "data", "pictures", "split", "studies", "section", "cleaning", "references cut to", "tokenizer", "least length",
)  # fmt: skip
SAME_CONSTANT = f"BLEU-4 of the {CONSTANT}"
NOT_TOLD = "not told"
SCORES = "scores.json"


class Score(BaseModel):
    """One score of one system, with its interval."""

    score: FiniteFloat
    low: FiniteFloat
    high: FiniteFloat

    @model_validator(mode="after")
    def _in_order(self) -> Score:
        if not 0 <= self.low <= self.high:
            raise ValueError(f"interval [{self.low}, {self.high}], expected 0 <= low <= high")
        return self


class _ScoresFile(BaseModel):
    """What a board reads of a ``scores.json``; counts, such as distinct reports, are bare numbers."""

    settings: dict[str, Any]
    systems: dict[str, dict[str, Score | FiniteFloat]]

    @model_validator(mode="after")
    def _has_a_model(self) -> _ScoresFile:
        if not any(isinstance(one, Score) for one in self.systems.get(MODEL, {}).values()):
            raise ValueError(f"systems: no score of {MODEL!r}")
        return self


@dataclass(frozen=True)
class Entry:
    """One run on the board.

    Attributes:
        student: the name of the folder or file.
        protocol: name of ``PROTOCOL`` or ``SAME_CONSTANT`` -> value in words, ``NOT_TOLD`` where the file says nothing.
        systems: the model and the controls that are there -> score -> its value and interval.
    """

    student: str
    protocol: Mapping[str, str]
    systems: Mapping[str, Mapping[str, Score]]

    @property
    def without(self) -> tuple[str, ...]:
        """The controls that are not there."""
        return tuple(control for control in FLOORS if control not in self.systems)


def read_folder(folder: Path) -> tuple[list[Entry], list[str]]:
    """Every run in a folder: each ``NAME.json`` in it, and each ``scores.json`` in a sub folder, in any depth.

    Returns:
        The runs that could be read, by name, and an error for each file or sub folder that could not.

    Raises:
        DataError: no such folder, or nothing in it is a student's.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder. Give one with a sub folder or a scores.json for each student.")
    entries: dict[str, Entry] = {}
    errors = []
    places = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    for place in (path for path in places if path.is_dir() or path.suffix == ".json"):
        files = sorted(place.rglob(SCORES)) if place.is_dir() else [place]
        if not files:
            errors.append(f"{place}: no {SCORES} in it. Copy there what `r2gen evaluate` wrote.")
        for file in files:
            run = file.parent.relative_to(folder).as_posix() if len(files) > 1 else _name(place)
            try:
                if run in entries:
                    raise DataError(f"{file}: there is a run of {run} already. Give each student one name.")
                entries[run] = read_entry(file, run)
            except DataError as error:
                errors.append(str(error))
    if not entries and not errors:
        raise DataError(f"{folder}: found no sub folder and no .json, expected one for each student.")
    return [entries[name] for name in sorted(entries)], errors


def _name(place: Path) -> str:
    return place.name if place.is_dir() else place.stem


def read_entry(path: Path, student: str) -> Entry:
    """One ``scores.json``.

    Raises:
        DataError: it is no file that ``r2gen evaluate`` wrote; the message names the field.
    """
    try:
        told = _ScoresFile.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise DataError(f"{path}: not a {SCORES} of `r2gen evaluate`: {where}: {first['msg']}.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read as JSON ({type(error).__name__}: {error}).") from error
    systems = {
        name: {score: one for score, one in scores.items() if isinstance(one, Score)}
        for name, scores in told.systems.items()
        if name in (MODEL, *FLOORS)
    }
    return Entry(student, _protocol(told.settings, systems), systems)


def _protocol(settings: Mapping[str, Any], systems: Mapping[str, Mapping[str, Score]]) -> dict[str, str]:
    told = settings_of_today(settings)
    if "references cut to" in told:
        told["references cut to"] = told["references cut to"] or "whole"
    decoding = told.get("decoding used") or told.get("decoding")
    told["least length"] = decoding.get("min_new_tokens") if isinstance(decoding, Mapping) else None
    words = {name: NOT_TOLD if told.get(name) in (None, "") else str(told[name]) for name in PROTOCOL}
    constant = systems.get(CONSTANT, {}).get("Bleu_4")
    return words | {SAME_CONSTANT: f"{constant.score:.4f}" if constant else NOT_TOLD}


def class_board(entries: Sequence[Entry]) -> pd.DataFrame:
    """Every score of every run, ranked within its table: the runs whose protocol is the same.

    Returns:
        A row a run and score. Columns: ``table`` (1: the one of the most runs), ``student``, ``score`` (its name),
        ``rank`` ("2", or "1 to 3" where intervals overlap; empty without a constant report), ``value``, ``low``,
        ``high``, each of ``FLOORS`` (NaN where it is not there), ``not above`` (controls whose interval the run is not
        above) and ``without`` (controls that are not there), joined by commas; ``PROTOCOL`` and ``SAME_CONSTANT``.
    """
    groups: dict[tuple[str, ...], list[Entry]] = {}
    for entry in entries:
        groups.setdefault(tuple(entry.protocol.values()), []).append(entry)
    tables = sorted(groups.values(), key=lambda group: (CONSTANT in group[0].without, -len(group)))
    rows = []
    for number, group in enumerate(tables, 1):
        for name in dict.fromkeys(name for entry in group for name in entry.systems[MODEL]):
            scored = sorted(
                (entry for entry in group if name in entry.systems[MODEL]),
                key=lambda entry: (-entry.systems[MODEL][name].score, entry.student),
            )
            ranks = _ranks([entry.systems[MODEL][name] for entry in scored])
            rows += [_row(number, entry, name, rank) for entry, rank in zip(scored, ranks, strict=True)]
    return pd.DataFrame(rows)


def _ranks(scores: Sequence[Score]) -> list[str]:
    """The best and the worst rank that each score's interval leaves open."""
    places = []
    for own in scores:
        best = 1 + sum(other.low > own.high for other in scores)
        worst = len(scores) - sum(other.high < own.low for other in scores)
        places.append(str(best) if best == worst else f"{best} to {worst}")
    return places


def _row(table: int, entry: Entry, name: str, rank: str) -> dict[str, Any]:
    own = entry.systems[MODEL][name]
    controls = {control: entry.systems.get(control, {}).get(name) for control in FLOORS}
    return {
        "table": table,
        "student": entry.student,
        "score": name,
        "rank": "" if controls[CONSTANT] is None else rank,
        "value": own.score,
        "low": own.low,
        "high": own.high,
        **{control: one.score if one else float("nan") for control, one in controls.items()},
        "not above": ", ".join(control for control, one in controls.items() if one and own.score <= one.high),
        "without": ", ".join(control for control, one in controls.items() if one is None),
        **entry.protocol,
    }


def score_named(board: pd.DataFrame, words: str) -> str:
    """The one score of a board whose name holds these words, whatever their case; a name as it stands goes before.

    Raises:
        DataError: none does, or several do.
    """
    names = list(dict.fromkeys(board["score"]))
    found = [name for name in names if words.lower() in name.lower()]
    if words not in names and len(found) != 1:
        raise DataError(f"--by {words!r}: found {len(found)} scores of that name, expected one of {', '.join(names)}.")
    return words if words in names else found[0]


def differences(board: pd.DataFrame, table: int) -> list[str]:
    """In what a table's protocol differs from that of table 1, such as "split: val, not test"."""
    first, other = (board[board["table"] == number].iloc[0] for number in (1, table))
    return [
        f"{name}: {other[name]}, not {first[name]}" for name in (*PROTOCOL, SAME_CONSTANT) if other[name] != first[name]
    ]


def protocol_in_words(board: pd.DataFrame, table: int) -> str:
    """A table's protocol in a line."""
    row = board[board["table"] == table].iloc[0]
    return ", ".join(f"{name} {row[name]}" for name in (*PROTOCOL, SAME_CONSTANT))


#: What stands beneath a board: how it is to be read.
LEGEND = (
    "[low, high]: each run's own bootstrap interval. rank: '1 to 3' where intervals overlap, so chance may order them; "
    "r2gen compare A B looks study by study and is sharper. *: not above a control's interval. !: a control is "
    "missing. Without a constant report a run is not ranked. Runs of another table were scored on something else."
)


def format_class_board(board: pd.DataFrame, by: str) -> str:
    """The board for a terminal: a table for each protocol, ranked by one score.

    Args:
        board: as ``class_board`` gives it.
        by: the score's name.
    """
    lines = []
    for table in board["table"].unique():
        rows = board[(board["table"] == table) & (board["score"] == by)]
        unscored = sorted(set(board[board["table"] == table]["student"]) - set(rows["student"]))
        lines += [f"Table {table}: {by}", f"  {protocol_in_words(board, table)}"]
        lines += [f"  differs from table 1: {'; '.join(differences(board, table))}"] if table > 1 else []
        if len(rows):
            lines.append(pd.DataFrame([_cells(row) for _, row in rows.iterrows()]).to_string(index=False))
        lines += [f"  without this score: {shown(unscored, len(unscored))}"] if unscored else []
        lines.append("")
    return "\n".join([*lines, LEGEND])


def _cells(row: pd.Series) -> dict[str, str]:
    marks = "*" * bool(row["not above"]) + "!" * bool(row["without"])
    controls = {control: "-" if pd.isna(row[control]) else f"{row[control]:.3f}" for control in FLOORS}
    value = f"{row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]{marks}"
    return {"rank": row["rank"] or "-", "student": row["student"], "score": value} | controls
