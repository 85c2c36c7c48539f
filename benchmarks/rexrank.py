"""Are our JSON and our BLEU-2 those of the public board ReXrank? Compared with its own file and with fast-bleu.

    git clone https://github.com/rajpurkarlab/ReXrank
    python benchmarks/rexrank.py ReXrank/data/iu_xray/ReXRank_IUXray_test.json
    python benchmarks/rexrank.py ReXrank/data/iu_xray/ReXRank_IUXray_valid.json --split val
    pip install --target /tmp/fast_bleu fast-bleu==0.0.90 && PYTHONPATH=/tmp/fast_bleu python benchmarks/rexrank.py

Printed: for how many studies each field of ``r2gen export-rexrank --full`` is the board's, and for each shipped model
BLEU-2 by ``metrics.rexrank_bleu`` and by fast-bleu (left out where that cannot be imported; it compiles C++).
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import pandas as pd

from r2gen_lib import load_studies
from r2gen_lib.assets import repository_data
from r2gen_lib.data.study import by_split
from r2gen_lib.evaluation.rexrank import write_rexrank
from r2gen_lib.evaluation.written_reports import read_table
from r2gen_lib.metrics.rexrank_bleu import rexrank_bleu


def same_fields(board: Path, split: str) -> pd.Series:
    """Field of the board's file -> studies in which ours is the same; raises where the keys differ."""
    theirs = json.loads(board.read_text(encoding="utf-8"))
    ids = [key.split("_")[0] for key in theirs]
    with tempfile.TemporaryDirectory() as folder:
        reports, out = Path(folder, "reports.csv"), Path(folder, "ours.json")
        pd.DataFrame({"study": ids, "generated": "x"}).to_csv(reports, index=False)
        write_rexrank(reports, out, split, full=True)
        ours = json.loads(out.read_text(encoding="utf-8"))
    assert set(ours) == set(theirs), "the keys differ"
    rows = [{field: ours[key][field] == value for field, value in study.items()} for key, study in theirs.items()]
    return pd.DataFrame(rows).sum()


def fast_bleu(references: dict[str, str], written: dict[str, str]) -> float | None:
    """The mean of fast-bleu's BLEU-2; None where it is not installed."""
    try:
        from fast_bleu import BLEU
    except ImportError:
        return None

    def tokens(text: str) -> list[str]:
        return [word for word in text.lower().replace(".", " .").split(" ") if word]

    values = [
        BLEU([tokens(text)], {"two": (0.5, 0.5)}).get_score([tokens(written[study])])["two"][0]
        for study, text in references.items()
    ]
    return sum(values) / len(values)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("board", nargs="?", type=Path, help="the board's own JSON (default: only BLEU is compared)")
    options.add_argument("--split", default="test", choices=("test", "val"))
    args = options.parse_args()
    if args.board:
        same = same_fields(args.board, args.split)
        print(f"{args.board.name}: the keys are the same; studies whose field is the same:")
        print(same.to_string())
    references = {study.id: study.report for study in by_split(load_studies(clean="none"), "test")}
    for model in ("laptop-shallow", "laptop-delta"):
        table, texts = read_table(repository_data("measured") / f"{model}_test_reports.csv")
        written = table[texts].to_dict()
        theirs = fast_bleu(references, written)
        told = "not installed" if theirs is None else f"{theirs:.6f}"
        print(f"{model}: BLEU-2 {rexrank_bleu(references, written)[0].value():.6f}, by fast-bleu {told}")


if __name__ == "__main__":
    main()
