"""``r2gen board``: a class board from the ``scores.json`` files of ``r2gen evaluate``, made offline."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

NAME = "board"
HELP = "make a class board from the scores.json files of r2gen evaluate"


def options(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    words = "for each student a sub folder with scores.json (in any depth), or a NAME.json"
    parser.add_argument("folder", type=Path, metavar="FOLDER", help=words)
    words = "rank by the score whose name holds these words (default: clinical macro F1)"
    parser.add_argument("--by", default="clinical macro F1", metavar="SCORE", help=words)
    words = "also a page for the browser, every score, in one file that fetches nothing"
    parser.add_argument("--html", type=Path, metavar="FILE", help=words)
    parser.add_argument("--csv", type=Path, metavar="FILE", help="also a table, a row a run and score")


def run(args: argparse.Namespace) -> int:
    """Print the board, write what was asked for, and name the files that could not be read."""
    from r2gen_lib.evaluation.class_board import class_board, format_class_board, read_folder, score_named
    from r2gen_lib.evaluation.page.class_page import write_class_page
    from r2gen_lib.files import atomic_write

    entries, errors = read_folder(args.folder)
    if entries:
        board = class_board(entries)
        by = score_named(board, args.by)
        print(format_class_board(board, by))
        if args.csv:
            with atomic_write(args.csv) as temporary:
                board.to_csv(temporary, index=False, lineterminator="\n")
        if args.html:
            print(f"for the browser: {write_class_page(args.html, board, by, errors)}")
    for error in errors:
        print(f"skipped: {error}", file=sys.stderr)
    print(f"{len(entries)} runs, {len(errors)} errors")
    return int(bool(errors))
