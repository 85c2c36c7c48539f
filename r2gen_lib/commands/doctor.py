"""``r2gen doctor SOURCE``: one page about a data set before training on it; exit status 0 if it is fit, else 1."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from r2gen_lib.commands.data import reading_options
from r2gen_lib.config import PRESETS
from r2gen_lib.errors import DataError

NAME = "doctor"
HELP = "say what is wrong with a data set before training on it"


def options(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("source", metavar="SOURCE", help="a data set's name, or the file or folder it is in")
    reading_options(parser)
    words = "what the data are meant for: its views and report length (default laptop)"
    parser.add_argument("--preset", default="laptop", choices=PRESETS, help=words)
    parser.add_argument("--json", action="store_true", help="print JSON instead of the page")
    words = "list pictures with problems in this file: missing, unreadable, blank, faint, noise, odd shapes, fall-backs"
    parser.add_argument("--bad-pictures", type=Path, metavar="CSV", help=words)
    words = "leave a check out, by the name the page gives it (repeatable)"
    parser.add_argument("--skip", action="append", default=[], metavar="NAME", help=words)
    words = "do not open the picture files; only see that they are there"
    parser.add_argument("--quick", action="store_true", help=words)


def run(args: argparse.Namespace) -> int:
    """Print the page (or JSON) and return 0, or 1 if the data have a problem or cannot be read at all."""
    from r2gen_lib import load_studies
    from r2gen_lib.data.audit.audit import examine
    from r2gen_lib.data.audit.audit_report import known_checks

    known_checks(args.skip)  # before minutes of reading
    with _heard() as said:
        try:
            studies = load_studies(args.source, pictures=args.pictures, section=args.section, clean=args.clean)
        except DataError as error:
            return _unreadable(args, error, said)
    health = examine(studies, args.preset, check_pictures=not args.quick, skip=args.skip)
    health = replace(health, notes=(*(f"reading: {line}" for line in said), *health.notes))
    if args.bad_pictures:
        health.write_bad_pictures(args.bad_pictures)
    print(health.to_json() if args.json else health.text())
    if args.bad_pictures and not args.json:
        print(f"bad pictures listed in {args.bad_pictures}: {len(health.bad_pictures):,}")
    return int(bool(health.problems))


@contextmanager
def _heard() -> Iterator[list[str]]:
    """What the readers log in the block, such as how many studies they leave out: it belongs on the page."""
    said: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: said.append(record.getMessage())
    logger = logging.getLogger("r2gen_lib")
    logger.addHandler(handler)
    try:
        yield said
    finally:
        logger.removeHandler(handler)


def _unreadable(args: argparse.Namespace, error: DataError, said: list[str]) -> int:
    if args.json:
        notes = {"notes": [f"reading: {line}" for line in said]} if said else {}
        print(json.dumps({"healthy": False, "error": str(error)} | notes, indent=2))
    else:
        for line in said:
            print(line, file=sys.stderr)
        print(f"r2gen doctor: {args.source} cannot be read. {error}", file=sys.stderr)
    return 1
