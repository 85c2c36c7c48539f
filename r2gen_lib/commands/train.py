"""``r2gen train``: a preset trained in a mode for a profile's time."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from r2gen_lib.commands.data import data_options, studies_of
from r2gen_lib.commands.options import (
    count,
    new_folder,
    positive,
    positive_share,
    preset_option,
    profile_option,
    see_empty,
)
from r2gen_lib.config import MODES, Preset, Profile, get_preset, get_profile
from r2gen_lib.errors import R2GenError

if TYPE_CHECKING:
    from r2gen_lib.data.study import Study
    from r2gen_lib.model.r2gengpt import R2GenGPT

NAME = "train"
HELP = "train the mapper (by mode more) in front of the frozen LLM"


def options(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    data_options(parser)
    words = "leave one of the doctor's checks out, by name (repeatable)"
    parser.add_argument("--skip-check", action="append", default=[], metavar="NAME", help=words)
    preset_option(parser)
    parser.add_argument("--mode", default="shallow", choices=MODES)
    words = "do as the public R2GenGPT code does where we do otherwise (docs/original.md lists it)"
    parser.add_argument("--original-behaviour", action="store_true", help=words)
    words = "read finding labels in place of the simulated pictures' pixels: an upper bound for what the rest can do"
    parser.add_argument("--oracle", action="store_true", help=words)
    parser.add_argument("--perfect-eye", dest="oracle", action="store_true", help=argparse.SUPPRESS)  # its former name
    words = "the pictures of a study that are read, such as frontal lateral: their tokens are averaged (default: the "
    words += "preset's)"
    parser.add_argument("--views", nargs="+", metavar="VIEW", help=words)
    words = "a checkpoint of the same preset whose mapper training starts from, such as laptop-shallow (default: none)"
    parser.add_argument("--start-from", metavar="FOLDER", help=words)
    parser.add_argument(
        "--learning-rate", type=float, metavar="R", help="peak rate of the mapper (default: the preset's)"
    )
    words = "show studies more often whose reports call an observation present that less than this share of them does, "
    words += "such as 0.2 (default: each once an epoch)"
    parser.add_argument("--balance", type=positive_share, metavar="F", help=words)
    words = "what the words of sentences that name a finding weigh in the training loss (default: the preset's, 1)"
    parser.add_argument("--finding-weight", type=float, metavar="W", help=words)
    words = (
        "add N training studies with findings drawn into new simulated chests, and reports that were rewritten to say "
    )
    words += "so (default: 0; none of them is used to validate)"
    parser.add_argument("--rewritten", type=count, default=0, metavar="N", help=words)
    words = "what --rewritten draws: three or more findings, part of a name will do, or all that have a sentence "
    words += "(default: those that the laptop's encoder sees)"
    parser.add_argument("--rewritten-findings", nargs="+", default=[], metavar="NAME", help=words)
    words = "ask N questions about the pictures of --rewritten, whose answers the simulator knows (default: 0)"
    parser.add_argument("--questions", type=count, default=0, metavar="N", help=words)
    words = "which weights are kept: those with the least validation loss, the best (BLEU-4 + CIDEr) / 2, or the "
    words += "last (default: the preset's, val_loss)"
    parser.add_argument("--select-by", choices=("val_loss", "bleu4+cider", "last"), help=words)
    profile_option(parser)
    parser.add_argument("--out", type=Path, help="folder for checkpoint and curve (default: a new one in runs/)")
    parser.add_argument("--resume", action="store_true", help="go on from what --out holds")
    for name, what in (
        ("steps", "training steps"),
        ("train-studies", "studies to train on"),
        ("val-studies", "validation studies"),
        ("eval-every", "steps between two validations"),
    ):
        parser.add_argument(f"--{name}", type=positive, metavar="N", help=f"{what} (default: the profile's)")
    words = "studies that go through the model at once, on every process (default: the preset's)"
    parser.add_argument("--batch", type=positive, metavar="N", help=words)
    words = "batches a step on every process: a large batch in pieces that fit (default: the preset's)"
    parser.add_argument("--accumulate", type=positive, metavar="N", help=words)
    words = "each process holds its share of the frozen language model: for one that a GPU does not hold whole"
    parser.add_argument("--shard", action="store_true", help=words)
    words = "write the curves as event files too; to watch them: tensorboard --logdir OUT"
    parser.add_argument("--tensorboard", action="store_true", help=words)


def run(args: argparse.Namespace) -> int:
    """Train as the options say, and print where the checkpoint is."""
    see_empty(args.out, args.resume)
    from r2gen_lib import train
    from r2gen_lib.training.processes import Processes

    processes = Processes.launched()  # all have looked at --out before one of them makes it
    preset, profile = _preset(args), _profile(args)
    studies = _studies(args)
    with processes.main_first():
        model = _model(args, preset, profile, studies)
    if args.start_from:
        from r2gen_lib.model.checkpoint import load_mapper

        load_mapper(model, args.start_from)
    out = args.out or new_folder(NAME)
    choices = {"missing_view": args.missing_view, "skip_checks": args.skip_check, "tensorboard": args.tensorboard}
    result = train(model, studies, preset, profile, out, resume=args.resume, **choices)
    if processes.main:
        print(f"best step: {result.best}")
        print(f"checkpoint: {result.checkpoint}; history and curve: {result.out_dir}")
    return 0


def _preset(args: argparse.Namespace) -> Preset:
    """The preset with what the options change of it."""
    from r2gen_lib.config.original_behaviour import with_original_behaviour
    from r2gen_lib.model.oracle_encoder import with_oracle

    preset = with_original_behaviour(args.preset) if args.original_behaviour else get_preset(args.preset)
    optim = {
        "batch_size": args.batch,
        "accumulate": args.accumulate,
        "learning_rate": args.learning_rate,
        "balance": args.balance,
        "finding_weight": args.finding_weight,
        "select_by": args.select_by,
    }
    preset = replace(preset, optim=replace(preset.optim, **{name: n for name, n in optim.items() if n is not None}))
    if args.views:
        if args.oracle:
            raise R2GenError("--views: --oracle reads finding labels and no pictures. Leave one of the two out.")
        preset = replace(preset, vision=replace(preset.vision, views=tuple(args.views)))
    if args.oracle:
        preset = with_oracle(preset)
    return replace(preset, language=replace(preset.language, shard=True)) if args.shard else preset


def _profile(args: argparse.Namespace) -> Profile:
    """The profile with what the options change of it."""
    given = {
        "train_steps": args.steps,
        "train_studies": args.train_studies,
        "val_studies": args.val_studies,
        "eval_every": args.eval_every,
    }
    return replace(get_profile(args.profile), **{name: n for name, n in given.items() if n})


def _studies(args: argparse.Namespace) -> list[Study]:
    """The data set, and behind it the studies that ``--rewritten`` adds."""
    studies = studies_of(args)
    if args.questions and not args.rewritten:
        raise R2GenError(
            "--questions: they are asked about the pictures of --rewritten, of which there are none. Give both."
        )
    if not args.rewritten:
        return studies
    from r2gen_lib.findings.finding import names_chosen
    from r2gen_lib.findings.sentences import SAYABLE
    from r2gen_lib.training.questions import question_studies
    from r2gen_lib.training.rare_findings.counterfactual_reports import CLEAR, rewritten_studies

    named = args.rewritten_findings or CLEAR
    findings = SAYABLE if named == ["all"] else names_chosen(named, SAYABLE, "with a sentence")
    rewritten = rewritten_studies(studies, args.rewritten, findings=findings)
    return studies + rewritten + (question_studies(rewritten, args.questions, findings) if args.questions else [])


def _model(args: argparse.Namespace, preset: Preset, profile: Profile, studies: list[Study]) -> R2GenGPT:
    """The model to train, once the cache has the simulated pictures that training will read."""
    from r2gen_lib import R2GenGPT
    from r2gen_lib.data.selection import chosen_studies
    from r2gen_lib.simulation.render import draw_simulated

    draw_simulated([study for split in chosen_studies(studies, profile) for study in split], preset.vision.views)
    return R2GenGPT.from_preset(preset, mode=args.mode)
