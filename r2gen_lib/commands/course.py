"""``r2gen course``: the notebooks run in order, or what such a run measured."""

from __future__ import annotations

import argparse
from pathlib import Path

from r2gen_lib.commands.options import new_folder, positive, profile_option

NAME = "course"
HELP = "run the notebooks in order; results and HTML go to runs/"


def options(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    profile_option(parser)
    parser.add_argument("--only", action="append", default=[], metavar="03", help="run this notebook (repeatable)")
    parser.add_argument("--update", action="store_true", help="write the outputs back into notebooks/ as well")
    words = "run nothing: print what a run measured, as Markdown; with --update put it into notebooks/README.md"
    parser.add_argument("--table", type=Path, metavar="RUN", help=words)
    words = "run nothing: print the minutes of reading, machine and exercises of each notebook"
    parser.add_argument("--hours", action="store_true", help=words)
    parser.add_argument("--name", help="name of the results' folder in --out (default: date and time)")
    parser.add_argument("--out", type=Path, help="folder for results (default: runs/ in the checkout)")
    parser.add_argument("--cell-timeout", type=positive, default=3600, metavar="SECONDS", help="default 3600")


def run(args: argparse.Namespace) -> int:
    """Run the notebooks, or print the table of a run; 1 if a notebook failed."""
    from r2gen_lib.config import get_profile
    from r2gen_lib.course.run import find_notebooks, run_course

    if args.hours:
        from r2gen_lib.course.hours import course_hours, hours_table

        print(hours_table(course_hours()))
        return 0
    if args.table:
        return _table(args)
    profile = get_profile(args.profile).name
    notebooks = find_notebooks(args.only)
    # --out is where runs are kept, as --name in it says; every other command's --out is the folder of results itself
    folder = new_folder(NAME, parent=args.out, name=args.name)
    return run_course(notebooks, folder, profile, args.update, args.cell_timeout).exit_code


def _table(args: argparse.Namespace) -> int:
    from r2gen_lib.course.run import find_notebooks
    from r2gen_lib.course.summary import put_table, read_summary, time_table

    summary = read_summary(args.table)
    print(time_table(summary))
    if args.update:
        put_table(summary, find_notebooks()[0].parent)
    return 0
