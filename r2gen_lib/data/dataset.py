"""Studies as a torch ``Dataset``, and the batches a model is fed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from r2gen_lib.data.images.cache import PictureCache
from r2gen_lib.data.images.preprocess import check_fit, normalise, to_square
from r2gen_lib.data.study import Study
from r2gen_lib.data.views import with_views
from r2gen_lib.errors import DataError


@dataclass(frozen=True)
class Batch:
    """``B`` studies of ``V`` views each.

    Attributes:
        ids: ``B`` study ids.
        pixel_values: float ``(B, V, 3, S, S)``.
        reports: ``B`` target texts.
    """

    ids: list[str]
    pixel_values: torch.Tensor
    reports: list[str]

    def __len__(self) -> int:
        return len(self.ids)


class ReportDataset(Dataset):
    """Items ``{"id": str, "pixel_values": float32 (V, 3, S, S), "report": str}``, one a study.

    Pictures are loaded when an item is asked for, so 2,955 studies cost no memory beforehand.

    Args:
        studies: as ``load_studies`` gives them, with pictures.
        image_size: side ``S`` in pixels.
        mean, std: of intensities in 0..1, one number or one a channel.
        views: the views of every item, in this order.
        fit: ``"pad"``, ``"crop"`` or ``"stretch"``: how pictures become square, as ``images.to_square``.
        missing_view: ``"error"``, ``"skip"``, ``"blank"`` or ``"other"``: what happens to a study that lacks one of
            ``views``, as ``data.views`` says. ``studies`` of the dataset are those that are left.
        cache: keeps picture files decoded, of the same ``image_size`` and ``fit``.

    Raises:
        DataError: there are no studies, a report is empty, a view is missing, or the cache is of another preprocessing.
        ImageError: a picture cannot be read (when an item is asked for; the message names the study), or an unknown
            ``fit``.
    """

    def __init__(
        self,
        studies: Sequence[Study],
        image_size: int = 224,
        mean: float | Sequence[float] = 0.5,
        std: float | Sequence[float] = 0.5,
        views: Sequence[str] = ("frontal",),
        *,
        fit: str = "pad",
        missing_view: str = "error",
        cache: PictureCache | None = None,
    ) -> None:
        check_fit(fit)
        self.studies = list(studies)
        self.image_size, self.mean, self.std, self.views = image_size, mean, std, tuple(views)
        self.fit, self.cache = fit, cache
        if not self.studies or not self.views:
            raise DataError(
                f"ReportDataset: found {len(self.studies)} studies and {len(self.views)} views, expected "
                "at least one of each. Check the split and the limit asked for."
            )
        empty = [study.id for study in self.studies if not study.report.strip()]
        if empty:
            raise DataError(
                f"ReportDataset: {len(empty)} studies have an empty report, such as {', '.join(empty[:5])}. "
                "Leave them out: there is nothing to learn from or to score."
            )
        if cache is not None and (cache.image_size, cache.fit) != (image_size, fit):
            raise DataError(
                f"ReportDataset: its cache holds pictures of {cache.image_size} pixels, fit {cache.fit!r}; expected "
                f"{image_size} and {fit!r}. Pass PictureCache({image_size}, {fit!r})."
            )
        self.studies = with_views(self.studies, self.views, missing_view)

    def __len__(self) -> int:
        return len(self.studies)

    def __getitem__(self, index: int) -> dict:
        study = self.studies[index]
        views = [self._view(study, view) for view in self.views]
        return {"id": study.id, "pixel_values": torch.from_numpy(np.stack(views)), "report": study.report}

    def _view(self, study: Study, view: str) -> np.ndarray:
        return normalise(square_view(study, view, self.image_size, self.fit, self.cache), self.mean, self.std)


def square_view(
    study: Study, view: str, image_size: int, fit: str = "pad", cache: PictureCache | None = None
) -> np.ndarray:
    """One view of a study as uint8 ``(S, S)``; picture files come from the cache if there is one.

    Raises:
        DataError: the study has no such view.
        ImageError: the picture cannot be read. Both name the study.
    """
    try:
        picture = study.picture(view)
        if cache is not None and picture.loader is None and picture.path is not None:
            return cache.load(picture.path)
        return to_square(picture.load(), image_size, fit)
    except DataError as error:
        message = str(error)
        raise type(error)(message if study.id in message else f"study {study.id}: {message}") from error


def report_loader(dataset: ReportDataset, batch_size: int, workers: int = 0) -> DataLoader:
    """The batches of a dataset, in its order.

    Args:
        dataset: what is read.
        batch_size: studies a batch; the last one may be smaller.
        workers: processes that read ahead. Each has one thread and the lowest claim on the cores, so that the model
            is not slowed down; 0 reads in this process.
    """
    return DataLoader(dataset, batch_size, collate_fn=collate, num_workers=workers, worker_init_fn=worker_init)


def worker_init(worker_id: int) -> None:
    """For a ``DataLoader`` of one's own, as ``worker_init_fn``: one thread, and cores are left to training."""
    torch.set_num_threads(1)
    if hasattr(os, "nice"):  # not on Windows
        os.nice(10)


def collate(items: Sequence[dict]) -> Batch:
    """Items of ``ReportDataset`` -> one ``Batch``; give it to a ``DataLoader`` as ``collate_fn``.

    Raises:
        DataError: the items differ in their number of views or in size, so they cannot be stacked.
    """
    shapes = {tuple(item["pixel_values"].shape) for item in items}
    if len(shapes) != 1:
        raise DataError(
            f"collate: found pictures of the shapes {sorted(shapes)}, expected the same (V, 3, S, S) for "
            "every study of a batch. Take all items from one ReportDataset."
        )
    return Batch(
        ids=[item["id"] for item in items],
        pixel_values=torch.stack([item["pixel_values"] for item in items]),  # (B, V, 3, S, S)
        reports=[item["report"] for item in items],
    )
