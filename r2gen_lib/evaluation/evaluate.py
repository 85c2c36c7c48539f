"""Reports for a split, scored beside their controls, and the folder that keeps it all."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from r2gen_lib.errors import DataError
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
from r2gen_lib.inference.generate_reports import describe_blank, describe_studies, nearest_reports
from r2gen_lib.metrics.chexpert_f1 import clinical_study_scores

if TYPE_CHECKING:
    from r2gen_lib.data.study import Study
    from r2gen_lib.model.r2gengpt import R2GenGPT

#: ``"all"``, or ``"quick"``: no nearest neighbour (whose cost is a pass of the encoder over the training pictures) and
#: one constant report for all scores (the search for each score's best takes METEOR half a minute).
CONTROLS = ("all", "quick")


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
