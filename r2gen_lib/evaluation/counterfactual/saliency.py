"""Where a finding's words look: maps of what moves the log-odds of its sentence, by captum.

A map explains how much likelier the model holds "There is a pleural effusion." than "There is no pleural effusion."
What a map shows is the model's own account of itself and may be wrong; ``pointing`` tests it against the edited voxels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from scipy import ndimage
from torch import Tensor

from r2gen_lib.errors import R2GenError
from r2gen_lib.evaluation.counterfactual.likelihood import log_odds
from r2gen_lib.findings.chexpert import Case
from r2gen_lib.findings.finding import FINDING_NAMES, LEARNT_NAMES
from r2gen_lib.inference.feature_cache import picture_pixels
from r2gen_lib.model.finding_head import finding_head_of

if TYPE_CHECKING:
    from r2gen_lib.model.r2gengpt import R2GenGPT

#: tokens: gradient x input at the encoder's outputs, summed over channels. picture: absolute gradient at the pixels,
#: smoothed. occlusion: how far the log-odds fall when a square is grey. head: the encoder's finding head; the
#: language model takes no part in it.
METHODS = ("tokens", "picture", "occlusion", "head")
SMOOTH = 8 / 224  # of the picture's side: standard deviation of the smoothing of pixel gradients
WINDOW, STRIDE = 2 / 7, 1 / 7  # of the picture's side: the grey square and its steps


def saliency_maps(
    model: R2GenGPT, pictures: Sequence[np.ndarray], case: Case, method: str = "tokens", batch_size: int = 16
) -> Float[np.ndarray, "B S S"]:
    """Float32 maps over the pictures as the encoder sees them (square, ``S`` pixels); higher: speaks for the finding.

    Args:
        model: any mode.
        pictures: uint8 (H, W), frontal.
        case: whose sentences are explained.
        method: one of ``METHODS``.
        batch_size: pictures at once; for "occlusion", squares tried at once.

    Raises:
        R2GenError: unknown method, or "head" where the encoder has no finding head, or one that has not learnt it.
    """
    if method not in METHODS:
        raise R2GenError(f"saliency method {method!r}: expected one of {', '.join(METHODS)}.")
    explain = {"tokens": _tokens, "picture": _picture, "occlusion": partial(_occlusion, batch_size), "head": _head}
    with model.evaluating():
        chunks = picture_pixels(model, pictures).to(model.device).split(batch_size)  # of (B, 1, 3, S, S)
        return np.concatenate([explain[method](model, pixels, case) for pixels in chunks])


def method_names(model: R2GenGPT, case: Case) -> tuple[str, ...]:
    """The quick methods that ``model`` has for a finding: all but "occlusion"; "head" with the laptop's encoder alone,
    and for what its head has learnt."""
    learnt = case.finding in LEARNT_NAMES and finding_head_of(model) is not None
    return ("tokens", "picture") + (("head",) if learnt else ())


def _speaks_for(model: R2GenGPT, case: Case, features: Tensor) -> Tensor:
    return log_odds(model, features, case.present, case.absent)


def _tokens(model: R2GenGPT, pixels: Tensor, case: Case) -> np.ndarray:
    from captum.attr import InputXGradient

    with torch.no_grad():
        features = model.encode(pixels).float()
    features.requires_grad_()
    given = InputXGradient(partial(_speaks_for, model, case)).attribute(features)  # (B, N, D_v)
    return _over_picture(given.detach().sum(dim=-1), pixels.shape[-1])


def _picture(model: R2GenGPT, pixels: Tensor, case: Case) -> np.ndarray:
    from captum.attr import Saliency

    pixels = pixels.clone().requires_grad_()
    given = Saliency(lambda x: _speaks_for(model, case, model.vision(x))).attribute(pixels)  # (B, 1, 3, S, S)
    side = pixels.shape[-1]
    flat = given.detach().amax(dim=2)[:, 0].float().cpu().numpy()
    return np.stack([ndimage.gaussian_filter(one, SMOOTH * side) for one in flat])


def _occlusion(batch_size: int, model: R2GenGPT, pixels: Tensor, case: Case) -> np.ndarray:
    from captum.attr import Occlusion

    side = pixels.shape[-1]
    window, stride = (1, 3, *[round(WINDOW * side)] * 2), (1, 3, *[round(STRIDE * side)] * 2)
    explain = Occlusion(lambda x: _speaks_for(model, case, model.encode(x)))
    with torch.no_grad():  # baseline 0 is the mean grey, once normalised
        given = [
            explain.attribute(one[None], window, strides=stride, baselines=0.0, perturbations_per_eval=batch_size)
            for one in pixels
        ]
    return torch.cat(given)[:, 0, 0].float().cpu().numpy()


@torch.no_grad()
def _head(model: R2GenGPT, pixels: Tensor, case: Case) -> np.ndarray:
    head = finding_head_of(model)
    if head is None:
        raise R2GenError(
            f"saliency method 'head': preset {model.preset.name} has no finding head on its encoder, expected the "
            "laptop's encoder. Use 'tokens' or 'picture'."
        )
    if case.finding not in LEARNT_NAMES:
        raise R2GenError(
            f"saliency method 'head': {case.finding} is not among the findings that the shipped head has learnt. Use "
            "'tokens' or 'picture'."
        )
    logits = head(model.encode(pixels).float().cpu())[..., FINDING_NAMES.index(case.finding)]  # (B, N)
    return _over_picture(logits, pixels.shape[-1])


def _over_picture(tokens: Float[Tensor, "B N"], side: int) -> Float[np.ndarray, "B S S"]:
    """A number a visual token, spread smoothly over the picture."""
    grid = math.isqrt(tokens.shape[1])
    if grid * grid != tokens.shape[1]:
        raise R2GenError(f"saliency over {tokens.shape[1]} visual tokens: expected a square grid of them.")
    square = tokens.float().cpu().unflatten(1, (grid, grid))[:, None]
    return torch.nn.functional.interpolate(square, size=(side, side), mode="bicubic", align_corners=False)[:, 0].numpy()
