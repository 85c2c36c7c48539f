"""The Indiana CSV pair. The columns are the circulating files'; every report is written for the test."""

from __future__ import annotations

import logging

import pytest

from r2gen_lib.data.readers.indiana_csv import PROJECTIONS, REPORTS, load_indiana_csv
from r2gen_lib.errors import DataError

HEADER = "uid,MeSH,Problems,image,indication,comparison,findings,impression"
ROWS = (
    '1,Cardiomegaly/mild; Opacity/lung/base/left ,Opacity,PA and lateral,Cough,None.,"Heart is\nlarge.",Big.',
    "2,normal,normal,PA and lateral,Pain,,Lungs are clear.,",
    "3,,,PA,Pain,,Clear. Normal heart.,Normal chest.",
    "4,normal,normal,PA,Pain,,,Nothing acute.",
)
PICTURES = (
    "1,1_IM-0001-3001.dcm.png,Lateral",
    "1,1_IM-0001-4001.dcm.png,Frontal",
    "2,2_IM-0652-1001.dcm.png,Frontal",
    "9,9_IM-0001-1001.dcm.png,Frontal",
)


@pytest.fixture
def pair(tmp_path):
    def write(rows=ROWS, pictures=PICTURES, split="study,split\n2,val\nCXR1,train\n3,test\n"):
        (tmp_path / REPORTS).write_text("\n".join([HEADER, *rows]) + "\n")
        (tmp_path / PROJECTIONS).write_text("\n".join(["uid,filename,projection", *pictures]) + "\n")
        (tmp_path / "split.csv").write_text(split)
        return tmp_path

    return write


def load(root, **options):
    return load_indiana_csv(root, split_table=root / "split.csv", **options)


def test_studies_come_in_the_split_tables_order_with_open_i_ids(pair):
    studies = load(pair())
    assert [(study.id, study.split) for study in studies] == [("CXR2", "val"), ("CXR1", "train"), ("CXR3", "test")]
    first = studies[1]
    assert first.report == "Heart is large." and first.source == "indiana_csv" and not first.credentialed
    assert first.sections == {
        "comparison": "None.",
        "indication": "Cough",
        "findings": "Heart is\nlarge.",
        "impression": "Big.",
    }


def test_codes_are_split_and_none_is_normal(pair):
    studies = {study.id: study for study in load(pair())}
    assert studies["CXR1"].mesh == ("Cardiomegaly/mild", "Opacity/lung/base/left")
    assert studies["CXR2"].mesh == ("normal",) and studies["CXR3"].mesh == ("normal",)


def test_frontal_pictures_come_first_and_a_study_without_pictures_stays(pair, tmp_path):
    folder = tmp_path / "images" / "images_normalized"
    folder.mkdir(parents=True)
    studies = {study.id: study for study in load(pair())}
    assert [(p.view, p.path) for p in studies["CXR1"].pictures] == [
        ("frontal", folder / "1_IM-0001-4001.dcm.png"),
        ("lateral", folder / "1_IM-0001-3001.dcm.png"),
    ]
    assert studies["CXR3"].pictures == ()


def test_the_picture_folder_may_be_given(pair, tmp_path):
    (tmp_path / "png").mkdir()
    assert load(pair(), pictures=tmp_path / "png")[0].pictures[0].path.parent == tmp_path / "png"
    with pytest.raises(DataError, match="expected the folder that the picture paths are relative to"):
        load(pair(), pictures=tmp_path / "jpg")


def test_impressions_can_be_the_target_and_empty_ones_are_an_error_or_left_out(pair, caplog):
    with pytest.raises(DataError, match=r"line 4 \(CXR2\): its impression text is empty"):
        load(pair(), section="impression")
    with caplog.at_level(logging.INFO, logger="r2gen_lib"):
        studies = load(pair(), section="impression", missing="skip")
    assert [study.report for study in studies] == ["Big.", "Normal chest."]
    assert "1 of 3 studies left out: no impression text" in caplog.text
    assert "1 reports left out: the split table does not name them" in caplog.text


def test_an_unknown_section_is_told_even_when_skipping(pair):
    with pytest.raises(DataError, match="no section 'conclusion'"):
        load(pair(), section="conclusion", missing="skip")


def test_the_benchmarks_own_split_is_the_default(pair):
    studies = load_indiana_csv(pair(), missing="skip")  # CXR3 is not in the benchmark
    assert [(study.id, study.split) for study in studies] == [("CXR1", "train"), ("CXR2", "test")]


def test_studies_of_the_table_without_a_report_are_an_error_or_counted(pair, caplog):
    root = pair(split="study,split\n1,train\n7,val\n8,test\n")
    with pytest.raises(DataError, match="2 studies of the split table have no report here, such as CXR7, CXR8"):
        load(root)
    assert [study.id for study in load(root, missing="skip")] == ["CXR1"]
    assert "2 studies of the split table have no report here" in caplog.text


def test_cells_of_a_missing_value_are_empty_and_a_comparison_may_be_none(pair, caplog):
    rows = ("1,NaN,,PA,Cough,None,Clear.,nan", "2,normal,normal,PA,nan,,nan,Normal.", "3,,,PA,Pain,,N/A,<NA>")
    first, second = sorted(load(pair(rows), section="both", missing="skip"), key=lambda study: study.id)
    assert (first.report, first.mesh, first.sections["comparison"]) == ("Clear.", ("normal",), "None")
    assert (second.report, second.sections["indication"]) == ("Normal.", "")
    assert "1 of 3 studies left out: no both text" in caplog.text


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (("x7,normal,,,,,Clear.,",), "line 2: the uid is 'x7', expected a number such as 12"),
        ((ROWS[0], ROWS[0]), r"line 4: uid 1 was already in line 2 \(CXR1\)"),
        (("01,normal,,,,,Clear.,", "1,normal,,,,,Dense.,"), r"line 3: uid 1 was already in line 2"),
    ],
)
def test_bad_reports_are_told_with_their_line(pair, rows, message):
    with pytest.raises(DataError, match=message) as error:
        load(pair(rows))
    assert REPORTS in str(error.value)


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        ("1,a.png,Oblique", "line 2: the projection is 'Oblique', expected Frontal or Lateral"),
        ("1,../a.png,Frontal", "line 2: the path '../a.png' climbs"),
        ("1,,Frontal", "line 2: the path '' is empty"),
        (",a.png,Frontal", "line 2: the uid is ''"),
    ],
)
def test_bad_projections_are_told_with_their_line(pair, picture, message):
    with pytest.raises(DataError, match=message) as error:
        load(pair(pictures=(picture,)))
    assert PROJECTIONS in str(error.value)


def test_thousands_of_bad_projections_are_one_short_error(pair):
    with pytest.raises(DataError, match="2,000 entries are wrong") as error:
        load(pair(pictures=["1,a.png,Sideways"] * 2000))
    assert str(error.value).count("\n") == 6


def test_a_missing_file_or_column_is_told(pair, tmp_path):
    with pytest.raises(DataError, match=f"{REPORTS}: the table cannot be read"):
        load_indiana_csv(tmp_path / "nothing")
    root = pair()
    (root / PROJECTIONS).write_text("uid,file,projection\n1,a.png,Frontal\n")
    with pytest.raises(DataError, match=r"no column 'filename' \(is it 'file'\?\)"):
        load(root)


def test_a_split_table_that_names_a_study_in_two_ways_is_a_leak(pair):
    with pytest.raises(DataError, match="CXR1 is there already"):
        load(pair(split="study,split\n1,train\nCXR1,test\n"))
