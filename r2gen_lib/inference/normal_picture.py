"""The normal picture that guidance and reranking compare with: the mean of simulated chests without findings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from r2gen_lib.data.study import Study
from r2gen_lib.inference.feature_cache import encoded
from r2gen_lib.model.generation import changed_decoding, compares_with_normal
from r2gen_lib.simulation.render import simulated_pictures

if TYPE_CHECKING:
    from r2gen_lib.model.r2gengpt import R2GenGPT

NORMAL_CHESTS = 64


def normal_chests(chests: int = NORMAL_CHESTS, seed: int = 0) -> list[Study]:
    """Simulated chests without findings, each of a patient that nothing else is drawn of: ``normal-train-SEED-NUMBER``.

    They belong to the train split: no measurement looks at them.
    """
    names = [f"normal-train-{seed}-{number}" for number in range(chests)]
    return [
        Study(name, "train", "Normal chest.", mesh=("normal",), pictures=simulated_pictures(name, ()), source="normal")
        for name in names
    ]


@torch.no_grad()
def normal_features(model: R2GenGPT, chests: int = NORMAL_CHESTS, seed: int = 0) -> Float[Tensor, "1 N D_v"]:
    """The mean over ``normal_chests`` of what ``model``'s encoder gives; drawn pictures are kept in the cache, and so
    are a frozen encoder's features."""
    with model.evaluating():
        features = torch.cat(list(encoded(model, normal_chests(chests, seed), progress=False)))
    return features.mean(dim=0, keepdim=True)


def with_normal(model: R2GenGPT, decoding: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of ``model.generate``: those of ``decoding``, and ``normal`` where they need it and lack it."""
    settings = {name: value for name, value in decoding.items() if name != "normal"}
    needed = compares_with_normal(changed_decoding(model.preset.decoding, settings))
    return {"normal": normal_features(model), **decoding} if needed and "normal" not in decoding else dict(decoding)
