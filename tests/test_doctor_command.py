from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path

import pytest

import r2gen_lib
from r2gen_lib.commands import doctor as doctor_command
from r2gen_lib.data.study import Picture, Study
from r2gen_lib.errors import DataError

GOOD = [Study(s, s, f"A report of {s}.", pictures=(Picture("frontal", simulated=True),)) for s in ("train", "val")]


def doctor(line: list[str]) -> int:
    parser = argparse.ArgumentParser()
    doctor_command.options(parser)
    return doctor_command.run(parser.parse_args([*line, "--preset", "mimic_cxr"]))  # its tokenizer is not here


@pytest.fixture
def data(monkeypatch):
    """The studies that every source holds, and what was asked of ``load_studies``."""
    holder = {"studies": list(GOOD), "asked": []}

    def load(source, **options):
        holder["asked"].append((source, options))
        return holder["studies"]

    monkeypatch.setitem(vars(r2gen_lib), "load_studies", load)
    return holder


def test_one_page_and_status_0(data, capsys, tmp_path):
    assert doctor(["mine.json", "--pictures", str(tmp_path), "--section", "impression", "--clean", "none"]) == 0
    assert data["asked"] == [("mine.json", {"pictures": tmp_path, "section": "impression", "clean": "none"})]
    out = capsys.readouterr().out
    assert out.startswith("2 studies") and "Healthy: " in out and "preset mimic_cxr" in out


def test_problems_give_status_1_unless_they_are_skipped_by_name(data, capsys, tmp_path):
    data["studies"].append(Study("gone", "test", "Gone.", pictures=(Picture("frontal", tmp_path / "gone.png"),)))
    assert doctor(["mine.json", "--bad-pictures", str(tmp_path / "bad.csv")]) == 1
    out = capsys.readouterr().out
    assert "missing_pictures: 1 of 1 picture files is not there" in out
    assert out.endswith(f"bad pictures listed in {tmp_path / 'bad.csv'}: 1\n")
    assert "gone.png" in (tmp_path / "bad.csv").read_text()
    assert doctor(["mine.json", "--skip", "missing_pictures", "--quick"]) == 0
    assert "skipped by name: missing_pictures" in capsys.readouterr().out


def test_json_is_all_that_is_printed(data, capsys, tmp_path):
    assert doctor(["mine.json", "--json", "--bad-pictures", str(tmp_path / "bad.csv")]) == 0
    assert json.loads(capsys.readouterr().out)["healthy"] is True
    assert len((tmp_path / "bad.csv").read_text().splitlines()) == 1


def test_data_that_cannot_be_read_give_status_1_and_the_reason(monkeypatch, capsys):
    def fail(source, **_):
        raise DataError("mine.json: not JSON. Give an annotation file.")

    monkeypatch.setitem(vars(r2gen_lib), "load_studies", fail)
    assert doctor(["mine.json"]) == 1
    assert capsys.readouterr().err == (
        "r2gen doctor: mine.json cannot be read. mine.json: not JSON. Give an annotation file.\n"
    )
    assert doctor(["mine.json", "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == {
        "healthy": False,
        "error": "mine.json: not JSON. Give an annotation file.",
    }


CASES = Path(__file__).parent / "cases"


def test_what_the_readers_leave_out_is_on_the_page(capsys, caplog):
    line = [str(CASES / "csv_nan" / "mine.csv")]
    assert doctor(line) == 1
    out = capsys.readouterr().out
    assert "reading: mine.csv: 2 of 4 studies left out: no findings text." in out
    assert "empty_splits: 1 split holds no study, such as train" in out
    assert doctor([*line, "--json"]) == 1
    assert "2 of 4 studies left out" in json.loads(capsys.readouterr().out)["notes"][0]
    assert doctor([*line, "--section", "report"]) == 1
    assert len(logging.getLogger("r2gen_lib").handlers) == len(set(logging.getLogger("r2gen_lib").handlers)) <= 1


def test_what_was_logged_before_an_error_is_told_with_it(monkeypatch, capsys):
    def fail(source, **_):
        logging.getLogger("r2gen_lib").warning("3 studies left out")
        raise DataError("mine.json: nothing to read.")

    monkeypatch.setitem(vars(r2gen_lib), "load_studies", fail)
    assert doctor(["mine.json"]) == 1
    assert capsys.readouterr().err.splitlines()[0] == "3 studies left out"
    assert doctor(["mine.json", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["notes"] == ["reading: 3 studies left out"]


def test_an_unknown_check_is_named_before_anything_is_read(data):
    with pytest.raises(DataError, match="skip: found 'all', expected names among"):
        doctor(["mine.json", "--skip", "all"])
    assert data["asked"] == []
