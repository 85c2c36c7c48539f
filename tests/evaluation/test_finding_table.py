"""F1 by observation beside what it can reach, and the habits of reports."""

from __future__ import annotations

import pytest

from r2gen_lib.data.study import Study
from r2gen_lib.errors import DataError
from r2gen_lib.evaluation.finding_table import finding_table, macro_means
from r2gen_lib.evaluation.habits import habits
from r2gen_lib.findings.finding import Finding

REFERENCES = {
    "a": "There is a left pleural effusion.",
    "b": "Possible small right pleural effusion.",
    "c": "The heart is enlarged. No pleural effusion.",
    "d": "The heart is normal in size. The lungs are clear.",
}


def test_uncertain_stands_apart_and_a_class_without_a_case_is_shown():
    table = finding_table(REFERENCES, REFERENCES)
    assert table.loc["Pleural Effusion", ["present", "uncertain", "said"]].tolist() == [1, 1, 2]
    assert table.loc["Pleural Effusion", "F1"] == 1 and table.loc["Pneumothorax", "F1"] == 0
    means = macro_means(table, least=2)
    assert list(means.index) == ["all 14", "with a case", "with 2 cases or more"]
    cases = int((table.present + table.uncertain > 0).sum())
    assert means.loc["all 14", "macro F1"] == means.loc["all 14", "reachable"] == pytest.approx(cases / 14)
    assert means.loc["with a case", ["classes", "macro F1", "reachable"]].tolist() == [cases, 1, 1]
    assert means.loc["with 2 cases or more", "classes"] == 1
    assert "Cardiomegaly" in means.loc["with 2 cases or more", "left out"]
    assert macro_means(table, least=9).loc["with 9 cases or more"].isna()["macro F1"]


def test_habits():
    finding = Finding("Pleural Effusion", "left")
    studies = [Study(i, "test", "x", findings=(finding,)) for i in "abc"]
    same = "There is a right pleural effusion."
    mixed = {"a": "There is a left pleural effusion. There is no pleural effusion.", "b": same, "c": "Clear  lungs."}
    table = habits(studies, {"model": mixed, "one": dict.fromkeys("abc", same), "none": dict.fromkeys("abc", "Clear.")})
    assert table.loc["model", ["reports", "different", "commonest", "contradict", "sides"]].tolist() == [3, 3, 1, 1, 2]
    assert table.loc["model", "right side"] == 0.5 and table.loc["model", "low"] < 0.5 < table.loc["model", "high"]
    assert table.loc["one", ["different", "commonest", "contradict", "right side"]].tolist() == [1, 3, 0, 0]
    assert table.loc["none", "sides"] == 0 and table.loc["none"].isna()["right side"]
    with pytest.raises(DataError, match=r"habits, few: found no report of b \(2 missing\)"):
        habits(studies, {"few": {"a": same}})
    with pytest.raises(DataError, match="found no study"):
        habits([], {})
