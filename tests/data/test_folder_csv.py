from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path

import pytest

from r2gen_lib.data.readers.folder_csv import hash_split, load_folder_csv
from r2gen_lib.errors import DataError


@pytest.fixture
def table(tmp_path):
    def write(text: str) -> Path:
        path = tmp_path / "mine.csv"
        path.write_text(text)
        return path

    return write


def test_the_smallest_table_is_a_picture_and_a_report(table, tmp_path):
    first, second = load_folder_csv(table('picture,report\na/1.png,"Clear,  normal."\nb\\2.dcm,Dense.\n'))
    assert (first.id, first.report, first.source) == ("a/1", "Clear, normal.", "mine")
    assert first.picture("frontal").path == tmp_path / "a" / "1.png"
    assert second.id == "b/2" and second.picture().path == tmp_path / "b" / "2.dcm"
    assert first.sections == {"findings": "Clear,  normal."} and first.mesh == () and not first.credentialed


def test_both_views_in_one_row(table, tmp_path):
    (tmp_path / "png").mkdir()
    path = table("id;frontal;lateral;report;split\ns1;1.png;2.png;Clear.;train\ns2;3.png;;Dense.;test\n")
    first, second = load_folder_csv(path, tmp_path / "png", credentialed=True)
    assert [(p.view, p.path.name) for p in first.pictures] == [("frontal", "1.png"), ("lateral", "2.png")]
    assert [p.view for p in second.pictures] == ["frontal"] and second.split == "test"
    assert first.pictures[0].path.parent == tmp_path / "png" and first.credentialed


def test_rows_of_one_id_are_views_of_one_study(table):
    text = "id,picture,report,split,patient\ns1,1.png,Clear.,val,p7\ns2,2.png,Dense.,test,p8\ns1,3.png,,val,p7\n"
    first, second = load_folder_csv(table(text))
    assert (first.id, first.split, first.patient, first.report) == ("s1", "val", "p7", "Clear.")
    assert [(p.view, p.path.name) for p in first.pictures] == [("frontal", "1.png"), ("lateral", "3.png")]
    assert [study.id for study in (first, second)] == ["s1", "s2"]


def test_views_can_be_named(table):
    text = "id,picture,view,report\ns1,1.png,LATERAL,Clear.\ns1,2.png,PA,\ns1,3.png,other,\n"
    (study,) = load_folder_csv(table(text))
    assert [p.view for p in study.pictures] == ["lateral", "frontal", "other"]


def test_sections_are_columns(table):
    path = table("picture,findings,impression\n1.png,Clear lungs.,Normal.\n")
    assert load_folder_csv(path, section="impression")[0].report == "Normal."
    assert load_folder_csv(path)[0].sections == {"findings": "Clear lungs.", "impression": "Normal."}
    assert load_folder_csv(path, section="findings+impression")[0].report == "Clear lungs. Normal."
    with pytest.raises(DataError, match="mine.csv: study 1: no section 'report'; it has findings, impression"):
        load_folder_csv(path, section="report")


def test_a_lone_report_is_findings_or_report_but_never_an_impression(table):
    path = table("picture,report\n1.png,Clear.\n")
    assert load_folder_csv(path, section="report")[0].sections == {"report": "Clear."}
    with pytest.raises(DataError, match="no section 'impression'"):
        load_folder_csv(path, section="impression", missing="skip")


def test_without_a_split_the_patient_decides_and_nothing_moves_it(table):
    rows = [f"s{i},{i}.png,Clear.,p{i // 3}" for i in range(300)]
    header = "id,picture,report,patient\n"
    studies = load_folder_csv(table(header + "\n".join(rows)))
    by_patient = {}
    for study in studies:
        by_patient.setdefault(study.patient, set()).add(study.split)
    assert all(len(splits) == 1 for splits in by_patient.values())
    shuffled = load_folder_csv(table(header + "\n".join(rows[150:][::-1])))
    before = {study.id: study.split for study in studies}
    assert all(before[study.id] == study.split for study in shuffled)


def test_the_hash_gives_about_eighty_ten_ten_and_stays_as_it_was():
    counts = Counter(hash_split(f"patient {i}") for i in range(10_000))
    assert 7800 < counts["train"] < 8200 and 900 < counts["val"] < 1100 and 900 < counts["test"] < 1100
    assert [hash_split(key) for key in ("p0", "p1", "p13", "p18", "p22", "p59")] == [
        "train",
        "test",
        "val",
        "test",
        "val",
        "train",
    ]


def test_a_split_by_hash_is_logged_with_its_counts_and_a_given_one_is_not(table, caplog):
    with caplog.at_level(logging.INFO, logger="r2gen_lib"):
        load_folder_csv(table("picture,report,split\n1.png,Clear.,Validation\n"))
        assert not caplog.records
        load_folder_csv(table("picture,report\n1.png,Clear.\n"))
    (record,) = caplog.records
    assert "mine.csv: no column 'split': split by a hash, about 80/10/10: train " in record.getMessage()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("report\nClear.\n", "no column 'picture' or 'frontal' or 'lateral'"),
        ("picture,text\n1.png,Clear.\n", "no column 'report' or 'findings' or 'impression'"),
        ("picture,frontal,report\n1.png,2.png,Clear.\n", "columns picture and frontal or lateral, expected one kind"),
        ("picture,report\n,Clear.\n", "line 2: no picture"),
        ("id,frontal,lateral,report\ns1,,,Clear.\n", r"line 2 \('s1'\): no picture"),
        ("id,picture,report\n,1.png,Clear.\n", "line 2: its 'id' is empty"),
        ("picture,report\n1.png,\n", r"line 2 \('1'\): its findings text is empty"),
        ("picture,report\n1.png,Clear.\n1.png,Dense.\n", r"line 2 \('1'\): the picture of line 3 has the same name"),
        ("picture,report\n../1.png,Clear.\n", "line 2, picture: the path '../1.png' climbs"),
        ("picture,report\n/1.png,Clear.\n", "line 2, picture: the path '/1.png' is absolute"),
        ("picture,report\n.,Clear.\n", "line 2, picture: the path '.' is empty"),
        ("picture,report,split\n1.png,Clear.,dev set\n", "its split is 'dev set', expected train, val or test"),
        ("picture,report,split\n1.png,Clear.,\n", "its split is '', expected train, val or test"),
        ("picture,report,view\n1.png,Clear.,oblique\n", "line 2, picture: its view is 'oblique'"),
    ],
)
def test_a_bad_table_is_told_with_file_and_line(table, text, message):
    path = table(text)
    with pytest.raises(DataError, match=message) as error:
        load_folder_csv(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(("column", "other"), [("report", "Dense."), ("split", "test"), ("patient", "p2")])
def test_rows_of_one_study_may_not_contradict_each_other(table, column, other):
    row = dict(id="s1", picture="1.png", report="Clear.", split="train", patient="p1")
    second = {**row, "picture": "2.png", column: other}
    lines = [",".join(row), ",".join(row.values()), ",".join(second.values())]
    with pytest.raises(DataError, match=f"lines 2 and 3 have the same id and another '{column}'"):
        load_folder_csv(table("\n".join(lines)))


def test_studies_without_text_can_be_left_out_and_are_counted(table, caplog):
    path = table("picture,report,split\n1.png,Clear.,train\n2.png,,train\n")
    assert len(load_folder_csv(path, missing="skip")) == 1
    assert "mine.csv: 1 of 2 studies left out: no findings text." in caplog.text
    with pytest.raises(DataError, match="none of the 1 studies has findings text"):
        load_folder_csv(table("picture,report,split\n2.png,,train\n"), missing="skip")


CASES = Path(__file__).parents[1] / "cases"


def test_reports_that_say_nan_are_empty(caplog):
    path = CASES / "csv_nan" / "mine.csv"
    with pytest.raises(DataError, match=r"2 entries are wrong:\n  line 2 \('A'\): its findings text is empty"):
        load_folder_csv(path)
    assert [study.id for study in load_folder_csv(path, missing="skip")] == ["C", "D"]
    assert "mine.csv: 2 of 4 studies left out: no findings text." in caplog.text


@pytest.mark.parametrize(
    "word", ["nan", "NaN", "None", "null", "N/A", "n/a", "<NA>", "-", "NA", "nan.", "Findings: nan", "___"]
)
def test_every_word_for_a_missing_value_is_no_report(table, word):
    path = table(f"picture,report,split\n1.png,Clear.,train\n2.png,{word},train\n")
    with pytest.raises(DataError, match=r"line 3 \('2'\): its findings text is empty"):
        load_folder_csv(path)


def test_a_section_that_says_nan_leaves_the_other(table):
    path = table("picture,findings,impression\n1.png,Clear lungs.,nan\n2.png,None,Normal.\n")
    assert [study.report for study in load_folder_csv(path, section="both")] == ["Clear lungs.", "Normal."]


def test_cells_that_say_nan_are_empty_in_every_column(table):
    header = "id,frontal,lateral,report,patient\n"
    first, second = load_folder_csv(table(f"{header}s1,1.png,nan,Clear.,NaN\ns2,2.png,None,Dense.,nan\n"))
    assert [p.view for p in first.pictures] == ["frontal"] and first.patient == second.patient == ""
    with pytest.raises(DataError, match="line 2: its 'id' is empty"):
        load_folder_csv(table(f"{header}nan,1.png,,Clear.,p1\n"))
    text = "id,picture,view,report,split\ns1,1.png,nan,Clear.,train\ns1,2.png,nan,nan,nan\n"
    (study,) = load_folder_csv(table(text))
    assert [p.view for p in study.pictures] == ["frontal", "lateral"] and study.report == "Clear."


def test_a_cleaning_that_leaves_nothing_is_told(table):
    path = table("picture,report\n1.png,Clear.\n")
    with pytest.raises(DataError, match="nothing is left of its findings text after cleaning; clean more gently"):
        load_folder_csv(path, clean=lambda text: " .")


def test_thousands_of_bad_rows_are_one_short_error(table):
    text = "picture,report\n" + "".join(f"../{i}.png,Clear.\n" for i in range(2500))
    with pytest.raises(DataError, match="2,500 entries are wrong") as error:
        load_folder_csv(table(text))
    assert str(error.value).count("\n") == 6
