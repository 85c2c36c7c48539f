"""The public board ReXrank on the IU-Xray test split, and what needs no radiograph beside it.

``data/rexrank.csv`` holds the board's rows as its repository gave them, ``data/rexrank_ours.csv`` ours: two tables,
because only one score of them is made alike, and no picture of ours is a radiograph.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from r2gen_lib.assets import repository_data
from r2gen_lib.errors import DataError
from r2gen_lib.evaluation.published_scores import sourced_rows
from r2gen_lib.evaluation.text_tables import table_lines

#: The board's scores of findings alone. Highest: 1 for all but 1/RadCliQ-v1; CRIMSON may be negative.
METRICS = ("BLEU", "BERTScore", "SembScore", "RadGraph", "1/RadCliQ-v1", "RaTEScore", "GREEN", "CRIMSON")
COLUMNS = ("who", "group", "year", *METRICS, "source", "read", "note")
OUR_COLUMNS = ("who", "BLEU", "low", "high", "source", "note")
_BOUNDS = {"1/RadCliQ-v1": (0.0, float("inf")), "CRIMSON": (-1.0, 1.0)}
_THEIRS = (
    "ReXrank, IU-Xray, findings alone: the 590 studies of the test split here. The board's own numbers, ordered by "
    "1/RadCliQ-v1; -IU and -MIMIC in a name are the board's."
)
_OURS = (
    "Beside it, text alone: controls, and models that saw simulated pictures, which are drawn from the very report's "
    "codes. No row here may stand on the board. BLEU is made as its metric code makes it (BLEU-2, the mean over "
    "studies; lower case, a blank before each full stop, other marks stay at their word), of the same findings, not "
    "cleaned. Not known: whether the board cuts a heading from what a system wrote, and which version of the code made "
    "its table. So a small difference says nothing. The other scores need trained weights that are not here: empty."
)


def read_board(path: Path | None = None) -> pd.DataFrame:
    """The board's rows: ``COLUMNS``, metrics as floats, the rest as text.

    Args:
        path: by default ``data/rexrank.csv``.

    Raises:
        DataError: a column is missing, a number cannot be, or a row has no source or date; the message names the line.
        AssetError: there is no such file.
    """
    return _read(path or repository_data("rexrank.csv"), COLUMNS, METRICS, ("who", "source", "read"))


def read_ours(path: Path | None = None) -> pd.DataFrame:
    """Our rows beside the board: ``OUR_COLUMNS``, the score and its interval as floats. Errors: as ``read_board``."""
    return _read(path or repository_data("rexrank_ours.csv"), OUR_COLUMNS, ("BLEU", "low", "high"), ("who", "source"))


def _read(path: Path, columns: tuple[str, ...], numbers: tuple[str, ...], filled: tuple[str, ...]) -> pd.DataFrame:
    rows = sourced_rows(path, columns, filled)
    for where, row in rows:
        for name in numbers:
            low, high = _BOUNDS.get(name, (0.0, 1.0))
            value = pd.to_numeric(row[name], errors="coerce")
            if not low <= value <= high:
                raise DataError(f"{where}: {name} is {row[name]!r}, expected a number from {low} to {high}.")
    return pd.DataFrame([row for _, row in rows], columns=list(columns)).astype(dict.fromkeys(numbers, float))


def format_board(board: pd.DataFrame, ours: pd.DataFrame, markdown: bool = False) -> str:
    """Both tables as text, or as Markdown: what each is, its rows, and where they are from."""
    heads = ["system", "group", "year", *METRICS]
    theirs = [[row.who, row.group, row.year, *(f"{row[name]:.3f}" for name in METRICS)] for _, row in board.iterrows()]
    empty = [""] * (len(METRICS) - 1)
    beside = [[row.who, f"{row.BLEU:.3f} [{row.low:.3f}, {row.high:.3f}]", *empty] for _, row in ours.iterrows()]
    sources = [f"- {_linked(url, markdown)}, read {day}." for url, day in _distinct(board, "source", "read")]
    sources += [f"- {row.who}: {row.note}." for _, row in board.iterrows() if row.note]
    made = [f"- {row.who}: {row.note}. `{row.source}`" for _, row in ours.iterrows()]
    return "\n".join(
        [
            *(_THEIRS, "", *table_lines(heads, theirs, 3, markdown), "", *sources),
            *("", _OURS, "", *table_lines(["system", *METRICS], beside, 1, markdown), "", *made),
        ]
    )


def _distinct(frame: pd.DataFrame, *columns: str) -> list[tuple[str, ...]]:
    return list(frame[list(columns)].drop_duplicates().itertuples(index=False, name=None))


def _linked(url: str, markdown: bool) -> str:
    return f"<{url}>" if markdown else url
