"""Reports for a split, scored beside their controls, and the folder that keeps it all.

Three steps, each of use by itself: ``write_reports`` asks the model and the controls, ``controls.score_systems`` scores
what they wrote, ``save_run`` keeps it. ``evaluate`` takes all three.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from r2gen_lib.errors import DataError
from r2gen_lib.evaluation.controls import BLANK, MODEL, NEAREST, ORACLE, SHUFFLED, score_systems, shuffled
from r2gen_lib.evaluation.page.run_page import Overlay, PageOptions, write_report_page
from r2gen_lib.evaluation.run_metadata import environment_facts, model_facts, text_in_words
from r2gen_lib.evaluation.score_table import ScoreTable, scores_as_json
from r2gen_lib.evaluation.scoring_protocol import cut_references
from r2gen_lib.evaluation.written_reports import keep_reports
from r2gen_lib.files import atomic_write
from r2gen_lib.inference.generate_reports import describe_blank, describe_studies, nearest_reports
from r2gen_lib.metrics.registry import Metric, registered_scores

if TYPE_CHECKING:
    from r2gen_lib.data.study import Study
    from r2gen_lib.model.r2gengpt import R2GenGPT

#: ``"all"``, or ``"quick"``: no nearest neighbour (whose cost is a pass of the encoder over the training pictures) and
#: one constant report for all scores (the search for each score's best takes METEOR half a minute).
CONTROLS = ("all", "quick")


@dataclass(frozen=True)
class RunRecord:
    """What ``save_run`` keeps of a run.

    Attributes:
        studies: those that were described.
        references: study id -> the reference that was scored (cut, if it was).
        generated: study id -> the model's report.
        scores: of the model and its controls.
        settings: name -> value, or a mapping of values: what made the run; with ``section``, ``cleaning``,
            ``tokenizer`` and ``references cut to``.
        page: what the page shows beyond the run itself.
    """

    studies: Sequence[Study]
    references: Mapping[str, str]
    generated: Mapping[str, str]
    scores: ScoreTable
    settings: Mapping[str, Any]
    page: PageOptions = field(default_factory=PageOptions)


def evaluate(
    model: R2GenGPT,
    studies: Sequence[Study],
    train_reports: Sequence[str],
    folder: Path,
    *,
    train_studies: Sequence[Study] = (),
    oracle: R2GenGPT | None = None,
    controls: str = "all",
    section: str = "",
    cleaning: str = "",
    tokenizer: str = "ptb",
    cut_to: int | None = None,
    further: Sequence[Metric] = (registered_scores,),
    workers: int = 0,
    about: Mapping[str, Any] | None = None,
    show_credentialed: bool = False,
    overlay: Overlay | None = None,
    overlay_words: str = "overlay",
    **decoding: Any,
) -> ScoreTable:
    """Write reports for ``studies``, score them with their controls, and keep it all in ``folder``.

    ``folder`` gets ``reports.csv`` (id, reference, what each system wrote), ``scores.csv``, ``scores.json``,
    ``scores.png``, and ``report.html``, one page for the browser (``evaluation.page.run_page``).

    Args:
        studies: those to describe, from one split.
        train_reports: reports of the training studies, from which constant reports are chosen.
        train_studies: those whose pictures the nearest neighbour is looked for among.
        oracle: a model of ``model.oracle_encoder``, trained as ``model`` was: the upper bound.
        controls: one of ``CONTROLS``.
        section, cleaning: which text was learnt and is scored ("findings", "gentle"), kept beside the scores.
        tokenizer: one of ``metrics.nlg.TOKENIZERS``.
        cut_to: tokens of the language model that references are cut to before they are scored, as the public R2GenGPT
            code does. By default they are whole.
        further: gives scores beside the language metrics; by default those of ``metrics.registry``.
        workers, decoding: as for ``describe_studies``.
        about: what else is kept of the run beside its scores: command, checkpoint, data.
        show_credentialed: let the page hold reports and pictures of credentialed studies.
        overlay, overlay_words: a further picture for studies in the page's gallery (``run_page.PageOptions``).

    Raises:
        DataError: unknown ``controls`` or ``tokenizer``; ids, pictures or reports are not what they should be.
    """
    omitted = left_out(controls, train_studies, oracle)
    references = {study.id: study.report for study in studies}
    if cut_to is not None:
        references = cut_references(references, model.tokenizer, cut_to)
    asked = {"train_studies": train_studies, "oracle": oracle, "controls": controls, "workers": workers}
    systems = write_reports(model, studies, **asked, **decoding)
    keep_reports(folder / "reports.csv", references, systems)  # before scoring: writing took longer
    how = {"search_constants": controls == "all", "further": further, "tokenizer": tokenizer, "omitted": omitted}
    scores = score_systems(references, systems, train_reports, **how)
    settings = {"section": section, "cleaning": cleaning, "studies": len(studies), "controls": controls}
    settings |= {"tokenizer": tokenizer, "references cut to": cut_to, "decoding": decoding}
    settings |= _data_facts(studies, train_studies) | model_facts(model, decoding)
    settings |= {**(about or {}), **environment_facts()}
    page = PageOptions(model.preset.vision.views, show_credentialed, overlay, overlay_words)
    save_run(folder, RunRecord(studies, references, systems[MODEL], scores, settings, page))
    return scores


def left_out(controls: str, train_studies: Sequence[Study] = (), oracle: R2GenGPT | None = None) -> dict[str, str]:
    """Which controls ``write_reports`` leaves out, and why.

    Raises:
        DataError: unknown ``controls``.
    """
    if controls not in CONTROLS:
        raise DataError(f"controls={controls!r}: expected one of {', '.join(CONTROLS)}.")
    omitted = {}
    if oracle is None:
        omitted[ORACLE] = "needs a model that was trained on finding labels in place of pictures; none was given"
    if controls == "quick":
        omitted[NEAREST] = "controls=quick"
    elif not train_studies:
        omitted[NEAREST] = "no training studies with pictures were given"
    return omitted


def write_reports(
    model: R2GenGPT,
    studies: Sequence[Study],
    *,
    train_studies: Sequence[Study] = (),
    oracle: R2GenGPT | None = None,
    controls: str = "all",
    workers: int = 0,
    **decoding: Any,
) -> dict[str, dict[str, str]]:
    """What the model and each control write for ``studies``.

    Args:
        model, studies, train_studies, oracle, controls, workers, decoding: as for ``evaluate``.

    Returns:
        System -> (study id -> report), ``MODEL`` first, as ``controls.score_systems`` takes them; without the controls
        that ``left_out`` names.

    Raises:
        DataError: unknown ``controls``, fewer than two studies, or a picture is missing.
    """
    omitted, nearest = left_out(controls, train_studies, oracle), {}
    if NEAREST not in omitted:  # first, so that a training picture that cannot be read stops nothing that took long
        nearest = {NEAREST: nearest_reports(model, studies, train_studies)}
    texts = describe_studies(model, studies, workers=workers, **decoding)
    systems = {
        MODEL: texts,
        SHUFFLED: {i: texts[other] for i, other in shuffled(texts).items()},
        BLANK: dict.fromkeys(texts, describe_blank(model, **decoding)),
        **nearest,
    }
    if oracle is not None:
        systems[ORACLE] = describe_studies(oracle, studies, **decoding)
    return systems


def save_run(folder: Path, run: RunRecord) -> None:
    """Write ``scores.csv``, ``scores.json``, ``scores.png`` and ``report.html``, each whole or not at all.

    What was written is not among them: ``written_reports.keep_reports`` keeps that before it is scored.

    Raises:
        DataError: ids differ, or a picture or an overlay is not one.
    """
    from r2gen_lib import plots

    settings, frame = run.settings, run.scores.frame()
    named = {key: settings[key] for key in ("section", "cleaning", "tokenizer", "references cut to")}
    with atomic_write(folder / "scores.csv") as temporary:
        frame.rename_axis("system").assign(**named).to_csv(temporary)
    with atomic_write(folder / "scores.json") as temporary:
        told = scores_as_json(run.scores, settings)
        temporary.write_text(json.dumps(told, indent=1, default=float), encoding="utf-8")
    text = text_in_words(settings["section"], settings["cleaning"])
    title = ", ".join(filter(None, (f"{len(run.studies)} studies", text)))
    with atomic_write(folder / "scores.png") as temporary:
        plots.score_bars(frame, title=title).savefig(temporary)
    page = folder / "report.html"
    write_report_page(page, run.scores, run.studies, run.references, run.generated, settings, run.page)


def _data_facts(studies: Sequence[Study], train_studies: Sequence[Study]) -> dict[str, Any]:
    drawn = any(picture.simulated for study in studies for picture in study.pictures)
    credentialed = any(study.credentialed for study in (*studies, *train_studies))
    return {"pictures": "simulated" if drawn else "the data's own", "credentialed": credentialed}
