"""Simulated pictures with a label for every visual token: what the vision encoder is pretrained on.

Findings are drawn far more often than in real reports (a pneumothorax is on 14 of 2,955 Open-i studies), and no study
of the benchmark is used: the patients here are named ``pretrain-train-0``, ``pretrain-train-1``, ..., so a report's
test picture has never been seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from r2gen_lib.files import atomic_write, cache_dir
from r2gen_lib.findings.finding import FINDING_NAMES, Finding
from r2gen_lib.simulation.coded_findings import drawn_anew
from r2gen_lib.simulation.render import key_of, parallel
from r2gen_lib.simulation.simulate import VERSION, seed_of, simulate

CHUNK = 100
MASK = 56  # pixels along each side of the masks that become token labels
_EXCLUSIVE = ({"Hyperinflation", "Hypoinflation"},)


@dataclass(frozen=True)
class TokenPictures:
    """pictures uint8 (n, 224, 224); labels uint8 (n, len(FINDING_NAMES), 7, 7)."""

    pictures: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.pictures)


def random_findings(rng: np.random.Generator) -> tuple[Finding, ...]:
    """Nothing on a tenth of the pictures, else one to six findings, all equally likely.

    Zone and pattern are those of a code of that finding, side and severity are drawn anew.
    """
    if rng.random() < 0.1:
        return ()
    names = [str(name) for name in rng.choice(FINDING_NAMES, size=rng.integers(1, 7), replace=False)]
    for group in _EXCLUSIVE:
        for extra in [name for name in names if name in group][1:]:
            names.remove(extra)
    return tuple(drawn_anew(name, rng) for name in names)


def token_pictures(count: int, seed: int, split: str = "train", workers: int | None = None) -> TokenPictures:
    """``count`` pictures with token labels; drawn once, in chunks kept in the cache, so a stopped call goes on.

    A chunk is named by what is drawn in it: other codes or another way to draw findings never read an older one.

    Args:
        split: "train" or "held-out"; the two share no patient.
    """
    from tqdm import tqdm

    folder = cache_dir("pretraining", f"v{VERSION}")
    chunks = {}
    for start in range(0, count, CHUNK):
        patients = [_patient(f"{split}-{index}", seed) for index in range(start, start + CHUNK)]
        name = f"{split}_seed{seed}_{start:06d}_{key_of(seed, MASK, FINDING_NAMES, patients)}.npz"
        chunks[folder / name] = patients
    jobs = [(path, patients, seed) for path, patients in chunks.items() if not path.exists()]
    drawn = parallel(_draw_chunk, jobs, workers if len(jobs) > 1 else 1, chunk=1)
    for _ in tqdm(drawn, total=len(jobs), desc=f"simulating {split} pictures", unit=f"x{CHUNK}", disable=not jobs):
        pass
    loaded = [np.load(path) for path in chunks]
    pictures = np.concatenate([chunk["pictures"] for chunk in loaded])[:count]
    return TokenPictures(pictures, np.concatenate([chunk["labels"] for chunk in loaded])[:count])


def _patient(name: str, seed: int) -> tuple[str, tuple[Finding, ...]]:
    """A patient's id, and what is drawn into that chest."""
    study_id = f"pretrain-{name}"
    return study_id, random_findings(np.random.default_rng(seed_of(study_id, seed, "findings")))


def _draw_chunk(job: tuple[Path, list[tuple[str, tuple[Finding, ...]]], int]) -> None:
    path, patients, seed = job
    drawn = [simulate(study_id, findings, "frontal", seed, truth_size=MASK) for study_id, findings in patients]
    pictures, labels = np.stack([d.picture for d in drawn]), np.stack([d.token_labels() for d in drawn])
    with atomic_write(path) as temporary, open(temporary, "wb") as stream:
        np.savez_compressed(stream, pictures=pictures, labels=labels)
