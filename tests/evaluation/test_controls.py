from __future__ import annotations

import numpy as np
import pytest
from pycocoevalcap.bleu.bleu import Bleu

from r2gen_lib.data.readers.openi import load_openi_reports
from r2gen_lib.data.study import by_split
from r2gen_lib.errors import DataError
from r2gen_lib.evaluation import constant_report as constant_reports
from r2gen_lib.evaluation.constant_report import report_words
from r2gen_lib.evaluation.controls import (
    best_constant_reports,
    constant_report,
    distinct_ratio,
    score_systems,
    shuffled,
)
from r2gen_lib.metrics.bootstrap import mean_score
from r2gen_lib.metrics.nlg import METRICS


@pytest.fixture(scope="module")
def studies():
    return load_openi_reports()


def reports(studies, split: str, limit: int | None = None) -> dict[str, str]:
    return {study.id: study.report for study in by_split(studies, split)[:limit]}


def test_the_constant_report_is_the_best_of_all_by_pycocoevalcaps_bleu(studies):
    """Counting once must choose as trying every report would."""
    train = list(reports(studies, "train", 80).values())
    truth = {n: [" ".join(report_words(report))] for n, report in enumerate(train)}
    scores = {}
    for report in set(train):
        guess = {n: [" ".join(report_words(report))] for n in truth}
        scores[report] = Bleu(4).compute_score(truth, guess, verbose=0)[0][3]
    assert scores[constant_report(train)] == max(scores.values())


def test_the_constant_report_comes_from_training_reports_alone(studies, monkeypatch):
    """Each report is counted once as an answer and once as a reference, not once a pair (2,069 x 2,069)."""
    train = list(reports(studies, "train").values())
    counted, count = [], constant_reports.ngrams
    monkeypatch.setattr(constant_reports, "ngrams", lambda words, n: counted.append(n) or count(words, n))
    constant = constant_report(train)
    assert len(train) > 2000 and len(counted) <= 2 * 4 * len(train)  # of four lengths each
    assert constant in train
    assert constant == constant_report(reversed(train))  # the order does not matter
    assert "lungs are clear" in constant.lower()


def test_the_constant_report_of_odd_input():
    assert constant_report(["", "Clear.", "..."]) == "Clear."  # no four words anywhere: still an answer
    assert constant_report(iter(["The lungs are clear."])) == "The lungs are clear."
    for nothing in ([], ["", " . "]):
        with pytest.raises(DataError, match="no training report with a word"):
            constant_report(nothing)


@pytest.mark.parametrize("count", [2, 3, 10, 590])
def test_shuffling_gives_everyone_another_and_uses_each_once(count):
    ids = [f"CXR{n}" for n in range(count)]
    for seed in range(5):
        partner = shuffled(ids, seed)
        assert list(partner) == ids and sorted(partner.values()) == sorted(ids)
        assert all(i != other for i, other in partner.items())
        assert partner == shuffled(iter(ids), seed)
    if count > 3:
        assert shuffled(ids, 0) != shuffled(ids, 1)


def test_one_study_cannot_be_shuffled():
    for ids in ([], ["a"], ["a", "a"]):
        with pytest.raises(DataError, match="expected two or more, all different"):
            shuffled(ids)


def test_distinct_ratio():
    assert distinct_ratio(["a", "a ", "b", "c"]) == 0.75
    assert distinct_ratio({"x": "a", "y": "a"}.values()) == 0.5
    with pytest.raises(DataError, match="no report"):
        distinct_ratio([])


def test_the_table_puts_controls_beneath_the_model(studies, shared_meteor):
    train = list(reports(studies, "train").values())
    references = reports(studies, "val", 60)
    hypotheses = {i: text.split(". ")[0] + "." for i, text in references.items()}
    wrong = {i: hypotheses[other] for i, other in shuffled(references).items()}
    systems = {"model": hypotheses, "shuffled pictures": wrong}
    scored = score_systems(references, systems, train, search_constants=False)
    table = scored.frame()
    assert list(table.index) == ["model", "constant report", "shuffled pictures"] and table.attrs == {}
    assert scored.constants["Bleu_4"] == constant_report(train)
    assert table.loc["constant report", "distinct reports"] == pytest.approx(1 / 60)
    assert table.loc["model", "distinct reports"] == table.loc["shuffled pictures", "distinct reports"]
    assert (table.loc["model", list(METRICS[4:])] > table.loc["shuffled pictures", list(METRICS[4:])]).all()
    assert table["empty reports"].tolist() == [0, 0, 0]
    # the surprise of notebook 01: one constant report is hard to beat
    assert table.loc["constant report", "Bleu_4"] > 0.1


def test_the_table_counts_empty_reports(shared_meteor):
    references = {"a": "The heart is large.", "b": "The lungs are clear.", "c": "There is an effusion."}
    systems = {"model": {**references, "c": ""}, "shuffled pictures": {"a": "", "b": "", "c": "Clear lungs."}}
    table = score_systems(references, systems, ["The heart is normal."], search_constants=False).frame()
    assert table["empty reports"].tolist() == [1, 0, 2]
    assert table.loc["model", "Bleu_1"] > table.loc["constant report", "Bleu_1"]


def test_differing_ids_are_refused_before_anything_runs():
    references = {"a": "x", "b": "y"}
    for systems in ({"model": {"a": "x"}}, {"model": references, "shuffled pictures": {"a": "x"}}):
        with pytest.raises(DataError, match=r"1 have no hypothesis \(b\)"):
            score_systems(references, systems, ["x"])


def test_each_scores_constant_report_is_the_best_of_those_tried(studies, scorer):
    """Against scoring every candidate by itself, as a user would; CIDEr's document frequencies included."""
    train = list(reports(studies, "train", 8).values())
    found = best_constant_reports(train, scorer.study_scores)
    assert set(found) == set(METRICS)
    truth = {str(n): report for n, report in enumerate(train)}
    by_hand = {text: scorer.score(truth, dict.fromkeys(truth, text)) for text in set(train)}
    for name in ("METEOR", "ROUGE_L", "CIDEr"):
        assert by_hand[found[name]][name] == pytest.approx(max(scores[name] for scores in by_hand.values())), name
    assert found["Bleu_4"] == constant_report(train)


def test_systems_are_marked_where_they_are_not_above_a_control(studies, shared_meteor):
    references = reports(studies, "val", 12)
    train = list(reports(studies, "train", 12).values())
    guess = dict(zip(references, [*list(references.values())[1:], train[0]], strict=True))
    length = lambda truth, guess: [mean_score("words", [len(guess[i].split()) for i in truth])]  # noqa: E731
    systems = {"model": guess, "shuffled pictures": references, "oracle": references}
    scored = score_systems(references, systems, train, search_constants=False, further=[length])
    table = scored.frame()
    assert list(table.index) == ["model", "constant report", "shuffled pictures", "oracle"]
    assert list(table.columns[:10]) == [*METRICS, "words", "distinct reports", "empty reports"]
    assert table.loc["model", "words"] == pytest.approx(np.mean([len(text.split()) for text in guess.values()]))
    assert scored.constants == dict.fromkeys([*METRICS, "words"], constant_report(train))
    for name in METRICS:
        assert table.loc["model", f"{name} low"] <= table.loc["model", name] <= table.loc["model", f"{name} high"]
        assert "shuffled pictures" in table.loc["model", f"{name} not above"]
        assert "oracle" not in table.loc["model", f"{name} not above"]  # a ceiling is no floor
    best = score_systems(references, {**systems, "model": references, "shuffled pictures": guess}, train)
    assert [best.not_above[name] for name in METRICS] == [()] * len(METRICS)
    assert set(best.constants) == set(best.names) and set(best.constants.values()) <= set(train)
