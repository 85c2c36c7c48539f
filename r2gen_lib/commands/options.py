"""Options that several commands have, and what stands behind them."""

from __future__ import annotations

import argparse
from datetime import datetime
from pathlib import Path
from typing import Any

from r2gen_lib.config import DEFAULT_CHECKPOINT, PRESETS, PROFILES
from r2gen_lib.errors import R2GenError


def profile_option(p: argparse.ArgumentParser) -> None:
    """``--profile``."""
    words = "how long (default: R2GEN_PROFILE, else laptop)"
    p.add_argument("--profile", choices=PROFILES, help=words)


def preset_option(p: argparse.ArgumentParser) -> None:
    """``--preset``."""
    p.add_argument("--preset", default="laptop", choices=PRESETS, help="what is trained (default laptop)")


def checkpoint_option(p: argparse.ArgumentParser, default: str = DEFAULT_CHECKPOINT) -> None:
    """``--checkpoint``."""
    words = f"a folder that training wrote, or a shipped model's name (default {default})"
    p.add_argument("--checkpoint", default=default, metavar="FOLDER", help=words)


def beams_option(p: argparse.ArgumentParser, as_written: bool = True) -> None:
    """``--beams`` and, unless told otherwise, ``--as-written``, ``--guidance`` and ``--rerank``, which
    ``decoding_choices`` reads."""
    p.add_argument("--beams", type=positive, metavar="N", help="width of the search (default: the preset's)")
    p.set_defaults(as_written=False, guidance=None, rerank=None)
    if as_written:
        words = "keep sentences that contradict the rest of their report (default: the laptop preset leaves them out)"
        p.add_argument("--as-written", action="store_true", help=words)
        words = "weight of what a picture says and a normal one does not, word by word (default: the preset's)"
        p.add_argument("--guidance", type=not_negative, metavar="W", help=words)
        words = "the same among the reports that the beams finished, 0 to 1 (default: the preset's)"
        p.add_argument("--rerank", type=share, metavar="W", help=words)


def decoding_choices(args: argparse.Namespace) -> dict[str, Any]:
    """What the options of ``beams_option`` change of the preset's decoding."""
    given = {"num_beams": args.beams, "guidance": args.guidance, "rerank": args.rerank}
    chosen: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    return chosen | ({"consistent": False} if args.as_written else {})


def decoding_words(args: argparse.Namespace) -> str:
    """The same behind a comma, for a line that says how reports were written; "" where it is the preset's way."""
    words = ["as written"] if args.as_written else []
    words += [f"{name} {value:g}" for name in ("guidance", "rerank") if (value := getattr(args, name)) is not None]
    return "".join(f", {word}" for word in words)


def see_empty(out: Path | None, resume: bool) -> None:
    """Raise R2GenError where ``--out`` holds something and ``--resume`` was not given."""
    if out and not resume and out.is_dir() and any(out.iterdir()):
        raise R2GenError(f"--out {out}: not empty. Add --resume to go on, or give another folder.")


def new_folder(command: str, parent: Path | None = None, name: str | None = None) -> Path:
    """The path of a folder of its own for one run's results; nothing is made.

    Args:
        command: the subcommand's name.
        parent: the folder it is in (default: ``runs_folder()``).
        name: its name there (default: date, time and command).
    """
    from r2gen_lib.assets import runs_folder

    return (parent or runs_folder()) / (name or f"{datetime.now():%Y-%m-%d_%H-%M-%S}_{command}")


def positive(text: str) -> int:
    """A whole number from 1, for argparse."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"found {number}, expected 1 or more")
    return number


def count(text: str) -> int:
    """A whole number from 0, for argparse."""
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text}: expected 0 or more")
    return number


def not_negative(text: str) -> float:
    """A finite number from 0, for argparse."""
    number = float(text)
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text}: expected 0 or more")
    return number


def share(text: str) -> float:
    """A number from 0 to 1, for argparse."""
    number = float(text)
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"{text}: expected 0 to 1")
    return number


def positive_share(text: str) -> float:
    """A number over 0 and at most 1, for argparse."""
    number = float(text)
    if not 0 < number <= 1:
        raise argparse.ArgumentTypeError(f"found {text}, expected a number over 0 and at most 1")
    return number
