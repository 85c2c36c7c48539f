"""``r2gen compare``: two runs of ``r2gen evaluate`` on the same studies, what differs and how sure that is."""

from __future__ import annotations

import argparse
from pathlib import Path

from r2gen_lib.commands.options import new_folder

NAME = "compare"
HELP = "compare two evaluated runs, study by study"


def options(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("first", type=Path, metavar="A", help="a folder that r2gen evaluate made")
    parser.add_argument("second", type=Path, metavar="B", help="another, of the same studies; differences are A - B")
    words = "let compare.html hold reports of credentialed data; it must then not be passed on"
    parser.add_argument("--show-credentialed", action="store_true", help=words)
    words = "folder for compare.html and compare.csv (default: a new one in runs/)"
    parser.add_argument("--out", type=Path, help=words)


def run(args: argparse.Namespace) -> int:
    """Print the table of differences, write table and page to ``--out``."""
    from r2gen_lib.evaluation.compare_runs import check_same_studies, compare_runs, read_run

    folder = args.out or new_folder(NAME)
    first, second = read_run(args.first), read_run(args.second)
    check_same_studies(first, second)
    table = compare_runs(first, second, folder, show_credentialed=args.show_credentialed)
    print(f"{len(first.references)} studies; first: {first.name}, second: {second.name}; difference: first - second")
    print(table.round(4).to_string())
    print("[low, high]: paired 95% bootstrap over studies. p: permutation test, two-sided, each score by itself.")
    print(f"table and page: {folder / 'compare.csv'}, {folder / 'compare.html'}")
    return 0
