"""From pictures to reports: model, data and scores put together, for the CLI and the notebooks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from r2gen_lib.data.dataset import ReportDataset, report_loader
from r2gen_lib.data.images import load_grey, to_pixel_values
from r2gen_lib.errors import ImageError
from r2gen_lib.evaluation.clinical import clinical_columns
from r2gen_lib.evaluation.controls import CONSTANT, MODEL, SHUFFLED, scores_with_controls, shuffled
from r2gen_lib.files import atomic_write

if TYPE_CHECKING:
    from r2gen_lib.data.study import Study
    from r2gen_lib.model.r2gengpt import R2GenGPT


def describe_studies(
    model: R2GenGPT,
    studies: Sequence[Study],
    batch_size: int = 8,
    progress: bool = True,
    workers: int = 0,
    **decoding: Any,
) -> dict[str, str]:
    """Study id -> the report that ``model`` writes for the study's pictures.

    ``decoding`` overrides fields of the preset's DecodingConfig, such as ``num_beams=1``; ``workers`` processes read
    pictures ahead (``data.dataset.report_loader``), which pays where the model is on a GPU.

    Raises:
        DataError: no studies, a view is missing, or a picture cannot be read; the message names the study.
    """
    vision = model.preset.vision
    dataset = ReportDataset(studies, vision.image_size, vision.mean, vision.std, vision.views, fit=vision.fit)
    texts: dict[str, str] = {}
    with tqdm(total=len(dataset), unit="report", desc="writing reports", disable=not progress) as bar:
        for batch in report_loader(dataset, batch_size, workers):
            reports = model.generate(batch.pixel_values.to(model.device), **decoding)
            texts.update(zip(batch.ids, reports, strict=True))
            bar.update(len(batch))
    return texts


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
    vision = model.preset.vision
    for path, grey in pictures.items():
        pixels = to_pixel_values(grey, vision.image_size, vision.mean, vision.std, vision.fit)  # (3, S, S)
        pixel_values = torch.from_numpy(pixels)[None, None].to(model.device)  # (1, 1, 3, S, S)
        yield path, model.generate(pixel_values, **decoding)[0]


def evaluate(
    model: R2GenGPT,
    studies: Sequence[Study],
    train_reports: Sequence[str],
    folder: Path,
    *,
    text: str = "",
    workers: int = 0,
    **decoding: Any,
) -> pd.DataFrame:
    """Write reports for ``studies``, score them with their controls, and keep it all in ``folder``.

    ``folder`` gets ``reports.csv`` (id, reference, generated, the report written for the wrong picture),
    ``scores.csv`` and ``scores.png``.

    Args:
        studies: those to describe, from one split.
        train_reports: reports of the training studies, from which the constant report is chosen.
        text: which text was learnt and is scored ("section findings, cleaning gentle"), kept beside the scores.
        workers, decoding: as for ``describe_studies``.

    Returns:
        The table of ``evaluation.controls.scores_with_controls``, with the columns of
        ``evaluation.clinical.clinical_columns``.
    """
    from r2gen_lib import plots

    references = {study.id: study.report for study in studies}
    texts = describe_studies(model, studies, workers=workers, **decoding)
    wrong = {i: texts[other] for i, other in shuffled(references).items()}
    folder.mkdir(parents=True, exist_ok=True)
    columns = {"reference": references, "generated": texts, "shuffled pictures": wrong}
    with atomic_write(folder / "reports.csv") as temporary:  # before scoring: writing took longer
        pd.DataFrame(columns).rename_axis("id").to_csv(temporary)
    scores = scores_with_controls(references, texts, train_reports, wrong)
    constant = dict.fromkeys(references, scores.attrs[CONSTANT])
    systems = {MODEL: texts, CONSTANT: constant, SHUFFLED: wrong}
    scores = scores.assign(**clinical_columns(systems, references))
    with atomic_write(folder / "scores.csv") as temporary:
        scores.rename_axis("system").assign(text=text).to_csv(temporary)
    title = ", ".join(filter(None, (f"{len(studies)} studies", text)))
    with atomic_write(folder / "scores.png") as temporary:
        plots.score_bars(scores, title=title).savefig(temporary)
    return scores
