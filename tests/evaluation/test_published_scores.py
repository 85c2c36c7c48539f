from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from r2gen_lib import cli
from r2gen_lib.errors import AssetError, DataError
from r2gen_lib.evaluation.published_scores import COLUMNS, METRICS, format_ledger, read_ledger, read_measured

ROOT = Path(__file__).parents[2]
GOOD = dict.fromkeys(COLUMNS, "") | {"kind": "rerun", "who": "a", "data": "IU-Xray", "source": "x", "Bleu_4": "0.1"}


def written(folder: Path, **changes: str) -> Path:
    path = folder / "ledger.csv"
    path.write_text(",".join(COLUMNS) + "\n" + ",".join((GOOD | changes)[name] for name in COLUMNS) + "\n")
    return path


def scores(**settings) -> dict:
    one = {"score": 0.1, "low": 0.08, "high": 0.12}
    system = {name: one for name in METRICS if name != "F1_macro"}
    system["clinical macro F1 (rules, 14, uncertain positive)"] = one | {"score": 0.2}
    told = {"section": "findings", "cleaning": "gentle", "studies": 590, "tokenizer": "ptb", "references cut to": None}
    return {"settings": told | settings, "systems": {"model": system, "constant report": system}}


def test_every_number_has_a_source_and_none_is_ours(tmp_path):
    ledger = read_ledger(measured=tmp_path)
    assert set(ledger.kind) == {"paper", "rerun"} and len(ledger) >= 10
    assert ledger.source.str.startswith("https://").all() and ledger.who.str.len().min() > 0
    row = ledger[(ledger.who.str.startswith("MavinSao")) & (ledger.split == "test")].iloc[0]
    assert row.Bleu_4 == 0.1121 and row.CIDEr == 0.1099 and np.isnan(row.F1_macro)


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"kind": "guess"}, "line 2: kind is 'guess'"),
        ({"source": ""}, "source is empty"),
        ({"Bleu_4": "17.3"}, "from 0 to 1"),
        ({"Bleu_4": "high"}, "'high'"),
        ({"Bleu_4": ""}, "no score and no note"),
        ({"F1_macro": "0.3"}, "without its labeller"),
    ],
)
def test_a_row_that_cannot_be_is_named(tmp_path, changes, words):
    with pytest.raises(DataError, match=words):
        read_ledger(written(tmp_path, **changes), measured=tmp_path)


def test_a_missing_file_and_a_missing_column_are_named(tmp_path):
    assert len(read_ledger(written(tmp_path), measured=tmp_path)) == 1
    with pytest.raises(AssetError, match="git checkout"):
        read_ledger(tmp_path / "none.csv")
    (tmp_path / "short.csv").write_text("kind,who\npaper,a\n")
    with pytest.raises(DataError, match="Bleu_4"):
        read_ledger(tmp_path / "short.csv")


def test_ours_are_read_from_what_evaluate_writes(tmp_path):
    (tmp_path / "laptop-shallow_test.json").write_text(json.dumps(scores()))
    ledger = read_ledger(measured=tmp_path)
    ours = ledger[ledger.kind == "ours"]
    assert list(ours.who) == ["laptop-shallow", "laptop-shallow: constant report"]
    first = ours.iloc[0]
    assert (first["mode"], first.split, first.section, first.references_cut) == ("shallow", "test", "findings", "whole")
    assert first.Bleu_4 == 0.1 and first.F1_macro == 0.2 and "Bleu_4 [0.080, 0.120]" in first.note
    assert "simulated" in first.data and "590 studies" in first.scoring
    text = format_ledger(ledger)
    assert "laptop-shallow_test.json" in text and "Not comparable" in text
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(DataError, match="other.json"):
        read_measured(tmp_path / "other.json")


def test_a_file_of_an_older_version_tells_its_section_in_a_sentence(tmp_path):
    told = scores()
    del told["settings"]["section"], told["settings"]["cleaning"]
    for text, section in (("section both, cleaning gentle", "both"), ("impression", "impression"), ("", "")):
        told["settings"]["text"] = text
        (tmp_path / "old_test.json").write_text(json.dumps(told))
        assert {row["section"] for row in read_measured(tmp_path / "old_test.json")} == {section}
    for path in (ROOT / "data" / "measured").glob("*.json"):
        assert {row["section"] for row in read_measured(path)} == {"findings"}


def test_the_command_prints_it_and_the_page_holds_it(capsys, tmp_path):
    assert cli.main(["ledger", "--markdown", "--measured", str(tmp_path)]) == 0
    printed = capsys.readouterr().out.strip().splitlines()
    told = (ROOT / "data" / "LEDGER.md").read_text(encoding="utf-8").splitlines()
    missing = [line for line in printed if line not in told]
    assert not missing, "run `r2gen ledger --markdown` and put its lines into data/LEDGER.md"
