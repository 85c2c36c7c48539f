"""The class board as a page: every score of every table, with its controls."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from r2gen_lib.evaluation.class_board import LEGEND, differences, protocol_in_words
from r2gen_lib.evaluation.controls import FLOORS
from r2gen_lib.evaluation.page.render import write_page


def write_class_page(path: Path, board: pd.DataFrame, by: str, errors: Sequence[str] = ()) -> Path:
    """Write one self-contained page.

    Args:
        path: of the page.
        board: as ``class_board.class_board`` gives it.
        by: the score whose table comes first.
        errors: what could not be read, told at the end.

    Returns:
        ``path``.
    """
    tables = []
    for number in board["table"].unique():
        part = board[board["table"] == number]
        names = sorted(dict.fromkeys(part["score"]), key=lambda name: name != by)  # stable: the others in their order
        scores = [(name, part[part["score"] == name].to_dict("records")) for name in names]
        differs = differences(board, number)
        tables.append(
            {"number": number, "protocol": protocol_in_words(board, number), "differs": differs, "scores": scores}
        )
    values = {
        "students": board["student"].nunique(),
        "simulated": bool((board["pictures"] == "simulated").any()),
        "notice": "",
        "legend": LEGEND,
        "controls": FLOORS,
        "tables": tables,
        "errors": list(errors),
    }
    return write_page(path, "class_board.html", values)
