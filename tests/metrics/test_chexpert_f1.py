from __future__ import annotations

import sys
import types

import numpy as np
import pandas as pd
import pytest

from r2gen_lib import cli
from r2gen_lib.errors import AssetError, DataError
from r2gen_lib.metrics.chexpert_f1 import (
    clinical_scores,
    clinical_study_scores,
    f1_of_counts,
    label_table,
    paired_labels,
    scores_of_labels,
    study_counts,
)
from r2gen_lib.metrics.trained_labelers import radeval_each, radeval_scores

REFERENCES = {
    "a": "Cardiomegaly. Small effusion.",
    "b": "No effusion. Possible atelectasis.",
    "c": "Pulmonary edema.",
    "d": "The lungs are clear.",
}
GENERATED = {
    "d": "The lungs are clear. No effusion.",
    "c": "Pulmonary edema. Small effusion.",
    "b": "Atelectasis.",
    "a": "Cardiomegaly.",
}


def f1(table: pd.DataFrame, score: str) -> float:
    return table["F1"].droplevel([0, 1, 2])[score]


def test_scores_by_hand():
    table = clinical_scores(GENERATED, REFERENCES, classes=5)
    # right: cardiomegaly (a), atelectasis (b), edema (c); missed: effusion (a); invented: effusion (c)
    assert f1(table, "micro") == pytest.approx(2 * 3 / (2 * 3 + 1 + 1))
    assert f1(table, "Cardiomegaly") == f1(table, "Edema") == f1(table, "Atelectasis") == 1
    assert f1(table, "Pleural Effusion") == f1(table, "Consolidation") == 0
    assert f1(table, "macro") == pytest.approx(3 / 5)
    assert f1(table, "per study") == pytest.approx((2 / 3 + 1 + 2 / 3) / 3)  # d says nothing of the five
    counts = table["count"].droplevel([0, 1, 2])
    assert (counts["Pleural Effusion"], counts["micro"], counts["macro"], counts["per study"]) == (1, 4, 5, 3)


def test_the_policy_changes_what_uncertain_counts_as():
    micro = {policy: f1(clinical_scores(GENERATED, REFERENCES, policy, 5), "micro") for policy in
             ("positive", "negative", "ignore")}  # fmt: skip
    assert micro == pytest.approx({"positive": 6 / 8, "negative": 4 / 7, "ignore": 4 / 6})


def test_the_table_names_labeller_classes_and_policy():
    index = clinical_scores(GENERATED, REFERENCES, "ignore", 14).index
    assert index.names == ["labels by", "classes", "uncertain as", "score"]
    assert index[0] == ("rules", 14, "ignore", "No Finding") and len(index) == 14 + 3


def test_the_same_reports_agree_wholly():
    table = clinical_scores(REFERENCES, REFERENCES)
    assert f1(table, "micro") == f1(table, "per study") == 1


@pytest.mark.parametrize(
    ("generated", "options", "message"),
    [
        ({"a": "x"}, {}, "different studies"),
        (GENERATED, {"uncertain": "maybe"}, "positive, negative, ignore"),
        (GENERATED, {"classes": 7}, "expected 14"),
        ({**GENERATED, "a": None}, {}, "NoneType"),
    ],
)
def test_wrong_use(generated, options, message):
    with pytest.raises(DataError, match=message):
        clinical_scores(generated, REFERENCES, **options)


def test_empty_generated_reports_score_nothing():
    table = clinical_scores(dict.fromkeys(REFERENCES, ""), REFERENCES)
    assert not table[["precision", "recall", "F1"]].to_numpy().any()


def test_counts_of_studies_give_the_scores_of_every_resample():
    rng = np.random.default_rng(0)
    written, truth = rng.random((2, 40, 14)) < 0.3
    counts = study_counts(written, truth)
    resamples = rng.integers(0, 40, (3, 40))
    micro, macro = f1_of_counts(counts[resamples].sum(axis=1))
    for n, studies in enumerate(resamples):
        table = scores_of_labels(written[studies], truth[studies])
        assert micro[n] == pytest.approx(f1(table, "micro"))
        assert macro[n] == pytest.approx(f1(table, "macro"))


def test_rows_of_paired_labels_follow_the_references():
    written, truth = paired_labels(GENERATED, REFERENCES, classes=5)
    assert written.tolist()[0] == [False, True, False, False, False]  # a: cardiomegaly alone
    assert truth.tolist()[0] == [False, True, False, False, True]


def test_scores_for_the_bootstrap_are_the_tables_and_name_the_policy():
    macro, micro = clinical_study_scores(REFERENCES, GENERATED)
    table = clinical_scores(GENERATED, REFERENCES)
    for kind, score in (("macro", macro), ("micro", micro)):
        assert score.name == f"clinical {kind} F1 (rules, 14, uncertain positive)"
        assert score.value() == pytest.approx(f1(table, kind))


def test_label_table_has_a_word_for_each_state():
    row = label_table({"x": "No effusion. Possible pneumonia. Edema."}).loc["x"]
    assert row[["Pleural Effusion", "Pneumonia", "Edema", "Fracture"]].tolist() == [
        "absent", "uncertain", "present", "not mentioned",
    ]  # fmt: skip


def test_without_radeval_there_is_an_error_and_no_other_score(monkeypatch):
    monkeypatch.setitem(sys.modules, "radeval", None)
    with pytest.raises(AssetError, match=r"f1chexbert.*radeval"):
        radeval_scores(GENERATED, REFERENCES, ("f1chexbert",))


def test_radeval_gets_the_reports_in_the_same_order(monkeypatch):
    class RadEval:
        def __init__(self, metrics):
            self.metrics = metrics

        def __call__(self, refs, hyps):
            assert refs == list(REFERENCES.values()) and hyps == [GENERATED[i] for i in REFERENCES]
            return dict.fromkeys(self.metrics, 0.5)

    monkeypatch.setitem(sys.modules, "radeval", types.SimpleNamespace(RadEval=RadEval))
    assert radeval_scores(GENERATED, REFERENCES) == {"f1chexbert": 0.5, "radgraph": 0.5}


def test_radeval_scores_each_report_by_itself(monkeypatch):
    class RadEval:
        def __init__(self, metrics):
            self.metrics = metrics

        def __call__(self, refs, hyps):
            (reference,), (written,) = refs, hyps
            return dict.fromkeys(self.metrics, float(len(written) > len(reference)))

    monkeypatch.setitem(sys.modules, "radeval", types.SimpleNamespace(RadEval=RadEval))
    longer = [float(len(GENERATED[i]) > len(text)) for i, text in REFERENCES.items()]
    each = radeval_each(GENERATED, REFERENCES)
    assert list(each) == ["f1chexbert", "radgraph"] and each["radgraph"].tolist() == longer


def test_the_command_prints_labels(capsys):
    assert cli.main(["labels", "Possible pneumonia.", "No effusion."]) == 0
    out = capsys.readouterr().out
    assert out.count("labels by rules") == 2
    assert any(line.split() == ["Pneumonia", "uncertain"] for line in out.splitlines())


@pytest.mark.parametrize("line", [["labels"], ["labels", "--quality", "text"]])
def test_the_command_wants_a_text_or_quality(line, capsys):
    assert cli.main(line) == 2
    assert "--quality" in capsys.readouterr().err
