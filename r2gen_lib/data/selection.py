"""Which of a data set's studies a profile takes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from r2gen_lib.config import Profile
from r2gen_lib.data.study import Study, by_split


def chosen_studies(
    studies: Sequence[Study], profile: Profile, seed: int = 0, shuffle: bool = True
) -> tuple[list[Study], list[Study]]:
    """The training and the held-out studies that ``train`` uses, chosen and ordered by the seed alone; without
    ``shuffle`` in the order they are given."""
    counts = {"train": profile.train_studies, "val": profile.val_studies}
    chosen = []
    for split, count in counts.items():
        of_split = by_split(studies, split)
        order = np.random.default_rng(seed).permutation(len(of_split))
        chosen.append([of_split[i] for i in (order[:count] if shuffle else sorted(order[:count]))])
    return chosen[0], chosen[1]
