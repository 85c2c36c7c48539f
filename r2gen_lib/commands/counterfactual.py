"""``r2gen counterfactual``: put findings into simulated chests and see whether the report follows."""

from __future__ import annotations

import argparse
from pathlib import Path

from r2gen_lib.commands.options import (
    beams_option,
    checkpoint_option,
    count,
    decoding_choices,
    decoding_words,
    new_folder,
    positive,
    share,
)
from r2gen_lib.former_names import SALIENCY_METHODS

NAME = "counterfactual"
HELP = "put findings into simulated chests; see whether the report follows"


def options(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    checkpoint_option(parser)
    words = "such as cardiomegaly effusion; part of a name will do (default: six common ones)"
    parser.add_argument("--findings", nargs="+", default=None, metavar="NAME", help=words)
    words = "normal chests of the test split, the same for all findings (default 12)"
    parser.add_argument("--patients", type=positive, default=12, metavar="N", help=words)
    words = "chests with other findings into which each finding is put (default 4)"
    parser.add_argument("--beside", type=count, default=4, metavar="N", help=words)
    words = "studies that have the finding, out of which it is taken (default 4)"
    parser.add_argument("--taken-out", type=count, default=4, metavar="N", help=words)
    parser.add_argument("--severity", type=share, default=0.8, help="of what is put in, 0 to 1 (default 0.8)")
    parser.add_argument("--seed", type=int, default=0, help="of patients and sides (default 0)")
    beams_option(parser)
    parser.add_argument("--batch", type=positive, default=16, metavar="N", help="pictures at once (default 16)")
    words = "also see where the findings' words look, by these methods (default: the quick ones, not occlusion)"
    methods = ("tokens", "picture", "occlusion", "head")
    parser.add_argument("--pointing", nargs="*", type=_method, choices=methods, help=words)
    words = "pairs of each finding that --pointing looks at (default 8)"
    parser.add_argument("--pointing-pairs", type=positive, default=8, metavar="N", help=words)
    parser.add_argument("--out", type=Path, help="folder for tables, pairs and figures (default: a new one in runs/)")


def _method(name: str) -> str:
    return SALIENCY_METHODS.get(name, name)


def run(args: argparse.Namespace) -> int:
    """Describe the pairs, print the tables and keep everything in ``--out``."""
    from r2gen_lib import R2GenGPT, load_studies
    from r2gen_lib.data.study import by_split
    from r2gen_lib.evaluation.counterfactual.pairs import make_pairs
    from r2gen_lib.evaluation.counterfactual.run import run_pairs
    from r2gen_lib.evaluation.counterfactual.tables import (
        counterfactual_table,
        format_stages,
        format_table,
        save,
        stages,
    )
    from r2gen_lib.findings.chexpert import DEFAULT_FINDINGS, chosen_cases

    cases = chosen_cases(args.findings or DEFAULT_FINDINGS)
    studies = by_split(load_studies("openi_sim"), "test")
    pairs = make_pairs(studies, cases, args.patients, args.beside, args.taken_out, args.severity, args.seed)
    model = R2GenGPT.from_trained(args.checkpoint)
    result = run_pairs(model, pairs, args.batch, **decoding_choices(args))
    beams = args.beams or model.preset.decoding.num_beams
    out = args.out or new_folder(NAME)
    note = f"checkpoint {args.checkpoint}, {args.patients} normal test patients, severity {args.severity:g}, "
    note += f"seed {args.seed}, {'greedy' if beams == 1 else f'{beams} beams'}"
    note += f"{decoding_words(args)}, simulated radiographs"
    save(result, out, note)
    print(note)
    print(format_table(counterfactual_table(result)) + "\n")
    print(format_stages(stages(result)) + "\n")
    if args.pointing is not None:
        from r2gen_lib.evaluation.counterfactual.pointing import format_pointing, pointing_game, save_pointing

        played = pointing_game(model, pairs, args.pointing, args.pointing_pairs)
        save_pointing(played, out)
        print(format_pointing(played) + "\n")
    print(f"tables, pairs and figures: {out}")
    return 0
