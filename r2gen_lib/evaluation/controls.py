"""Controls that belong beside every score: reports that look at no picture, at the wrong one, or at its likeness.

A third of the benchmark's studies are normal and their reports are alike, so word-overlap scores reward a
model that ignores the picture. Four rows tell how much of a score that explains:

* *constant report*: one training report, the same for every study;
* *shuffled pictures*: what the model writes for another study's picture;
* *blank picture*: what it writes when there is nothing to see;
* *nearest neighbour*: the report of the training study whose picture the encoder finds most alike.

A fifth, *oracle*, is an upper bound: what the system writes when its encoder reads finding labels in place of
pixels (``model.oracle_encoder``).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext

import pandas as pd

from r2gen_lib.errors import DataError
from r2gen_lib.evaluation.constant_report import best_constant_reports, constant_report
from r2gen_lib.evaluation.score_table import CONSTANT, DISTINCT, EMPTY, MODEL, ScoreTable
from r2gen_lib.evaluation.template_collapse import MEASURES, template_collapse
from r2gen_lib.metrics.bootstrap import CONFIDENCE, RESAMPLES, StudyScore, bootstrap_scores
from r2gen_lib.metrics.nlg import LanguageScorer, check_pairs
from r2gen_lib.metrics.registry import Metric, registered_scores

SHUFFLED, BLANK, NEAREST, ORACLE = "shuffled pictures", "blank picture", "nearest neighbour", "oracle"
#: The controls that a model should beat.
FLOORS = (CONSTANT, SHUFFLED, BLANK, NEAREST)

__all__ = [
    "BLANK",
    "CONSTANT",
    "FLOORS",
    "MODEL",
    "NEAREST",
    "ORACLE",
    "SHUFFLED",
    "best_constant_reports",
    "constant_report",
    "distinct_ratio",
    "score_systems",
    "shuffled",
]


def shuffled(ids: Iterable[str], seed: int = 0) -> dict[str, str]:
    """Study id -> the id of another study, each used once (no study keeps its own).

    ``{i: hypotheses[other] for i, other in shuffled(hypotheses).items()}`` is what the model writes for the
    wrong pictures, without generating again: a report depends on its picture alone.

    Raises:
        DataError: fewer than two studies, or an id twice.
    """
    given = list(ids)
    order = given.copy()
    if len(order) < 2 or len(set(order)) < len(order):
        raise DataError(
            f"shuffled: found {len(order)} studies with {len(set(order))} ids, expected two or more, all "
            "different. One study has no other picture to be given."
        )
    random.Random(seed).shuffle(order)
    partner = dict(zip(order, order[1:] + order[:1], strict=True))  # one cycle, so nobody meets itself
    return {study_id: partner[study_id] for study_id in given}


def distinct_ratio(reports: Iterable[str]) -> float:
    """Distinct reports over all reports; 1 / N says that the model always writes the same.

    Raises:
        DataError: there are no reports.
    """
    texts = [" ".join(report.split()) for report in reports]
    if not texts:
        raise DataError("distinct_ratio: found no report, expected at least one.")
    return len(set(texts)) / len(texts)


def score_systems(
    references: Mapping[str, str],
    systems: Mapping[str, Mapping[str, str]],
    train_reports: Iterable[str],
    *,
    search_constants: bool = True,
    known_constants: Mapping[str, str] | None = None,
    further: Sequence[Metric] = (registered_scores,),
    language_metrics: bool = True,
    omitted: Mapping[str, str] | None = None,
    tokenizer: str = "ptb",
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
    seed: int = 0,
    timeout: float = 300,
) -> ScoreTable:
    """Every system's scores with intervals, the constant report's beneath, and marks where the model is not above; the
    measures of template collapse beside.

    Args:
        references: study id -> the radiologist's report, two at least.
        systems: name -> (study id -> report), ``MODEL`` first; names of controls are those of this module.
        train_reports: reports of the training studies; constant reports are chosen among them.
        search_constants: for each score the constant report that is best by it (``best_constant_reports``); else one,
            the best by BLEU-4 (``constant_report``), for all.
        known_constants: score -> its constant report, where a search has found it before (the "constant reports" of a
            ``scores.json``); then none is searched for.
        further: gives scores beside the language metrics; by default those of ``metrics.registry``.
        language_metrics: False leaves these out (they need Java); then ``further`` must give some.
        omitted: control -> why it is not among ``systems``; kept in the table.
        tokenizer: one of ``metrics.nlg.TOKENIZERS``.
        resamples, confidence, seed: of the bootstrap over studies (``metrics.bootstrap.bootstrap_scores``).
        timeout: seconds that each Java program may take for one system.

    Raises:
        DataError: ids differ, there are fewer than two studies, no training report has a word, two scores have the
            same name, or ``known_constants`` lacks one.
        JavaError: no Java, it stopped, or took too long.
    """
    for texts in systems.values():
        check_pairs(references, texts)
    train_reports = list(train_reports)
    with LanguageScorer(timeout, tokenizer) if language_metrics else nullcontext() as scorer:

        def score(truth: Mapping[str, str], guess: Mapping[str, str]) -> list[StudyScore]:
            language = scorer.study_scores(truth, guess) if scorer else []
            return [*language, *(_checked(one, truth) for metric in further for one in metric(truth, guess))]

        scores = {name: score(references, texts) for name, texts in systems.items()}
        names = [one.name for one in next(iter(scores.values()))]
        _check_names(names)
        if known_constants is not None:
            constants = _known(known_constants, names)
        elif search_constants:
            constants = {
                name: text for name, text in best_constant_reports(train_reports, score, seed).items() if name in names
            }
        else:
            constants = dict.fromkeys(names, constant_report(train_reports))
        scores[CONSTANT] = _constant_scores(references, constants, names, score)
    model, *controls = systems
    order = [model, CONSTANT, *controls]
    options = {"resamples": resamples, "confidence": confidence, "seed": seed}
    tables = {name: bootstrap_scores(scores[name], **options) for name in order}
    values, low, high = (_a_row_each(tables, column) for column in ("score", "low", "high"))
    texts = {**systems, CONSTANT: dict.fromkeys(references, next(iter(constants.values())))}
    return ScoreTable(
        scores=values,
        low=low,
        high=high,
        distinct={name: distinct_ratio(texts[name].values()) for name in order},
        empty={name: sum(not text.strip() for text in texts[name].values()) for name in order},
        not_above={
            name: tuple(one for one in FLOORS if one in order and values.loc[model, name] <= high.loc[one, name])
            for name in names
        },
        constants=constants,
        interval=f"{confidence:.0%} percentile bootstrap over {len(references):,} studies, {resamples:,} resamples",
        omitted=dict(omitted or {}),
        rouge_each=_rouge_of_each(references, scores[model]),
        collapse=template_collapse(references, {name: texts[name] for name in order}, train_reports, **options),
    )


def _checked(score: StudyScore, references: Mapping[str, str]) -> StudyScore:
    if len(score.statistics) != len(references):
        raise DataError(
            f"{score.name}: found statistics of {len(score.statistics)} studies for {len(references)} references, "
            "expected a row a study, in the order of the references."
        )
    return score


def _check_names(names: Sequence[str]) -> None:
    beside = [f"{name} {part}" for name in names for part in ("low", "high", "not above")]  # columns of the frame
    beside += [f"{name}{part}" for name in MEASURES for part in ("", " low", " high")]
    twice = [name for name, times in Counter([*names, DISTINCT, EMPTY, *beside]).items() if times > 1]
    if twice:
        raise DataError(
            f"score_systems: found two columns with the name {twice[0]!r}, expected a name of its own for each score. "
            "Name the StudyScore of your metric otherwise."
        )


def _known(constants: Mapping[str, str], names: Sequence[str]) -> dict[str, str]:
    missing = [name for name in names if name not in constants]
    if missing:
        raise DataError(
            f"known_constants: found no constant report for {missing[0]}, expected one for each score. Leave "
            "known_constants out, and they are searched for."
        )
    return {name: constants[name] for name in names}


def _constant_scores(
    references: Mapping[str, str], constants: Mapping[str, str], names: Sequence[str], score: Metric
) -> list[StudyScore]:
    """Each score, of the report that is constant for it."""
    by_text = {text: score(references, dict.fromkeys(references, text)) for text in set(constants.values())}
    return [next(one for one in by_text[constants[name]] if one.name == name) for name in names]


def _a_row_each(tables: Mapping[str, pd.DataFrame], column: str) -> pd.DataFrame:
    """One column of each system's table as that system's row."""
    return pd.DataFrame({name: table[column] for name, table in tables.items()}).T.rename_axis(index=None, columns=None)


def _rouge_of_each(references: Mapping[str, str], scores: Sequence[StudyScore]) -> dict[str, float]:
    """Study id -> its ROUGE-L, which is a mean, so that each study has its own; empty where ROUGE-L is left out."""
    of_each = next((one.statistics[:, 0].tolist() for one in scores if one.name == "ROUGE_L"), [])
    return dict(zip(references, of_each, strict=False))
