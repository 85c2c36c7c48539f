"""The normal picture that guidance and reranking compare with: the mean of simulated chests without findings."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from r2gen_lib.data.study import Picture, Study
from r2gen_lib.inference.feature_cache import encode_studies, study_pixels
from r2gen_lib.model.generation import ENCODED_AT_ONCE, changed_decoding, compares_with_normal
from r2gen_lib.simulation.render import cached_picture

if TYPE_CHECKING:
    from r2gen_lib.model.r2gengpt import R2GenGPT

NORMAL_CHESTS = 64


def normal_studies(chests: int = NORMAL_CHESTS, seed: int = 0, views: tuple[str, ...] = ("frontal",)) -> list[Study]:
    """Simulated chests without findings, each of a patient that nothing else is drawn of: ``normal-train-SEED-NUMBER``.

    They belong to the train split: no measurement looks at them.
    """
    studies = []
    for number in range(chests):
        name = f"normal-train-{seed}-{number}"
        pictures = tuple(
            Picture(view, simulated=True, loader=partial(cached_picture, name, (), view)) for view in views
        )
        studies.append(Study(name, "train", "", mesh=("normal",), pictures=pictures, source="normal"))
    return studies


@torch.no_grad()
def normal_features(model: R2GenGPT, chests: int = NORMAL_CHESTS, seed: int = 0) -> Float[Tensor, "1 N D_v"]:
    """The mean over ``normal_studies`` of what ``model``'s encoder gives; drawn pictures are kept in the cache, and so
    are a frozen encoder's features."""
    views = model.preset.vision.views
    studies = normal_studies(chests, seed, views)
    with model.evaluating():
        if model.mode == "shallow":
            features = encode_studies(model, studies, progress=False).float()
        else:
            groups = (studies[start : start + ENCODED_AT_ONCE] for start in range(0, chests, ENCODED_AT_ONCE))
            features = torch.cat([model.encode(study_pixels(model, some)).float() for some in groups])
    return features.mean(dim=0, keepdim=True)


def with_normal(model: R2GenGPT, decoding: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of ``model.generate``: those of ``decoding``, and ``normal`` where they need it and lack it."""
    settings = {name: value for name, value in decoding.items() if name != "normal"}
    needed = compares_with_normal(changed_decoding(model.preset.decoding, settings))
    return {"normal": normal_features(model), **decoding} if needed and "normal" not in decoding else dict(decoding)
