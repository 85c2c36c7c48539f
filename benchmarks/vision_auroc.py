"""What the shipped vision encoder sees: AUROC of each finding on held-out simulated pictures.

    python benchmarks/vision_auroc.py [--pictures 400] [--seed 0]

Seed 0 draws the pictures that ``docs/experiments.md`` reports (other patients than those it was trained on); another
seed draws new ones. 400 pictures take about three minutes to simulate, once.
"""

from __future__ import annotations

import argparse

import pandas as pd

from r2gen_lib.training.pretraining.data import token_pictures
from r2gen_lib.training.pretraining.encoder import auroc_table, predict, shipped_classifier


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    data = token_pictures(args.pictures, args.seed, "held-out")
    table = pd.DataFrame(auroc_table(predict(shipped_classifier(), data.pictures)[1], data.labels))
    print(table.to_string(index=False, float_format="%.3f"))


if __name__ == "__main__":
    main()
