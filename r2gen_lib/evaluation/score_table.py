"""The table of ``controls.score_systems`` as text and as JSON: scores with intervals, marks, and what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from r2gen_lib.evaluation.controls import CONSTANT, DISTINCT, EMPTY, MODEL


def format_scores(scores: pd.DataFrame) -> str:
    """The table for a terminal: a line a score, a column a system, ``score [low, high]``.

    A ``*`` marks a score of the model that is not above the interval of a control; the lines beneath name the
    controls, the constant reports, and what is left out (``frame.attrs["omitted"]``: control -> reason).
    """
    names = [name for name in scores if not name.endswith((" low", " high", " not above"))]
    cells = {system: [_cell(row, name) for name in names] for system, row in scores.iterrows()}
    lines = [pd.DataFrame(cells, index=names).to_string()]
    if any(f"{name} low" in scores for name in names):
        lines.append(f"[low, high]: {scores.attrs['interval']}. *: not above the interval of")
        marked = {name: scores[f"{name} not above"].iloc[0] for name in names if f"{name} not above" in scores}
        lines += [f"  {name}: {controls}" for name, controls in marked.items() if controls] or ["  (none)"]
    for text, best_by in by_constant_report(scores.attrs.get("constant reports", {})).items():
        lines.append(f"{CONSTANT} ({', '.join(best_by)}): {text}")
    lines += [f"left out: {control}: {reason}" for control, reason in scores.attrs.get("omitted", {}).items()]
    return "\n".join(lines)


def _cell(row: pd.Series, name: str) -> str:
    value = row[name]
    if name == EMPTY:
        return str(int(value))
    if f"{name} low" not in row:
        return f"{value:.4f}"
    mark = "*" if row[f"{name} not above"] else ""
    return f"{value:.3f} [{row[f'{name} low']:.3f}, {row[f'{name} high']:.3f}]{mark}"


def by_constant_report(constants: Mapping[str, str]) -> dict[str, list[str]]:
    """Text -> the scores it is the best constant report for."""
    groups: dict[str, list[str]] = {}
    for name, text in constants.items():
        groups.setdefault(text, []).append(name)
    return groups


def scores_as_json(scores: pd.DataFrame, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What ``scores.json`` holds: settings, systems with ``score``, ``low``, ``high`` (the model's: ``not above`` too),
    the constant reports, and the controls that are left out with the reason."""
    names = scores.attrs["scores"]
    systems: dict[str, Any] = {}
    for system, row in scores.iterrows():
        entry: dict[str, Any] = {}
        for name in names:
            entry[name] = {"score": row[name], "low": row[f"{name} low"], "high": row[f"{name} high"]}
            if system == MODEL:
                entry[name]["not above"] = list(filter(None, row[f"{name} not above"].split(", ")))
        systems[system] = entry | {DISTINCT: row[DISTINCT], EMPTY: int(row[EMPTY])}
    settings = {**settings, "interval": scores.attrs["interval"]}
    notes = {"constant reports": scores.attrs["constant reports"], "omitted": scores.attrs.get("omitted", {})}
    return {"settings": settings, "systems": systems, **notes}
