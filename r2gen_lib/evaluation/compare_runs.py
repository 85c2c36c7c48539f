"""Two runs on the same studies, compared: what ``r2gen compare`` writes.

A run is a folder that ``evaluate.evaluate`` made. Its reports are scored again, study by study, so that differences are
paired: their intervals and p-values are those of ``metrics.bootstrap.compare``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from r2gen_lib.errors import BRACKETS, DataError, shown
from r2gen_lib.evaluation.page.finding_marks import MarkedSentence, mark_generated, mark_stated, stated, study_f1
from r2gen_lib.evaluation.page.render import SHOWN, WITHHELD, flat_settings, write_page
from r2gen_lib.evaluation.run_metadata import settings_of_today
from r2gen_lib.evaluation.written_reports import read_table
from r2gen_lib.files import atomic_write
from r2gen_lib.metrics.bootstrap import CONFIDENCE, RESAMPLES, StudyScore, compare
from r2gen_lib.metrics.nlg import LanguageScorer
from r2gen_lib.metrics.registry import registered_scores

SCORES, REPORTS = "scores.json", "reports.csv"
SHOWN_STUDIES = 5
_UNKNOWN = (
    "A run does not say whether its data are credentialed (an older r2gen made it), so this page shows no report and "
    "no study of it."
)
_SHOWN_UNKNOWN = (
    "A run does not say whether its data are credentialed (an older r2gen made it), and this page was asked to show "
    "its reports. If they are, it must not be passed on."
)


@dataclass(frozen=True)
class Run:
    """What a run's folder holds.

    Attributes:
        name: the folder's, as it was given.
        settings: from ``scores.json``, under today's names.
        not_above: score -> controls that the run's model is not above.
        references, generated: study id -> text.
    """

    name: str
    settings: Mapping[str, Any]
    not_above: Mapping[str, list[str]]
    references: Mapping[str, str]
    generated: Mapping[str, str]


@dataclass(frozen=True)
class Difference:
    """A study on which two runs differ."""

    id: str
    f1: tuple[float, float]
    rouge: tuple[float, float]
    reference: list[MarkedSentence]
    generated: tuple[list[MarkedSentence], list[MarkedSentence]]
    missed: tuple[list[str], list[str]]


def read_run(folder: str | Path) -> Run:
    """Read a folder that ``r2gen evaluate`` wrote.

    Raises:
        DataError: a file is missing or not what that command writes.
    """
    folder = Path(folder)
    for name in (SCORES, REPORTS):
        if not (folder / name).is_file():
            raise DataError(
                f"{folder}: no {name} in it, expected {SCORES} and {REPORTS}. Give a folder that `r2gen evaluate` made."
            )
    advice = "Evaluate again, or restore the file."
    try:
        told = json.loads((folder / SCORES).read_text(encoding="utf-8"))
        settings, model = settings_of_today(told["settings"]), told["systems"]["model"]
        not_above = {name: one.get("not above", []) for name, one in model.items() if isinstance(one, Mapping)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"{type(error).__name__}: {error}"
        raise DataError(f"{folder / SCORES}: not what `r2gen evaluate` writes ({what}). {advice}") from error
    try:
        table, texts = read_table(folder / REPORTS)
        if "reference" not in table:
            found = ", ".join([str(table.index.name), *table])
            raise DataError(f"{folder / REPORTS}: found columns {found}; expected one of reference.")
    except DataError as error:
        raise DataError(f"{error} {advice}") from error
    return Run(str(folder), settings, not_above, table["reference"].to_dict(), table[texts].to_dict())


def check_same_studies(first: Run, second: Run) -> None:
    """See that two runs are about the same studies and the same references.

    Raises:
        DataError: naming some that differ, never a text.
    """
    alone = [sorted(set(a.references) - set(b.references)) for a, b in ((first, second), (second, first))]
    if any(alone):
        raise DataError(
            f"{first.name} and {second.name} are of different studies: {len(alone[0])} are in the first alone"
            f"{shown(alone[0], 3, frame=BRACKETS)}, {len(alone[1])} in the second alone"
            f"{shown(alone[1], 3, frame=BRACKETS)}. Evaluate both on the same studies (--data, --split, --limit)."
        )
    other = [i for i, text in first.references.items() if second.references[i] != text]
    if other:
        raise DataError(
            f"{first.name} and {second.name} have different references for {len(other)} of {len(first.references)} "
            f"studies{shown(other, 3, frame=BRACKETS)}. Evaluate both with the same --section, --clean and "
            "--cut-references."
        )


def compare_runs(
    first: Run, second: Run, folder: Path, *, show_credentialed: bool = False, timeout: float = 300
) -> pd.DataFrame:
    """Compare two runs; write ``compare.csv`` and ``compare.html`` to ``folder``.

    Both are scored with the tokenizer they were evaluated with, or with ``ptb`` if those differ (the page says so).

    Args:
        first, second: as ``read_run`` gives them.
        folder: made if need be.
        show_credentialed: show reports though the data are, or may be, credentialed.
        timeout: seconds that each Java program may take for one run.

    Returns:
        The table of ``metrics.bootstrap.compare``: first, second, difference (first - second), low, high, p.

    Raises:
        DataError: the studies or references differ, or there are fewer than two studies.
        JavaError: no Java, it stopped, or took too long.
    """
    check_same_studies(first, second)
    asked = [run.settings.get("tokenizer", "ptb") for run in (first, second)]
    tokenizer = asked[0] if asked[0] == asked[1] else "ptb"
    with LanguageScorer(timeout, tokenizer) as scorer:
        scores = [_scores(scorer, first.references, run.generated) for run in (first, second)]
    table = compare(*scores)
    with atomic_write(folder / "compare.csv") as temporary:
        table.assign(first_run=first.name, second_run=second.name, tokenizer=tokenizer).to_csv(temporary)
    notice, withheld = _privacy(first, second, show_credentialed)
    values = {
        "runs": (first, second),
        "studies": len(first.references),
        "simulated": any("simulated" in str(run.settings.get("pictures", "")) for run in (first, second)),
        "notice": notice,
        "tokenizer": tokenizer,
        "rescored": asked[0] != asked[1],
        "interval": f"{CONFIDENCE:.0%} percentile bootstrap over studies, {RESAMPLES:,} resamples, the same for both",
        "rows": _rows(table, first, second),
        "settings": different_settings(first, second),
        "same_reports": sum(first.generated[i] == second.generated[i] for i in first.generated),
        "differences": [] if withheld else most_different(first, second, *map(_rouge, scores)),
    }
    write_page(folder / "compare.html", "compare.html", values)
    return table


def _scores(scorer: LanguageScorer, references: Mapping[str, str], generated: Mapping[str, str]) -> list[StudyScore]:
    return [*scorer.study_scores(references, generated), *registered_scores(references, generated)]


def _rouge(scores: list[StudyScore]) -> np.ndarray:
    return next(one for one in scores if one.name == "ROUGE_L").statistics[:, 0]


def _privacy(first: Run, second: Run, show: bool) -> tuple[str, bool]:
    """What the page says of credentialed data, and whether it withholds texts."""
    flags = [run.settings.get("credentialed") for run in (first, second)]
    if any(flags):
        return (SHOWN, False) if show else (WITHHELD, True)
    if None in flags:
        return (_SHOWN_UNKNOWN, False) if show else (_UNKNOWN, True)
    return "", False


def _rows(table: pd.DataFrame, first: Run, second: Run) -> list[dict[str, Any]]:
    """Rows of the page's table; ``sure``: the interval leaves 0 out."""
    return [
        {
            "name": name,
            **row.to_dict(),
            "sure": bool(row["low"] > 0 or row["high"] < 0),
            "not_above": [run.not_above.get(name, []) for run in (first, second)],
        }
        for name, row in table.iterrows()
    ]


def different_settings(first: Run, second: Run) -> list[tuple[str, str, str]]:
    """(setting, first's value, second's value) of those that differ; one that a run does not tell is "(not told)"."""
    one, two = flat_settings(first.settings), flat_settings(second.settings)
    names = dict.fromkeys([*one, *two])
    rows = [(name, one.get(name, "(not told)"), two.get(name, "(not told)")) for name in names]
    return [row for row in rows if row[1] != row[2]]


def most_different(
    first: Run, second: Run, first_rouge: np.ndarray, second_rouge: np.ndarray, count: int = SHOWN_STUDIES
) -> list[Difference]:
    """The studies on which two runs differ most: by F1 of the findings, then ROUGE-L; those that don't are left out.

    Args:
        first, second: of the same studies.
        first_rouge, second_rouge: ``(S,)`` in the order of ``first.references``.
        count: at most so many.
    """
    of_f1 = [study_f1(run.generated, first.references) for run in (first, second)]
    of_rouge = [dict(zip(first.references, map(float, values), strict=True)) for values in (first_rouge, second_rouge)]

    def distance(i: str) -> tuple[float, float]:
        return abs(of_f1[0][i] - of_f1[1][i]), abs(of_rouge[0][i] - of_rouge[1][i])

    differing = [i for i in first.references if first.generated[i] != second.generated[i]]
    differing.sort(key=lambda i: (*(-one for one in distance(i)), i))
    return [_difference(i, first, second, of_f1, of_rouge) for i in differing[:count]]


def _difference(i: str, first: Run, second: Run, of_f1: list, of_rouge: list) -> Difference:
    reference, texts = first.references[i], (first.generated[i], second.generated[i])
    return Difference(
        i,
        (of_f1[0][i], of_f1[1][i]),
        (of_rouge[0][i], of_rouge[1][i]),
        mark_stated(reference),
        (mark_generated(texts[0], reference), mark_generated(texts[1], reference)),
        (sorted(stated(reference) - stated(texts[0])), sorted(stated(reference) - stated(texts[1]))),
    )
