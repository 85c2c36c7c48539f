"""What a setting of the decoding does, on validation data: scores on real reports, and truth on drawn chests.

    python benchmarks/decoding.py length_penalty=1.0 length_penalty=2.0 [--checkpoint laptop-shallow] [--chests 12]

Each argument is a field of ``DecodingConfig`` with its value, or several with commas between them. Real: the studies of
the val split. Drawn: the chests of ``r2gen truth --split val``.
"""

from __future__ import annotations

import argparse
import ast

import pandas as pd

from r2gen_lib import R2GenGPT, load_studies
from r2gen_lib.data.study import by_split
from r2gen_lib.evaluation.truth.chests import truth_studies
from r2gen_lib.evaluation.truth.measure import judge
from r2gen_lib.inference.feature_cache import encode_studies
from r2gen_lib.inference.generate_reports import describe_features
from r2gen_lib.metrics.nlg import score_reports
from r2gen_lib.simulation.render import draw_simulated

SCORES = ("Bleu_4", "METEOR", "ROUGE_L", "CIDEr")


def main() -> None:
    """Print a row a setting."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("settings", nargs="+", metavar="FIELD=VALUE[,...]")
    parser.add_argument("--checkpoint", default="laptop-shallow")
    parser.add_argument("--chests", type=int, default=12, help="chests a group (default 12)")
    args = parser.parse_args()
    model = R2GenGPT.from_trained(args.checkpoint)
    real, drawn = by_split(load_studies("openi_sim"), "val"), truth_studies(args.chests, "val")
    draw_simulated([*real, *drawn], model.preset.vision.views)
    features = [encode_studies(model, studies) for studies in (real, drawn)]
    rows = {}
    for setting in args.settings:
        decoding = {name: ast.literal_eval(value) for name, value in (part.split("=") for part in setting.split(","))}
        written, of_drawn = (describe_features(model, each, progress=False, **decoding) for each in features)
        references = {study.id: study.report for study in real}
        scores = score_reports(references, dict(zip(references, written, strict=True)))
        row = {"words": sum(len(report.split()) for report in written) / len(written)}
        row |= {name: scores[name] for name in SCORES}
        rows[setting] = row | judge(drawn, of_drawn).summary["value"].to_dict()
        print(pd.DataFrame.from_dict(rows, orient="index").round(3).T.to_string(), flush=True)


if __name__ == "__main__":
    main()
