"""Does a model that was trained with questions answer them? On balanced simulated chests, whose answers are known.

    python benchmarks/asking.py FOLDER [--chests 12] [--split val]

The chests are those of ``r2gen truth``. Each of the twelve findings is asked for in its own chests, in those of its
look-alikes, and in the normal ones; where it is on one side, the side is asked for, too.
"""

from __future__ import annotations

import argparse

import pandas as pd

from r2gen_lib import R2GenGPT
from r2gen_lib.evaluation.truth.chests import LOOK_ALIKES, NORMAL, SPLITS, absent, group_of, truth_studies
from r2gen_lib.findings.chexpert import CASES
from r2gen_lib.findings.finding import MIDLINE
from r2gen_lib.findings.report_labeler import State, label_reports
from r2gen_lib.findings.report_phrases import OBSERVATIONS
from r2gen_lib.inference.feature_cache import encode_studies
from r2gen_lib.simulation.render import draw_simulated
from r2gen_lib.training.questions import presence_question, side_question


def main() -> None:
    """Print a row a finding."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", metavar="FOLDER", help="what r2gen train --questions wrote")
    parser.add_argument("--chests", type=int, default=12, help="chests a group (default 12)")
    parser.add_argument("--split", default="val", choices=SPLITS)
    args = parser.parse_args()
    studies = truth_studies(args.chests, args.split)
    model = R2GenGPT.from_trained(args.checkpoint)
    draw_simulated(studies, model.preset.vision.views)
    features = encode_studies(model, studies)

    groups, table = [group_of(study) for study in studies], {}

    def answers(question: str, rows: list[int]) -> list[str]:
        return model.ask(question, features=features[rows], consistent=False)

    for finding, alike in LOOK_ALIKES.items():
        without = absent(studies, finding)
        there = [row for row, group in enumerate(groups) if group == finding]
        others = [row for row, group in enumerate(groups) if group in (*alike, NORMAL) and without[row]]
        labels = label_reports(answers(presence_question(CASES[finding]), there + others))
        said = labels[:, OBSERVATIONS.index(CASES[finding].observation)] >= State.UNCERTAIN
        there_and_said, wrong = said[: len(there)].mean(), said[len(there) :].mean()
        row = {"chests": len(there), "said": there_and_said, "said where it is not": wrong}
        one_sided = [r for r in there if finding not in MIDLINE and studies[r].findings[0].side in ("left", "right")]
        if one_sided:
            sides = answers(side_question(CASES[finding]), one_sided)
            right = sum(studies[r].findings[0].side in text for r, text in zip(one_sided, sides, strict=True))
            row |= {"right side": right / len(one_sided)}
        table[finding] = row
    frame = pd.DataFrame.from_dict(table, orient="index")
    frame.loc["mean"] = frame.drop(columns="chests").mean()
    print(frame.round(2).to_string())


if __name__ == "__main__":
    main()
