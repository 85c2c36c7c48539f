"""``r2gen evaluate``: a checkpoint's reports for a split, scored beside their controls."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from r2gen_lib.commands.data import data_options, studies_of
from r2gen_lib.commands.options import beams_option, checkpoint_option, decoding_choices, new_folder, positive
from r2gen_lib.data.study import SPLITS

NAME = "evaluate"
HELP = "write reports for a split; score them beside their controls"


def options(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    data_options(parser)
    checkpoint_option(parser)
    parser.add_argument("--split", default="test", choices=SPLITS)
    parser.add_argument("--limit", type=positive, metavar="N", help="at most N studies (default: all)")
    beams_option(parser)
    words = "processes that read pictures ahead, worth it beside a GPU (default: none)"
    parser.add_argument("--workers", type=positive, default=0, metavar="N", help=words)
    words = (
        "all (default): the nearest neighbour encodes all training pictures, drawn first if they are simulated, and "
    )
    words += "each score's best constant report is searched (minutes, once); quick: neither"
    parser.add_argument("--controls", default="all", choices=("all", "quick"), help=words)
    words = "a checkpoint of r2gen train --oracle, as the upper bound (default: none)"
    parser.add_argument("--oracle", metavar="FOLDER", help=words)
    parser.add_argument("--perfect-eye", dest="oracle", metavar="FOLDER", help=argparse.SUPPRESS)  # its former name
    words = "ptb (default): words as the COCO evaluation; none: split at blanks, as the public R2GenGPT code"
    parser.add_argument("--tokenizer", default="ptb", choices=("ptb", "none"), help=words)
    words = "cut references to N tokens of the language model before scoring, as that code does (default: whole)"
    parser.add_argument("--cut-references", type=positive, metavar="N", help=words)
    words = "force reports of at least N tokens, as that code does (default: the preset's)"
    parser.add_argument("--min-tokens", type=positive, metavar="N", help=words)
    words = "let report.html hold reports and pictures of credentialed data; it must then not be passed on"
    parser.add_argument("--show-credentialed", action="store_true", help=words)
    parser.add_argument("--out", type=Path, help="folder for reports and scores (default: a new one in runs/)")


def run(args: argparse.Namespace) -> int:
    """Score the split, print the table and write the folder of results."""
    from r2gen_lib import R2GenGPT
    from r2gen_lib.data.study import by_split
    from r2gen_lib.data.views import with_views
    from r2gen_lib.evaluation.evaluate import evaluate
    from r2gen_lib.evaluation.run_metadata import run_facts, text_in_words
    from r2gen_lib.evaluation.score_table import format_scores
    from r2gen_lib.model.llm import LanguageModel
    from r2gen_lib.simulation.render import draw_simulated

    model = R2GenGPT.from_trained(args.checkpoint)
    studies = studies_of(args)
    views = model.preset.vision.views
    chosen = with_views(by_split(studies, args.split), views, args.missing_view)[: args.limit]
    drawn = draw_simulated(chosen, views)
    train = by_split(studies, "train")
    neighbours = _neighbours(train, views, args.missing_view) if args.controls == "all" else []
    out = args.out or new_folder(NAME)
    text = text_in_words(args.section, args.clean)
    protocol = {"tokenizer": args.tokenizer, "cut_to": args.cut_references, "controls": args.controls}
    decoding = decoding_choices(args) | ({} if args.min_tokens is None else {"min_new_tokens": args.min_tokens})
    options = {"workers": args.workers, "train_studies": neighbours, **protocol, **decoding}
    options |= {"section": args.section, "cleaning": args.clean}
    if args.oracle:
        language = LanguageModel(model.language, model.tokenizer, model.language_identity)
        options["oracle"] = R2GenGPT.from_trained(args.oracle, language=language)
    options |= {"about": run_facts(args), "show_credentialed": args.show_credentialed}
    scores = evaluate(model, chosen, [study.report for study in train], out, **options)
    pictures = "simulated pictures" if drawn else "the data's own pictures"
    print(f"{len(chosen)} studies of {args.data}, split {args.split}, {pictures}, {text}, checkpoint {args.checkpoint}")
    cut = f"cut to {args.cut_references} tokens" if args.cut_references else "whole"
    print(f"tokenizer {args.tokenizer}, references {cut}")
    print(format_scores(scores))
    print(f"reports and scores: {out}; for the browser: {out / 'report.html'}")
    return 0


def _neighbours(train: list, views: Sequence[str], missing_view: str) -> list:
    """The training studies that have pictures to be compared with, drawn where they are simulated."""
    from r2gen_lib.data.views import with_views
    from r2gen_lib.simulation.render import draw_simulated

    known = [study for study in train if study.pictures]
    if missing_view in ("blank", "other") and known:
        known = with_views(known, views, missing_view)
    known = [study for study in known if {picture.view for picture in study.pictures} >= set(views)]
    draw_simulated(known, views)
    return known
