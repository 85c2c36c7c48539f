"""How many cases each metric passes: whether it scores the better candidate strictly higher.

A candidate is scored by itself, against its reference, as a corpus of one report:

* BLEU and METEOR by the corpus formula on one report's counts, BLEU with pycocoevalcap's small numbers where nothing
  matches;
* CIDEr-D with document frequencies of all cases' references: that needs no data set, and weighs words otherwise than a
  test split would;
* what is registered (clinical F1) by its own formula on one report's counts. Macro F1 of one report is the share of the
  14 observations that both name, so a false one costs nothing there; micro F1 is F1 of that report's observations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from r2gen_lib.errors import DataError
from r2gen_lib.evaluation.counterfactual.tables import share
from r2gen_lib.evaluation.metrics_under_test.cases import ALL, FAR, HIGH, LOW, NEAR, TIES, Case
from r2gen_lib.evaluation.text_tables import table_lines
from r2gen_lib.metrics.names import score_name
from r2gen_lib.metrics.nlg import LanguageScorer
from r2gen_lib.metrics.registry import registered_scores
from r2gen_lib.metrics.trained_labelers import radeval_each

#: Scores that differ by less are equal.
_SAME = 1e-12


def score_cases(cases: Sequence[Case], *, trained: bool = False, timeout: float = 300) -> pd.DataFrame:
    """Both candidates of each case by the language metrics and by those registered.

    Args:
        cases: as ``cases.read_cases`` gives them.
        trained: CheXbert's and RadGraph's scores too (``metrics.trained_labelers``).
        timeout: seconds that each Java program may take.

    Returns:
        A row a metric and case: ``metric``, ``case`` (its place, from 0), ``kind``, ``near`` (``Case.near``), and the
        scores ``better`` and ``worse``.

    Raises:
        DataError: there is no case.
        AssetError: ``trained`` without radeval or its weights.
        JavaError: no Java, it stopped, or took too long.
    """
    if not cases:
        raise DataError("score_cases: found no case, expected at least one.")
    references = {str(n): case.reference for n, case in enumerate(cases)}
    sides = ("better", "worse")
    texts = {side: {str(n): getattr(case, side) for n, case in enumerate(cases)} for side in sides}
    with LanguageScorer(timeout) as scorer:
        found = {side: _each(scorer, references, texts[side], trained) for side in sides}
    told = {"case": range(len(cases)), "kind": [case.kind for case in cases], "near": [case.near for case in cases]}
    return pd.concat(
        [
            pd.DataFrame({"metric": name, **told, **{side: found[side][name] for side in sides}})
            for name in found["better"]
        ],
        ignore_index=True,
    )


def _each(
    scorer: LanguageScorer, references: Mapping[str, str], texts: Mapping[str, str], trained: bool
) -> dict[str, np.ndarray]:
    """Metric -> the score of each text by itself."""
    scores = [*scorer.study_scores(references, texts), *registered_scores(references, texts)]
    each = {one.name: one.combine(one.statistics, 1) for one in scores}
    return each | (radeval_each(texts, references) if trained else {})


def passed_table(scores: pd.DataFrame) -> pd.DataFrame:
    """Cases passed: a row a metric, beneath a row ``cases`` with how many there are.

    Columns: each kind; ``near`` and ``far``; ``all``; ``low`` and ``high``, Wilson's 95% interval of the share passed;
    ``ties``, how many of those failed are equal scores.

    Args:
        scores: as ``score_cases`` gives them.
    """
    margin = scores.better - scores.worse
    judged = scores.assign(passed=margin > _SAME, tie=margin.abs() <= _SAME)
    first = judged[judged.metric == judged.metric.iloc[0]].assign(metric="cases", passed=True, tie=False)
    judged = pd.concat([first, judged], ignore_index=True)
    groups = {kind: judged.kind == kind for kind in first.kind.unique()}
    groups |= {NEAR: judged.near, FAR: ~judged.near, ALL: judged.case >= 0}
    table = pd.DataFrame(
        {name: (judged.passed & chosen).groupby(judged.metric, sort=False).sum() for name, chosen in groups.items()}
    )
    table[[LOW, HIGH]] = [share(int(hits), len(first))[1:] for hits in table[ALL]]
    return table.assign(**{TIES: judged.tie.groupby(judged.metric, sort=False).sum()})


def format_passed(scores: pd.DataFrame, markdown: bool = False) -> str:
    """The table of ``passed_table`` as text, or as Markdown."""
    table = passed_table(scores)
    counts = [name for name in table if name not in (LOW, HIGH, TIES)]
    heads = ["", *counts, "share passed", TIES]
    rows = [["cases", *map(str, table.loc["cases", counts].astype(int)), "", ""]]
    for name, row in table.drop("cases").iterrows():
        passed = row[ALL] / table.loc["cases", ALL]
        told = [f"{passed:.2f} [{row[LOW]:.2f}, {row[HIGH]:.2f}]", f"{row[TIES]:.0f}"]
        rows.append([score_name(name), *map(str, row[counts].astype(int)), *told])
    return "\n".join(table_lines(heads, rows, 1, markdown))
