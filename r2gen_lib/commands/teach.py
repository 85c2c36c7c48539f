"""``r2gen teach``: a trained mapper learns what not to write, from true reports and from its own, corrected."""

from __future__ import annotations

import argparse
from pathlib import Path

from r2gen_lib.commands.data import data_options, studies_of
from r2gen_lib.commands.options import (
    beams_option,
    checkpoint_option,
    count,
    decoding_choices,
    new_folder,
    positive,
    see_empty,
)

NAME = "teach"
HELP = "teach a trained mapper what not to write: true reports beside wrong words, its own reports corrected"


def options(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    checkpoint_option(parser)
    data_options(parser)
    parser.add_argument("--rounds", type=positive, default=4, metavar="N", help="each with a checkpoint (default 4)")
    words = "lessons a round from true reports, with wrong words beside them (default 400)"
    parser.add_argument("--contrasts", type=count, default=400, metavar="N", help=words)
    words = "simulated chests a round whose reports the model writes and has corrected (default 0)"
    parser.add_argument("--chests", type=count, default=0, metavar="N", help=words)
    words = "studies with a rewritten report that the true reports are taken from (default 2500)"
    parser.add_argument("--rewritten", type=count, default=2500, metavar="N", help=words)
    words = "questions about these, which stand among the real reports, for a model that was taught some "
    words += "(default 0)"
    parser.add_argument("--questions", type=count, default=0, metavar="N", help=words)
    words = "real reports or questions a step, beside the lessons (default 2)"
    parser.add_argument("--real", type=count, default=2, metavar="N", help=words)
    words = "of the mapper at the start; it falls to a fiftieth (default 0.001)"
    parser.add_argument("--learning-rate", type=float, default=1e-3, metavar="R", help=words)
    words = "what the preference for the right token weighs beside the loss of the words (default 0.3)"
    parser.add_argument("--preference", type=float, default=0.3, metavar="W", help=words)
    parser.add_argument("--seed", type=count, default=0, metavar="N", help="of chests, words and batches (default 0)")
    beams_option(parser, as_written=False)  # what is corrected is what the model writes
    parser.add_argument("--out", type=Path, help="folder for a checkpoint a round (default: a new one in runs/)")
    parser.add_argument("--resume", action="store_true", help="go on from the last whole round in --out")


def run(args: argparse.Namespace) -> int:
    """Teach as the options say, and print where the checkpoint is."""
    see_empty(args.out, args.resume)
    from r2gen_lib import R2GenGPT
    from r2gen_lib.data.views import with_views
    from r2gen_lib.training.teaching.teach import TeachConfig, teach

    model = R2GenGPT.from_trained(args.checkpoint)
    studies = with_views(studies_of(args), model.preset.vision.views, args.missing_view)
    chosen = (
        "rounds", "contrasts", "chests", "rewritten", "questions", "real", "learning_rate", "preference", "seed"
    )  # fmt: skip
    config = TeachConfig(**{name: getattr(args, name) for name in chosen})
    out = args.out or new_folder(NAME)
    teach(model, studies, out, config, **decoding_choices(args))
    print(f"checkpoint: {out / f'round-{config.rounds}'}; history: {out / 'history.csv'}")
    return 0
