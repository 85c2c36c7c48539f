"""A small pretrained convolutional network's first stages in front of a Swin, for small things and little data."""

from __future__ import annotations

import timm
import torch
from jaxtyping import Float
from torch import Tensor, nn


class ConvolutionalStem(nn.Module):
    """Takes the place of a Swin's patch embedding: timm's ``embed_layer``.

    A patch of pixels that is flattened and multiplied once has no notion of an edge, and a few thousand pictures do
    not teach a Swin one: clips, wires and granulomas stay invisible to it. A convolutional network that was trained on
    photographs has it already. Normalisation keeps the statistics it was trained with, in training too.

    Source: the hybrid of arXiv 2010.11929, section 3.1, with a Swin in the ViT's place.

    Args:
        model_name: timm's convolutional network; its stages up to ``patch_size`` are taken.
        img_size: pixels along each side.
        patch_size: pixels along each side of what becomes one vector.
        embed_dim: width of that vector.
        in_chans: 3, as the network was trained.
        output_fmt: "NHWC", which a Swin asks for and gets.
        norm_layer, strict_img_size, device, dtype: what timm's Swin says to every ``embed_layer``. The stem has a
            normalisation of its own, reads any size, and is moved with the model.

    Raises:
        ValueError: no stage has that ``patch_size``, or another number of channels or order of axes is asked for.
    """

    def __init__(
        self,
        model_name: str,
        img_size: int,
        patch_size: int,
        embed_dim: int,
        *,
        in_chans: int = 3,
        output_fmt: str = "NHWC",
        norm_layer: object = None,
        strict_img_size: bool = True,
        device: object = None,
        dtype: object = None,
    ) -> None:
        super().__init__()
        if (in_chans, output_fmt) != (3, "NHWC"):
            raise ValueError(f"in_chans {in_chans}, output_fmt {output_fmt}: the stem takes 3 channels, gives NHWC")
        self.cnn = timm.create_model(model_name, pretrained=False, num_classes=0)
        reductions = [stage["reduction"] for stage in self.cnn.feature_info]
        if patch_size not in reductions:
            raise ValueError(f"patch_size {patch_size}: the stages of {model_name} have {reductions}")
        self.stage = reductions.index(patch_size)
        self.cnn.prune_intermediate_layers([self.stage], prune_norm=True, prune_head=True)
        for module in self.cnn.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.num_batches_tracked = None  # never counted, so not part of the weights either
        self.img_size, self.patch_size = (img_size, img_size), (patch_size, patch_size)
        self.grid_size = (img_size // patch_size,) * 2
        self.proj = nn.Conv2d(self.cnn.feature_info[self.stage]["num_chs"], embed_dim, 1)
        self.norm = nn.LayerNorm(embed_dim)
        self.train()
        self.to(memory_format=torch.channels_last)  # five times faster on a CPU: 1 x 1 convolutions as matrix products

    def train(self, mode: bool = True) -> ConvolutionalStem:
        """Nothing changes: the normalisation layers keep their statistics."""
        return super().train(False)

    def forward(self, pixels: Float[Tensor, "B 3 S S"]) -> Float[Tensor, "B h w D"]:
        kind = pixels.device.type
        device = kind if torch.amp.is_autocast_available(kind) else "cpu"  # the meta device has none
        with torch.autocast(device, enabled=False):  # small convolutions gain nothing from bf16
            maps = pixels.float().contiguous(memory_format=torch.channels_last)
            maps = self.cnn.forward_intermediates(maps, indices=[self.stage], intermediates_only=True)[0]
            return self.norm(self.proj(maps).permute(0, 2, 3, 1).contiguous())
