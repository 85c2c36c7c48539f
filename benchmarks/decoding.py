"""What a setting of the decoding does, on validation data: scores on real reports, and truth on drawn chests.

    python benchmarks/decoding.py length_penalty=1.0 length_penalty=2.0 [--checkpoint laptop-shallow] [--chests 12]

Each argument is a field of ``DecodingConfig`` with its value, or several with commas between them. Real: the studies of
the val split. Drawn: the chests of ``r2gen truth --split val``. Behind each score of a later setting stands its
difference to the first one, with the 95% interval of a paired bootstrap over studies.
"""

from __future__ import annotations

import argparse
import ast
from collections.abc import Sequence

import numpy as np
import pandas as pd

from r2gen_lib import R2GenGPT, load_studies
from r2gen_lib.data.study import Study, by_split
from r2gen_lib.evaluation.truth.chests import truth_studies
from r2gen_lib.evaluation.truth.measure import judge, outcomes
from r2gen_lib.findings.report_labeler import State, label_reports
from r2gen_lib.inference.feature_cache import encode_studies
from r2gen_lib.inference.generate_reports import describe_features
from r2gen_lib.metrics.bootstrap import StudyScore, compare, mean_score
from r2gen_lib.metrics.chexpert_f1 import clinical_study_scores
from r2gen_lib.metrics.nlg import LanguageScorer
from r2gen_lib.simulation.render import draw_simulated

SCORES = ("Bleu_4", "METEOR", "ROUGE_L", "CIDEr")


def main() -> None:
    """Print a table of scores, a column a setting."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("settings", nargs="+", metavar="FIELD=VALUE[,...]")
    parser.add_argument("--checkpoint", default="laptop-shallow")
    parser.add_argument("--chests", type=int, default=12, help="chests a group (default 12)")
    args = parser.parse_args()
    model = R2GenGPT.from_trained(args.checkpoint)
    real, drawn = by_split(load_studies("openi_sim"), "val"), truth_studies(args.chests, "val")
    draw_simulated([*real, *drawn], model.preset.vision.views)
    features = [encode_studies(model, studies) for studies in (real, drawn)]
    table, first = {}, None
    for setting in args.settings:
        decoding = {name: ast.literal_eval(value) for name, value in (part.split("=") for part in setting.split(","))}
        written, of_drawn = (describe_features(model, each, progress=False, **decoding) for each in features)
        scores = real_scores(real, written), truth_scores(drawn, of_drawn)
        first = first or scores
        table[setting] = {"words": f"{sum(len(report.split()) for report in written) / len(written):.1f}"}
        table[setting] |= column(scores, first)
        print(pd.DataFrame(table).to_string(), flush=True)


def real_scores(studies: Sequence[Study], reports: Sequence[str]) -> list[StudyScore]:
    """Beside what radiologists wrote."""
    references = {study.id: study.report for study in studies}
    written = dict(zip(references, reports, strict=True))
    with LanguageScorer() as scorer:
        scores = [score for score in scorer.study_scores(references, written) if score.name in SCORES]
    return scores + clinical_study_scores(references, written)


def truth_scores(chests: Sequence[Study], reports: Sequence[str]) -> list[StudyScore]:
    """Beside what was drawn: the summary of ``judge``, but for the sides, for which few chests count."""
    counts = outcomes(chests, label_reports(reports) >= State.UNCERTAIN).values()
    found = judge(chests, reports).chests
    invented, missed = (found[name] != "" for name in ("invented", "missed"))
    return [
        StudyScore("macro F1 of truth", np.concatenate(list(counts), axis=1), _macro_f1),
        mean_score("contradict themselves", found["contradicts"] != ""),
        mean_score("an invention", invented),
        mean_score("no mistake", ~invented & ~missed),
    ]


def _macro_f1(sums: np.ndarray, chests: int) -> np.ndarray:
    hits, missed, invented = np.moveaxis(sums.reshape(*sums.shape[:-1], -1, 3), -1, 0)
    return (2 * hits / np.maximum(2 * hits + missed + invented, 1)).mean(axis=-1)


def column(scores: Sequence[list[StudyScore]], first: Sequence[list[StudyScore]]) -> dict[str, str]:
    """Each score in words, with its difference to the first setting's, if it is another one."""
    told = {}
    for own, other in zip(scores, first, strict=True):
        for name, row in compare(own, other).iterrows():
            change = f" ({row.difference:+.3f} [{row.low:+.3f}, {row.high:+.3f}])" if own is not other else ""
            told[str(name)] = f"{row['first']:.3f}{change}"
    return told


if __name__ == "__main__":
    main()
