"""The encoder: any timm model whose last feature map, or sequence of patches, can be read as visual tokens."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors.torch import load_file
from torch import Tensor, nn

from r2gen_lib.assets import repository_data
from r2gen_lib.config import VisionConfig
from r2gen_lib.errors import AssetError, R2GenError
from r2gen_lib.model.oracle_encoder import OracleEncoder
from r2gen_lib.model.original.tensor_names import convert_swin
from r2gen_lib.model.stem import ConvolutionalStem
from r2gen_lib.model.strict_loading import load_strictly
from r2gen_lib.model.timm_weights import create, from_hub, hub_tensors

FROM_PRESET = "preset"  # take the vision weights that the preset names


class VisionEncoder(nn.Module):
    """Pictures of a study -> visual tokens, averaged over the views.

    ``swin`` is the timm model, without a head: a Swin in every preset, but it may be another. ``width`` is
    ``D_v``, the width of a token.
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
        tokens = self._tokens(self.swin.forward_features(pixel_values.flatten(0, 1)))  # (B*V, N, D_v)
        return tokens.unflatten(0, (batch, views)).mean(dim=1)  # (B, N, D_v)

    @property
    def prefix_tokens(self) -> int:
        """Class and register tokens in front of a ViT's patches; none in a Swin."""
        has_class_token = getattr(self.swin, "cls_token", None) is not None
        return getattr(self.swin, "num_prefix_tokens", int(has_class_token))

    def _tokens(self, maps: Tensor) -> Float[Tensor, "B N D_v"]:
        """Places of a feature map row by row, or patches without what stands in front of them.

        timm's models give (B, N, D_v), (B, h, w, D_v) if their ``output_fmt`` is "NHWC", else (B, D_v, h, w).
        """
        found = tuple(maps.shape) if isinstance(maps, Tensor) else type(maps).__name__
        tokens = None
        if isinstance(maps, Tensor) and maps.ndim == 4:
            last = getattr(self.swin, "output_fmt", "NCHW") == "NHWC"
            tokens = maps.flatten(1, 2) if last else maps.flatten(2).transpose(1, 2)
        elif isinstance(maps, Tensor) and maps.ndim == 3:
            tokens = maps[:, self.prefix_tokens :]
        if tokens is None or tokens.shape[1] == 0 or tokens.shape[2] != self.width:
            raise R2GenError(
                f"VisionConfig.model_name {self.config.model_name!r}: gives no visual tokens (found {found}, with "
                f"{self.prefix_tokens} class tokens; expected a feature map or patches of width {self.width}). "
                "Take a model whose forward_features does, such as a Swin, ViT or ConvNeXt."
            )
        return tokens


def make_timm(config: VisionConfig) -> nn.Module:
    """The timm model of ``config`` with random weights and no head.

    Raises:
        R2GenError: timm does not know the name or the arguments.
    """
    options = {"img_size": config.image_size, **config.model_kwargs}
    if config.stem:
        options["embed_layer"] = partial(ConvolutionalStem, config.stem)
    try:
        return create(config, config.model_name, options)
    except (RuntimeError, TypeError, ValueError, AssertionError) as error:
        raise R2GenError(
            f"VisionConfig.model_name {config.model_name!r} with {options}: timm cannot make it ({error}). "
            "Take a name of timm.list_models(), and arguments that this model has."
        ) from error


def load_vision_weights(encoder: VisionEncoder, weights: str | Path) -> None:
    """Read a safetensors file (any float dtype) into the encoder, strictly.

    The file's names are those of timm's ``state_dict()``, for a model made with ``num_classes=0``, or transformers' for
    a Swin.

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
    if any(name.removeprefix("swin.").startswith("encoder.layers.") for name in tensors):
        tensors = convert_swin(tensors, encoder.swin, str(path))
    load_strictly(encoder.swin, tensors, str(path))


def shown_count(encoder: VisionEncoder | OracleEncoder, pool: int | None) -> int:
    """How many visual tokens the language model is shown: ``pool * pool``, or all that the encoder gives."""
    return pool**2 if pool else token_count(encoder)


@torch.no_grad()
def token_count(encoder: VisionEncoder | OracleEncoder) -> int:
    """``N``, found by encoding one black picture in eval mode; an oracle encoder reads none and knows it."""
    if isinstance(encoder, OracleEncoder):
        return encoder.tokens
    side, training = encoder.config.image_size, encoder.training
    parameter = next(encoder.parameters())
    black = torch.zeros(1, 1, 3, side, side, dtype=parameter.dtype, device=parameter.device)
    try:
        return encoder.eval()(black).shape[1]
    finally:
        encoder.train(training)
