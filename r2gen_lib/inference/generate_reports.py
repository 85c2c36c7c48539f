"""From pictures to reports: model, data and scores put together, for the CLI and the notebooks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from r2gen_lib.data.dataset import ReportDataset, report_loader
from r2gen_lib.data.images.decode import load_grey
from r2gen_lib.errors import DataError, ImageError
from r2gen_lib.evaluation.controls import (
    BLANK,
    MODEL,
    NEAREST,
    PERFECT_EYE,
    SHUFFLED,
    FurtherScores,
    score_systems,
    shuffled,
)
from r2gen_lib.evaluation.page.run_page import Overlay, PageOptions, write_report_page
from r2gen_lib.evaluation.run_metadata import environment_facts, model_facts
from r2gen_lib.evaluation.score_table import scores_as_json
from r2gen_lib.evaluation.scoring_protocol import cut_references
from r2gen_lib.files import atomic_write
from r2gen_lib.inference.feature_cache import encode_studies, picture_pixels
from r2gen_lib.metrics.chexpert_f1 import clinical_study_scores
from r2gen_lib.model.oracle_encoder import PerfectEye

if TYPE_CHECKING:
    from r2gen_lib.data.study import Study
    from r2gen_lib.model.r2gengpt import R2GenGPT

#: ``"all"``, or ``"quick"``: no nearest neighbour (whose cost is a pass of the encoder over the training pictures) and
#: one constant report for all scores (the search for each score's best takes METEOR half a minute).
CONTROLS = ("all", "quick")
_CHUNK = 512  # studies whose features are in memory at once


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
    if isinstance(model.vision, PerfectEye):
        return _describe_labels(model, studies, batch_size, **decoding)
    dataset = _dataset(model, studies)
    texts: dict[str, str] = {}
    with tqdm(total=len(dataset), unit="report", desc="writing reports", disable=not progress) as bar:
        for batch in report_loader(dataset, batch_size, workers):
            reports = model.generate(batch.pixel_values.to(model.device), **decoding)
            texts.update(zip(batch.ids, reports, strict=True))
            bar.update(len(batch))
    return texts


def _describe_labels(model: R2GenGPT, studies: Sequence[Study], batch_size: int, **decoding: Any) -> dict[str, str]:
    """As ``describe_studies``, where the findings stand in place of a picture."""
    texts: dict[str, str] = {}
    for start in range(0, len(studies), batch_size):
        batch = studies[start : start + batch_size]
        reports = model.generate(features=encode_studies(model, batch), **decoding)
        texts.update(zip((study.id for study in batch), reports, strict=True))
    return texts


def _dataset(model: R2GenGPT, studies: Sequence[Study]) -> ReportDataset:
    """The studies' pictures as the model's encoder wants them."""
    vision = model.preset.vision
    return ReportDataset(studies, vision.image_size, vision.mean, vision.std, vision.views, fit=vision.fit)


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
    for path, grey in pictures.items():
        pixel_values = picture_pixels(model, [grey]).to(model.device)
        yield path, model.generate(pixel_values, **decoding)[0]


def describe_blank(model: R2GenGPT, **decoding: Any) -> str:
    """The report that the model writes for a study whose every view is one mean grey: it sees nothing. A perfect eye is
    told of no finding."""
    if isinstance(model.vision, PerfectEye):
        return model.generate(features=torch.zeros(1, model.vision.tokens, model.vision.width), **decoding)[0]
    vision = model.preset.vision
    grey = torch.zeros(1, len(vision.views), 3, vision.image_size, vision.image_size)  # 0 is the mean, once normalised
    return model.generate(grey.to(model.device), **decoding)[0]


def nearest_reports(model: R2GenGPT, studies: Sequence[Study], train_studies: Sequence[Study]) -> dict[str, str]:
    """Study id -> the report of the training study whose picture is most alike, to the eye of ``model``.

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


@torch.no_grad()
def pooled_features(model: R2GenGPT, studies: Sequence[Study]) -> torch.Tensor:
    """Encoder outputs, mean over tokens and views, float32 ``(S, D_v)`` on the CPU; a frozen encoder's are cached."""
    rows = []
    for start in range(0, len(studies), _CHUNK):
        chunk = studies[start : start + _CHUNK]
        if model.mode == "shallow":
            rows.append(encode_studies(model, chunk).float().mean(dim=1))
        else:
            for batch in report_loader(_dataset(model, chunk), batch_size=16):
                rows.append(model.encode(batch.pixel_values).float().mean(dim=1).cpu())
    return torch.cat(rows)


def evaluate(
    model: R2GenGPT,
    studies: Sequence[Study],
    train_reports: Sequence[str],
    folder: Path,
    *,
    train_studies: Sequence[Study] = (),
    perfect_eye: R2GenGPT | None = None,
    controls: str = "all",
    text: str = "",
    tokenizer: str = "ptb",
    cut_to: int | None = None,
    further: Sequence[FurtherScores] = (clinical_study_scores,),
    workers: int = 0,
    about: Mapping[str, Any] | None = None,
    show_credentialed: bool = False,
    overlay: Overlay | None = None,
    overlay_words: str = "overlay",
    **decoding: Any,
) -> pd.DataFrame:
    """Write reports for ``studies``, score them with their controls, and keep it all in ``folder``.

    ``folder`` gets ``reports.csv`` (id, reference, what each system wrote), ``scores.csv``, ``scores.json``,
    ``scores.png``, and ``report.html``, one page for the browser (``evaluation.report_page``).

    Args:
        studies: those to describe, from one split.
        train_reports: reports of the training studies, from which constant reports are chosen.
        train_studies: those whose pictures the nearest neighbour is looked for among.
        perfect_eye: a model of ``model.perfect_eye``, trained as ``model`` was: the ceiling.
        controls: one of ``CONTROLS``.
        text: which text was learnt and is scored ("section findings, cleaning gentle"), kept beside the scores.
        tokenizer: one of ``evaluation.language.TOKENIZERS``.
        cut_to: tokens of the language model that references are cut to before they are scored, as the public R2GenGPT
            code does. By default they are whole.
        further: gives scores beside the language metrics; by default clinical F1 by rules.
        workers, decoding: as for ``describe_studies``.
        about: what else is told of the run beside its scores: command, checkpoint, data.
        show_credentialed: let the page hold reports and pictures of credentialed studies.
        overlay, overlay_words: a further picture for studies in the page's gallery (``report_page.PageOptions``).

    Returns:
        The table of ``evaluation.controls.score_systems``; ``frame.attrs["omitted"]``: control -> why it is not there.

    Raises:
        DataError: unknown ``controls`` or ``tokenizer``; ids, pictures or reports are not what they should be.
    """
    if controls not in CONTROLS:
        raise DataError(f"controls={controls!r}: expected one of {', '.join(CONTROLS)}.")
    references = {study.id: study.report for study in studies}
    if cut_to is not None:
        references = cut_references(references, model.tokenizer, cut_to)
    omitted, nearest = {}, {}
    if perfect_eye is None:
        omitted[PERFECT_EYE] = "needs a model that was trained on finding labels in place of pictures; none was given"
    if controls == "quick":
        omitted[NEAREST] = "controls=quick"
    elif not train_studies:
        omitted[NEAREST] = "no training studies with pictures were given"
    else:  # first, so that a training picture that cannot be read stops nothing that took long
        nearest = {NEAREST: nearest_reports(model, studies, train_studies)}
    texts = describe_studies(model, studies, workers=workers, **decoding)
    systems = {
        MODEL: texts,
        SHUFFLED: {i: texts[other] for i, other in shuffled(references).items()},
        BLANK: dict.fromkeys(references, describe_blank(model, **decoding)),
        **nearest,
    }
    if perfect_eye is not None:
        systems[PERFECT_EYE] = describe_studies(perfect_eye, studies, **decoding)
    columns = {"reference": references, "generated": systems[MODEL], **systems}
    with atomic_write(folder / "reports.csv") as temporary:  # before scoring: writing took longer
        pd.DataFrame(columns).drop(columns=MODEL).rename_axis("id").to_csv(temporary)
    search = controls == "all"
    scores = score_systems(
        references, systems, train_reports, search_constants=search, further=further, tokenizer=tokenizer
    )
    scores.attrs["omitted"] = omitted
    settings = {"text": text, "studies": len(studies), "controls": controls, "tokenizer": tokenizer}
    settings |= {"references cut to": cut_to, "decoding": decoding}
    drawn = any(picture.simulated for study in studies for picture in study.pictures)
    settings["pictures"] = "simulated" if drawn else "the data's own"
    settings["credentialed"] = any(study.credentialed for study in (*studies, *train_studies))
    settings |= {**model_facts(model, decoding), **(about or {}), **environment_facts()}
    _keep_scores(scores, settings, folder)
    options = PageOptions(model.preset.vision.views, show_credentialed, overlay, overlay_words)
    write_report_page(folder / "report.html", scores, studies, references, texts, settings, options)
    return scores


def _keep_scores(scores: pd.DataFrame, settings: Mapping[str, Any], folder: Path) -> None:
    from r2gen_lib import plots

    named = {key: settings[key] for key in ("text", "tokenizer", "references cut to")}
    with atomic_write(folder / "scores.csv") as temporary:
        scores.rename_axis("system").assign(**named).to_csv(temporary)
    with atomic_write(folder / "scores.json") as temporary:
        temporary.write_text(json.dumps(scores_as_json(scores, settings), indent=1, default=float), encoding="utf-8")
    title = ", ".join(filter(None, (f"{settings['studies']} studies", settings["text"])))
    with atomic_write(folder / "scores.png") as temporary:
        plots.score_bars(scores, title=title).savefig(temporary)
