"""``r2gen export-rexrank``: generated reports of IU-Xray as the JSON of the public board ReXrank."""

from __future__ import annotations

import argparse
from pathlib import Path

from r2gen_lib.commands.options import new_folder

NAME = "export-rexrank"
HELP = "write generated reports of IU-Xray's studies as the JSON of the public board ReXrank"


def options(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    words = "CSV with the columns study and generated: the reports.csv of r2gen evaluate, or one of data/measured"
    parser.add_argument("reports", type=Path, metavar="FILE", help=words)
    words = "test (default, 590 studies) or val (296)"
    parser.add_argument("--split", default="test", choices=("test", "val"), help=words)
    words = "also ReXrank's other fields, the radiologists' reports among them: a file to keep on this machine"
    parser.add_argument("--full", action="store_true", help=words)
    words = "the JSON (default: rexrank_iu_xray_SPLIT.json in a new folder in runs/)"
    parser.add_argument("--out", type=Path, metavar="JSON", help=words)


def run(args: argparse.Namespace) -> int:
    """Check the ids, write the JSON and say what is in it."""
    from r2gen_lib.evaluation.rexrank import write_rexrank

    out = args.out or new_folder(NAME) / f"rexrank_iu_xray_{args.split}.json"
    written = write_rexrank(args.reports, out, args.split, args.full)
    empty = [key for key, study in written.items() if not study.model_prediction.strip()]
    print(f"{out}: {len(written)} studies of the {args.split} split, by ReXrank's keys, such as {next(iter(written))}")
    if empty:
        print(f"{len(empty)} reports are empty, such as that of {empty[0]}: ReXrank's script reads them as missing.")
    if args.full:
        print(
            "It holds radiologists' reports whole (Open-i, CC BY-NC-ND 4.0: no commercial use, no changed copy may be "
            "passed on). Keep it on this machine."
        )
    return 0
