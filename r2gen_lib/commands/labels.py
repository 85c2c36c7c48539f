"""``r2gen labels``: what a report says of CheXpert's 14 observations, and how good the rules that read it are."""

from __future__ import annotations

import argparse

from r2gen_lib.errors import R2GenError
from r2gen_lib.quick_imports import hidden, quick_imports

NAME = "labels"
HELP = "read 14 observations from a report, by rules"


def options(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("texts", nargs="*", metavar="TEXT", help="a report, in quotation marks")
    words = "compare the rules with the radiologists' codes of all Open-i reports (takes seconds)"
    parser.add_argument("--quality", action="store_true", help=words)
    words = "with --quality: F1 alone, as docs/evaluation.md has it"
    parser.add_argument("--markdown", action="store_true", help=words)


def run(args: argparse.Namespace) -> int:
    """Print the labels of each text, or the table of the rules' quality."""
    if args.quality == bool(args.texts):
        raise R2GenError('give the text of one or more reports, as in: r2gen labels "No effusion." Or give --quality.')
    if args.quality:
        return _quality(args.markdown)
    if args.markdown:
        raise R2GenError("--markdown is for the table of --quality: give both.")
    from r2gen_lib.findings.report_labeler import State, label_reports
    from r2gen_lib.findings.report_phrases import OBSERVATIONS

    with quick_imports(), hidden("torch"):  # spaCy would load it, for models that the rules have none of
        labels = label_reports(args.texts)
    for row, text in zip(labels, args.texts, strict=True):
        print(f"{text}\n  labels by rules:")
        for observation, state in zip(OBSERVATIONS, row, strict=True):
            print(f"  {observation:28s}{State(state).words}")
    return 0


def _quality(markdown: bool) -> int:
    from r2gen_lib.evaluation.labeler_quality import markdown_table, quality_table

    table = quality_table()
    if markdown:
        print(markdown_table(table))
        return 0
    print("Labels by rules beside the radiologists' MeSH codes: all Open-i reports, findings and impression.")
    print(table.round(3).to_string())
    print("coded: reports with the code (last rows: with any). The phrases were tried on odd-numbered reports only.")
    print("Not compared, for want of a code that means the same: No Finding, Enlarged Cardiomediastinum.")
    return 0
