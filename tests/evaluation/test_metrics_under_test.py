"""Metrics under test: the cases are what they claim, each metric is judged as told, and the page holds the table."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from r2gen_lib import cli, load_studies
from r2gen_lib.errors import DataError
from r2gen_lib.evaluation.metrics_under_test.cases import KINDS, Case, read_cases
from r2gen_lib.evaluation.metrics_under_test.measure import format_passed, passed_table, score_cases

DOCS = Path(__file__).parents[2] / "docs" / "evaluation.md"
HEADER = "kind,reference,better,worse\n"
RIGHT = "side flipped,An effusion on the left.,Left effusion.,An effusion on the right.\n"


def test_there_are_forty_cases_of_seven_kinds_and_near_and_far_ones_of_each():
    cases = read_cases()
    count = Counter(case.kind for case in cases)
    assert len(cases) == 40 and list(count) == list(KINDS) and set(count.values()) == {5, 6}
    assert len({case.reference for case in cases}) == 40
    assert all({case.near for case in cases if case.kind == kind} == {True, False} for kind in KINDS)
    assert sum(case.near for case in cases) == 17


def test_no_report_of_a_case_and_no_sentence_but_stock_ones_is_a_radiologists():
    def plain(text):
        return " ".join(re.findall(r"\w+", text.lower()))

    reports = {plain(study.report) for study in load_studies("openi_sim")}
    sentences = {plain(one) for study in load_studies("openi_sim") for one in re.split(r"(?<=[.?!])\s", study.report)}
    for case in read_cases():
        for text in (case.reference, case.better, case.worse):
            assert plain(text) not in reports or len(text.split()) < 4
            longer = [one for one in re.split(r"(?<=[.?!])\s", text) if len(plain(one).split()) > 6]
            assert not sentences & set(map(plain, longer))


def test_each_metric_is_judged_on_each_case_and_a_tie_fails(shared_meteor):
    cases = [
        Case("side flipped", "Effusion on the left.", "Effusion on the left.", "Effusion on the right."),
        Case("own kind", "Nodule, no edema.", "Edema, no nodule.", "No nodule, edema."),  # the same words
    ]
    scores = score_cases(cases)
    table = passed_table(scores)
    assert table.loc["cases", ["side flipped", "own kind", "near", "far", "all"]].tolist() == [1, 1, 2, 0, 2]
    assert table.loc["Bleu_1", ["side flipped", "own kind", "all", "ties"]].tolist() == [1, 0, 1, 1]
    clinical = "clinical micro F1 (rules, 14, uncertain positive)"
    assert table.loc[clinical, ["side flipped", "all", "ties"]].tolist() == [0, 0, 2]  # labels know no side
    assert table.loc["Bleu_1", "low"] == pytest.approx(0.0945, abs=1e-3)  # Wilson's of 1 of 2
    assert table.loc["Bleu_1", "high"] == pytest.approx(0.9055, abs=1e-3)
    assert "BLEU-1" in format_passed(scores) and format_passed(scores, markdown=True).startswith("|")


def test_scores_of_a_case_are_those_of_a_corpus_of_one_report(shared_meteor, scorer):
    case = read_cases()[0]
    scores = score_cases([case, *read_cases()[1:3]]).query("case == 0").set_index("metric").better
    alone = scorer.score({"a": case.reference}, {"a": case.better})
    for name in ("Bleu_1", "Bleu_2", "METEOR", "ROUGE_L"):
        assert scores[name] == pytest.approx(alone[name]), name
    assert scores["CIDEr"] > alone["CIDEr"] == 0  # of one reference it can tell no rare word


def test_the_page_holds_what_the_command_prints(shared_meteor, capsys):
    assert cli.main(["metrics-under-test", "--markdown"]) == 0
    told = DOCS.read_text(encoding="utf-8")
    assert capsys.readouterr().out in told
    assert all(f"| {kind} | {words} |" in told for kind, words in KINDS.items())


def test_a_researchers_own_cases_are_added_and_every_score_is_kept(shared_meteor, tmp_path, capsys):
    mine, out = tmp_path / "mine.csv", tmp_path / "scores.csv"
    mine.write_text(HEADER + RIGHT + "unit changed,A nodule of 5 mm.,Nodule (5 mm).,A nodule of 5 cm.\n")
    assert cli.main(["metrics-under-test", "--cases", str(mine), "--out", str(out)]) == 0
    assert "unit changed" in capsys.readouterr().out
    scores = pd.read_csv(out)
    assert scores.case.nunique() == 42 and scores.kind.iloc[41] == "unit changed"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kind,reference,better\nx,a,b\n", "worse"),
        (HEADER + RIGHT + "template,The heart.,,Clear.\n", "line 3, better: found no word"),
        (HEADER + "template,The heart., - .,Clear.\n", "line 2, better: found no word"),
        (HEADER + "template,The heart.,Clear.,Clear.\n", "line 2: better and worse are the same text"),
        (HEADER + RIGHT.replace("flipped", "fliped"), "line 2, kind: found 'side fliped', expected 'side flipped'"),
        (HEADER + RIGHT.replace("side flipped", "near"), "line 2, kind: found 'near', a column of the table"),
        (HEADER, "row"),
    ],
)
def test_a_bad_file_is_one_clear_error(tmp_path, capsys, text, words):
    path = tmp_path / "cases.csv"
    path.write_text(text)
    assert cli.main(["metrics-under-test", "--cases", str(path)]) == 2
    error = capsys.readouterr().err
    assert words in error and str(path) in error and error.count("\n") == 1


def test_no_case_is_an_error():
    with pytest.raises(DataError, match="found no case"):
        score_cases([])
