"""``r2gen pretrain-vision``: the laptop's encoder, trained on simulated pictures."""

from __future__ import annotations

import argparse
from pathlib import Path

from r2gen_lib.commands.options import positive

NAME = "pretrain-vision"
HELP = "train the encoder on simulated pictures"


def options(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    words = "folder for weights, curve and AUROC table; a run that was stopped goes on from what it holds"
    parser.add_argument("--out", type=Path, required=True, help=words)
    parser.add_argument("--pictures", type=positive, default=7200, help="simulated training pictures (default 7200)")
    parser.add_argument("--held-out", type=positive, default=400, help="simulated held-out pictures (default 400)")
    parser.add_argument("--epochs", type=positive, default=4, help="epochs (default 4)")
    parser.add_argument("--seed", type=int, default=0)
    words = "weights of the same encoder to go on from (default: ImageNet's in its stem)"
    parser.add_argument("--start-from", metavar="FILE", help=words)


def run(args: argparse.Namespace) -> int:
    """Train, and print each finding's AUROC on the held-out pictures."""
    from r2gen_lib.training.pretraining.encoder import PretrainConfig, pretrain

    config = PretrainConfig(args.pictures, args.held_out, args.epochs, seed=args.seed, start_from=args.start_from)
    for row in pretrain(args.out, config):
        print(f"{row['finding']:24s}{row['AUROC (picture)']:7.3f}  ({row['pictures with it']} pictures)")
    return 0
