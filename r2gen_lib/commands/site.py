"""``r2gen site``: the executed notebooks as pages that need no server."""

from __future__ import annotations

import argparse
from pathlib import Path

from r2gen_lib.errors import R2GenError

NAME = "site"
HELP = "make pages of the executed notebooks, with a search"


def options(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--out", type=Path, help="folder for the pages (default: site/ in the checkout)")
    words = "a run's folder: take its executed copies (default: notebooks/, with the outputs they hold)"
    parser.add_argument("--from", type=Path, dest="source", metavar="RUN", help=words)


def run(args: argparse.Namespace) -> int:
    """Make the pages and say where they are."""
    from r2gen_lib.assets import checkout
    from r2gen_lib.course.site import build

    root = checkout()
    if root is None:
        raise R2GenError("r2gen site: this package runs outside a checkout, expected the repository's own notebooks.")
    index = build(root, args.out or root / "site", args.source)
    print(f"open {index} in a browser")
    return 0
