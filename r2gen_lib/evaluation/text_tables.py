"""A table of words as lines of text, or of Markdown."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd


def table_lines(heads: Sequence[str], rows: Sequence[Sequence[str]], texts: int, markdown: bool) -> list[str]:
    """The lines of a table.

    Args:
        heads: of the columns.
        rows: cells, in words.
        texts: how many columns, from the left, hold text; Markdown sets the others, numbers, to the right.
        markdown: else plain text, all columns to the right.
    """
    if not markdown:
        return [pd.DataFrame(rows, columns=list(heads)).to_string(index=False)]
    marks = ["---"] * texts + ["---:"] * (len(heads) - texts)
    return ["| " + " | ".join(line) + " |" for line in [heads, marks, *rows]]
