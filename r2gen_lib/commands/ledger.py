"""``r2gen ledger``: published scores, others' reruns and ours, with protocol and source; the public board."""

from __future__ import annotations

import argparse
from pathlib import Path

NAME = "ledger"
HELP = "print published scores, others' reruns and ours, and the public board of IU-Xray"


def options(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    words = "folder with scores.json files of `r2gen evaluate` that are shown as ours (default: data/measured)"
    parser.add_argument("--measured", type=Path, metavar="FOLDER", help=words)
    parser.add_argument("--markdown", action="store_true", help="print the tables as data/LEDGER.md holds them")


def run(args: argparse.Namespace) -> int:
    """Print the ledger."""
    from r2gen_lib.evaluation.public_board import format_board, read_board, read_ours
    from r2gen_lib.evaluation.published_scores import format_ledger, read_ledger

    print(format_ledger(read_ledger(measured=args.measured), markdown=args.markdown))
    print("\n## The public board\n" if args.markdown else "\nThe public board\n")
    print(format_board(read_board(), read_ours(), markdown=args.markdown))
    return 0
