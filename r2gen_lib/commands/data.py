"""The parts of ``r2gen`` that are about data: which is read, drawing the simulated, fetching the real."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from r2gen_lib.commands.options import positive
from r2gen_lib.data.cleaning import CLEANINGS
from r2gen_lib.data.study import SPLITS
from r2gen_lib.data.views import MISSING_VIEW
from r2gen_lib.errors import R2GenError


def simulate_options(p: argparse.ArgumentParser) -> None:
    p.add_argument("--split", choices=SPLITS, help="only this split (default: all)")
    p.add_argument("--limit", type=positive, metavar="N", help="at most N studies")
    p.add_argument("--view", action="append", choices=("frontal", "lateral"), help="default: both")
    words = "processes (default: one a core)"
    p.add_argument("--workers", type=positive, default=os.cpu_count() or 1, metavar="N", help=words)
    words = "render nothing: list the codes of all Open-i reports, each with how it is drawn or why not"
    p.add_argument("--coverage", action="store_true", help=words)


def simulate(args: argparse.Namespace) -> int:
    if args.coverage:
        return _coverage(args)
    from r2gen_lib import load_studies
    from r2gen_lib.simulation.render import picture_folder, render_pictures

    studies = [study for study in load_studies("openi_sim") if args.split in (None, study.split)][: args.limit]
    views = dict.fromkeys(args.view or ["frontal", "lateral"])
    drawn = render_pictures(studies, None if len(views) == 2 else next(iter(views)), args.workers)
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


def download_options(p: argparse.ArgumentParser) -> None:
    p.add_argument("target", type=Path, metavar="FOLDER", help="where to put it; a broken download goes on from there")
    words = "reports, png or dcm (DICOM, many times as large as PNG); default reports and png"
    p.add_argument("--what", nargs="+", default=["reports", "png"], metavar="PART", help=words)
    p.add_argument("--from", dest="base_url", metavar="URL", help="a mirror (default: Open-i's own address)")


def download(args: argparse.Namespace) -> int:
    from r2gen_lib.data.download import download_openi

    options = {"base_url": args.base_url} if args.base_url else {}
    for name, folder in download_openi(args.target, args.what, **options).items():
        print(f"{name}: {folder}")
    return 0


def data_options(p: argparse.ArgumentParser) -> None:
    words = "the data set: openi_sim, or the file or folder of your own (r2gen doctor says what is wrong with it)"
    p.add_argument("--data", default="openi_sim", metavar="SOURCE", help=words)
    reading_options(p)
    words = "a study that lacks a view: error, skip it, blank picture, or its other one (default error)"
    p.add_argument("--missing-view", default="error", choices=MISSING_VIEW, help=words)


def reading_options(p: argparse.ArgumentParser) -> None:
    """How a data set is read, whatever is done with it then."""
    p.add_argument("--pictures", type=Path, metavar="DIR", help="where its pictures are, if not beside it")
    words = "the target text: findings, impression or both (default findings)"
    p.add_argument("--section", default="findings", help=words)
    words = f"how reports are cleaned: {', '.join(CLEANINGS)} (default gentle)"
    p.add_argument("--clean", default="gentle", metavar="NAME", help=words)


def studies_of(args: argparse.Namespace) -> list:
    from r2gen_lib import load_studies

    return load_studies(args.data, pictures=args.pictures, section=args.section, clean=args.clean)


def draw_simulated(studies: list, views: Sequence[str]) -> bool:
    """Draw what the cache lacks of simulated pictures; whether these studies have any."""
    from r2gen_lib.simulation.render import render_pictures

    simulated = [study for study in studies if any(picture.simulated for picture in study.pictures)]
    for view in views if simulated else ():
        render_pictures(simulated, view)
    return bool(simulated)
