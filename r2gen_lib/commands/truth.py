"""``r2gen truth``: what a model's reports say against what was drawn, on balanced simulated chests."""

from __future__ import annotations

import argparse
from pathlib import Path

from r2gen_lib.commands.options import (
    beams_option,
    checkpoint_option,
    count,
    decoding_choices,
    decoding_words,
    new_folder,
    positive,
)

NAME = "truth"
HELP = "what reports say against what was drawn: F1 of each finding, contradictions, inventions, sides"


def options(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    checkpoint_option(parser)
    parser.add_argument("--chests", type=positive, default=100, metavar="N", help="of each group (default 100)")
    words = "whose chests: val to choose by, test to look at once (default test)"
    parser.add_argument("--split", choices=("val", "test"), default="test", help=words)
    parser.add_argument("--seed", type=count, default=0, metavar="N", help="of patients and findings (default 0)")
    beams_option(parser)
    parser.add_argument("--out", type=Path, help="folder for the tables and every report (default: a new one in runs/)")


def run(args: argparse.Namespace) -> int:
    """Write, judge, print, and keep the tables."""
    from r2gen_lib import R2GenGPT
    from r2gen_lib.evaluation.truth.chests import truth_studies
    from r2gen_lib.evaluation.truth.measure import format_truth, write_and_judge
    from r2gen_lib.files import atomic_write

    model = R2GenGPT.from_trained(args.checkpoint)
    truth = write_and_judge(model, truth_studies(args.chests, args.split, args.seed), **decoding_choices(args))
    out = args.out or new_folder(NAME)
    out.mkdir(parents=True, exist_ok=True)
    for name, table, index in (
        ("findings", truth.findings, True),
        ("summary", truth.summary, True),
        ("chests", truth.chests, False),
    ):
        with atomic_write(out / f"{name}.csv") as path:
            table.to_csv(path, index=index, float_format="%.4f")
    print(f"checkpoint {args.checkpoint}, split {args.split}, seed {args.seed}{decoding_words(args)}")
    print(format_truth(truth))
    print(f"tables and reports: {out}")
    return 0
