"""Has a model collapsed into a template? Questions to a set of reports, the references' own answers beside.

The idea, that diversity, a bias to normal reports and the fate of rare findings show it, is published ("template
collapse", arXiv 2605.30984); the definitions here are ours. What is stated is read by the rules of
``findings.report_labeler`` (uncertain counts as stated), what compares by those of ``findings.comparisons``.

* ``SELF_BLEU``: BLEU-4 of every report against all the others, counts summed over reports (self-BLEU; Zhu et al. 2018,
  arXiv 1802.01886). 1: each is made of pieces of others. It grows with the number of reports.
* ``NORMAL``: share of reports that state no observation but support devices (CheXpert's No Finding; an empty report is
  none of them). ``NORMAL_BIAS``: that share less the references', paired by study. ``CALLED_NORMAL``: of the studies
  whose reference states an observation, the share whose report is normal.
* ``RARE``: of the rare observations that references state, the share that the report states too (recall, all in one
  pot). Rare: in less than 2% of the training reports.
* ``EARLIER``: share of reports that speak of an earlier picture. A model that is shown one examination has invented it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from r2gen_lib.evaluation.constant_report import ngrams, report_words
from r2gen_lib.findings.comparisons import speaks_of_earlier
from r2gen_lib.findings.report_labeler import State, label_reports
from r2gen_lib.findings.report_phrases import OBSERVATIONS
from r2gen_lib.metrics.bootstrap import StudyScore, bootstrap_scores, mean_score
from r2gen_lib.metrics.corpus_scores import corpus_bleu

SELF_BLEU, NORMAL, NORMAL_BIAS = "self-BLEU-4", "normal reports", "normal-template bias"
CALLED_NORMAL, RARE, EARLIER = "abnormal called normal", "rare findings named", "speaks of an earlier picture"
MEASURES = (SELF_BLEU, NORMAL, NORMAL_BIAS, CALLED_NORMAL, RARE, EARLIER)
REFERENCES = "references"
#: An observation is rare if less than this share of the training reports states it.
RARE_SHARE = 0.02
_ORDERS = (1, 2, 3, 4)
_NO_FINDING = OBSERVATIONS.index("No Finding")
_FINDINGS = [n for n, name in enumerate(OBSERVATIONS) if name not in ("No Finding", "Support Devices")]


@dataclass(frozen=True, eq=False)
class TemplateCollapse:
    """What ``template_collapse`` measures.

    Attributes:
        values: a row a system, ``REFERENCES`` last; a column for each of ``MEASURES`` that can be asked.
        low, high: ends of the intervals, of the rows and columns of ``values``.
        rare: observation -> share of the training reports that state it, of the rare ones.
        omitted: measure -> why it cannot be asked.
    """

    values: pd.DataFrame
    low: pd.DataFrame
    high: pd.DataFrame
    rare: Mapping[str, float]
    omitted: Mapping[str, str] = field(default_factory=dict)

    def cell(self, system: str, measure: str) -> dict[str, float]:
        """``score``, ``low`` and ``high`` of a measure."""
        parts = {"score": self.values, "low": self.low, "high": self.high}
        return {name: float(part.loc[system, measure]) for name, part in parts.items()}


def template_collapse(
    references: Mapping[str, str],
    systems: Mapping[str, Mapping[str, str]],
    train_reports: Iterable[str],
    **resampling: Any,
) -> TemplateCollapse:
    """The measures of every system and of the references, with bootstrap intervals over studies.

    Args:
        references: study id -> the radiologist's report, two at least.
        systems: name -> (study id -> report), of the same ids.
        train_reports: of the training studies: they say what is rare.
        resampling: as for ``metrics.bootstrap.bootstrap_scores``. Other reports, to which self-BLEU compares each, stay
            those of the whole set in every resample. A resample without anything to ask (no rare observation) gives 0.

    Returns:
        ``RARE`` and ``CALLED_NORMAL`` are left out, with the reason, where no reference gives anything to ask.

    Raises:
        DataError: fewer than two studies, or a report is not text.
    """
    truth = _stated(references.values())
    told = _stated(train_reports)
    shares = told.mean(axis=0) if len(told) else np.ones(len(OBSERVATIONS))  # without any, none is rare
    rare = {OBSERVATIONS[n]: float(shares[n]) for n in _FINDINGS if shares[n] < RARE_SHARE}
    omitted = {}
    if not truth[:, _FINDINGS].any():
        omitted[CALLED_NORMAL] = "no reference states a finding"
    if not truth[:, [OBSERVATIONS.index(name) for name in rare]].any():
        omitted[RARE] = f"no reference states an observation that is in less than {RARE_SHARE:.0%} of training reports"
    tables = {}
    for name, texts in {**systems, REFERENCES: references}.items():
        scores = _scores([texts[i] for i in references], truth, list(rare))
        tables[name] = bootstrap_scores([one for one in scores if one.name not in omitted], **resampling)
    values, low, high = (
        pd.DataFrame({name: table[column] for name, table in tables.items()}).T.rename_axis(index=None, columns=None)
        for column in ("score", "low", "high")
    )
    return TemplateCollapse(values, low, high, rare, omitted)


def _scores(texts: Sequence[str], truth: np.ndarray, rare: Sequence[str]) -> list[StudyScore]:
    """The measures of one system, in the order of ``MEASURES``; ``truth``: what references state, (S, 14)."""
    written = _stated(texts)
    normal, abnormal = written[:, _NO_FINDING], truth[:, _FINDINGS].any(axis=1)
    columns = [OBSERVATIONS.index(name) for name in rare]
    asked, named = truth[:, columns], truth[:, columns] & written[:, columns]
    return [
        self_bleu(texts),
        mean_score(NORMAL, normal),
        mean_score(NORMAL_BIAS, normal.astype(int) - truth[:, _NO_FINDING]),
        StudyScore(CALLED_NORMAL, np.stack([normal & abnormal, abnormal], axis=1), _part),
        StudyScore(RARE, np.stack([named.sum(axis=1), asked.sum(axis=1)], axis=1), _part),
        mean_score(EARLIER, [speaks_of_earlier(text) for text in texts]),
    ]


def _stated(texts: Iterable[str]) -> np.ndarray:
    return label_reports(texts) >= State.UNCERTAIN  # (reports, 14)


def _part(sums: np.ndarray, studies: int) -> np.ndarray:
    return sums[..., 0] / np.maximum(sums[..., 1], 1)


def self_bleu(texts: Sequence[str]) -> StudyScore:
    """Self-BLEU-4 of reports, two at least; each is compared with all the others, empty ones included.

    An n-gram of a report counts as matched as often as the other report that has it most often has it; the reference
    length is that of the other report nearest in length, the shorter of two: as in pycocoevalcap's BLEU with several
    references.
    """
    words = [report_words(text) for text in texts]
    lengths = Counter(map(len, words))
    rows = [[len(one), _nearest(len(one), lengths), *(max(len(one) - n + 1, 0) for n in _ORDERS)] for one in words]
    matched = [_matched_by_others([ngrams(one, n) for one in words]) for n in _ORDERS]
    return StudyScore(SELF_BLEU, np.hstack([np.array(rows), np.transpose(matched)]), partial(corpus_bleu, _ORDERS[-1]))


def _nearest(length: int, lengths: Counter) -> int:
    others = (other for other, count in lengths.items() if count > (other == length))
    return min(others, key=lambda other: (abs(other - length), other))


def _matched_by_others(reports: Sequence[Counter]) -> list[int]:
    """For each report, given as its n-grams' counts: how many are in another, repeats clipped at what one other has."""
    first: Counter = Counter()  # the highest count of each n-gram in a report,
    second: Counter = Counter()  # and the highest in any other
    for counts in reports:
        for gram, count in counts.items():
            low, first[gram] = sorted((first[gram], count))
            second[gram] = max(second[gram], low)
    return [
        sum(min(count, second[gram] if count == first[gram] else first[gram]) for gram, count in counts.items())
        for counts in reports
    ]


def format_collapse(found: TemplateCollapse) -> str:
    """The table for a terminal: a line a measure, a column a system, ``value [low, high]``; and what is rare."""
    cells = {
        system: ["{score:.3f} [{low:.3f}, {high:.3f}]".format(**found.cell(system, name)) for name in found.values]
        for system in found.values.index
    }
    lines = ["template collapse:", pd.DataFrame(cells, index=list(found.values)).to_string()]
    rare = ", ".join(f"{name} {share:.1%}" for name, share in found.rare.items())
    lines.append(f"rare, in less than {RARE_SHARE:.0%} of the training reports: {rare or 'none'}")
    return "\n".join(lines + [f"left out: {name}: {reason}" for name, reason in found.omitted.items()])


def collapse_as_json(found: TemplateCollapse) -> dict[str, Any]:
    """What ``scores.json`` holds of it: ``systems`` (``score``, ``low``, ``high`` of each measure), ``rare``,
    ``omitted``."""
    systems = {system: {name: found.cell(system, name) for name in found.values} for system in found.values.index}
    return {"systems": systems, "rare": dict(found.rare), "omitted": dict(found.omitted)}
