"""Pretrained encoders from timm's hub: ``VisionConfig.weights = "timm:TAG"``."""

from __future__ import annotations

import timm
from torch import Tensor

from r2gen_lib.config import VisionConfig
from r2gen_lib.errors import AssetError

_PREFIX = "timm"


def from_hub(weights: object) -> bool:
    """Whether ``weights`` names timm's pretraining (``timm`` or ``timm:TAG``) and not a file."""
    return weights == _PREFIX or str(weights).startswith(_PREFIX + ":")


def hub_tensors(config: VisionConfig, weights: str) -> dict[str, Tensor]:
    """timm's pretrained tensors of ``config.model_name``, without a head; downloaded once, then from the hub's cache.

    Raises:
        AssetError: timm knows no such tag, or the file is not in the cache and cannot be downloaded.
    """
    tag = weights.removeprefix(_PREFIX).removeprefix(":")
    name = f"{config.model_name}.{tag}" if tag else config.model_name
    options = {"img_size": config.image_size, **config.model_kwargs}
    try:
        return timm.create_model(name, pretrained=True, num_classes=0, global_pool="", **options).state_dict()
    except Exception as error:  # the hub, the network and timm raise many kinds; all mean the same to the user
        known = ", ".join(one.rpartition(".")[2] for one in timm.list_pretrained(f"{config.model_name}.*")) or "none"
        raise AssetError(
            f"vision weights {weights} of {config.model_name}: timm cannot load them ({error}). They are downloaded "
            f"once and then kept: be online the first time (and HF_HUB_OFFLINE unset), or pass vision_weights=<a "
            f"safetensors file of timm's state_dict>. Tags timm has for it: {known}."
        ) from error
