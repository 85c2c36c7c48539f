"""The JSON of the public board: what is written is read back, and files whose ids are wrong are named."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from r2gen_lib import cli
from r2gen_lib.data.readers.openi import OpeniRecord
from r2gen_lib.errors import DataError
from r2gen_lib.evaluation import rexrank
from r2gen_lib.evaluation.rexrank import rexrank_key

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "data" / "measured" / "laptop-shallow_test_reports.csv"
FIELDS = {"key_image_path", "image_path", "report", "section_findings", "section_impression", "split"}
FIELDS |= {"frontal_lateral", "context", "model_prediction"}


def exported(folder: Path, reports: Path, *options: str) -> dict[str, dict]:
    """What a reader that knows only the board's format finds in the file."""
    out = folder / "board.json"
    assert cli.main(["export-rexrank", str(reports), "--out", str(out), *options]) == 0
    return json.loads(out.read_text(encoding="utf-8"))


def shipped() -> pd.DataFrame:
    return pd.read_csv(SHIPPED, dtype=str, keep_default_na=False)


def test_by_default_it_holds_keys_and_what_the_model_wrote_and_no_radiologists_word(tmp_path, capsys):
    told, table = exported(tmp_path, SHIPPED), shipped()
    assert len(told) == 590 and all(list(study) == ["model_prediction"] for study in told.values())
    by_study = {key.split("_")[0]: study["model_prediction"] for key, study in told.items()}
    assert by_study == dict(zip(table["study"], table["generated"], strict=True))
    assert "590 studies" in capsys.readouterr().out


def test_the_full_form_has_the_boards_fields(tmp_path, capsys):
    told = exported(tmp_path, SHIPPED, "--full")
    assert "BY-NC-ND" in capsys.readouterr().out and all(set(study) == FIELDS for study in told.values())
    first = told["CXR3030_IM-1405"]  # the first of the board's own file
    assert first["image_path"] == ["CXR3030_IM-1405/0.png", "CXR3030_IM-1405/1.png"]
    assert first["key_image_path"] == "CXR3030_IM-1405/0.png" and first["frontal_lateral"] == ["Frontal", "Lateral"]
    assert first["context"] == "Indication: Chest pain, dyspnea Comparison: None."
    assert first["report"].startswith("Findings: " + first["section_findings"] + " Impression: ")
    assert sum(study["context"].startswith("Indication: ") for study in told.values()) == 582
    assert sum("Other" in study["frontal_lateral"] for study in told.values()) == 10


def test_a_key_is_the_first_pictures_name_without_its_last_number():
    names = {"CXR2_IM-0652-1001": "CXR2_IM-0652", "CXR3646_IM-1808-0001-0001": "CXR3646_IM-1808-0001"}
    for name, key in names.items():
        assert rexrank_key(OpeniRecord("CXR2", {}, (), (name, "CXR2_IM-9-9"))) == key
    with pytest.raises(DataError, match="no picture"):
        rexrank_key(OpeniRecord("CXR2", {}, (), ()))


def test_the_boards_own_keys_serve_as_ids(tmp_path):
    keys = list(exported(tmp_path, SHIPPED))
    table = shipped().set_index("study")
    renamed = table.loc[[key.split("_")[0] for key in keys]].set_axis(keys, axis=0).rename_axis("id")
    renamed.to_csv(tmp_path / "by_key.csv")
    (tmp_path / "board.json").unlink()
    assert list(exported(tmp_path, tmp_path / "by_key.csv")) == keys


def test_wrong_missing_and_doubled_ids_are_one_error_and_nothing_is_written(tmp_path, capsys):
    table = shipped()
    table.loc[0, "study"], table.loc[1, "study"] = "CXR99999", "CXR13_IM-0198"
    table.to_csv(tmp_path / "wrong.csv", index=False)
    out = tmp_path / "board.json"
    assert cli.main(["export-rexrank", str(tmp_path / "wrong.csv"), "--out", str(out)]) == 2
    said = capsys.readouterr().err
    for words in ("1 that the split lacks: CXR99999", "2 missing: CXR2, CXR12", "1 twice: CXR13 and CXR13_IM-0198"):
        assert words in said
    assert "590 studies" in said and not out.exists()
    assert cli.main(["export-rexrank", str(SHIPPED), "--split", "val", "--out", str(out)]) == 2
    assert "590 that the split lacks" in capsys.readouterr().err


def test_an_empty_report_is_told_and_a_file_that_is_there_stays(tmp_path, capsys):
    table = shipped()
    table.loc[0, "generated"] = ""
    table.to_csv(tmp_path / "empty.csv", index=False)
    assert "" in {study["model_prediction"] for study in exported(tmp_path, tmp_path / "empty.csv").values()}
    assert "1 reports are empty, such as that of CXR2_IM-0652" in capsys.readouterr().out
    before = (tmp_path / "board.json").read_bytes()
    assert cli.main(["export-rexrank", str(SHIPPED), "--out", str(tmp_path / "board.json")]) == 2
    assert "another name" in capsys.readouterr().err and (tmp_path / "board.json").read_bytes() == before


def test_what_the_format_does_not_allow_is_an_error_and_nothing_is_written(tmp_path, monkeypatch):
    right = rexrank._reference
    monkeypatch.setattr(rexrank, "_reference", lambda record, split: right(record, split) | {"section_findings": ""})
    with pytest.raises(DataError, match=r"CXR2_IM-0652\.section_findings: String should have at least 1 character"):
        rexrank.write_rexrank(SHIPPED, tmp_path / "board.json", full=True)
    assert not (tmp_path / "board.json").exists()
