"""``r2gen score``: generated reports from a file, scored beside their controls. No model is loaded, nothing written."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from r2gen_lib.commands.data import data_options, studies_of
from r2gen_lib.data.study import SPLITS
from r2gen_lib.errors import DataError
from r2gen_lib.files import atomic_write
from r2gen_lib.former_names import CONTROLS, with_todays_names

NAME = "score"
HELP = "score generated reports of a file beside their controls"


def options(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    words = "CSV with the columns study and generated, such as data/measured/laptop-shallow_test_reports.csv, or the "
    words += "reports.csv of r2gen evaluate"
    parser.add_argument("reports", type=Path, metavar="FILE", help=words)
    data_options(parser)
    parser.add_argument("--split", default="test", choices=SPLITS)
    words = "all (default): language scores and those registered; clinical: the latter alone, in seconds, no Java; "
    words += "rexrank: BLEU-2 as the public board ReXrank tokenises it (with --clean none: as its references stand)"
    parser.add_argument("--metrics", default="all", choices=("all", "clinical", "rexrank"), help=words)
    parser.add_argument("--partial", action="store_true", help="score the studies that FILE has, if it lacks some")
    words = "put the scores into a scores.json of r2gen evaluate, in place of those in it"
    parser.add_argument("--update", type=Path, metavar="JSON", help=words)
    words = "also write FILE anew without references, neighbours by their study's id: a file that may be passed on"
    parser.add_argument("--share", type=Path, metavar="CSV", help=words)


def run(args: argparse.Namespace) -> int:
    """Score the file and print the table."""
    from r2gen_lib.data.study import by_split
    from r2gen_lib.evaluation.controls import MODEL, score_systems
    from r2gen_lib.evaluation.score_table import format_scores, scores_as_json
    from r2gen_lib.evaluation.written_reports import read_reports, references_of, shareable
    from r2gen_lib.metrics.registry import registered_scores
    from r2gen_lib.metrics.rexrank_bleu import rexrank_bleu

    if args.update and args.metrics != "all":
        raise DataError("--update needs --metrics all: a scores.json holds every score.")
    studies = studies_of(args)
    train, chosen = by_split(studies, "train"), by_split(studies, args.split)
    systems = read_reports(args.reports, train)
    if args.partial:
        chosen = [study for study in chosen if study.id in systems[MODEL]]
    references = references_of(args.reports, systems, chosen)
    told = _scores_json(args.update) if args.update else {}
    options = {"language_metrics": args.metrics == "all", "omitted": told.get("omitted")}
    options["further"] = (rexrank_bleu if args.metrics == "rexrank" else registered_scores,)
    scores = score_systems(references, systems, [study.report for study in train], **options)
    if args.share:
        with atomic_write(args.share) as temporary:
            shareable(systems, train).to_csv(temporary, lineterminator="\n")
    if args.update:
        with atomic_write(args.update) as temporary:
            fresh = scores_as_json(scores, told["settings"])
            temporary.write_text(json.dumps(fresh, indent=1, default=float), encoding="utf-8")
    print(
        f"{len(references)} studies of {args.data}, split {args.split}, section {args.section}, reports {args.reports}"
    )
    print(format_scores(scores))
    return 0


def _scores_json(path: Path) -> dict:
    """What ``--update`` is to put the scores into.

    Raises:
        DataError: it is no scores.json.
    """
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return {"settings": told["settings"], "omitted": with_todays_names(told.get("omitted") or {}, CONTROLS)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"{type(error).__name__}: {error}"
        raise DataError(f"--update {path}: not a scores.json of `r2gen evaluate` ({what}). Copy one there.") from error
