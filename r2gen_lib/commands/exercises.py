"""``r2gen exercises``: write the notebooks' exercises and their solutions from the masters, or see that they agree."""

from __future__ import annotations

import argparse
from pathlib import Path

NAME = "exercises"
HELP = "write the notebooks' exercises and solutions"


def options(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a notebook has drifted")
    parser.add_argument("--only", action="append", default=[], metavar="03", help="this notebook (repeatable)")
    words = "leave cells that changed without outputs (`r2gen course --update` makes them)"
    parser.add_argument("--no-run", action="store_true", help=words)
    words = "execute everything anew, as after a change in r2gen_lib/checks"
    parser.add_argument("--fresh", action="store_true", help=words)
    parser.add_argument("--folder", type=Path, help="where the notebooks are (default: notebooks/ of the checkout)")


def run(args: argparse.Namespace) -> int:
    """Write, or with ``--check`` compare."""
    from r2gen_lib.assets import checkout
    from r2gen_lib.course import exercise_cells as exercise_notebooks
    from r2gen_lib.course import notebook_files
    from r2gen_lib.course.exercise_masters import read_masters
    from r2gen_lib.errors import ExerciseError

    folder = args.folder or (checkout() or Path()) / "notebooks"
    masters = read_masters(folder / "exercises")
    numbers = [master.number for master in masters]
    unknown = sorted(set(args.only) - set(numbers))
    if unknown:
        raise ExerciseError(f"--only {', '.join(unknown)}: no such master. Found: {', '.join(numbers)}.")
    masters = [master for master in masters if not args.only or master.number in args.only]
    if args.check:
        stale = [path for master in masters for path in exercise_notebooks.drift(master, folder)]
        for path in stale:
            name = notebook_files.without_machine_paths(str(path))
            print(f"{name} is not what its master in exercises/ says. Run: r2gen exercises")
        return int(bool(stale))
    for master in masters:
        written = exercise_notebooks.write(master, folder, run=not args.no_run, fresh=args.fresh)
        names = ", ".join(path.name for path in written)
        alone = "" if len(written) > 1 else f" (there is no notebook {master.number} yet)"
        print(f"{len(master.exercises)} exercises: {names}{alone}", flush=True)
    return 0
