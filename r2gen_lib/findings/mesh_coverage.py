"""Which of a collection's MeSH codes are drawn, and why the others are not: ``r2gen simulate --coverage``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from r2gen_lib.findings.mesh_codes import heading_of, rule_of
from r2gen_lib.findings.mesh_rules import RULES, Rule

if TYPE_CHECKING:
    import pandas as pd

UNKNOWN = Rule(reason="unknown: not a heading of Open-i")


def coverage_table(codes_by_report: Mapping[str, Iterable[str]]) -> pd.DataFrame:
    """One row a heading and rule that the reports use, commonest heading first.

    Args:
        codes_by_report: report id -> its MeSH codes.

    Returns:
        ``code``: the heading, and after a slash the modifiers that select the rule ("..." for all others); ``count``:
        how often it occurs; ``drawn as``: the findings, with the zone that the rule sets; ``visible``: whether a
        radiograph of our field of view could show it; ``reason``: why it is not drawn.
    """
    import pandas as pd

    used = Counter((heading_of(code), rule_of(code)) for codes in codes_by_report.values() for code in codes)
    headings = Counter()
    for (heading, _), count in used.items():
        headings[heading] += count
    rows = []
    for heading, _ in headings.most_common():
        rules = [rule for rule in RULES.get(heading, (None,)) if (heading, rule) in used]
        rows += [_row(heading, rule or UNKNOWN, len(rules) > 1, used[heading, rule]) for rule in rules]
    return pd.DataFrame(rows, columns=["code", "count", "drawn as", "visible", "reason"])


def _row(heading: str, rule: Rule, one_of_many: bool, count: int) -> tuple:
    modifiers = "|".join(rule.words) or ("..." if one_of_many else "")
    zone = f" ({rule.zone})" if rule.zone else ""
    return "/".join(filter(None, (heading, modifiers))), count, " + ".join(rule.draws) + zone, rule.visible, rule.reason


def drawn_share(table: pd.DataFrame) -> tuple[int, int]:
    """How many occurrences are drawn, and how many a radiograph could show: their ratio is the coverage."""
    visible = table[table["visible"].astype(bool)]
    return int(visible.loc[visible["drawn as"] != "", "count"].sum()), int(visible["count"].sum())


def coverage_text(table: pd.DataFrame, reports: int) -> str:
    """The table in aligned columns; its last line is the coverage."""
    cells = [["code", "count", "drawn as, or why not"]]
    for row in table.itertuples(index=False):
        why = row.reason if row.visible else f"not visible: {row.reason}"
        cells.append([row.code, str(row.count), row[2] or f"- {why}"])
    first, second = (max(len(row[column]) for row in cells) for column in (0, 1))
    lines = [f"{code:{first}}  {count:>{second}}  {drawn}" for code, count, drawn in cells]
    drawn, visible = drawn_share(table)
    every = int(table["count"].sum())
    lines.append(f"\n{reports:,} reports, {every:,} codes; {every - visible:,} show nothing in our field of view")
    lines.append(f"drawn: {drawn:,} of {visible:,} visible occurrences = {100 * drawn / max(visible, 1):.1f}%")
    return "\n".join(lines)
