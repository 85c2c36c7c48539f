"""``r2gen generate``: a report for each picture file."""

from __future__ import annotations

import argparse
import sys

from r2gen_lib.commands.options import beams_option, checkpoint_option, decoding_choices
from r2gen_lib.quick_imports import quick_imports

NAME = "generate"
HELP = "write a report for each picture"


def options(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    words = "PNG, JPEG or DICOM file of a frontal chest radiograph"
    parser.add_argument("pictures", nargs="+", metavar="PICTURE", help=words)
    checkpoint_option(parser)
    beams_option(parser)


def run(args: argparse.Namespace) -> int:
    """Print the reports of the pictures that can be read; 1 if one cannot."""
    with quick_imports():
        from r2gen_lib.inference.generate_reports import describe_pictures, read_pictures

    good, bad = read_pictures(args.pictures)
    for error in bad.values():
        print(f"r2gen {NAME}: {error}", file=sys.stderr, flush=True)
    if good:
        with quick_imports():  # transformers fetches parts of itself as it loads
            from r2gen_lib.model.r2gengpt import R2GenGPT

            model = R2GenGPT.from_trained(args.checkpoint)
        for path, report in describe_pictures(model, good, **decoding_choices(args)):
            print(f"{path}\n{report}\n", flush=True)
    return 1 if bad else 0
