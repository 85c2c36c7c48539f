"""What ``controls.score_systems`` gives: scores with intervals and marks; as a DataFrame, as text and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from r2gen_lib.evaluation.template_collapse import TemplateCollapse, collapse_as_json, format_collapse

MODEL, CONSTANT = "model", "constant report"
DISTINCT, EMPTY = "distinct reports", "empty reports"


@dataclass(frozen=True, eq=False)
class ScoreTable:
    """Scores of the model and of its controls on the same studies.

    Attributes:
        scores: a row a system, the model first and the constant report second; a column a score.
        low, high: ends of the scores' intervals, of the rows and columns of ``scores``.
        distinct: system -> distinct reports over all reports.
        empty: system -> how many reports are empty.
        not_above: score -> the controls whose interval's upper end the model's score does not exceed.
        constants: score -> the constant report that it was computed of.
        omitted: control -> why it is not there.
        interval: what the intervals are, in words.
        collapse: the measures of template collapse, of the same systems and of the references.
        rouge_each: study id -> ROUGE-L of the model's report; empty where the language metrics were left out.
    """

    scores: pd.DataFrame
    low: pd.DataFrame
    high: pd.DataFrame
    distinct: Mapping[str, float]
    empty: Mapping[str, int]
    not_above: Mapping[str, tuple[str, ...]]
    constants: Mapping[str, str]
    interval: str
    omitted: Mapping[str, str] = field(default_factory=dict)
    rouge_each: Mapping[str, float] = field(default_factory=dict)
    collapse: TemplateCollapse | None = None

    @property
    def names(self) -> list[str]:
        """The scores' names, in order."""
        return list(self.scores.columns)

    @property
    def systems(self) -> list[str]:
        """The systems' names, the model first."""
        return list(self.scores.index)

    def frame(self) -> pd.DataFrame:
        """One table to look at, to draw (``plots.score_bars``) and to keep (``scores.csv``).

        Returns:
            One row a system. Columns: each score; ``distinct reports`` and ``empty reports``; ``<score> low`` and
            ``<score> high``; ``<score> not above``, controls joined by commas: filled in the model's row alone; each
            measure of template collapse, with its ``low`` and ``high``.
        """
        beside: dict[str, Any] = {DISTINCT: self.distinct, EMPTY: self.empty}
        for name in self.names:
            marks = dict.fromkeys(self.systems, "") | {self.systems[0]: ", ".join(self.not_above[name])}
            beside |= {f"{name} low": self.low[name], f"{name} high": self.high[name], f"{name} not above": marks}
        if self.collapse is not None:
            for name, values in self.collapse.values.items():
                beside |= {name: values[self.systems]}
                beside |= {f"{name} low": self.collapse.low[name], f"{name} high": self.collapse.high[name]}
        return self.scores.join(pd.DataFrame(beside))


def format_scores(table: ScoreTable) -> str:
    """The table for a terminal: a line a score, a column a system, ``score [low, high]``.

    A ``*`` marks a score of the model that is not above the interval of a control; the lines beneath name the
    controls, the constant reports, and what is left out.
    """
    cells = {
        system: [
            *(_cell(table, system, name) for name in table.names),
            f"{table.distinct[system]:.4f}",
            str(table.empty[system]),
        ]
        for system in table.systems
    }
    lines = [pd.DataFrame(cells, index=[*table.names, DISTINCT, EMPTY]).to_string()]
    lines.append(f"[low, high]: {table.interval}. *: not above the interval of")
    marked = [(name, table.not_above[name]) for name in table.names if table.not_above[name]]
    lines += [f"  {name}: {', '.join(controls)}" for name, controls in marked] or ["  (none)"]
    for text, best_by in by_constant_report(table.constants).items():
        lines.append(f"{CONSTANT} ({', '.join(best_by)}): {text}")
    lines += [f"left out: {control}: {reason}" for control, reason in table.omitted.items()]
    if table.collapse is not None:
        lines.append(format_collapse(table.collapse))
    return "\n".join(lines)


def verdicts(table: ScoreTable) -> dict[str, str]:
    """Score -> how the model's stands to the controls, in words. *Above* is meant strictly: above the upper end of a
    control's interval."""
    return {
        name: f"not above the interval of: {', '.join(controls)}" if controls else "above every control's interval"
        for name, controls in table.not_above.items()
    }


def _cell(table: ScoreTable, system: str, name: str) -> str:
    value, low, high = (part.loc[system, name] for part in (table.scores, table.low, table.high))
    mark = "*" if system == table.systems[0] and table.not_above[name] else ""
    return f"{value:.3f} [{low:.3f}, {high:.3f}]{mark}"


def by_constant_report(constants: Mapping[str, str]) -> dict[str, list[str]]:
    """Text -> the scores it is the best constant report for."""
    groups: dict[str, list[str]] = {}
    for name, text in constants.items():
        groups.setdefault(text, []).append(name)
    return groups


def scores_as_json(table: ScoreTable, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What ``scores.json`` holds: settings, systems with ``score``, ``low``, ``high`` (the model's: ``not above`` too),
    the constant reports, the controls that are left out with the reason, and the measures of template collapse."""
    systems: dict[str, Any] = {}
    for system in table.systems:
        entry: dict[str, Any] = {}
        for name in table.names:
            parts = {"score": table.scores, "low": table.low, "high": table.high}
            entry[name] = {key: part.loc[system, name] for key, part in parts.items()}
            if system == table.systems[0]:
                entry[name]["not above"] = list(table.not_above[name])
        systems[system] = entry | {DISTINCT: table.distinct[system], EMPTY: table.empty[system]}
    notes: dict[str, Any] = {"constant reports": dict(table.constants), "omitted": dict(table.omitted)}
    if table.collapse is not None:
        notes["template collapse"] = collapse_as_json(table.collapse)
    return {"settings": {**settings, "interval": table.interval}, "systems": systems, **notes}
