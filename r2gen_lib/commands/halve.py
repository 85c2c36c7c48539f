"""``r2gen halve CHECKPOINT --out FOLDER``: the same checkpoint in fp16, to ship or to share."""

from __future__ import annotations

import argparse
from pathlib import Path

NAME = "halve"
HELP = "copy a checkpoint with its tensors in fp16: half the bytes"


def options(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    words = "folder that training wrote, or a shipped checkpoint's name"
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help=words)
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="the copy's folder, new or empty")


def run(args: argparse.Namespace) -> int:
    """Copy, and say how large both are."""
    from r2gen_lib.model.checkpoint import TENSORS, resolve, save_halved

    folder = save_halved(args.checkpoint, args.out)
    before = (resolve(args.checkpoint) / TENSORS).stat().st_size
    after = (folder / TENSORS).stat().st_size
    print(f"{args.checkpoint}: {before / 1e6:.1f} MB; {folder}: {after / 1e6:.1f} MB")
    return 0
