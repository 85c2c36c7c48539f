"""The command ``r2gen``: the parser and the exit codes. What each subcommand does is a file in ``commands``.

A subcommand is a module with ``NAME``, ``HELP`` (what it does, in a line), ``options(parser)`` and ``run(args)``, which
returns the exit code; ``COMMANDS`` lists them. They import the library inside ``run``, so that ``r2gen --help`` is
quick. Exit codes: 0 well, 1 some of the work failed (and the rest was done), 2 an error that the message explains, 130
stopped with Ctrl-C, 143 by SIGTERM (``docker stop``, a scheduler), 129 by SIGHUP (the terminal was closed).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from r2gen_lib import __version__
from r2gen_lib.commands import (
    ask,
    assets,
    board,
    colab,
    compare,
    convert,
    counterfactual,
    course,
    demo,
    doctor,
    download_openi,
    evaluate,
    exercises,
    export_rexrank,
    generate,
    halve,
    labels,
    ledger,
    metrics_under_test,
    parameters,
    presets,
    pretrain_vision,
    quiz,
    score,
    simulate,
    site,
    slides,
    teach,
    train,
    truth,
)
from r2gen_lib.errors import R2GenError
from r2gen_lib.stopping import Stopped, as_ctrl_c

#: The subcommands, as ``r2gen --help`` lists them.
COMMANDS = (
    course,
    colab,
    site,
    slides,
    assets,
    download_openi,
    doctor,
    simulate,
    pretrain_vision,
    presets,
    parameters,
    train,
    teach,
    convert,
    halve,
    evaluate,
    score,
    compare,
    counterfactual,
    truth,
    ledger,
    board,
    export_rexrank,
    labels,
    metrics_under_test,
    exercises,
    quiz,
    generate,
    ask,
    demo,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; errors we know become one message, without a traceback."""
    args = parser().parse_args(argv)
    args.argv = list(sys.argv[1:] if argv is None else argv)
    with as_ctrl_c():
        return _run(args)


def _run(args: argparse.Namespace) -> int:
    try:
        return args.run(args)
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
    subparsers = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        description = command.HELP[0].upper() + command.HELP[1:] + "."
        sub = subparsers.add_parser(command.NAME, help=command.HELP, description=description)
        sub.set_defaults(run=command.run, command=command.NAME)
        command.options(sub)
    return top


def _fail(args: argparse.Namespace, message: str, code: int) -> int:
    print(f"r2gen {args.command}: {message}", file=sys.stderr, flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
