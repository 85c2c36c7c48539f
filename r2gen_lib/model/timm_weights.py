"""Encoders as timm makes them, and their pretraining from its hub: ``VisionConfig.weights = "timm:TAG"``."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping
from functools import partial
from typing import Any

import timm
import torch
from torch import Tensor, nn

from r2gen_lib.config import VisionConfig
from r2gen_lib.errors import AssetError

_LOG = logging.getLogger("r2gen_lib")
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
    """``timm.create_model`` without a head and with those options. The ones we add are left out, which is said, where
    the model has no use for them: ``img_size`` (most convolutional models read any size) and ``global_pool=""`` (some
    must have their pooling; it comes after the features that we read)."""
    given = config.model_kwargs
    make = partial(timm.create_model, name, pretrained=pretrained, num_classes=0)
    if "img_size" not in given and timm.is_model(config.model_name) and not _takes_size(config.model_name):
        options = {option: value for option, value in options.items() if option != "img_size"}
        _LOG.info("%s reads pictures of any size: made without img_size.", config.model_name)
    try:
        return make(**{"global_pool": "", **options})
    except AssertionError:  # no signature tells which values of global_pool a model takes
        if "global_pool" in given:
            raise
        _LOG.info('%s must have its pooling: made without global_pool="".', config.model_name)
        return make(**options)


def _takes_size(name: str) -> bool:
    """Whether a timm model's class, or one it extends, takes ``img_size``."""
    made = inspect.signature(timm.model_entrypoint(name), eval_str=True).return_annotation
    if made is inspect.Signature.empty:  # some of timm's functions do not say what they make
        with torch.device("meta"):
            made = type(timm.create_model(name, pretrained=False))
    return any("img_size" in inspect.signature(kind.__init__).parameters for kind in inspect.getmro(made))
