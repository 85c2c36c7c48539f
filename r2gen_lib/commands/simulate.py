"""``r2gen simulate``: the studies' radiographs rendered into the cache, or how the reports' codes are drawn."""

from __future__ import annotations

import argparse
import os
from contextlib import nullcontext

from r2gen_lib.commands.options import positive
from r2gen_lib.data.study import SPLITS
from r2gen_lib.errors import R2GenError

NAME = "simulate"
HELP = "render the studies' radiographs into the cache"


def options(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--split", choices=SPLITS, help="only this split (default: all)")
    parser.add_argument("--limit", type=positive, metavar="N", help="at most N studies")
    parser.add_argument("--view", action="append", choices=("frontal", "lateral"), help="default: both")
    words = "processes (default: one a core)"
    parser.add_argument("--workers", type=positive, default=os.cpu_count() or 1, metavar="N", help=words)
    words = "render nothing: list the codes of all Open-i reports, each with how it is drawn or why not"
    parser.add_argument("--coverage", action="store_true", help=words)


def run(args: argparse.Namespace) -> int:
    """Draw what the cache lacks and say how many that were; with ``--coverage`` print the table of codes."""
    if args.coverage:
        return _coverage(args)
    from r2gen_lib.simulation.render import FEW, Workers, picture_folder, render_pictures

    several = args.workers > 1 and (args.limit or FEW + 1) > FEW
    with Workers(args.workers) if several else nullcontext(1) as workers:  # they start while the reports are read
        from r2gen_lib import load_studies

        studies = [study for study in load_studies("openi_sim") if args.split in (None, study.split)][: args.limit]
        views = dict.fromkeys(args.view or ["frontal", "lateral"])
        drawn = render_pictures(studies, None if len(views) == 2 else next(iter(views)), workers)
    print(f"{len(views) * len(studies)} simulated radiographs in {picture_folder()}, {drawn} of them drawn now")
    return 0


def _coverage(args: argparse.Namespace) -> int:
    if args.split or args.limit or args.view:
        raise R2GenError("--coverage counts every report: leave out --split, --limit and --view.")
    from r2gen_lib.assets import asset
    from r2gen_lib.data.readers.openi import read_openi_archive
    from r2gen_lib.findings.mesh_coverage import coverage_table, coverage_text

    codes = {report: mesh for report, (_, mesh) in read_openi_archive(asset("openi_reports")).items()}
    print(coverage_text(coverage_table(codes), len(codes)))
    return 0
