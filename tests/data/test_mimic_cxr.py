"""MIMIC-CXR's layout with made-up patients and made-up reports: nothing here is of the real data."""

from __future__ import annotations

import gzip
import logging
from pathlib import Path

import pytest

from r2gen_lib.data.readers.mimic_cxr import load_mimic_cxr
from r2gen_lib.data.study import check_leaks
from r2gen_lib.errors import DataError

FINDINGS = """                                 FINAL REPORT
 EXAMINATION:  CHEST (PA AND LAT)

 INDICATION:  ___-year-old with a made-up cough.

 FINDINGS:

 The invented lungs are clear.  No invented
 effusion is seen.

 IMPRESSION:

 Nothing acute in this invented chest.
"""
NO_FINDINGS = " FINAL REPORT\n PORTABLE CHEST\n\n IMPRESSION:  An invented tube ends where it should.\n"

# dicom, subject, study, split, ViewPosition
ROWS = [
    ("aa-lat", "10000010", "50000001", "train", "LATERAL"),
    ("aa-ap", "10000010", "50000001", "train", "AP"),
    ("aa-pa", "10000010", "50000001", "train", "PA"),
    ("bb-swim", "10000020", "50000002", "validate", "SWIMMERS"),
    ("bb-ll", "10000020", "50000002", "validate", "LL"),
    ("cc-ap", "11000030", "50000003", "test", "AP"),
]
REPORTS = {"50000001": FINDINGS, "50000002": FINDINGS, "50000003": NO_FINDINGS}


def folder_of(subject: str, study: str) -> str:
    return f"files/p{subject[:2]}/p{subject}/s{study}"


def write_tables(root: Path, rows=ROWS, *, codes: dict[str, str] | None = None, zipped: bool = True) -> None:
    split = ["dicom_id,study_id,subject_id,split"] + [f"{d},{st},{su},{split}" for d, su, st, split, _ in rows]
    metadata = ["dicom_id,subject_id,study_id,ViewPosition,Rows,ViewCodeSequence_CodeMeaning"]
    metadata += [f"{d},{su},{st},{position},2500,{(codes or {}).get(d, '')}" for d, su, st, _, position in rows]
    for name, lines in (("split", split), ("metadata", metadata)):
        content = ("\n".join(lines) + "\n").encode()
        path = root / f"mimic-cxr-2.0.0-{name}.csv{'.gz' if zipped else ''}"
        path.write_bytes(gzip.compress(content) if zipped else content)


def write_files(root: Path, rows=ROWS, *, reports=REPORTS, below: str = "", suffix: str | None = ".jpg") -> None:
    for dicom, subject, study, _, _ in rows:
        report = root / below / f"{folder_of(subject, study)}.txt"
        report.parent.mkdir(parents=True, exist_ok=True)
        if study in reports:
            report.write_text(reports[study])
        if suffix:
            picture = root / folder_of(subject, study) / f"{dicom}{suffix}"
            picture.parent.mkdir(parents=True, exist_ok=True)
            picture.write_bytes(b"")


@pytest.fixture
def root(tmp_path):
    write_tables(tmp_path)
    write_files(tmp_path)
    return tmp_path


def views_of(study) -> list[tuple[str, str]]:
    return [(picture.view, picture.path.name) for picture in study.pictures]


def test_studies_have_the_official_split_the_report_and_their_views(root):
    first, second = load_mimic_cxr(root)
    assert [(s.id, s.split, s.patient) for s in (first, second)] == [
        ("s50000001", "train", "10000010"),
        ("s50000002", "val", "10000020"),
    ]
    assert first.report == "The invented lungs are clear. No invented effusion is seen."
    assert first.sections["impression"] == "Nothing acute in this invented chest."
    assert views_of(first) == [("frontal", "aa-pa.jpg"), ("frontal", "aa-ap.jpg"), ("lateral", "aa-lat.jpg")]
    assert views_of(second) == [("lateral", "bb-ll.jpg"), ("other", "bb-swim.jpg")]
    assert all(picture.path.is_file() for study in (first, second) for picture in study.pictures)
    assert first.source == "mimic_cxr" and first.mesh == ()  # it has no codes: not known to be normal
    check_leaks([first, second])


def test_every_study_is_marked_as_credentialed(root):
    assert all(study.credentialed for study in load_mimic_cxr(root, section="both"))


def test_the_target_is_the_section_that_is_asked_for(root):
    assert [s.id for s in load_mimic_cxr(root, section="impression")] == ["s50000001", "s50000002", "s50000003"]
    both = load_mimic_cxr(root, section="both", clean=str.upper)
    assert both[0].report.endswith("IS SEEN. NOTHING ACUTE IN THIS INVENTED CHEST.")
    assert load_mimic_cxr(root, clean="r2gen_mimic_cxr")[0].report == (
        "the invented lungs are clear . no invented effusion is seen ."
    )
    with pytest.raises(DataError, match="no section 'conclusion'"):
        load_mimic_cxr(root, section="conclusion")
    with pytest.raises(DataError, match="cleaning 'gently': expected one of"):
        load_mimic_cxr(root, clean="gently")


def test_studies_without_the_section_are_counted_or_an_error(root, caplog):
    with caplog.at_level(logging.WARNING, "r2gen_lib"):
        assert len(load_mimic_cxr(root)) == 2
    assert "1 of 3 studies left out: no findings text" in caplog.text
    with pytest.raises(DataError, match="study s50000003: its findings text is empty"):
        load_mimic_cxr(root, missing="error")
    with pytest.raises(DataError, match="expected 'error' or 'skip'"):
        load_mimic_cxr(root, missing="ignore")


@pytest.mark.parametrize("text", ["FINDINGS: nan\n", "INDICATION:nan\nFINDINGS:\n  None\nIMPRESSION: ok\n", "nan"])
def test_a_missing_value_is_no_findings(root, caplog, text):
    write_files(root, reports=REPORTS | {"50000001": f" FINAL REPORT\n {text}"})
    assert [study.id for study in load_mimic_cxr(root)] == ["s50000002"]
    assert "2 of 3 studies left out: no findings text" in caplog.text


def test_pictures_that_only_the_metadata_name_are_counted(root, caplog):
    write_tables(root, zipped=False)
    table = root / "mimic-cxr-2.0.0-split.csv"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:-1]))
    load_mimic_cxr(root)
    assert "1 of 6 pictures left out: mimic-cxr-2.0.0-split.csv does not name them" in caplog.text


def test_a_limit_counts_studies_with_the_section_and_reads_no_further(root):
    rows = [(f"p{n}", "10000010", f"5000001{n}", "train", "PA") for n in range(4)]
    write_tables(root, rows)
    write_files(root, rows, reports={"50000010": NO_FINDINGS, "50000011": FINDINGS, "50000012": FINDINGS})
    path = root / (folder_of("10000010", "50000013") + ".txt")
    path.write_bytes(b"\xff unreadable, and never read")
    assert [study.id for study in load_mimic_cxr(root, limit=2)] == ["s50000011", "s50000012"]


def test_which_positions_are_frontal_is_the_callers_choice(root):
    assert views_of(load_mimic_cxr(root, views=("AP", "PA"))[0])[0] == ("frontal", "aa-ap.jpg")
    assert views_of(load_mimic_cxr(root, views=["pa"])[0]) == [
        ("frontal", "aa-pa.jpg"),
        ("lateral", "aa-lat.jpg"),
        ("other", "aa-ap.jpg"),
    ]
    for views in ("PA", (), ("PA", ""), ("PA", "LL")):
        with pytest.raises(DataError, match="views="):
            load_mimic_cxr(root, views=views)


def test_an_empty_view_position_is_filled_from_the_views_code(tmp_path):
    rows = [("aa-1", "10000010", "50000001", "train", ""), ("aa-2", "10000010", "50000001", "train", "")]
    write_tables(tmp_path, rows, codes={"aa-2": "postero-anterior"}, zipped=False)
    write_files(tmp_path, rows)
    assert views_of(load_mimic_cxr(tmp_path)[0]) == [("frontal", "aa-2.jpg"), ("other", "aa-1.jpg")]


def test_dicom_pictures_and_reports_may_lie_in_folders_of_their_own(tmp_path):
    for name in ("tables", "dicom", "texts"):
        (tmp_path / name).mkdir()
    write_tables(tmp_path / "tables", zipped=False)
    write_files(tmp_path / "dicom", reports={}, suffix=".dcm")
    write_files(tmp_path / "texts", suffix=None)
    for pictures in (tmp_path / "dicom", tmp_path / "dicom" / "files"):
        study = load_mimic_cxr(tmp_path / "tables", pictures, reports=tmp_path / "texts")[0]
        assert study.picture("frontal").path == tmp_path / "dicom" / folder_of("10000010", "50000001") / "aa-pa.dcm"


def test_reports_unpacked_beside_the_pictures_are_found(tmp_path):
    write_tables(tmp_path)
    write_files(tmp_path, below="mimic-cxr-reports")
    assert len(load_mimic_cxr(tmp_path)) == 2


def test_a_part_of_the_data_is_read_and_the_rest_counted(tmp_path, caplog):
    write_tables(tmp_path)
    write_files(tmp_path, below="mimic-cxr-reports", suffix=None)
    write_files(tmp_path, [row for row in ROWS if row[1].startswith("11")], reports={})
    with caplog.at_level(logging.WARNING, "r2gen_lib"):
        (study,) = load_mimic_cxr(tmp_path, section="impression")
    assert study.id == "s50000003"
    assert "2 of 3 studies left out: of p10 to p19, only p11 are there" in caplog.text


def test_texts_alone_are_read_and_pictures_keep_the_place_where_they_belong(tmp_path):
    write_tables(tmp_path)
    write_files(tmp_path, suffix=None)
    study = load_mimic_cxr(tmp_path)[0]
    assert study.picture("frontal").path == tmp_path / folder_of("10000010", "50000001") / "aa-pa.jpg"


def test_a_missing_report_file_is_counted_or_an_error(tmp_path, caplog):
    write_tables(tmp_path)
    write_files(tmp_path, reports={"50000001": FINDINGS})
    with caplog.at_level(logging.WARNING, "r2gen_lib"):
        assert len(load_mimic_cxr(tmp_path)) == 1
    assert "2 of 3 studies left out: no report file" in caplog.text
    with pytest.raises(DataError, match=r"line 5: no report .*s50000002\.txt"):
        load_mimic_cxr(tmp_path, missing="error")


def test_a_wrong_folder_is_one_error_that_says_what_belongs_there(tmp_path):
    with pytest.raises(DataError, match="no mimic-cxr-2.0.0-split.csv or .csv.gz; found no such folder"):
        load_mimic_cxr(tmp_path / "none")
    (tmp_path / "SHA256SUMS.txt").write_text("")
    with pytest.raises(DataError, match="found SHA256SUMS.txt.*MIMIC-CXR-JPG"):
        load_mimic_cxr(tmp_path)
    write_tables(tmp_path)
    with pytest.raises(DataError, match="expected the free-text reports.*mimic-cxr-reports.zip"):
        load_mimic_cxr(tmp_path)
    write_files(tmp_path, reports={})
    with pytest.raises(DataError, match=r"found none of 3 reports, such as p10/p10000010/s50000001\.txt"):
        load_mimic_cxr(tmp_path)
    write_files(tmp_path)
    with pytest.raises(DataError, match="expected the pictures as files/p10"):
        load_mimic_cxr(tmp_path, tmp_path / "elsewhere")
    write_files(tmp_path / "other", [("dd", "19000001", "5", "train", "PA")], reports={})
    with pytest.raises(DataError, match="Download pictures and reports of the same patients"):
        load_mimic_cxr(tmp_path, tmp_path / "other")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("dd", "10000010", "50000001", "test", "PA"), "line 8: study 50000001 is in test.*line 2 has it in train"),
        (
            ("dd", "10000099", "50000001", "train", "PA"),
            "of subject 10000099; line 2 has it in train",
        ),
        (("dd", "10000010", "50000009", "valid", "PA"), "line 8: .*split 'valid'; expected"),
        (("../dd", "10000010", "50000009", "train", "PA"), r"line 8: .*dicom_id '\.\./dd'"),
        (("dd", "../../etc", "50000009", "train", "PA"), "subject_id '../../etc'"),
        (("dd", "10000010", "", "train", "PA"), "line 8: found study_id ''"),
    ],
)
def test_a_bad_row_is_one_error_that_names_the_line(root, row, message):
    write_tables(root, [*ROWS, row])
    with pytest.raises(DataError, match=message) as caught:
        load_mimic_cxr(root)
    assert "mimic-cxr-2.0.0-split.csv.gz" in str(caught.value)


def test_a_picture_that_the_metadata_lack_is_an_error(root):
    write_tables(root)
    metadata = root / "mimic-cxr-2.0.0-metadata.csv.gz"
    lines = gzip.decompress(metadata.read_bytes()).decode().splitlines()
    metadata.write_bytes(gzip.compress("\n".join(lines[:-1]).encode()))
    with pytest.raises(DataError, match="line 7: picture cc-ap is not in mimic-cxr-2.0.0-metadata.csv.gz"):
        load_mimic_cxr(root)


def test_damaged_tables_are_one_error(root):
    for name in ("split", "metadata"):
        path = root / f"mimic-cxr-2.0.0-{name}.csv.gz"
        whole = path.read_bytes()
        for content, message in (
            (whole[:-20], "cannot be read"),
            (gzip.compress(b"a,b\n1,2\n"), "no column 'dicom_id'"),
        ):
            path.write_bytes(content)
            with pytest.raises(DataError, match=message):
                load_mimic_cxr(root)
        path.write_bytes(whole)


def test_thousands_of_bad_rows_are_one_short_error(root):
    write_tables(root, [(f"d{n}", "10000010", f"s{n}", "train", "PA") for n in range(3000)])
    with pytest.raises(DataError, match="3,000 entries are wrong") as caught:
        load_mimic_cxr(root)
    assert "2,995 more" in str(caught.value) and len(str(caught.value)) < 2000


def test_a_report_that_is_no_text_is_an_error_that_names_the_file(root):
    path = root / (folder_of("10000010", "50000001") + ".txt")
    path.write_bytes(b"\xff\xfe\x00FINDINGS")
    with pytest.raises(DataError, match=r"s50000001\.txt cannot be read"):
        load_mimic_cxr(root)
