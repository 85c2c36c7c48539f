"""Two runs in one page: paired differences, what differs, and one clear error for what cannot be compared."""

from __future__ import annotations

import json
import re
import shutil

import pandas as pd
import pytest
from page_reading import Page, check_page

from r2gen_lib.cli import main
from r2gen_lib.errors import DataError
from r2gen_lib.evaluation.compare_runs import compare_runs, different_settings, read_run

REFERENCES = [
    "The heart is enlarged. <script>alert(1)</script>",
    "The lungs are clear.",
    "There is a right pneumothorax.",
    "Left pleural effusion.",
]
FIRST = ["The heart is enlarged.", "The lungs are clear.", "There is a pneumothorax.", "Left pleural effusion."]
SECOND = ["The lungs are clear.", "The lungs are clear.", "No pneumothorax.", "The lungs are clear. Edema."]


def make_run(folder, generated, **settings):
    folder.mkdir()
    table = {"id": [f"S{n}" for n in range(4)], "reference": REFERENCES, "generated": generated}
    pd.DataFrame(table).to_csv(folder / "reports.csv", index=False)
    settings = {"tokenizer": "ptb", "credentialed": False, "pictures": "simulated", **settings}
    model = {"Bleu_4": {"score": 0.1, "low": 0, "high": 1, "not above": ["blank picture"]}, "empty reports": 0}
    (folder / "scores.json").write_text(json.dumps({"settings": settings, "systems": {"model": model}}))
    return folder


@pytest.fixture
def runs(tmp_path):
    first = make_run(tmp_path / "one", FIRST, mode="shallow", decoding={"num_beams": 3})
    return first, make_run(tmp_path / "two", SECOND, mode="delta", decoding={"num_beams": 1})


def test_the_command_writes_table_and_page(runs, tmp_path, capsys, shared_meteor):
    out = tmp_path / "out"
    assert main(["compare", *map(str, runs), "--out", str(out)]) == 0
    assert "compare.html" in capsys.readouterr().out
    table = pd.read_csv(out / "compare.csv", index_col="score")
    assert (table["first"] - table["second"]).to_numpy() == pytest.approx(table["difference"].to_numpy())
    assert table.loc["Bleu_1", "difference"] > 0 and (table["low"] <= table["high"]).all()
    assert table["p"].between(0, 1).all() and set(table["first_run"]) == {str(runs[0])}
    page = Page(out / "compare.html")
    check_page(page)
    for told in (*map(str, runs), "BLEU-4", "clinical micro F1", "blank picture", "delta", "decoding: num_beams"):
        assert told in page.text
    assert "tokenizer ptb" in page.text and "simulated" in page.text and "1 of 4 reports are the same" in page.text
    assert "alert(1)" in page.text and "missed: Pneumothorax" in page.text and "invented: Edema" in page.text
    order = [page.text.index(i) for i in ("S3", "S0", "S2") if i in page.text]
    assert len(order) == 3 and "S1" not in page.text  # S1 is the same in both


@pytest.mark.parametrize("flag", [True, None])
def test_credentialed_or_unknown_runs_leave_no_text(runs, tmp_path, shared_meteor, flag):
    told = json.loads((runs[1] / "scores.json").read_text())
    told["settings"] |= {"credentialed": flag}
    (runs[1] / "scores.json").write_text(json.dumps(told))
    first, second = map(read_run, runs)
    compare_runs(first, second, tmp_path / "out")
    page = Page(tmp_path / "out" / "compare.html")
    check_page(page)
    assert "credentialed" in page.text and "BLEU-4" in page.text
    assert not any(text.rstrip(".") in page.text for text in (*FIRST, *SECOND)) and "S0" not in page.text
    compare_runs(first, second, tmp_path / "asked", show_credentialed=True)
    assert "must not be passed on" in Page(tmp_path / "asked" / "compare.html").text


def test_different_tokenizers_are_said(runs, tmp_path, shared_meteor):
    told = json.loads((runs[1] / "scores.json").read_text())
    told["settings"] |= {"tokenizer": "none"}
    (runs[1] / "scores.json").write_text(json.dumps(told))
    compare_runs(*map(read_run, runs), tmp_path / "out")
    assert "as the runs were scored with different ones" in Page(tmp_path / "out" / "compare.html").text


def test_a_run_of_an_older_version_differs_by_no_words_for_the_same_text(tmp_path):
    new = make_run(tmp_path / "new", FIRST, section="findings", cleaning="gentle")
    old = {"text": "section findings, cleaning gentle", "section scored": "findings", "cleaning": "gentle"}
    runs = read_run(make_run(tmp_path / "old", SECOND, **old)), read_run(new)
    assert different_settings(*runs) == []


def _edit(folder, change):
    table = pd.read_csv(folder / "reports.csv")
    change(table).to_csv(folder / "reports.csv", index=False)


def _other_reference(table):
    return table.assign(reference=table.reference.replace(REFERENCES[1], "Clear."))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: _edit(f, lambda t: t.iloc[:3]), "different studies: 1 are in the first alone .S3., 0 in"),
        (lambda f: _edit(f, _other_reference), "different references for 1 of 4"),
        (lambda f: (f / "reports.csv").unlink(), "no reports.csv in it"),
        (lambda f: (f / "scores.json").unlink(), "no scores.json in it"),
        (shutil.rmtree, "no scores.json in it"),
        (lambda f: (f / "scores.json").write_text("{"), "not what `r2gen evaluate` writes"),
        (lambda f: (f / "scores.json").write_text("[]"), "not what `r2gen evaluate` writes"),
        (lambda f: (f / "reports.csv").write_text(""), "cannot be read as a CSV file .*restore the file"),
        (lambda f: _edit(f, lambda t: t.drop(columns="generated")), "one of generated or report. Evaluate again"),
        (lambda f: _edit(f, lambda t: pd.concat([t, t])), "column id: found .* twice, expected one row a study"),
        (lambda f: _edit(f, lambda t: t.drop(columns="reference")), "found columns id, .*expected one of reference"),
    ],
)
def test_what_cannot_be_compared_is_one_clear_error(runs, tmp_path, capsys, spoil, message):
    spoil(runs[1])
    assert main(["compare", *map(str, runs), "--out", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert re.search(message, told), told
    assert "Traceback" not in told and "heart" not in told and not (tmp_path / "out").exists()


def test_one_study_has_no_interval(tmp_path, shared_meteor):
    runs = [make_run(tmp_path / name, texts) for name, texts in (("one", FIRST), ("two", SECOND))]
    for folder in runs:
        _edit(folder, lambda table: table.iloc[:1])
    with pytest.raises(DataError, match="two at least"):
        compare_runs(*map(read_run, runs), tmp_path / "out")
