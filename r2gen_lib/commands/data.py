"""Options of the commands that read a data set, and its studies as they say."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from r2gen_lib.data.cleaning import CLEANINGS
from r2gen_lib.data.views import MISSING_VIEW

if TYPE_CHECKING:
    from r2gen_lib.data.study import Study


def data_options(p: argparse.ArgumentParser) -> None:
    """``--data``, how it is read, and ``--missing-view``."""
    words = "the data set: openi_sim, or the file or folder of your own (r2gen doctor says what is wrong with it)"
    p.add_argument("--data", default="openi_sim", metavar="SOURCE", help=words)
    reading_options(p)
    words = "a study that lacks a view: error, skip it, blank picture, or its other one (default error)"
    p.add_argument("--missing-view", default="error", choices=MISSING_VIEW, help=words)


def reading_options(p: argparse.ArgumentParser) -> None:
    """How a data set is read, whatever is done with it then."""
    p.add_argument("--pictures", type=Path, metavar="DIR", help="where its pictures are, if not beside it")
    words = "the target text: findings, impression or both (default findings)"
    p.add_argument("--section", default="findings", help=words)
    words = f"how reports are cleaned: {', '.join(CLEANINGS)} (default gentle)"
    p.add_argument("--clean", default="gentle", metavar="NAME", help=words)


def studies_of(args: argparse.Namespace) -> list[Study]:
    """The studies that the options of ``data_options`` name.

    Raises:
        DataError: see ``load_studies``.
    """
    from r2gen_lib import load_studies

    return load_studies(args.data, pictures=args.pictures, section=args.section, clean=args.clean)
