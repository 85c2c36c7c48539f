"""Tables of ``counterfactual.run_pairs``: sensitivity and selectivity with intervals, and where a flip is lost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from r2gen_lib.errors import DataError
from r2gen_lib.evaluation.counterfactual.pairs import BESIDE, CONTROL, NORMAL, OWN
from r2gen_lib.evaluation.counterfactual.run import Counterfactuals
from r2gen_lib.files import atomic_write

#: Rows of the table, and the kinds of pairs that they count.
CHANGES = {"put in": (NORMAL, BESIDE), "taken out": (OWN,), "another exposure": (CONTROL,)}
#: Specificity of the thresholds of ``stages``: the share of the pictures without the finding that stays below them.
SPECIFICITY = 0.95


def share(hits: int, count: int, confidence: float = 0.95) -> tuple[float, float, float]:
    """A share with its Wilson interval (scipy's ``binomtest``): value, low, high; NaN of none."""
    if count == 0:
        return (float("nan"),) * 3
    interval = stats.binomtest(hits, count).proportion_ci(confidence, method="wilson")
    return hits / count, float(interval.low), float(interval.high)


def counterfactual_table(result: Counterfactuals) -> pd.DataFrame:
    """A row a finding and change (``CHANGES``).

    Columns: observation; pairs; flipped (from not present to present), sensitivity with low and high; undone (the
    other way round); unchanged (no other observation changed), specificity with low and high (the column's name for
    *selectivity*, see ``run``); log-odds change (mean, in nats) with low and high (95% by Student's t), and upwards
    (share of pairs). For "another exposure" the column sensitivity is the rate of flips with no finding changed.
    """
    rows = []
    for finding in dict.fromkeys(result.rows.finding):
        for change, kinds in CHANGES.items():
            some = result.rows[(result.rows.finding == finding) & result.rows.kind.isin(kinds)]
            if len(some):
                rows.append({"finding": finding, "change": change, **_row(some)})
    return pd.DataFrame(rows).set_index(["finding", "change"])


def _row(some: pd.DataFrame) -> dict:
    before, after = some["says without"], some["says with"]
    flipped, unchanged = int((~before & after).sum()), int((some["others changed"] == "").sum())
    change = (some["log-odds with"] - some["log-odds without"]).to_numpy()
    row = {"observation": some.observation.iloc[0], "pairs": len(some), "flipped": flipped}
    row |= dict(zip(("sensitivity", "sensitivity low", "sensitivity high"), share(flipped, len(some)), strict=True))
    row |= {"undone": int((before & ~after).sum()), "unchanged": unchanged}
    row |= dict(zip(("specificity", "specificity low", "specificity high"), share(unchanged, len(some)), strict=True))
    low, high = mean_interval(change)
    row |= {"log-odds change": change.mean(), "log-odds change low": low, "log-odds change high": high}
    return row | {"upwards": float((change > 0).mean())}


def mean_interval(values: Sequence[float]) -> tuple[float, float]:
    """95% interval of a mean by Student's t; NaN for fewer than two values."""
    if len(values) < 2:
        return float("nan"), float("nan")
    if np.ptp(values) == 0:
        return float(values[0]), float(values[0])
    interval = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    return float(interval.low), float(interval.high)


def stages(result: Counterfactuals) -> pd.DataFrame:
    """Where a flip is lost, over the pairs in which a finding was put in: a row a finding.

    Three stages see the same picture with the finding: the encoder's *finding head*, the *likelihood* of the finding's
    sentence, and the *report*. The first two have seen it where they are above a threshold whose specificity is
    ``SPECIFICITY`` (on base chests and their other exposures); the report, where it flipped.

    Columns: pairs; without it (pictures the thresholds are from); finding head, likelihood and report, each a share
    with low and high; and how many pairs were lost in encoder, lost in mapper and LLM (the head saw it, the sentence is
    no likelier than without), lost in decoding (the sentence is likelier, the report does not say it).
    """
    rows = []
    for finding in dict.fromkeys(result.rows.finding):
        own = result.rows[result.rows.finding == finding]
        put = own[own.kind.isin(CHANGES["put in"])]
        if len(put):
            rows.append({"finding": finding, **_stage_row(put, own)})
    return pd.DataFrame(rows).set_index("finding")


def _stage_row(put: pd.DataFrame, own: pd.DataFrame) -> dict:
    control = own[own.kind == CONTROL]
    base = put.drop_duplicates(["patient", "kind"])
    row: dict = {"pairs": len(put), "without it": len(base) + len(control)}
    seen = {}
    for stage, name in (("finding head", "head"), ("likelihood", "log-odds")):
        plain = np.concatenate([base[f"{name} without"], control[f"{name} with"]])
        known = not np.isnan(plain).any()
        seen[stage] = put[f"{name} with"].to_numpy() > np.quantile(plain, SPECIFICITY) if known else None
    seen["report"] = (put["says with"] & ~put["says without"]).to_numpy()
    for stage, flags in seen.items():
        values = share(int(flags.sum()), len(put)) if flags is not None else (float("nan"),) * 3
        row |= dict(zip((stage, f"{stage} low", f"{stage} high"), values, strict=True))
    missed = ~seen["report"]
    head = seen["finding head"] if seen["finding head"] is not None else np.ones(len(put), bool)
    row["lost in encoder"] = int((missed & ~head).sum()) if seen["finding head"] is not None else float("nan")
    row["lost in mapper and LLM"] = int((missed & head & ~seen["likelihood"]).sum())
    row["lost in decoding"] = int((missed & head & seen["likelihood"]).sum())
    return row


def format_table(table: pd.DataFrame) -> str:
    """The table of ``counterfactual_table`` for a terminal."""
    lines = [f"{'finding':20s}{'change':18s}{'pairs':>6s}  {'flips':22s}{'nothing else changes':22s}log-odds, nats"]
    for (finding, change), row in table.iterrows():
        cells = [_cell(row, "sensitivity"), _cell(row, "specificity"), _cell(row, "log-odds change", sign=True)]
        lines.append(f"{finding:20s}{change:18s}{row.pairs:6d}  {cells[0]:22s}{cells[1]:22s}{cells[2]}")
    lines.append("[low, high]: 95%, Wilson's over pairs; log-odds Student's. Labels by rules. Simulated radiographs.")
    lines.append("flips: sensitivity; with another exposure, where no finding changes, false flips.")
    lines.append("nothing else changes: selectivity (column specificity in files); not a true-negative rate.")
    return "\n".join(lines)


def format_stages(table: pd.DataFrame) -> str:
    """The table of ``stages`` for a terminal."""
    heads = "".join(f"{stage:22s}" for stage in ("finding head", "likelihood", "report"))
    lines = [f"{'put in':20s}{'pairs':>6s}  {heads}lost in"]
    for finding, row in table.iterrows():
        cells = "".join(f"{_cell(row, stage):22s}" for stage in ("finding head", "likelihood", "report"))
        lost = [row[f"lost in {where}"] for where in ("encoder", "mapper and LLM", "decoding")]
        counts = " / ".join("?" if np.isnan(n) else str(int(n)) for n in lost)
        lines.append(f"{finding:20s}{int(row.pairs):6d}  {cells}{counts}")
    lines.append(f"finding head, likelihood: above {SPECIFICITY:.0%} of pictures without it. report: the label flips.")
    lines.append("lost in: encoder / mapper and LLM / decoding.")
    return "\n".join(lines)


def _cell(row: pd.Series, name: str, sign: bool = False) -> str:
    form = "{:+.2f} [{:+.2f}, {:+.2f}]" if sign else "{:.2f} [{:.2f}, {:.2f}]"
    return form.format(row[name], row[f"{name} low"], row[f"{name} high"]).replace("+nan", "nan")


def save(result: Counterfactuals, folder: Path, note: str = "") -> None:
    """Write ``counterfactual.csv``, ``stages.csv``, ``pairs.csv`` (both reports, changed words in **bold**) and the
    figures ``counterfactual.png`` and ``pairs.png`` into ``folder``.

    Raises:
        DataError: there are no pairs.
    """
    from r2gen_lib.evaluation.counterfactual.figures import pair_gallery, rate_figure, telling_pairs
    from r2gen_lib.plots.lessons import changed_words

    if not len(result.rows):
        raise DataError(f"{folder}: found no pairs to save, expected one or more. Make some with make_pairs.")
    pairs = result.rows.copy()
    marked = [changed_words(*texts) for texts in zip(pairs["report without"], pairs["report with"], strict=True)]
    pairs["marked without"], pairs["marked with"] = zip(*marked, strict=True)
    table = counterfactual_table(result)
    for name, frame in (("counterfactual", table), ("stages", stages(result)), ("pairs", pairs)):
        with atomic_write(folder / f"{name}.csv") as temporary:
            frame.assign(**({"note": note} if note else {})).to_csv(temporary, index=name != "pairs")
    figures = {"counterfactual": rate_figure(table, note), "pairs": pair_gallery(result, telling_pairs(result))}
    for name, figure in figures.items():
        with atomic_write(folder / f"{name}.png") as temporary:
            figure.savefig(temporary, dpi=110)
