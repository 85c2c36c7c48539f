"""``r2gen quiz``: the questions of a notebook, every choice explained."""

from __future__ import annotations

import argparse

NAME = "quiz"
HELP = "questions about a notebook, every choice explained"


def options(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("notebook", metavar="03", help="number of the notebook")
    words = "a letter a question, such as bad.c (a dot leaves one out); without, the questions are shown"
    parser.add_argument("answers", nargs="?", default="", help=words)


def run(args: argparse.Namespace) -> int:
    """Show the questions, or what is right of the answers."""
    from r2gen_lib.checks import quiz

    quiz(args.notebook, args.answers)
    return 0
