"""From pictures to reports: a model and studies put together, for the CLI and the notebooks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from r2gen_lib.data.dataset import report_loader
from r2gen_lib.data.images.decode import load_grey
from r2gen_lib.errors import DataError, ImageError
from r2gen_lib.inference.feature_cache import encode_studies, encoded, picture_dataset, picture_pixels
from r2gen_lib.inference.normal_picture import with_normal
from r2gen_lib.model.generation import WRITE_AT_ONCE
from r2gen_lib.model.oracle_encoder import OracleEncoder

if TYPE_CHECKING:
    from r2gen_lib.data.study import Study
    from r2gen_lib.model.r2gengpt import R2GenGPT


def describe_studies(
    model: R2GenGPT,
    studies: Sequence[Study],
    batch_size: int = WRITE_AT_ONCE,
    progress: bool = True,
    workers: int = 0,
    **decoding: Any,
) -> dict[str, str]:
    """Study id -> the report that ``model`` writes for the study's pictures.

    ``decoding`` overrides fields of the preset's DecodingConfig, such as ``num_beams=1``; beside ``guidance`` and
    ``rerank`` it may hold ``normal``, features to use in place of ``normal_picture.normal_features``. ``batch_size``
    studies are read and written together; ``workers`` processes read pictures ahead (``data.dataset.report_loader``),
    which pays where the model is on a GPU.

    Raises:
        DataError: no studies, a view is missing, or a picture cannot be read; the message names the study.
    """
    if isinstance(model.vision, OracleEncoder):
        return _describe_labels(model, studies, batch_size, **decoding)
    decoding = with_normal(model, decoding)
    dataset = picture_dataset(model, studies)
    texts: dict[str, str] = {}
    with tqdm(total=len(dataset), unit="report", desc="writing reports", disable=not progress) as bar:
        for batch in report_loader(dataset, batch_size, workers):
            reports = model.generate(batch.pixel_values.to(model.device), **decoding)
            texts.update(zip(batch.ids, reports, strict=True))
            bar.update(len(batch))
    return texts


def _describe_labels(model: R2GenGPT, studies: Sequence[Study], batch_size: int, **decoding: Any) -> dict[str, str]:
    """As ``describe_studies``, where the findings stand in place of a picture."""
    reports = describe_features(model, encode_studies(model, studies), batch_size, progress=False, **decoding)
    return dict(zip((study.id for study in studies), reports, strict=True))


def describe_features(
    model: R2GenGPT,
    features: Float[Tensor, "S N D_v"],
    batch_size: int = WRITE_AT_ONCE,
    progress: bool = True,
    **decoding: Any,
) -> list[str]:
    """A report for each row of what ``model.encode`` or ``encode_studies`` gave, ``batch_size`` written together."""
    decoding, reports = with_normal(model, decoding), []
    with tqdm(total=len(features), unit="report", desc="writing reports", disable=not progress) as bar:
        for some in features.split(batch_size):
            reports += model.generate(features=some, **decoding)
            bar.update(len(some))
    return reports


def read_pictures(paths: Iterable[str | Path]) -> tuple[dict[Path, np.ndarray], dict[Path, ImageError]]:
    """The user's own pictures as uint8 ``(H, W)``, and the error of each one that cannot be read."""
    good: dict[Path, np.ndarray] = {}
    bad: dict[Path, ImageError] = {}
    for path in map(Path, paths):
        try:
            good[path] = load_grey(path)
        except ImageError as error:
            bad[path] = error
    return good, bad


def describe_pictures(
    model: R2GenGPT, pictures: Mapping[Path, np.ndarray], **decoding: Any
) -> Iterator[tuple[Path, str]]:
    """(path, report) for each picture, one after the other; every picture is a study of its own."""
    decoding = with_normal(model, decoding)
    for path, grey in pictures.items():
        pixel_values = picture_pixels(model, [grey]).to(model.device)
        yield path, model.generate(pixel_values, **decoding)[0]


def describe_blank(model: R2GenGPT, **decoding: Any) -> str:
    """The report that the model writes for a study whose every view is one mean grey: nothing is
    to be seen. An oracle encoder gets no finding."""
    decoding = with_normal(model, decoding)
    if isinstance(model.vision, OracleEncoder):
        return model.generate(features=torch.zeros(1, model.vision.tokens, model.vision.width), **decoding)[0]
    vision = model.preset.vision
    grey = torch.zeros(1, len(vision.views), 3, vision.image_size, vision.image_size)  # 0 is the mean, once normalised
    return model.generate(grey.to(model.device), **decoding)[0]


def nearest_reports(model: R2GenGPT, studies: Sequence[Study], train_studies: Sequence[Study]) -> dict[str, str]:
    """Study id -> the report of the training study whose picture is most alike, by ``model``'s encoder.

    Alike: cosine similarity of the encoder's outputs, averaged over tokens and views, less the training studies' mean.
    A study is never its own neighbour.

    Raises:
        DataError: no training study, a view is missing, or a picture cannot be read.
        CacheError: features of a frozen encoder are cached, and the cache cannot be written.
    """
    others = {study.id for study in train_studies}
    if not others or (len(others) == 1 and others & {study.id for study in studies}):
        raise DataError(f"nearest_reports: found {len(others)} training studies, expected another one for every study.")
    known, asked = pooled_features(model, train_studies), pooled_features(model, studies)  # (T, D_v), (S, D_v)
    mean = known.mean(dim=0)
    known, asked = (torch.nn.functional.normalize(rows - mean, dim=1) for rows in (known, asked))
    ids = np.array([study.id for study in train_studies])
    reports = {}
    for study, row in zip(studies, asked, strict=True):
        similarity = (known @ row).numpy()
        similarity[ids == study.id] = -np.inf
        reports[study.id] = train_studies[int(similarity.argmax())].report
    return reports


def pooled_features(model: R2GenGPT, studies: Sequence[Study]) -> torch.Tensor:
    """Encoder outputs, mean over tokens and views, float32 ``(S, D_v)`` on the CPU; a frozen encoder's are cached."""
    return torch.cat([features.mean(dim=1) for features in encoded(model, studies)])
