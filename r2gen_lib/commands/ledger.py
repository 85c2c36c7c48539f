"""``r2gen ledger``: the paper's scores, others' reruns and ours in one table, each with its protocol and source."""

from __future__ import annotations

import argparse
from pathlib import Path

NAME = "ledger"
HELP = "print published scores, others' reruns and ours"


def options(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    words = "folder with scores.json files of `r2gen evaluate` that are shown as ours (default: data/measured)"
    parser.add_argument("--measured", type=Path, metavar="FOLDER", help=words)
    parser.add_argument("--markdown", action="store_true", help="print the tables as data/LEDGER.md holds them")


def run(args: argparse.Namespace) -> int:
    """Print the ledger."""
    from r2gen_lib.evaluation.published_scores import format_ledger, read_ledger

    print(format_ledger(read_ledger(measured=args.measured), markdown=args.markdown))
    return 0
