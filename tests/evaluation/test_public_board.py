"""The public board's rows, and ours beside them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from r2gen_lib import cli
from r2gen_lib.errors import AssetError, DataError
from r2gen_lib.evaluation.public_board import COLUMNS, METRICS, format_board, read_board, read_ours

ROOT = Path(__file__).parents[2]
GOOD = dict.fromkeys(METRICS, "0.5") | {"who": "a", "source": "https://x", "read": "2026-11-29", "note": ""}
GOOD |= {"group": "b", "year": "2026"}


def written(folder: Path, **changes: str) -> Path:
    path = folder / "rexrank.csv"
    path.write_text(",".join(COLUMNS) + "\n" + ",".join((GOOD | changes)[name] for name in COLUMNS) + "\n")
    return path


def test_every_row_has_a_source_and_the_day_it_was_read():
    board = read_board()
    assert len(board) == 31 and board.source.str.startswith("https://github.com/rajpurkarlab/ReXrank/blob/").all()
    assert board.read.str.fullmatch(r"2026-\d\d-\d\d").all() and board.who.is_unique
    assert board["1/RadCliQ-v1"].is_monotonic_decreasing
    assert not set(board.who) & set(read_ours().who)


def test_what_the_documents_say_of_the_constant_report():
    board, ours = read_board(), read_ours().set_index("who")
    assert (board.BLEU < ours.BLEU["constant report"]).sum() == 28
    assert "above 28 of the board's 31 rows" in " ".join((ROOT / "docs" / "evaluation.md").read_text().split())


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"source": ""}, "line 2: source is empty"),
        ({"read": " "}, "read is empty"),
        ({"BLEU": "26.5"}, "BLEU is '26.5', expected a number from 0.0 to 1.0"),
        ({"CRIMSON": "x"}, "CRIMSON is 'x'"),
        ({"GREEN": ""}, "GREEN is ''"),
    ],
)
def test_a_row_that_cannot_be_is_named(tmp_path, changes, words):
    with pytest.raises(DataError, match=words):
        read_board(written(tmp_path, **changes))


def test_other_columns_and_no_file_are_named(tmp_path):
    assert len(read_board(written(tmp_path, **{"1/RadCliQ-v1": "4.8", "CRIMSON": "-0.5"}))) == 1
    with pytest.raises(AssetError, match="git checkout"):
        read_board(tmp_path / "none.csv")
    with pytest.raises(DataError, match="found columns"):
        read_ours(written(tmp_path))


def test_ours_stand_in_a_table_of_their_own_without_the_scores_that_cannot_be_made_here():
    text = format_board(read_board(), read_ours(), markdown=True)
    theirs, ours = text.split("Beside it, text alone")
    assert "constant report" not in theirs and "UniRG-CXR" not in ours and "simulated pictures" in ours
    row = next(line for line in ours.splitlines() if line.startswith("| laptop-shallow"))
    assert row.count("|") == 10 and set(row.split("|")[3:-1]) == {"  "}


@pytest.mark.parametrize("model", ["laptop-shallow", "laptop-delta"])
def test_our_rows_are_what_their_command_prints(model, capsys):
    rows = read_ours()
    rows = rows[rows.source.str.contains(model)]
    command = rows.source.iloc[0].split()
    command[2] = str(ROOT / command[2])
    assert cli.main(command[1:]) == 0
    line = next(one for one in capsys.readouterr().out.splitlines() if one.startswith("BLEU-2 as ReXrank "))
    cells = re.findall(r"([\d.]+) \[([\d.]+), ([\d.]+)\]", line)
    systems = [model, "constant report", "shuffled pictures", "blank picture", "nearest neighbour"]
    printed = dict(zip(systems, (tuple(map(float, cell)) for cell in cells), strict=True))
    assert {row.who: (row.BLEU, row.low, row.high) for row in rows.itertuples()}.items() <= printed.items()


def test_both_tables_are_printed(capsys, tmp_path):
    assert cli.main(["ledger", "--measured", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "Wang et al. 2023" in printed and "UniRG-CXR" in printed and "laptop-delta" in printed
