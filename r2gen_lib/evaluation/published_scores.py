"""The ledger: published scores of R2GenGPT, others' reruns of it, and ours, each with its protocol and its source.

``data/ledger.csv`` holds what others have published; a field that no source could be found for is empty. Ours are read
from the ``scores.json`` files of ``r2gen evaluate`` in ``data/measured/``, one a checkpoint.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from r2gen_lib.assets import repository_data
from r2gen_lib.errors import AssetError, DataError
from r2gen_lib.evaluation.controls import CONSTANT, MODEL
from r2gen_lib.evaluation.run_metadata import settings_of_today
from r2gen_lib.evaluation.text_tables import table_lines

#: Who measured: the paper's authors, somebody else with their code, or we.
KINDS = ("paper", "rerun", "ours")
METRICS = ("Bleu_1", "Bleu_2", "Bleu_3", "Bleu_4", "METEOR", "ROUGE_L", "CIDEr", "F1_macro")
#: What must be the same before two scores may be compared.
PROTOCOL = ("data", "split", "section", "references_cut", "min_tokens", "scoring", "labeller")
COLUMNS = ("kind", "who", "mode", *PROTOCOL[:-1], *METRICS, "labeller", "source", "note")
SIMULATED = "openi_sim (simulated pictures)"
_HIGHEST = {"CIDEr": 10.0}
_CLINICAL = "clinical macro F1 (rules, 14, uncertain positive)"


def read_ledger(path: Path | None = None, measured: Path | None = None) -> pd.DataFrame:
    """Every row, others' first: columns ``COLUMNS``, metrics as floats (NaN where not published), the rest as text.

    Args:
        path: the CSV; by default ``data/ledger.csv``.
        measured: folder with ours, as ``read_measured`` takes them; by default ``data/measured``, if it is there.

    Raises:
        DataError: the CSV lacks a column, or a row says what it must not; the message names the line.
        AssetError: there is no such file.
    """
    found = sourced_rows(path or repository_data("ledger.csv"), COLUMNS, ("who", "data", "source"))
    rows = [_checked(row, where) for where, row in found]
    if measured is None:
        try:
            measured = repository_data("measured")
        except AssetError:  # nothing was measured yet
            return pd.DataFrame(rows, columns=list(COLUMNS))
    for file in sorted(measured.glob("*.json")):
        rows += read_measured(file)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def sourced_rows(path: Path, columns: Sequence[str], filled: Sequence[str]) -> list[tuple[str, dict[str, str]]]:
    """(file and line, cells) of each row of a CSV of ``data/`` that quotes scores.

    Args:
        path: the CSV.
        columns: what it must have, in this order.
        filled: columns that no row may leave empty.

    Raises:
        DataError: other columns, or such a cell is empty; the message names the line.
        AssetError: there is no such file.
    """
    if not path.is_file():
        raise AssetError(f"{path}: not found. Restore it with `git checkout -- data/{path.name}`.")
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    if list(frame.columns) != list(columns):
        other = ", ".join(sorted(set(columns) ^ set(frame.columns))) or "the order"
        raise DataError(
            f"{path}: found columns {', '.join(frame.columns)}; expected {', '.join(columns)}. What differs: {other}."
        )
    rows = [(f"{path}, line {line}", row) for line, row in enumerate(frame.to_dict("records"), 2)]
    for where, row in rows:
        for name in filled:
            if not row[name].strip():
                raise DataError(f"{where}: {name} is empty. A number without it cannot be checked: fill it in.")
    return rows


def _checked(row: dict[str, str], where: str) -> dict[str, Any]:
    """The row with its metrics as numbers."""
    if row["kind"] not in KINDS:
        raise DataError(f"{where}: kind is {row['kind']!r}, expected one of {', '.join(KINDS)}.")
    numbers = {name: _number(row[name], name, where) for name in METRICS}
    if all(pd.isna(value) for value in numbers.values()) and not row["note"]:
        raise DataError(f"{where}: found no score and no note, expected one of them. Leave the row out.")
    if not pd.isna(numbers["F1_macro"]) and not row["labeller"]:
        raise DataError(f"{where}: F1_macro without its labeller. Name it, or write 'not stated'.")
    return row | numbers


def _number(text: str, name: str, where: str) -> float:
    if not text.strip():
        return float("nan")
    highest = _HIGHEST.get(name, 1.0)
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 <= value <= highest:
        raise DataError(f"{where}: {name} is {text!r}, expected a number from 0 to {highest:g}, or nothing.")
    return value


def read_measured(path: Path) -> list[dict[str, Any]]:
    """Rows of ours from a ``scores.json`` of ``r2gen evaluate``: the model's, and its constant report's beside it.

    The file's name says what was measured: ``laptop-shallow_test.json`` is the checkpoint laptop-shallow on the test
    split of the course's data. A setting ``checkpoint``, ``split``, ``data`` or ``mode`` in the file goes before that.

    Raises:
        DataError: it is not such a file.
    """
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        settings, systems = settings_of_today(told["settings"]), told["systems"]
        model = systems[MODEL]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not a scores.json of `r2gen evaluate` ({error!r}). Copy one there.") from error
    checkpoint, _, split = path.stem.partition("_")
    base = {
        "kind": "ours",
        "mode": settings.get("mode", checkpoint.rpartition("-")[2]),
        "data": settings.get("data", SIMULATED),
        "split": settings.get("split", split or "test"),
        "section": settings["section"],
        "references_cut": str(settings.get("references cut to") or "whole"),
        "min_tokens": str(settings.get("decoding", {}).get("min_new_tokens", "preset's")),
        "scoring": f"all {settings.get('studies', '?')} studies at once, tokenizer {settings.get('tokenizer', '?')}",
        "labeller": "our rules",
        "source": path.name,
    }
    who = settings.get("checkpoint", checkpoint)
    rows = [base | {"who": who, "note": _intervals(model)} | _scores(model)]
    if CONSTANT in systems:
        rows.append(
            base | {"who": f"{who}: {CONSTANT}", "note": "control: sees no picture"} | _scores(systems[CONSTANT])
        )
    return rows


def _scores(system: dict[str, Any]) -> dict[str, float]:
    named = {name: system.get(_CLINICAL if name == "F1_macro" else name) for name in METRICS}
    return {name: float(one["score"]) if one else float("nan") for name, one in named.items()}


def _intervals(system: dict[str, Any]) -> str:
    shown = [(name, system[name]) for name in ("Bleu_4", "CIDEr") if name in system]
    return ", ".join(f"{name} [{one['low']:.3f}, {one['high']:.3f}]" for name, one in shown)


def protocol_of(row: pd.Series) -> str:
    """How a row was scored, in words; what its source does not say is said to be so."""
    cut, least = row.references_cut, row.min_tokens
    known = {"": "cut not stated", "whole": "references whole"}
    words = [row.section or "section not stated", known.get(cut, f"references cut at {cut} tokens")]
    words.append(f"at least {least} tokens" if least.isdigit() else f"least length {least or 'not stated'}")
    return "; ".join(words + [row.scoring] * bool(row.scoring))


def format_ledger(ledger: pd.DataFrame, markdown: bool = False) -> str:
    """The ledger as text, or as Markdown: a row a measurement, sources and notes by number beneath."""
    heads = ["", "kind", "who", "mode", "data, split", *("B-1", "B-2", "B-3", "B-4", "METEOR", "R-L", "CIDEr", "F1")]
    rows, notes = [], []
    for number, (_, row) in enumerate(ledger.iterrows(), 1):
        scores = ["" if pd.isna(row[name]) else f"{row[name]:.3f}" for name in METRICS]
        place = f"{row.data}, {row.split or 'split not stated'}"
        rows.append([str(number), row.kind, row.who, row["mode"] or "not stated", place, *scores])
        labels = f"; labeller of F1: {row.labeller}" if not pd.isna(row.F1_macro) else ""
        source = f"<{row.source}>" if markdown and row.source.startswith("http") else row.source
        notes.append(f"{number}. {source}: {protocol_of(row)}{labels}. {row.note}".rstrip(". ") + ".")
    verdict = (
        "Not comparable with one another: data, split, section, cut and least length differ or are not stated. Ours "
        "are of simulated pictures, and cannot be compared with any number from real radiographs."
    )
    return "\n".join([*table_lines(heads, rows, 5, markdown), "", verdict, "", *notes])
