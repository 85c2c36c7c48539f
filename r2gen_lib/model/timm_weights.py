"""Encoders as timm makes them, and their pretraining from its hub: ``VisionConfig.weights = "timm:TAG"``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import timm
from torch import Tensor, nn

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
        return create(config, name, options, pretrained=True).state_dict()
    except Exception as error:  # the hub, the network and timm raise many kinds; all mean the same to the user
        known = ", ".join(one.rpartition(".")[2] for one in timm.list_pretrained(f"{config.model_name}.*")) or "none"
        raise AssetError(
            f"vision weights {weights} of {config.model_name}: timm cannot load them ({error}). They are downloaded "
            f"once and then kept: be online the first time (and HF_HUB_OFFLINE unset), or pass vision_weights=<a "
            f"safetensors file of timm's state_dict>. Tags timm has for it: {known}."
        ) from error


def create(config: VisionConfig, name: str, options: Mapping[str, Any], pretrained: bool = False) -> nn.Module:
    """``timm.create_model`` without a head and with those options; what is ours among them is left out where the model
    has no use for it: ``img_size`` (most convolutional models read any size) and ``global_pool=""`` (some must have
    their pooling; it comes after the features that we read)."""
    options = {"global_pool": "", **options}
    while True:
        try:
            return timm.create_model(name, pretrained=pretrained, num_classes=0, **options)
        except TypeError as error:
            if "img_size" not in str(error) or "img_size" in config.model_kwargs or not options.pop("img_size", None):
                raise
        except AssertionError:
            if "global_pool" in config.model_kwargs or "global_pool" not in options:
                raise
            del options["global_pool"]
