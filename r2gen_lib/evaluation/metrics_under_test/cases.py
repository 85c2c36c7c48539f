"""Cases that a metric is tried on: a reference, a candidate that is right and one that is wrong.

``cases.csv`` beside this file holds 40, written for this purpose; no report is a benchmark's or a radiologist's. Both
candidates change words of the reference. The better one does no harm; the worse one says something false, or leaves out
what matters. About half of the cases are *near*: the better candidate has at least as many words in common with the
reference. In the others, *far*, the worse one has more, which counting words rewards.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from r2gen_lib.data.readers.csv_table import Row, read_table
from r2gen_lib.errors import DataError

CASES = Path(__file__).with_name("cases.csv")
COLUMNS = ("kind", "reference", "better", "worse")

#: Kind -> what is wrong with its worse candidates. A file of one's own may have further kinds.
KINDS = {
    "negation flipped": "affirms what the reference denies, or denies what it affirms",
    "side flipped": "left for right",
    "severity changed": "another degree or size",
    "paraphrase": "another finding in the reference's words; the better one says the same in other words",
    "omission": "leaves out the serious finding; the better one leaves out the benign one",
    "template": "a normal report, for a reference with a finding; the better one names the finding and is shorter",
    "comparison invented": "speaks of an earlier picture, which the reference does not",
}
#: Columns of the table beside the kinds, which no kind may be called.
BESIDE = NEAR, FAR, ALL, LOW, HIGH, TIES = "near", "far", "all", "low", "high", "ties"


@dataclass(frozen=True)
class Case:
    """One question to a metric: is ``better`` scored strictly higher than ``worse``?

    Attributes:
        kind: what is wrong with ``worse``; one of ``KINDS`` or a kind of your own.
        reference, better, worse: reports, never empty.
    """

    kind: str
    reference: str
    better: str
    worse: str

    @property
    def near(self) -> bool:
        """Whether the better candidate has at least as many words in common with the reference (F1 of single words)."""
        return _overlap(self.reference, self.better) >= _overlap(self.reference, self.worse)


def _overlap(reference: str, text: str) -> float:
    expected, written = (Counter(re.findall(r"\w+", one.lower())) for one in (reference, text))
    return 2 * (expected & written).total() / (expected.total() + written.total())


def read_cases(path: Path = CASES) -> list[Case]:
    """The cases of a CSV file with the columns ``COLUMNS``, a row a case, in order; by default those of this project.

    Raises:
        DataError: it is no such file, a cell holds no word, both candidates are the same, or a kind is one of ``KINDS``
            misspelt or one of ``BESIDE``. The message names the line.
    """
    return [_case(row, f"{path}, line {row.line}") for row in read_table(path, COLUMNS)]


def _case(row: Row, where: str) -> Case:
    case = Case(*(" ".join(row[name].split()) for name in COLUMNS))
    for name in COLUMNS:
        if not any(character.isalnum() for character in getattr(case, name)):
            raise DataError(f"{where}, {name}: found no word, expected text. Fill it in, or delete the row.")
    if case.better == case.worse:
        raise DataError(f"{where}: better and worse are the same text, expected two. No metric can pass it.")
    if case.kind in BESIDE:
        raise DataError(f"{where}, kind: found {case.kind!r}, a column of the table. Choose another name.")
    if case.kind not in KINDS and (near := difflib.get_close_matches(case.kind, KINDS, n=1, cutoff=0.8)):
        raise DataError(
            f"{where}, kind: found {case.kind!r}, expected {near[0]!r}, or a name of your own that is less like it."
        )
    return case
