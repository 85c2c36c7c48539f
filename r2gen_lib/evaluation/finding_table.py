"""F1 of each observation beside what limits it: how often it is there, and how high a mean over them can get.

A macro F1 is a mean over classes. A class that no reference has counts 0 for every system, the radiologists' own
reports included; a class of two cases moves as much as one of two hundred. So the mean stands here three times, each
beside the score of the references against themselves.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from r2gen_lib.findings.report_labeler import State, label_reports
from r2gen_lib.findings.report_phrases import OBSERVATIONS
from r2gen_lib.metrics.chexpert_f1 import scores_of_labels
from r2gen_lib.metrics.nlg import check_pairs

#: Cases that an observation needs before its F1 says much: with fewer, one report moves it by a fifth and more.
LEAST = 5


def finding_table(generated: Mapping[str, str], references: Mapping[str, str]) -> pd.DataFrame:
    """A row an observation of CheXpert's 14, in their order.

    Args:
        generated, references: study id -> report, of the same studies.

    Returns:
        Columns: present, uncertain (in how many references), said (in how many generated reports, present or
        uncertain), precision, recall, F1 ("uncertain" counts as present on both sides, as in ``clinical_scores``).

    Raises:
        DataError: the ids differ, there are none, or a report is not text.
    """
    check_pairs(references, generated)
    truth, written = label_reports(references.values()), label_reports(generated[i] for i in references)
    said = written >= State.UNCERTAIN
    scores = scores_of_labels(said, truth >= State.UNCERTAIN).droplevel([0, 1, 2]).loc[list(OBSERVATIONS)]
    counts = {"present": truth == State.PRESENT, "uncertain": truth == State.UNCERTAIN, "said": said}
    table = pd.DataFrame({name: flags.sum(axis=0) for name, flags in counts.items()}, index=list(OBSERVATIONS))
    return table.join(scores[["precision", "recall", "F1"]]).rename_axis("observation")


def macro_means(table: pd.DataFrame, least: int = LEAST) -> pd.DataFrame:
    """The mean F1 of a ``finding_table``, over three choices of classes.

    Args:
        table: of ``finding_table``.
        least: cases, present and uncertain together, that a class of the last row has.

    Returns:
        A row a choice: all classes, those with a case, those with ``least`` cases or more. Columns: classes (how
        many), macro F1, reachable (what the references score against themselves), left out (names, joined by commas).
    """
    cases = table.present + table.uncertain
    chosen = {f"all {len(table)}": cases >= 0, "with a case": cases > 0, f"with {least} cases or more": cases >= least}
    rows = {
        name: {
            "classes": int(flags.sum()),
            "macro F1": float(table.F1[flags].mean()) if flags.any() else np.nan,
            "reachable": float((cases[flags] > 0).mean()) if flags.any() else np.nan,
            "left out": ", ".join(table.index[~flags]),
        }
        for name, flags in chosen.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("classes in the mean")
