"""Does the report say what was drawn? Precision, recall and F1 of each finding, and what else a report can get wrong.

What a report should say is known to the voxel, and each finding is as frequent as its look-alikes and the normal
chests: a rare one weighs as much as a common one. A report *says* a finding where the rules of ``report_labeler`` read
its observation from it as present or uncertain. All pictures are simulated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from r2gen_lib.data.study import Study
from r2gen_lib.evaluation.truth.chests import LOOK_ALIKES, NORMAL, absent, group_of
from r2gen_lib.findings.chexpert import CASES, PARENT, observation_of
from r2gen_lib.findings.contradictions import contradictions, two_sides
from r2gen_lib.findings.finding import MIDLINE
from r2gen_lib.findings.laterality import side_in_report
from r2gen_lib.findings.report_labeler import State, label_reports
from r2gen_lib.findings.report_phrases import OBSERVATIONS

if TYPE_CHECKING:
    from r2gen_lib.model.r2gengpt import R2GenGPT

RESAMPLES = 1000


@dataclass(frozen=True)
class Truth:
    """What reports of balanced chests say.

    Attributes:
        findings: a row a finding, index its name. Columns: observation; with, without (chests); precision, recall, F1,
            each with low and high; on look-alikes, on normal (shares of those chests whose report says it).
        summary: a row a measure, index its name. Columns: value, low, high, of (chests that it is a share of).
            "macro F1" is the mean over the findings.
        chests: a row a chest. Columns: study, group, drawn, says, invented and missed (observations, ``;`` between
            them: what a drawn finding is a kind of is not invented), contradicts, side (drawn, of the group's
            finding), side said ("" where none is), report.
    """

    findings: pd.DataFrame
    summary: pd.DataFrame
    chests: pd.DataFrame


def write_and_judge(model: R2GenGPT, studies: Sequence[Study], progress: bool = True, **decoding: Any) -> Truth:
    """Draw the chests that the cache does not hold, let ``model`` describe them, and ``judge`` what it writes.

    Args:
        model: any mode, or one with an oracle encoder.
        studies: of ``chests.truth_studies``.
        progress: show progress bars.
        decoding: overrides fields of the preset's DecodingConfig, such as ``num_beams=1``.
    """
    from r2gen_lib.inference.generate_reports import describe_studies
    from r2gen_lib.simulation.render import draw_simulated

    draw_simulated(studies, model.preset.vision.views)
    written = describe_studies(model, studies, progress=progress, **decoding)
    return judge(studies, [written[study.id] for study in studies])


def judge(studies: Sequence[Study], reports: Sequence[str], seed: int = 0) -> Truth:
    """Compare reports with what is drawn in their chests.

    Intervals: 95% by percentile bootstrap, chests drawn anew within their groups ``RESAMPLES`` times.

    Args:
        studies: of ``chests.truth_studies``, equally many of each group.
        reports: one a study.
        seed: of the bootstrap.
    """
    groups = np.array([group_of(study) for study in studies])
    says = label_reports(reports) >= State.UNCERTAIN  # (chests, 14)
    chests = pd.DataFrame([_chest(*each) for each in zip(studies, reports, says, strict=True)])
    counts = _resampled(groups, seed)  # (1 + RESAMPLES, chests): how often each counts; once each in the first row
    rows, scores = {}, []
    for finding, outcome in outcomes(studies, says).items():
        own = says[:, OBSERVATIONS.index(CASES[finding].observation)]
        there, without = groups == finding, absent(studies, finding)
        hits, missed, invented = (counts @ outcome).T
        with np.errstate(invalid="ignore"):
            values = {
                "precision": np.nan_to_num(hits / (hits + invented)),
                "recall": hits / (hits + missed),
                "F1": 2 * hits / (2 * hits + missed + invented),
            }
        scores.append(values["F1"])
        alike = without & (groups != NORMAL)
        rows[finding] = {
            "observation": CASES[finding].observation,
            "with": int(there.sum()),
            "without": int(without.sum()),
            **{key: value for name, drawn in values.items() for key, value in _interval(name, drawn).items()},
            "on look-alikes": float(own[alike].mean()) if alike.any() else float("nan"),
            "on normal": float(own[groups == NORMAL].mean()),
        }
    summary = {"macro F1": _row(np.mean(scores, axis=0), len(studies))}
    normal, sided = groups == NORMAL, (chests["side"].isin(["left", "right"]) & (chests["side said"] != "")).to_numpy()
    every = np.ones(len(studies), bool)
    invented, missed = (chests.invented != "").to_numpy(), (chests.missed != "").to_numpy()
    for name, flags, among in (
        ("reports that contradict themselves", (chests.contradicts != "").to_numpy(), every),
        ("normal chests with an invented finding", invented, normal),
        ("chests with an invented finding", invented, every),
        ("reports without a mistake", ~invented & ~missed, every),
        ("right side, of those named", (chests["side said"] == chests["side"]).to_numpy(), sided),
    ):
        with np.errstate(invalid="ignore"):
            summary[name] = _row((counts @ (flags & among)) / (counts @ among), int(among.sum()))
    return Truth(
        pd.DataFrame.from_dict(rows, orient="index").rename_axis("finding"),
        pd.DataFrame.from_dict(summary, orient="index").rename_axis("measure"),
        chests,
    )


def outcomes(studies: Sequence[Study], says: np.ndarray) -> dict[str, np.ndarray]:
    """Finding -> bool (chests, 3): said where it is drawn, not said where it is drawn, said where it is not.

    Args:
        studies: of ``chests.truth_studies``.
        says: bool (chests, 14), what each report says.
    """
    groups, found = np.array([group_of(study) for study in studies]), {}
    for finding in LOOK_ALIKES:
        own, there = says[:, OBSERVATIONS.index(CASES[finding].observation)], groups == finding
        found[finding] = np.stack([own & there, ~own & there, own & absent(studies, finding)], axis=1)
    return found


def _chest(study: Study, report: str, says: np.ndarray) -> dict[str, Any]:
    finding = study.findings[0] if study.findings else None
    said = {name for name, here in zip(OBSERVATIONS, says, strict=True) if here and name != "No Finding"}
    there = {observation_of(one) for one in study.findings} - {""}
    against = contradictions(report)
    if finding and two_sides(report, finding):
        against.add(f"both sides of {finding.name.lower()}")
    sided = finding is not None and finding.name not in MIDLINE
    return {
        "study": study.id,
        "group": group_of(study),
        "drawn": "; ".join(map(str, study.findings)),
        "says": "; ".join(sorted(said)),
        "invented": "; ".join(sorted(said - there - {PARENT.get(name) for name in there})),
        "missed": "; ".join(sorted(there - said)),
        "contradicts": "; ".join(sorted(against)),
        "side": finding.side if sided else "",
        "side said": side_in_report(finding.name, report) if sided else "",
        "report": report,
    }


def _resampled(groups: np.ndarray, seed: int) -> np.ndarray:
    """(1 + RESAMPLES, chests) float: ones, then how often each chest is drawn, within its group."""
    rng = np.random.default_rng(seed)
    counts = np.ones((1 + RESAMPLES, len(groups)))
    for group in dict.fromkeys(groups):
        places = np.flatnonzero(groups == group)
        counts[1:, places] = rng.multinomial(len(places), np.full(len(places), 1 / len(places)), size=RESAMPLES)
    return counts


def _interval(name: str, values: np.ndarray) -> dict[str, float]:
    low, high = np.nanpercentile(values[1:], [2.5, 97.5]) if np.isfinite(values[1:]).any() else (np.nan, np.nan)
    return {name: float(values[0]), f"{name} low": float(low), f"{name} high": float(high)}


def _row(values: np.ndarray, count: int) -> dict[str, float]:
    interval = _interval("value", values)
    return {"value": interval["value"], "low": interval["value low"], "high": interval["value high"], "of": count}


def format_truth(truth: Truth) -> str:
    """Both tables for a terminal."""
    heads = f"{'precision':>10s}{'recall':>8s}  {'F1':20s}{'look-alikes':>12s}{'normal':>8s}"
    lines = [f"{'drawn':22s}{'observation':28s}{heads}"]
    for finding, row in truth.findings.iterrows():
        score = f"{row.F1:.2f} [{row['F1 low']:.2f}, {row['F1 high']:.2f}]"
        shares = f"{row['on look-alikes']:12.2f}{row['on normal']:8.2f}"
        lines.append(f"{finding:22s}{row.observation:28s}{row.precision:10.2f}{row.recall:8.2f}  {score:20s}{shares}")
    lines.append("")
    for measure, row in truth.summary.iterrows():
        lines.append(f"{measure:42s}{row.value:.3f} [{row.low:.3f}, {row.high:.3f}]  of {int(row.of)} chests")
    lines.append("[low, high]: 95%, bootstrap over chests. look-alikes, normal: share of those whose report says it.")
    lines.append("Labels by rules. Simulated radiographs; not for clinical use.")
    return "\n".join(lines)
