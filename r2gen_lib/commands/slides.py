"""``r2gen slides``: slides of the notebooks, a page each, without a network."""

from __future__ import annotations

import argparse
from pathlib import Path

NAME = "slides"
HELP = "make slides of the notebooks: headings, first sentences, questions, figures"


def options(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("numbers", nargs="*", metavar="03", help="numbers of notebooks (default: all)")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/slides"), help="folder for the pages (default: runs/slides)"
    )
    words = "where the notebooks are, such as a run's folder (default: notebooks/ of the checkout)"
    parser.add_argument("--from", type=Path, dest="source", metavar="FOLDER", help=words)


def run(args: argparse.Namespace) -> int:
    """Write a page for each notebook and say where it is."""
    from r2gen_lib.assets import checkout
    from r2gen_lib.course.exercise_masters import number_of
    from r2gen_lib.course.slides import write_slides
    from r2gen_lib.errors import R2GenError

    folder = args.source or (checkout() or Path()) / "notebooks"
    found = {number_of(path.name): path for path in sorted(folder.glob("0*.ipynb"))}
    numbers = args.numbers or sorted(found) or ["00"]
    unknown = sorted(set(numbers) - set(found))
    if unknown:
        known = ", ".join(found) or "none"
        raise R2GenError(f"r2gen slides: {folder} has no notebook {', '.join(unknown)}. Found: {known}.")
    for number in numbers:
        print(f"{write_slides(found[number], args.out)}: arrow keys turn the slides, printing makes a PDF", flush=True)
    return 0
