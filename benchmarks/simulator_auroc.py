"""Do the pictures show the findings, and does nothing else give them away?

    python benchmarks/simulator_auroc.py [--draws 2] [--epochs 3] [--limit N]

Trains a small Swin (the laptop preset's encoder, ImageNet's weights in its stem, nothing else) on the frontal pictures
of the training split to say which findings lie under which visual token, and prints AUROC on the pictures of the test
split for the fifteen findings that are commonest there. Then the same, with the same labels, on pictures of the same
patients *without* their findings: poses, builds and exposures must not tell, so that one has to stay near 0.5.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from r2gen_lib import load_studies
from r2gen_lib.data.study import Study, by_split
from r2gen_lib.files import atomic_write, cache_dir
from r2gen_lib.simulation.render import parallel
from r2gen_lib.simulation.simulate import VERSION, simulate
from r2gen_lib.training.pretraining.data import MASK, TokenPictures
from r2gen_lib.training.pretraining.encoder import PretrainConfig, auroc_table, fit, new_classifier, predict

COMMONEST = 15
ARMS = {"with findings": True, "without edits": False}


def pictures_of(studies: list[Study], edited: bool, draws: int = 1) -> TokenPictures:
    """Frontal pictures, drawn once and kept in the cache, with the labels of the edited ones.

    Args:
        draws: so many patients a study, each with the study's findings.
    """
    parts = [_drawn(studies, edited, seed) for seed in range(draws)]
    return TokenPictures(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def _drawn(studies: list[Study], edited: bool, seed: int) -> tuple[np.ndarray, np.ndarray]:
    name = f"{studies[0].split}_{len(studies)}_seed{seed}"
    path = cache_dir("benchmark", f"v{VERSION}") / f"{name}.npz"
    if not path.exists():
        jobs = [(study.id, study.findings, seed) for study in studies]
        drawn = list(tqdm(parallel(_draw, jobs), total=len(jobs), desc=f"simulating {name}", mininterval=5))
        edits, plain, labels = (np.stack(arrays) for arrays in zip(*drawn, strict=True))
        with atomic_write(path) as temporary, open(temporary, "wb") as stream:
            np.savez_compressed(stream, edited=edits, plain=plain, labels=labels)
    with np.load(path) as stored:
        return stored["edited" if edited else "plain"], stored["labels"]


def _draw(job: tuple) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    study_id, findings, seed = job
    edited = simulate(study_id, findings, seed=seed, truth_size=MASK)
    plain = simulate(study_id, (), seed=seed, truth=False) if findings else edited
    return edited.picture, plain.picture, edited.token_labels()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--draws", type=int, default=2, help="patients drawn for each training study")
    parser.add_argument("--limit", type=int, help="at most so many training studies")
    parser.add_argument("--out", type=Path, default=cache_dir("benchmark"), help="folder for table and states")
    arguments = parser.parse_args()
    studies = load_studies("openi_sim")
    training, testing = by_split(studies, "train")[: arguments.limit], by_split(studies, "test")
    counts = Counter(name for study in testing for name in {f.name for f in study.findings})
    names = [name for name, _ in counts.most_common(COMMONEST)]
    table = pd.DataFrame({"test studies": [counts[n] for n in names]}, index=pd.Index(names, name="finding"))
    config = PretrainConfig(epochs=arguments.epochs)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for arm, edited in ARMS.items():
        torch.manual_seed(0)
        model = new_classifier()
        state = (
            arguments.out / f"auroc_v{VERSION}_{len(training)}x{arguments.draws}_{arm.replace(' ', '_')}.safetensors"
        )
        fit(model, pictures_of(training, edited, arguments.draws), config, state)
        seen = pictures_of(testing, edited)
        rows = {
            row["finding"]: row["AUROC (picture)"] for row in auroc_table(predict(model, seen.pictures)[1], seen.labels)
        }
        table[arm] = [rows[name] for name in names]
        print(f"{arm}: macro AUROC {table[arm].mean():.3f}", flush=True)
    print(table.round(3).to_string())
    table.round(3).to_csv(arguments.out / "simulator_auroc.csv")


if __name__ == "__main__":
    main()
