"""``r2gen demo``: a page on this machine, a picture in, a report out."""

from __future__ import annotations

import argparse
import importlib.util

from r2gen_lib.errors import R2GenError

NAME = "demo"
HELP = "serve a page on this machine: a picture in, a report out"


def options(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--port", type=int, default=8080, help="port on this machine (default 8080)")
    words = "a folder that training wrote, to offer beside the shipped models and those in runs/ (repeatable)"
    parser.add_argument("--checkpoint", action="append", default=[], metavar="FOLDER", help=words)
    parser.add_argument("--no-browser", action="store_true", help="open no browser")


def run(args: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C."""
    if importlib.util.find_spec("nicegui") is None:
        how = '`make demo` installs it, or: python -m pip install -c constraints.txt -e ".[demo]"'
        raise R2GenError(f"r2gen demo: the package nicegui is not installed. {how}")
    from r2gen_lib.demo.actions import checkpoints
    from r2gen_lib.demo.page import serve

    serve(checkpoints(args.checkpoint), args.port, not args.no_browser)
    return 0
