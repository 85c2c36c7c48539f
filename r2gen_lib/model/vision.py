# ruff: noqa: F722
"""The encoder: a timm model whose last feature map is read as visual tokens."""

from __future__ import annotations

from pathlib import Path

import timm
import torch
from jaxtyping import Float
from safetensors.torch import load_file
from torch import Tensor, nn

from r2gen_lib.assets import repository_data
from r2gen_lib.config import VisionConfig
from r2gen_lib.errors import AssetError, R2GenError
from r2gen_lib.model.checkpoint import load_strictly
from r2gen_lib.model.timm_hub import from_hub, hub_tensors


class VisionEncoder(nn.Module):
    """Pictures of a study -> visual tokens, averaged over the views.

    ``swin`` is the timm model, without a head. ``width`` is ``D_v``, the width of a token.
    """

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.config = config
        self.swin = make_timm(config)
        self.width: int = self.swin.num_features

    def forward(self, pixel_values: Float[Tensor, "B V 3 H W"]) -> Float[Tensor, "B N D_v"]:
        """Encode every view by itself and take the mean over views, *before* any projection.

        Source: the original averages encoder outputs too; after the projection's LayerNorm the mean of
        several views would no longer have the scale of one.
        """
        batch, views = pixel_values.shape[:2]
        maps = self.swin.forward_features(pixel_values.flatten(0, 1))  # (B*V, h, w, D_v) or (B*V, N, D_v)
        tokens = maps.flatten(1, -2) if maps.ndim == 4 else maps[:, self.prefix_tokens :]  # (B*V, N, D_v)
        return tokens.unflatten(0, (batch, views)).mean(dim=1)  # (B, N, D_v)

    @property
    def prefix_tokens(self) -> int:
        """Class and register tokens in front of a ViT's patches; none in a Swin."""
        return getattr(self.swin, "num_prefix_tokens", 0)


def make_timm(config: VisionConfig) -> nn.Module:
    """The timm model of ``config`` with random weights and no head.

    Raises:
        R2GenError: timm does not know the name or the arguments, or the features are not tokens.
    """
    options = {"img_size": config.image_size, **config.model_kwargs}
    if options["img_size"] != config.image_size:
        raise R2GenError(
            f"VisionConfig.image_size: found {config.image_size}, but model_kwargs say img_size="
            f"{options['img_size']}. Give both the same number."
        )
    try:
        return timm.create_model(config.model_name, pretrained=False, num_classes=0, global_pool="", **options)
    except (RuntimeError, TypeError, ValueError, AssertionError) as error:
        raise R2GenError(
            f"VisionConfig.model_name {config.model_name!r} with {options}: timm cannot make it ({error}). "
            "Take a Swin or ViT from timm.list_models('*swin*')."
        ) from error


def load_vision_weights(encoder: VisionEncoder, weights: str | Path) -> None:
    """Read a safetensors file (any float dtype) into the encoder, strictly.

    The file's names are those of timm's ``state_dict()``, for a model made with ``num_classes=0``.

    Args:
        weights: a file, a path under ``data/`` such as ``"weights/vision_laptop.safetensors"``, or ``timm:TAG`` for
            timm's own pretraining, from its hub.

    Raises:
        AssetError: there is no such file, or it is no safetensors file, or timm's hub cannot be reached.
        CheckpointError: its tensors are not exactly the encoder's; the message lists them.
    """
    if from_hub(weights):
        return load_strictly(encoder.swin, hub_tensors(encoder.config, str(weights)), str(weights))
    path = Path(weights) if Path(weights).is_file() else repository_data(str(weights))
    try:
        tensors = load_file(path)
    except Exception as error:
        raise AssetError(f"{path}: not a readable safetensors file ({error}). Restore it with git.") from error
    load_strictly(encoder.swin, tensors, str(path))


@torch.no_grad()
def token_count(encoder: VisionEncoder) -> int:
    """``N``, found by encoding one black picture."""
    side = encoder.config.image_size
    parameter = next(encoder.parameters())
    return encoder(torch.zeros(1, 1, 3, side, side, dtype=parameter.dtype, device=parameter.device)).shape[1]
