"""Encoder outputs, computed once: while the encoder is frozen, a picture's features never change.

One small file a picture, named by the picture's pixels, in a folder named by the encoder's weights and the
preprocessing. So nothing stale is ever read: other pixels, weights or settings have other names.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from tqdm import tqdm

from r2gen_lib.data.dataset import ReportDataset, report_loader, square_view
from r2gen_lib.data.images.cache import PictureCache
from r2gen_lib.data.images.preprocess import normalise, to_pixel_values
from r2gen_lib.data.study import Study
from r2gen_lib.errors import CacheError, R2GenError
from r2gen_lib.files import atomic_write, cache_dir
from r2gen_lib.model.checkpoint import frozen_hash
from r2gen_lib.model.oracle_encoder import OracleEncoder
from r2gen_lib.model.r2gengpt import R2GenGPT

_CHUNK = 512  # studies whose features are in memory at once
_VERSION = 2  # raise it when preprocessing or the file format changes


def encode_studies(
    model: R2GenGPT, studies: Sequence[Study], *, batch_size: int = 16, progress: bool = True
) -> Float[Tensor, "S N D_v"]:
    """``model.encode`` of every study, fp16 on the CPU, from the cache where it is known.

    Views are cached one by one and averaged here, as the encoder does. Pass rows on as ``features=``.

    Raises:
        R2GenError: the encoder trains in this mode, so its outputs change.
        DataError: a study lacks a view, or a picture cannot be read; the message names the study.
        CacheError: the cache folder cannot be written.
    """
    if model.mode != "shallow":
        raise R2GenError(f"encode_studies: mode is {model.mode}, expected shallow, where the encoder is frozen.")
    if isinstance(model.vision, OracleEncoder):
        return model.vision.features(studies)
    folder = cache_dir("features", _key(model))
    vision = model.preset.vision
    pictures = PictureCache(vision.image_size, vision.fit)  # a known picture's features are found without decoding it
    pending: list[tuple[Path, np.ndarray]] = []
    files: list[list[Path]] = []
    rows: dict[Path, Tensor] = {}
    bar = tqdm(studies, desc="features", unit="study", disable=not progress, ncols=90, mininterval=1.0)
    for study in bar:
        files.append([])
        for view in vision.views:
            square = square_view(study, view, vision.image_size, vision.fit, pictures)
            file = folder / f"{_name(square)}.safetensors"
            files[-1].append(file)
            if file in rows:
                continue
            rows[file] = cached = _read(file)
            if cached is None:
                pending.append((file, square))
        if len(pending) >= batch_size:
            _encode(model, pending, rows)
    _encode(model, pending, rows)
    return torch.stack([_mean([rows[file] for file in each]) for each in files])  # (S, N, D_v)


@torch.no_grad()
def encoded(model: R2GenGPT, studies: Sequence[Study], *, progress: bool = True) -> Iterator[Float[Tensor, "B N D_v"]]:
    """Encoder outputs of all studies in any mode, some at a time, float32 on the CPU; a frozen encoder's are cached.

    Raises:
        DataError: a study lacks a view, or a picture cannot be read; the message names the study.
        CacheError: the cache folder cannot be written.
    """
    for start in range(0, len(studies), _CHUNK):
        chunk = studies[start : start + _CHUNK]
        if model.mode == "shallow":
            yield encode_studies(model, chunk, progress=progress).float()
        else:
            for batch in report_loader(picture_dataset(model, chunk), batch_size=16):
                yield model.encode(batch.pixel_values).float().cpu()


def picture_dataset(model: R2GenGPT, studies: Sequence[Study]) -> ReportDataset:
    """The studies as the model's encoder wants their pictures."""
    vision = model.preset.vision
    return ReportDataset(studies, vision.image_size, vision.mean, vision.std, vision.views, fit=vision.fit)


def study_pixels(
    model: R2GenGPT, studies: Sequence[Study], cache: PictureCache | None = None
) -> Float[Tensor, "B V 3 S S"]:
    """Pictures of some studies as the model's encoder wants them."""
    vision = model.preset.vision
    squares = [[square_view(study, v, vision.image_size, vision.fit, cache) for v in vision.views] for study in studies]
    return torch.from_numpy(np.stack([_pixels(model, each) for each in squares]))


def picture_pixels(model: R2GenGPT, pictures: Sequence[np.ndarray]) -> Float[Tensor, "B 1 3 S S"]:
    """Grey pictures (uint8, any shape) as the model's encoder wants them, each a study of one view."""
    vision = model.preset.vision
    batch = [to_pixel_values(grey, vision.image_size, vision.mean, vision.std, vision.fit) for grey in pictures]
    return torch.from_numpy(np.stack(batch))[:, None]


def _pixels(model: R2GenGPT, squares: Sequence[np.ndarray]) -> np.ndarray:
    """uint8 (S, S) each -> float32 (n, 3, S, S)."""
    vision = model.preset.vision
    return np.stack([normalise(square, vision.mean, vision.std) for square in squares])


@torch.no_grad()
def _encode(model: R2GenGPT, pending: list[tuple[Path, np.ndarray]], rows: dict[Path, Tensor | None]) -> None:
    """Run the encoder over what is pending, write and keep each result, and empty the list."""
    if not pending:
        return
    pixels = torch.from_numpy(_pixels(model, [square for _, square in pending]))
    tokens = model.encode(pixels.unsqueeze(1)).half().cpu()  # (P, N, D_v)
    for (file, _), features in zip(pending, tokens, strict=True):
        rows[file] = features
        try:
            with atomic_write(file) as temporary:
                save_file({"features": features.contiguous()}, temporary)
        except (OSError, SafetensorError) as error:
            raise CacheError(
                f"cache folder {file.parent}: cannot be written ({error}). Free some space and call again (what is "
                "there is not made again), or set R2GEN_CACHE to another folder."
            ) from error
    pending.clear()


def _read(file: Path) -> Tensor | None:
    """Cached features, or None when there are none or the file is damaged (it is then written again)."""
    if not file.is_file():
        return None
    try:
        return load_file(file)["features"]
    except Exception:  # safetensors raises its own kinds; the file is made again from the picture
        return None


def _mean(views: list[Tensor]) -> Tensor:
    return views[0] if len(views) == 1 else torch.stack(views).float().mean(dim=0).half()


def _key(model: R2GenGPT) -> str:
    """Names the encoder's weights and what is done to a picture before it."""
    vision = asdict(model.preset.vision) | {"weights": frozen_hash(model), "views": None, "version": _VERSION}
    vision.pop("noisy_when_frozen")  # of training: then nothing is read from here
    return hashlib.sha256(json.dumps(vision, sort_keys=True, default=list).encode()).hexdigest()[:16]


def _name(square: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(square).tobytes()).hexdigest()[:32]
