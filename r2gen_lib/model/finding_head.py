"""The finding head: a linear layer on the encoder's tokens, fitted to findings. The mapper never reads its output."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from r2gen_lib.assets import repository_data
from r2gen_lib.findings.finding import FINDING_NAMES, LEARNT_NAMES
from r2gen_lib.model.lora_names import name_without_lora
from r2gen_lib.model.strict_loading import load_strictly, read_tensors

if TYPE_CHECKING:
    from r2gen_lib.model.r2gengpt import R2GenGPT

#: The encoder whose finding head is shipped, and that head.
_ENCODER_WEIGHTS, _HEAD_WEIGHTS = "weights/vision_laptop.safetensors", "weights/vision_laptop_head.safetensors"


def picture_logits(token_logits: Float[Tensor, "B N F"]) -> Float[Tensor, "B F"]:
    """A picture shows a finding as clearly as its clearest token does (a smooth maximum)."""
    return torch.logsumexp(2 * token_logits, dim=1) / 2


@torch.no_grad()
def finding_logits(model: R2GenGPT, features: Float[Tensor, "B N D_v"]) -> np.ndarray:
    """(B, findings): the finding head's logits of the encoder's features; NaN for an encoder without one.

    The head was fitted to the frozen laptop encoder. In delta and deep mode it is applied to the changed features.
    """
    head = finding_head_of(model)
    if head is None:
        return np.full((len(features), len(FINDING_NAMES)), np.nan)
    return picture_logits(head(features.cpu())).numpy()


def finding_head_of(model: R2GenGPT) -> nn.Linear | None:
    """The linear layer from a visual token to findings, on the CPU; None for another encoder than the laptop's.

    What counts is what is in the encoder, not where its preset says that it comes from. What trains is left out: in
    delta mode the LoRA, in deep mode all but the statistics of batch norms.
    """
    if not _is_laptops(model.vision):
        return None
    return shipped_head(model.vision.width).requires_grad_(False)


def shipped_head(width: int) -> nn.Linear:
    """The head in ``data/weights``, from a visual token of that width to findings, in the order of ``FINDING_NAMES``.

    Its outputs are NaN for findings that it has not learnt (those behind ``LEARNT_NAMES``).

    Raises:
        AssetError: the file is missing.
        CheckpointError: it is for another width.
    """
    head, tensors = nn.Linear(width, len(FINDING_NAMES)), read_tensors(repository_data(_HEAD_WEIGHTS))
    for name, tensor in tensors.items():
        later = tensor.new_full((len(FINDING_NAMES) - len(LEARNT_NAMES), *tensor.shape[1:]), torch.nan)
        tensors[name] = torch.cat([tensor, later])
    load_strictly(head, tensors, "token head")
    return head


@torch.no_grad()
def _is_laptops(encoder: nn.Module) -> bool:
    """Whether what of the encoder does not train has the values of the encoder whose head is shipped."""
    frozen = {name_without_lora(n): t for n, t in encoder.state_dict(keep_vars=True).items() if not t.requires_grad}
    if not frozen:
        return False
    shipped = {f"swin.{name}": t for name, t in read_tensors(repository_data(_ENCODER_WEIGHTS)).items()}
    return frozen.keys() <= shipped.keys() and all(
        torch.equal(tensor.detach().float().cpu(), shipped[name].float()) for name, tensor in frozen.items()
    )
