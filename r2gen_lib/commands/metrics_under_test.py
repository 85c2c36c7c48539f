"""``r2gen metrics-under-test``: does each metric prefer the right report to the wrong one?"""

from __future__ import annotations

import argparse
from pathlib import Path

NAME = "metrics-under-test"
HELP = "40 cases with a right and a wrong report: which metrics prefer the right one"


def options(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    words = "further cases of your own: a CSV with the columns kind, reference, better, worse"
    parser.add_argument("--cases", type=Path, metavar="CSV", help=words)
    words = "also CheXbert's and RadGraph's scores, by the package radeval with its weights"
    parser.add_argument("--trained", action="store_true", help=words)
    words = "also write every score to this file, a row a metric and case"
    parser.add_argument("--out", type=Path, metavar="CSV", help=words)
    parser.add_argument("--markdown", action="store_true", help="print the table as docs/evaluation.md has it")


def run(args: argparse.Namespace) -> int:
    """Score the cases and print the table."""
    from r2gen_lib.evaluation.metrics_under_test.cases import read_cases
    from r2gen_lib.evaluation.metrics_under_test.measure import format_passed, score_cases
    from r2gen_lib.files import atomic_write

    cases = read_cases() + (read_cases(args.cases) if args.cases else [])
    scores = score_cases(cases, trained=args.trained)
    if args.out:
        with atomic_write(args.out) as temporary:
            scores.to_csv(temporary, index=False, lineterminator="\n")
    print(format_passed(scores, args.markdown))
    if not args.markdown:
        print(f"Cases passed: the better of two candidates scored strictly higher, {len(cases)} cases; a tie fails.")
        print("near: the better one has at least as many of the reference's words. [low, high]: Wilson's, 95%.")
        print("Each report is scored by itself; CIDEr's document frequencies are of these references.")
    return 0
