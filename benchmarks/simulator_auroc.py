"""Do the pictures show the findings, and does nothing else give them away?

    python benchmarks/simulator_auroc.py [--epochs 8] [--limit N]

Trains a small CNN (EfficientNet-lite0 with its ImageNet weights, all but its first stages, which are computed once) on
the frontal pictures of the training split to say which findings a study has, and prints AUROC on the test split for
the fifteen findings that are commonest there. Then the same on pictures of the same patients *without* their findings:
poses, builds and exposures must not tell, so that one has to stay near 0.5.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import roc_auc_score
from torch import nn
from tqdm import tqdm

from r2gen_lib import load_studies
from r2gen_lib.data.study import Study, by_split
from r2gen_lib.files import atomic_write, cache_dir
from r2gen_lib.simulation.batch import parallel
from r2gen_lib.simulation.simulate import VERSION, simulate
from r2gen_lib.training.pretrain_vision import in_batches, load_efficientnet, picture_logits, to_pixels

COMMONEST = 15
ARMS = {"with findings": True, "without edits": False}


class Reader(nn.Module):
    """EfficientNet-lite0: ``early`` stays as ImageNet left it, ``late`` and ``head`` are trained.

    ``early``: (B, 3, 224, 224) -> (B, 24, 56, 56). ``late``: -> (B, 320, 7, 7), read as 49 tokens.
    """

    def __init__(self, findings: int) -> None:
        super().__init__()
        net = load_efficientnet()  # normalisation keeps ImageNet's statistics
        self.early = nn.Sequential(net.conv_stem, net.bn1, *net.blocks[:2]).requires_grad_(False)
        self.late = nn.Sequential(*net.blocks[2:])
        self.head = nn.Linear(320, findings)
        nn.init.constant_(self.head.bias, -3.0)

    def forward(self, early: torch.Tensor) -> torch.Tensor:
        """(B, findings) logits: a picture shows a finding as clearly as its clearest token does."""
        return picture_logits(self.head(self.late(early).flatten(2).transpose(1, 2)))


def pictures_of(studies: list[Study], edited: bool) -> np.ndarray:
    """(n, 224, 224) frontal pictures, drawn once and kept in the cache."""
    name = f"{studies[0].split}_{len(studies)}_{'edited' if edited else 'plain'}.npy"
    path = cache_dir("benchmark", f"v{VERSION}") / name
    if not path.exists():
        jobs = [(study.id, study.findings if edited else ()) for study in studies]
        drawn = list(tqdm(parallel(_draw, jobs), total=len(jobs), desc=f"simulating {name}", mininterval=5))
        with atomic_write(path) as temporary, open(temporary, "wb") as stream:
            np.save(stream, np.stack(drawn))
    return np.load(path)


def _draw(job: tuple) -> np.ndarray:
    return simulate(*job, truth=False).picture


def labels_of(studies: list[Study], names: list[str]) -> np.ndarray:
    """(n, findings) 0 or 1."""
    return np.array([[name in {f.name for f in study.findings} for name in names] for study in studies], np.float32)


def train(model: Reader, early: torch.Tensor, labels: np.ndarray, epochs: int, batch: int = 32) -> None:
    """All that is known here is what a whole picture shows."""
    parameters = [*model.late.parameters(), *model.head.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.02)
    generator = torch.Generator().manual_seed(0)
    truth = torch.from_numpy(labels)
    share = truth.mean(0) + 1e-3
    weight = ((1 - share) / share).sqrt().clamp(1, 8)
    steps = epochs * (len(early) // batch)
    bar, step = tqdm(total=steps, desc="training", mininterval=5), 0
    for _ in range(epochs):
        for rows in torch.randperm(len(early), generator=generator)[: steps // epochs * batch].split(batch):
            rate = min((step + 1) / 50, 0.5 * (1 + np.cos(np.pi * step / steps)) + 0.01)
            for group in optimizer.param_groups:
                group["lr"] = 1e-3 * rate
            maps = early[rows].float()
            down, across = torch.randint(-2, 3, (2,), generator=generator).tolist()  # 8 pixels either way
            logits = model(maps.roll((down, across), (2, 3)).contiguous(memory_format=torch.channels_last))
            loss = nn.functional.binary_cross_entropy_with_logits(logits, truth[rows], pos_weight=weight)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            step += 1
            bar.update()
            bar.set_postfix(loss=f"{loss.item():.3f}", refresh=False)


@torch.no_grad()
def early_maps(model: Reader, pictures: np.ndarray) -> torch.Tensor:
    """(n, 24, 56, 56), fp16."""

    def maps(part: np.ndarray) -> torch.Tensor:
        return model.early(to_pixels(part).contiguous(memory_format=torch.channels_last))

    return in_batches(maps, pictures, "early stages")


def logits_of(model: Reader, pictures: np.ndarray) -> np.ndarray:
    """(n, findings), of pictures as they are."""
    return in_batches(lambda maps: model(maps.float()), early_maps(model, pictures), "test split").float().numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--limit", type=int, help="at most so many training studies")
    parser.add_argument("--out", type=Path, help="CSV file for the table")
    arguments = parser.parse_args()
    studies = load_studies("openi_sim")
    training, testing = by_split(studies, "train")[: arguments.limit], by_split(studies, "test")
    counts = Counter(name for study in testing for name in {f.name for f in study.findings})
    names = [name for name, _ in counts.most_common(COMMONEST)]
    table = pd.DataFrame({"test studies": [counts[n] for n in names]}, index=pd.Index(names, name="finding"))
    for arm, edited in ARMS.items():
        torch.manual_seed(0)
        model = Reader(len(names))
        train(model, early_maps(model, pictures_of(training, edited)), labels_of(training, names), arguments.epochs)
        logits, truth = logits_of(model, pictures_of(testing, edited)), labels_of(testing, names)
        table[arm] = [roc_auc_score(truth[:, i], logits[:, i]) for i in range(len(names))]
        print(f"{arm}: macro AUROC {table[arm].mean():.3f}", flush=True)
    print(table.round(3).to_string())
    if arguments.out:
        table.round(3).to_csv(arguments.out)


if __name__ == "__main__":
    main()
