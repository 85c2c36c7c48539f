"""The page of a run: scores beside their controls, findings, studies to look at, and what made it all.

``write_report_page`` is called by ``evaluate.save_run``; the page is ``report.html`` beside ``scores.json``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from r2gen_lib.evaluation.controls import BLANK, CONSTANT, NEAREST, SHUFFLED
from r2gen_lib.evaluation.page.finding_marks import (
    MarkedSentence,
    best_median_worst,
    mark_generated,
    mark_reference,
    ranked,
    study_f1,
)
from r2gen_lib.evaluation.page.images import Outline, outlines_of, picture_address
from r2gen_lib.evaluation.page.render import SHOWN, WITHHELD, flat_settings, write_page
from r2gen_lib.evaluation.score_table import ScoreTable, by_constant_report
from r2gen_lib.evaluation.template_collapse import REFERENCES
from r2gen_lib.metrics.chexpert_f1 import class_names, paired_labels, scores_of_labels

if TYPE_CHECKING:
    from r2gen_lib.data.study import Study

EACH = 3  # studies in each row of the gallery
CONTROL_WORDS = {
    CONSTANT: "one training report for every study, for each score the one that is best by it among those tried",
    SHUFFLED: "what the model writes for another study's picture",
    BLANK: "what the model writes for a mean grey: it sees nothing",
    NEAREST: "the report of the training study whose picture the encoder finds most alike",
}
#: A study and its generated report -> a picture to show beside its own (uint8 (H, W) or (H, W, 3)), or None.
Overlay = Callable[["Study", str], np.ndarray | None]


@dataclass(frozen=True)
class PageOptions:
    """What a page shows beyond the run itself.

    Attributes:
        views: the pictures of a study that the model reads, and the page shows.
        show_credentialed: show reports and pictures of credentialed studies too.
        overlay: gives a further picture of a study in the gallery, such as where the model looked.
        overlay_words: says under that picture what it is.
        each: studies in each of best, median and worst.
    """

    views: Sequence[str] = ("frontal",)
    show_credentialed: bool = False
    overlay: Overlay | None = None
    overlay_words: str = "overlay"
    each: int = EACH


@dataclass(frozen=True)
class Shown:
    """A picture as the page shows it; ``size`` is the (width, height) that the outlines' pixels span."""

    address: str
    alt: str
    caption: str
    outlines: list[Outline] = field(default_factory=list)
    size: tuple[int, int] = (1, 1)


@dataclass(frozen=True)
class Card:
    """One study of the gallery."""

    id: str
    f1: float
    rouge: float
    pictures: list[Shown]
    reference: list[MarkedSentence]
    generated: list[MarkedSentence]


def write_report_page(
    path: Path,
    scores: ScoreTable,
    studies: Sequence[Study],
    references: Mapping[str, str],
    generated: Mapping[str, str],
    settings: Mapping[str, Any],
    options: PageOptions | None = None,
) -> Path:
    """Write one self-contained page about a run.

    Args:
        path: of the page.
        scores: as ``controls.score_systems`` gives them.
        studies: those that were described.
        references: study id -> the reference that was scored (cut, if it was).
        generated: study id -> the model's report.
        settings: name -> value, or a mapping of values: what made the run.
        options: what is shown.

    Returns:
        ``path``.

    Raises:
        DataError: ids differ, or a picture or an overlay is not one.
    """
    options = options or PageOptions()
    credentialed = any(study.credentialed for study in studies) or bool(settings.get("credentialed"))
    withheld = credentialed and not options.show_credentialed
    constants = {} if withheld else by_constant_report(scores.constants)
    gallery = {} if withheld else _gallery(scores, studies, references, generated, options)
    shown = [picture for cards in gallery.values() for card in cards for picture in card.pictures]
    values = {
        "studies": len(studies),
        "simulated": any(picture.simulated for study in studies for picture in study.pictures),
        "notice": WITHHELD if withheld else SHOWN if credentialed else "",
        "interval": scores.interval,
        "systems": scores.systems,
        "control_words": CONTROL_WORDS,
        "rows": score_rows(scores),
        "counts": [(name, scores.distinct[name], scores.empty[name]) for name in scores.systems],
        "collapse": collapse_rows(scores),
        "constants": constants,
        "omitted": _omitted(scores, options, withheld),
        "findings": finding_rows(generated, references),
        "gallery": gallery,
        "outlined": any(picture.outlines for picture in shown),
        "settings": flat_settings(settings),
    }
    return write_page(path, "report.html", values)


def score_rows(scores: ScoreTable) -> list[dict[str, Any]]:
    """One row a score: its name, a cell (score, interval, where they lie on a bar in percent) a system, and the
    controls that the model is not above."""
    rows = []
    for name in scores.names:
        top = max(float(scores.high[name].max()), float(scores.scores[name].max()), 1e-9)
        cells = [_cell(scores, system, name, top) for system in scores.systems]
        rows.append({"name": name, "cells": cells, "not_above": scores.not_above[name], "top": top})
    return rows


def _cell(scores: ScoreTable, system: str, name: str, top: float) -> dict[str, Any]:
    value, low, high = (float(part.loc[system, name]) for part in (scores.scores, scores.low, scores.high))
    share = {key: round(100 * max(one, 0) / top, 1) for key, one in (("at", value), ("left", low), ("right", high))}
    return {"system": system, "score": value, "low": low, "high": high, **share}


def collapse_rows(scores: ScoreTable) -> list[dict[str, Any]]:
    """One row a measure of template collapse: its name, and score, low and high of each system, the references last."""
    found = scores.collapse
    if found is None:
        return []
    systems = [*scores.systems, REFERENCES]
    return [{"name": name, "cells": [found.cell(one, name) for one in systems]} for name in found.values]


def finding_rows(generated: Mapping[str, str], references: Mapping[str, str]) -> list[dict[str, Any]]:
    """Precision, recall, F1 and counts of each observation, then micro, macro and per study (uncertain as present)."""
    written, truth = paired_labels(generated, references)
    table = scores_of_labels(written, truth).droplevel(["labels by", "classes", "uncertain as"])
    counts = zip(truth.sum(axis=0), written.sum(axis=0), (written & truth).sum(axis=0), strict=True)
    said = {name: dict(zip(("reference", "generated", "both"), map(int, row), strict=True))
            for name, row in zip(class_names(14), counts, strict=True)}  # fmt: skip
    return [{"name": name, **row[["precision", "recall", "F1"]].to_dict(), **said.get(name, {})}
            for name, row in table.iterrows()]  # fmt: skip


def _omitted(scores: ScoreTable, options: PageOptions, withheld: bool) -> dict[str, str]:
    """What is not on the page, and why."""
    omitted = dict(scores.omitted) | dict(scores.collapse.omitted if scores.collapse else {})
    if withheld:
        omitted["studies to look at"] = "the data are credentialed; --show-credentialed shows them, on your own machine"
    elif options.overlay is None:
        omitted["where the model looked"] = "no overlay was asked for"
    omitted["CheXbert, RadGraph"] = "trained models whose weights this run did not have; findings are read by rules"
    return omitted


def _gallery(
    scores: ScoreTable,
    studies: Sequence[Study],
    references: Mapping[str, str],
    generated: Mapping[str, str],
    options: PageOptions,
) -> dict[str, list[Card]]:
    f1, rouge = study_f1(generated, references), scores.rouge_each
    of_id = {study.id: study for study in studies}
    groups = best_median_worst(ranked(references, f1, rouge), options.each)
    return {
        group: [
            Card(
                i,
                f1[i],
                rouge[i],
                _pictures(of_id[i], generated[i], options),
                mark_reference(references[i], generated[i]),
                mark_generated(generated[i], references[i]),
            )
            for i in ids
        ]
        for group, ids in groups.items()
        if ids
    }


def _pictures(study: Study, generated: str, options: PageOptions) -> list[Shown]:
    shown = [_view(study, view) for view in options.views]
    extra = options.overlay(study, generated) if options.overlay else None
    if extra is not None:
        words = f"{options.overlay_words}, study {study.id}"
        shown.append(Shown(picture_address(extra), words, words))
    return shown


def _view(study: Study, view: str) -> Shown:
    picture = study.picture(view)
    grey = picture.load()
    kind = "simulated radiograph" if picture.simulated else "radiograph"
    outlines, side = outlines_of(study, view) if picture.simulated else ([], 1)
    drawn = "; ".join(one.words for one in outlines)
    alt = f"{kind}, {view} view, of study {study.id}" + (f", with outlines of: {drawn}" if drawn else "")
    size = (side, side) if outlines else (grey.shape[1], grey.shape[0])
    return Shown(picture_address(grey), alt, f"{view}, {kind}", outlines, size)
