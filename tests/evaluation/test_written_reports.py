from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from r2gen_lib import cli, load_studies
from r2gen_lib.data.study import by_split
from r2gen_lib.errors import DataError
from r2gen_lib.evaluation.run_metadata import checkpoint_hash
from r2gen_lib.evaluation.written_reports import read_reports, references_of, shareable

ROOT = Path(__file__).parents[2]
MEASURED = sorted((ROOT / "data" / "measured").glob("*_test_reports.csv"))


def written(folder: Path, text: str) -> Path:
    path = folder / "reports.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_reports_of_all_shipped_models_are_shipped_without_a_radiologists_word():
    names = [path.name.removesuffix("_test_reports.csv") for path in MEASURED]
    assert names == ["laptop-ask", "laptop-delta", "laptop-oracle", "laptop-shallow"]
    studies = load_studies("openi_sim")
    test = {study.id: study.report for study in by_split(studies, "test")}
    for path in MEASURED:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        assert list(table) == ["study", "generated", "blank picture", "nearest study"]
        assert list(table.study) == list(test)
        train = {study.id for study in by_split(studies, "train")}
        assert set(table["nearest study"]) <= train


@pytest.mark.parametrize("path", MEASURED, ids=lambda path: path.name.partition("_")[0])
def test_what_was_measured_is_of_the_weights_that_are_shipped(path):
    stored = json.loads((path.parent / f"{path.name.removesuffix('_reports.csv')}.json").read_text())
    folder = ROOT / "data" / "weights" / path.name.partition("_")[0]
    assert stored["settings"]["checkpoint sha256"] == checkpoint_hash(folder)


@pytest.mark.parametrize("path", MEASURED, ids=lambda path: path.name.partition("_")[0])
def test_one_command_prints_the_clinical_scores_that_are_stored_and_told(path, capsys):
    """data/measured, docs/experiments.md and what `r2gen score` prints hold the same clinical numbers."""
    assert cli.main(["score", str(path), "--metrics", "clinical"]) == 0
    out = capsys.readouterr().out
    stored = json.loads((path.parent / f"{path.name.removesuffix('_reports.csv')}.json").read_text())
    told = (ROOT / "docs" / "experiments.md").read_text(encoding="utf-8")
    for kind in ("macro", "micro"):
        name = f"clinical {kind} F1 (rules, 14, uncertain positive)"
        (line,) = (line for line in out.splitlines() if line.startswith(f"{name} "))
        model = stored["systems"]["model"][name]
        first = re.findall(r"0\.\d{3}", line)[:3]
        assert first == [f"{model[key]:.3f}" for key in ("score", "low", "high")]
        if "shallow" in path.name:
            assert f"| clinical {kind} F1, by rules | {first[0]} [{first[1]}, {first[2]}] |" in told
            for system in ("constant report", "shuffled pictures", "blank picture", "nearest neighbour"):
                assert f"{stored['systems'][system][name]['score']:.3f}" in line
        else:
            assert f"clinical {kind} F1 {first[0]}" in told


def test_every_language_score_is_computed_again_too(tmp_path, capsys):
    test = by_split(load_studies("openi_sim"), "test")
    path = written(tmp_path, "id,report\n" + "".join(f"{study.id},The lungs are clear.\n" for study in test[:8]))
    scores = tmp_path / "scores.json"
    omitted = {"blank picture": "not asked", "perfect eye": "none given"}  # the second under its former name
    scores.write_text(json.dumps({"settings": {"checkpoint": "mine"}, "omitted": omitted}))
    assert cli.main(["score", str(path), "--partial", "--update", str(scores)]) == 0
    assert "8 studies of openi_sim, split test" in capsys.readouterr().out
    told = json.loads(scores.read_text())
    assert told["settings"]["checkpoint"] == "mine"
    assert told["omitted"] == {"blank picture": "not asked", "oracle": "none given"}
    assert {"Bleu_4", "METEOR", "ROUGE_L", "CIDEr"} <= set(told["systems"]["model"])
    assert told["systems"]["model"]["distinct reports"] == 1 / 8


def test_what_is_shared_scores_the_same(tmp_path):
    train = by_split(load_studies("openi_sim"), "train")[:3]
    lines = f'A,one,"{train[0].report}"\nB,two,"{train[2].report}"\n'
    systems = read_reports(written(tmp_path, "id,generated,nearest neighbour\n" + lines))
    assert systems["model"] == {"A": "one", "B": "two"} and systems["shuffled pictures"] == {"A": "two", "B": "one"}
    table = shareable(systems, train)
    assert list(table["nearest study"]) == [train[0].id, train[2].id]
    table.to_csv(tmp_path / "shared.csv")
    assert read_reports(tmp_path / "shared.csv", train) == systems


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("study,text\nA,x\nB,y\n", "found columns study, text; expected one of generated or report"),
        ("study,generated\nA,x\nA,y\n", "column study: found A twice"),
        ("study,generated\n,x\nB,y\n", "an empty one"),
        ("study,generated\n", "no row"),
        ("study,generated,nearest study\nA,x,Z\nB,y,Z\n", "found Z, expected ids of the data's training studies"),
    ],
)
def test_a_file_that_cannot_be_is_named(tmp_path, text, words):
    with pytest.raises(DataError, match=words):
        read_reports(written(tmp_path, text))


def test_studies_must_be_those_of_the_split(tmp_path):
    test = by_split(load_studies("openi_sim"), "test")[:3]
    path = written(tmp_path, f"study,generated\n{test[0].id},x\n{test[1].id},y\n")
    systems = read_reports(path)
    with pytest.raises(DataError, match=f"no report of {test[2].id}.*--partial"):
        references_of(path, systems, test)
    with pytest.raises(DataError, match="which the split does not have"):
        references_of(path, systems, test[1:2])
    with pytest.raises(DataError, match="no such file"):
        read_reports(tmp_path / "none.csv")


@pytest.mark.parametrize("content", [None, "", "[]", "{}"])
def test_scores_are_put_only_into_a_scores_json(tmp_path, capsys, content):
    reports, scores = written(tmp_path, "study,generated\nCXR2,x\nCXR12,y\n"), tmp_path / "scores.json"
    if content is not None:
        scores.write_text(content)
    assert cli.main(["score", str(reports), "--partial", "--update", str(scores)]) == 2
    assert "not a scores.json of `r2gen evaluate`" in capsys.readouterr().err
    assert not scores.exists() or scores.read_text() == content
