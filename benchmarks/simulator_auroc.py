"""Do the pictures show the findings, and does nothing else give them away?

    python benchmarks/simulator_auroc.py [--epochs 6] [--limit N]

Trains the laptop preset's Swin (from its pretrained weights, which have seen no benchmark study) on the frontal
pictures of the training split to say which findings a study has, and prints AUROC on the test split for the fifteen
findings that are commonest there. Then the same on pictures of the same patients *without* their findings: poses,
builds and exposures must not tell, so that one has to stay near 0.5.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import numpy as np
import torch

from r2gen_lib import load_studies
from r2gen_lib.data.study import Study, by_split
from r2gen_lib.files import atomic_write, cache_dir
from r2gen_lib.simulation.batch import parallel
from r2gen_lib.simulation.findings import FINDING_NAMES
from r2gen_lib.simulation.simulate import VERSION, simulate
from r2gen_lib.training.pretrain_vision import TokenClassifier, picture_logits, predict, shipped_eye, to_pixels

COMMONEST = 15
ARMS = {"with findings": True, "without edits": False}


def pictures_of(studies: list[Study], edited: bool) -> np.ndarray:
    """(n, 224, 224) frontal pictures, drawn once and kept in the cache."""
    name = f"{studies[0].split}_{len(studies)}_{'edited' if edited else 'plain'}.npy"
    path = cache_dir("benchmark", f"v{VERSION}") / name
    if not path.exists():
        jobs = [(study.id, study.findings if edited else ()) for study in studies]
        with atomic_write(path) as temporary, open(temporary, "wb") as stream:
            np.save(stream, np.stack(list(parallel(_draw, jobs))))
    return np.load(path)


def _draw(job: tuple) -> np.ndarray:
    return simulate(*job, truth=False).picture


def labels_of(studies: list[Study]) -> np.ndarray:
    """(n, findings) 0 or 1."""
    return np.array([[name in {f.name for f in s.findings} for name in FINDING_NAMES] for s in studies], np.float32)


def train(model: TokenClassifier, pictures: np.ndarray, labels: np.ndarray, epochs: int, batch: int = 32) -> None:
    """Fine-tune on what a whole picture shows; all that is known here is the label of the picture."""
    generator = torch.Generator().manual_seed(0)
    groups = [
        {"params": list(model.backbone.parameters()), "base": 1e-4},
        {"params": list(model.head.parameters()), "base": 1e-3},
    ]
    optimizer = torch.optim.AdamW(groups, lr=1e-4, weight_decay=0.05)
    share = labels.mean(0) + 1e-3
    weight = torch.tensor(np.clip(np.sqrt((1 - share) / share), 1, 8))
    total = epochs * (len(pictures) // batch)
    step = 0
    for _ in range(epochs):
        model.train()
        for index in torch.randperm(len(pictures), generator=generator)[: total // epochs * batch].split(batch):
            rows = index.numpy()
            for group in optimizer.param_groups:
                group["lr"] = group["base"] * min((step + 1) / 20, 0.5 * (1 + np.cos(np.pi * step / total)) + 0.01)
            logits = picture_logits(model(to_pixels(pictures[rows], generator))[1])
            loss = torch.nn.functional.binary_cross_entropy_with_logits(
                logits, torch.from_numpy(labels[rows]), pos_weight=weight
            )
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            step += 1


def auroc(model: TokenClassifier, pictures: np.ndarray, labels: np.ndarray, names: list[str]) -> dict[str, float]:
    """AUROC on pictures by finding."""
    from sklearn.metrics import roc_auc_score

    logits = picture_logits(predict(model, pictures)[1]).numpy()
    return {n: float(roc_auc_score(labels[:, i], logits[:, i])) for n in names for i in [FINDING_NAMES.index(n)]}


def main() -> None:
    import pandas as pd

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--limit", type=int, help="at most so many training studies")
    parser.add_argument("--out", type=Path, help="CSV file for the table")
    arguments = parser.parse_args()
    studies = load_studies("openi_sim")
    training, testing = by_split(studies, "train")[: arguments.limit], by_split(studies, "test")
    counts = Counter(name for study in testing for name in {f.name for f in study.findings})
    names = [name for name, _ in counts.most_common(COMMONEST)]
    table = pd.DataFrame(
        {"studies of the test split": [counts[n] for n in names]}, index=pd.Index(names, name="finding")
    )
    for arm, edited in ARMS.items():
        torch.manual_seed(0)
        model = shipped_eye()
        train(model, pictures_of(training, edited), labels_of(training), arguments.epochs)
        table[arm] = auroc(model, pictures_of(testing, edited), labels_of(testing), names)
        print(f"{arm}: macro AUROC {table[arm].mean():.3f}", flush=True)
    print(table.round(3).to_string())
    if arguments.out:
        table.round(3).to_csv(arguments.out)


if __name__ == "__main__":
    main()
