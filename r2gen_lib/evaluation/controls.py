"""Controls that belong beside every score: reports that look at no picture, at the wrong one, or at its likeness.

A third of the benchmark's studies are normal and their reports are alike, so word-overlap scores reward a
model that ignores the picture. Four rows tell how much of a score that explains:

* *constant report*: one training report, the same for every study;
* *shuffled pictures*: what the model writes for another study's picture;
* *blank picture*: what it writes when there is nothing to see;
* *nearest neighbour*: the report of the training study whose picture the encoder finds most alike.

A fifth, *perfect eye*, is a ceiling: what the language model writes when it is told the findings.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext

import pandas as pd

from r2gen_lib.errors import DataError
from r2gen_lib.evaluation.constant_report import best_constant_reports, constant_report
from r2gen_lib.metrics.bootstrap import CONFIDENCE, RESAMPLES, StudyScore, bootstrap_scores
from r2gen_lib.metrics.nlg import LanguageScorer, check_pairs

MODEL, CONSTANT, SHUFFLED = "model", "constant report", "shuffled pictures"
BLANK, NEAREST, PERFECT_EYE = "blank picture", "nearest neighbour", "perfect eye"
#: The controls that a model should beat.
FLOORS = (CONSTANT, SHUFFLED, BLANK, NEAREST)
DISTINCT, EMPTY = "distinct reports", "empty reports"

__all__ = [
    "best_constant_reports",
    "constant_report",
    "distinct_ratio",
    "score_systems",
    "shuffled",
]

#: References and hypotheses -> further scores of the same studies, such as clinical ones.
FurtherScores = Callable[[Mapping[str, str], Mapping[str, str]], Sequence[StudyScore]]


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
    further: Sequence[FurtherScores] = (),
    language_metrics: bool = True,
    tokenizer: str = "ptb",
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
    seed: int = 0,
    timeout: float = 300,
) -> pd.DataFrame:
    """Every system's scores with intervals, the constant report's beneath, and marks where the model is not above.

    Args:
        references: study id -> the radiologist's report, two at least.
        systems: name -> (study id -> report), ``MODEL`` first; names of controls are those of this module.
        train_reports: reports of the training studies; constant reports are chosen among them.
        search_constants: for each score the constant report that is best by it (``best_constant_reports``); else one,
            the best by BLEU-4 (``constant_report``), for all.
        further: gives scores beside the language metrics.
        language_metrics: False leaves these out (they need Java); then ``further`` must give some.
        tokenizer: one of ``language.TOKENIZERS``.
        resamples, confidence, seed: of the bootstrap over studies (``statistics.bootstrap_scores``).
        timeout: seconds that each Java program may take for one system.

    Returns:
        One row a system, the constant report second. Columns: each score; ``distinct reports`` and ``empty reports``;
        ``<score> low`` and ``<score> high``, the interval; ``<score> not above``, the controls (``FLOORS``, joined by
        commas) whose interval's upper end the row's score does not exceed: filled in the model's row alone.
        ``frame.attrs``: ``"constant reports"`` (score -> text), ``"scores"`` (their names), ``"interval"`` (in words),
        ``"ROUGE_L of each"`` (study id -> ROUGE-L of the first system's report).

    Raises:
        DataError: ids differ, there are fewer than two studies, or no training report has a word.
        JavaError: no Java, it stopped, or took too long.
    """
    for texts in systems.values():
        check_pairs(references, texts)
    with LanguageScorer(timeout, tokenizer) if language_metrics else nullcontext() as scorer:

        def score(truth: Mapping[str, str], guess: Mapping[str, str]) -> list[StudyScore]:
            language = scorer.study_scores(truth, guess) if scorer else []
            return [*language, *(one for more in further for one in more(truth, guess))]

        scores = {name: score(references, texts) for name, texts in systems.items()}
        names = [one.name for one in next(iter(scores.values()))]
        if search_constants:
            constants = {
                name: text for name, text in best_constant_reports(train_reports, score, seed).items() if name in names
            }
        else:
            constants = dict.fromkeys(names, constant_report(train_reports))
        scores[CONSTANT] = _constant_scores(references, constants, names, score)
    order = [*list(systems)[:1], CONSTANT, *list(systems)[1:]]
    options = {"resamples": resamples, "confidence": confidence, "seed": seed}
    tables = {name: bootstrap_scores(scores[name], **options) for name in order}
    frame = pd.DataFrame({name: table["score"] for name, table in tables.items()}).T
    one_report = {CONSTANT: dict.fromkeys(references, next(iter(constants.values())))}
    frame = frame.join(_counted({**systems, **one_report})).join(_intervals(tables, names))
    interval = f"{confidence:.0%} percentile bootstrap over {len(references):,} studies, {resamples:,} resamples"
    frame.attrs.update({"constant reports": constants, "scores": names, "interval": interval})
    for rouge in scores[order[0]]:
        if rouge.name == "ROUGE_L":  # a mean, so each study has its own
            frame.attrs["ROUGE_L of each"] = dict(zip(references, rouge.statistics[:, 0].tolist(), strict=True))
    return frame.rename_axis(index=None, columns=None)


def _constant_scores(
    references: Mapping[str, str], constants: Mapping[str, str], names: Sequence[str], score: FurtherScores
) -> list[StudyScore]:
    """Each score, of the report that is constant for it."""
    by_text = {text: score(references, dict.fromkeys(references, text)) for text in set(constants.values())}
    return [next(one for one in by_text[constants[name]] if one.name == name) for name in names]


def _intervals(tables: Mapping[str, pd.DataFrame], names: Sequence[str]) -> pd.DataFrame:
    """Columns ``low``, ``high`` and ``not above`` of each score, one row a system."""
    first, columns = next(iter(tables)), {}
    for name in names:
        low, high = ({system: table.loc[name, end] for system, table in tables.items()} for end in ("low", "high"))
        value = tables[first].loc[name, "score"]
        reached = [control for control in FLOORS if control in tables and value <= high[control]]
        columns |= {f"{name} low": low, f"{name} high": high}
        columns[f"{name} not above"] = dict.fromkeys(tables, "") | {first: ", ".join(reached)}
    return pd.DataFrame(columns)


def _counted(systems: Mapping[str, Mapping[str, str]]) -> pd.DataFrame:
    """How many reports are distinct (a share) and how many empty (a count), one row a system."""
    counted = {
        name: {DISTINCT: distinct_ratio(texts.values()), EMPTY: sum(not text.strip() for text in texts.values())}
        for name, texts in systems.items()
    }
    frame = pd.DataFrame.from_dict(counted, orient="index")
    return frame.astype({EMPTY: int})
