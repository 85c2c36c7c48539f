"""The class board, of files that the library makes: what is ranked with what, what is marked, what is skipped."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pandas as pd
import pytest
from page_reading import Page, check_page
from tiny_system import tiny_model, tiny_studies

from r2gen_lib import cli
from r2gen_lib.data.study import by_split
from r2gen_lib.errors import DataError
from r2gen_lib.evaluation.class_board import class_board, differences, read_entry, read_folder, score_named
from r2gen_lib.evaluation.controls import BLANK, CONSTANT, MODEL, NEAREST, SHUFFLED, score_systems
from r2gen_lib.evaluation.evaluate import evaluate
from r2gen_lib.evaluation.score_table import scores_as_json
from r2gen_lib.metrics.registry import registered_scores

REFERENCES = {f"T{n}": text for n, text in enumerate(["The heart is large.", "The lungs are clear."] * 6)}
SETTINGS = {"section": "findings", "cleaning": "gentle", "studies": 12, "tokenizer": "ptb", "references cut to": None}
SETTINGS |= {"data": "openi_sim", "split": "test", "pictures": "simulated", "decoding used": {"min_new_tokens": 0}}
MACRO = "clinical macro F1 (rules, 14, uncertain positive)"


@pytest.fixture(scope="module")
def told(scorer) -> dict[str, dict]:
    """Two runs of the same protocol: one that is always right, one that always says the same."""

    def every_score(truth, guess):
        return [*scorer.study_scores(truth, guess), *registered_scores(truth, guess)]

    def run(texts: dict[str, str]) -> dict:
        same = dict.fromkeys(REFERENCES, "The lungs are clear.")
        systems = {MODEL: texts, SHUFFLED: same, BLANK: same}
        options = {"further": (every_score,), "language_metrics": False, "omitted": {NEAREST: "controls=quick"}}
        return scores_as_json(score_systems(REFERENCES, systems, list(REFERENCES.values()), **options), SETTINGS)

    return {"right": run(REFERENCES), "dull": run(dict.fromkeys(REFERENCES, "The lungs are clear."))}


def hand_in(folder: Path, **runs: dict) -> Path:
    """A class's folder: half as a file, half as a sub folder."""
    for number, (student, run) in enumerate(runs.items()):
        path = folder / f"{student}.json" if number % 2 else folder / student / "run" / "scores.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(run, default=float), encoding="utf-8")
    return folder


def changed(run: dict, **settings) -> dict:
    return {**copy.deepcopy(run), "settings": run["settings"] | settings}


def board_of(folder: Path) -> pd.DataFrame:
    entries, errors = read_folder(folder)
    assert not errors
    return class_board(entries)


def test_like_is_ranked_with_like_and_controls_stand_beside(tmp_path, told):
    board = board_of(hand_in(tmp_path, dora=told["dull"], rita=told["right"]))
    rows = board[board["score"] == MACRO].set_index("student")
    assert set(board["table"]) == {1} and list(rows.index) == ["rita", "dora"] and list(rows["rank"]) == ["1", "2"]
    assert rows.value["rita"] == told["right"]["systems"][MODEL][MACRO]["score"]
    assert rows[CONSTANT].nunique() == 1 and rows[NEAREST].isna().all()
    assert rows["without"]["rita"] == NEAREST and rows["not above"]["rita"] == ""
    assert CONSTANT in rows["not above"]["dora"] and BLANK in rows["not above"]["dora"]


def test_ranks_whose_intervals_overlap_are_ranges(tmp_path, told):
    near = copy.deepcopy(told["right"])
    for name, score in near["systems"][MODEL].items():
        if isinstance(score, dict):
            near["systems"][MODEL][name] = score | {"score": score["score"] - 0.01, "low": score["low"] - 0.02}
    board = board_of(hand_in(tmp_path, anna=near, dora=told["dull"], rita=told["right"]))
    rows = board[board["score"] == MACRO].set_index("student")
    assert rows["rank"].to_dict() == {"rita": "1 to 2", "anna": "1 to 2", "dora": "3"}


@pytest.mark.parametrize(
    "setting, value, words",
    [
        ("split", "val", "split: val, not test"),
        ("studies", 6, "studies: 6, not 12"),
        ("references cut to", 60, "references cut to: 60, not whole"),
        ("tokenizer", "none", "tokenizer: none, not ptb"),
        ("pictures", "the data's own", "pictures: the data's own, not simulated"),
        ("decoding used", {"min_new_tokens": 40}, "least length: 40, not 0"),
        ("split", None, "split: not told, not test"),
    ],
)
def test_another_protocol_is_another_table_and_says_in_what(tmp_path, told, setting, value, words):
    other = changed(told["right"], **{setting: value})
    board = board_of(hand_in(tmp_path, anna=told["right"], dora=told["dull"], otto=other))
    tables = board.groupby("student")["table"].first().to_dict()
    assert tables == {"anna": 1, "dora": 1, "otto": 2} and differences(board, 2) == [words]
    assert set(board[board["student"] == "otto"]["rank"]) == {"1"}


def test_other_references_are_noticed_by_their_constant_report(tmp_path, told):
    other = copy.deepcopy(told["right"])
    other["systems"][CONSTANT]["Bleu_4"] = {"score": 0.5, "low": 0.4, "high": 0.6}
    board = board_of(hand_in(tmp_path, anna=told["right"], dora=told["dull"], otto=other))
    assert differences(board, 2)[0].startswith("BLEU-4 of the constant report: 0.5000, not ")


def test_a_run_without_its_controls_is_marked_and_not_ranked(tmp_path, told, capsys):
    bare = copy.deepcopy(told["right"])
    bare["systems"] = {MODEL: bare["systems"][MODEL]}
    folder = hand_in(tmp_path, bea=bare, bob=bare, dora=told["dull"])
    board = board_of(folder)
    rows = board[board["student"] == "bea"]
    assert set(rows["table"]) == {2} and set(rows["rank"]) == {""} and rows["without"].str.contains(CONSTANT).all()
    assert cli.main(["board", str(folder)]) == 0
    printed = capsys.readouterr().out
    assert "differs from table 1: BLEU-4 of the constant report: not told" in printed
    line = next(line for line in printed.splitlines() if " bea " in line)
    assert line.split()[0] == "-" and "]!" in line


def test_wrong_files_are_named_and_the_others_shown(tmp_path, told, capsys):
    folder = hand_in(tmp_path / "class", anna=told["right"], dora=told["dull"])
    (folder / "empty").mkdir()
    (folder / "anna.json").write_text("{}")
    (folder / "text.json").write_text("{scores")
    (folder / "exercises.json").write_text(json.dumps({"student": "x", "results": []}))
    wrong = copy.deepcopy(told["right"])
    wrong["systems"][MODEL]["Bleu_4"]["high"] = float("nan")
    (folder / "nan.json").write_text(json.dumps(wrong, default=float))
    (folder / "notes.txt").write_text("not a run")
    page, table = tmp_path / "board.html", tmp_path / "board.csv"
    assert cli.main(["board", str(folder), "--html", str(page), "--csv", str(table)]) == 1
    out, err = capsys.readouterr()
    assert " anna " in out and " dora " in out and "2 runs, 5 errors" in out
    assert "empty: no scores.json" in err and "anna.json: there is a run of anna already" in err
    assert "text.json: cannot be read as JSON" in err and "exercises.json: not a scores.json" in err
    assert "nan.json" in err and "Bleu_4" in err and "notes.txt" not in err
    kept = pd.read_csv(table)
    assert set(kept["student"]) == {"anna", "dora"} and len(kept[kept["score"] == "CIDEr"]) == 2
    shown = Page(page)
    check_page(shown)
    assert "ROUGE-L" in shown.text and "simulated" in shown.text and "nan.json" in shown.text
    assert "no scores.json in it" in shown.text and "The heart is large" not in shown.text


def test_a_folder_without_a_run_and_an_unknown_score_are_errors(tmp_path, told, capsys):
    assert cli.main(["board", str(tmp_path / "none")]) == 2 and "no such folder" in capsys.readouterr().err
    with pytest.raises(DataError, match="no sub folder"):
        read_folder(tmp_path)
    (tmp_path / "a.json").write_text("[]")
    assert cli.main(["board", str(tmp_path)]) == 1 and "0 runs, 1 errors" in capsys.readouterr().out
    board = board_of(hand_in(tmp_path / "class", anna=told["right"]))
    assert score_named(board, "cider") == "CIDEr" and score_named(board, "Bleu_4") == "Bleu_4"
    for words in ("clinical", "BERTScore"):
        with pytest.raises(DataError, match="expected one of Bleu_1"):
            score_named(board, words)


def test_several_runs_of_one_student_have_names_of_their_own(tmp_path, told):
    for name in ("first", "second"):
        hand_in(tmp_path / "anna" / name, x=told["right"])
    assert set(board_of(tmp_path)["student"]) == {"anna/first/x/run", "anna/second/x/run"}


def test_what_evaluate_writes_is_read_whole(tmp_path, shared_meteor):
    model, studies = tiny_model("shallow"), tiny_studies(12)
    train, held_out = by_split(studies, "train"), by_split(studies, "val")
    about = {"data": "tiny", "split": "val"}
    options = {"controls": "quick", "about": about, "section": "findings", "cleaning": "gentle", "max_new_tokens": 4}
    evaluate(model, held_out, [study.report for study in train], tmp_path, **options)
    entry = read_entry(tmp_path / "scores.json", "anna")
    assert entry.without == (NEAREST,) and "not told" not in entry.protocol.values()
    assert entry.protocol["studies"] == "4" and entry.protocol["split"] == "val"
    told = json.loads((tmp_path / "scores.json").read_text())["systems"]
    assert entry.systems[SHUFFLED]["CIDEr"].high == told[SHUFFLED]["CIDEr"]["high"]
