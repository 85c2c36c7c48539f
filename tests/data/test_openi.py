"""The real archive from its wheel, and the real split table: nothing here is made up but the bad input."""

from __future__ import annotations

import html
import io
import re
import tarfile
from collections import Counter
from functools import partial

import pytest

from r2gen_lib import assets
from r2gen_lib.data.readers.openi import load_openi_reports, read_openi_archive, read_split_table
from r2gen_lib.data.reports import clean_report
from r2gen_lib.data.study import by_split, check_leaks
from r2gen_lib.errors import AssetError, DataError


@pytest.fixture(scope="module")
def studies():
    return load_openi_reports()


@pytest.fixture(scope="module")
def raw_records() -> dict[str, str]:
    """Every record's XML, read here without the library."""
    with tarfile.open(assets.asset("openi_reports")) as tar:
        files = [tar.extractfile(m).read().decode("utf-8") for m in tar if m.name.endswith(".xml")]
    return {re.search(r'<uId id="(\w+)"', text).group(1): text for text in files}


def test_the_benchmark_has_its_studies_and_split(studies):
    assert len(studies) == 2955
    assert Counter(study.split for study in studies) == {"train": 2069, "val": 296, "test": 590}
    check_leaks(studies)
    assert len(by_split(studies, "test")) == 590


def test_every_report_is_the_findings_text_of_its_xml(studies, raw_records):
    assert len(raw_records) == 3955
    respaced = []
    for study in studies:
        found = re.search(r'Label="FINDINGS">([^<]*)</AbstractText>', raw_records[study.id]).group(1)
        findings = html.unescape(found)
        assert study.sections["findings"] == findings
        assert study.report and study.report == " ".join(findings.split())
        if study.report != findings:
            respaced.append(study.id)
    assert len(respaced) == 1  # the one report with a double blank


def test_codes_are_those_radiologists_gave(studies, raw_records):
    for study in studies:
        given = re.findall(r"<major>([^<]*)</major>", raw_records[study.id])
        assert study.mesh == tuple(html.unescape(code).strip() for code in given)
    codes = Counter(code for study in studies for code in study.mesh)
    assert codes["normal"] == 1087 and codes["No Indexing"] == 70
    assert codes["Pleural Effusion/left/small"] > 5
    assert all(study.mesh == ("normal",) for study in studies if "normal" in study.mesh)


def test_sections_are_kept_and_no_picture_is_invented(studies):
    names = {"comparison", "indication", "findings", "impression"}
    assert all(set(study.sections) == names for study in studies)
    assert all(study.pictures == () and study.findings == () and study.source == "openi" for study in studies)
    one = next(study for study in studies if study.id == "CXR3029")
    assert one.sections["impression"] == "No acute cardiopulmonary abnormalities."
    assert one.mesh == ("Cervical Vertebrae/degenerative",)


def test_marks_of_de_identification_stay_unless_dropped(studies):
    assert sum("XXXX" in study.report for study in studies) == 1227
    dropped = load_openi_reports(clean=partial(clean_report, keep_marks=False))
    assert len(dropped) == 2955 and not any("XXXX" in study.report for study in dropped)


def test_studies_without_the_section_are_an_error_or_a_stated_skip(caplog):
    with pytest.raises(DataError, match="study CXR326: its impression text is empty"):
        load_openi_reports(section="impression")
    assert len(load_openi_reports(section="impression", missing="skip")) == 2949
    assert "6 of 2955 studies left out: no impression text." in caplog.text
    assert len(load_openi_reports(section="findings+impression")) == 2955
    with pytest.raises(DataError, match="no section 'conclusion'"):
        load_openi_reports(section="conclusion", missing="skip")
    with pytest.raises(DataError, match="expected 'error' or 'skip'"):
        load_openi_reports(missing="ignore")


def test_a_study_without_findings_in_a_table_of_ones_own_is_one_error(tmp_path, raw_records):
    bare = next(i for i in sorted(raw_records) if '"FINDINGS"/>' in raw_records[i])
    table = tmp_path / "split.csv"
    table.write_text(f"study,split\n{bare},train\n")
    with pytest.raises(DataError, match=f"study {bare}: its findings text is empty"):
        load_openi_reports(table)
    with pytest.raises(DataError, match="none of the 1 studies has findings text"):
        load_openi_reports(table, missing="skip")


def test_cleaning_that_leaves_nothing_is_one_error():
    with pytest.raises(DataError, match="nothing is left of its findings text after cleaning"):
        load_openi_reports(clean=lambda text: " ")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"id,split\nCXR1,train\n", "no column 'study'. Found 'id', 'split'"),
        (b"study,split\n", "found a header and no rows"),
        (b"study,split\nCXR1,valid\n", "line 2: found study 'CXR1' with split 'valid'"),
        (b"study,split\nCXR1\n", "line 2: found 1 cells, expected 2"),
        (b"study,split\nCXR1,\n", "line 2: found study 'CXR1' with split ''"),
        (b"study,split\nCXR1,train\nCXR1,test\n", "line 3: study CXR1 was already in 'train'"),
        (b"\xff\xfe\x00", "found a byte that is not utf-16"),
    ],
)
def test_a_bad_split_table_is_one_error_that_names_the_line(tmp_path, content, message):
    table = tmp_path / "split.csv"
    table.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_split_table(table)
    assert str(table) in str(caught.value)


def test_a_missing_split_table_is_one_error(tmp_path):
    with pytest.raises(DataError, match="none.csv: the table cannot be read"):
        load_openi_reports(tmp_path / "none.csv")


@pytest.mark.parametrize("delimiter", [b",", b";", b"\t"])
def test_a_table_from_a_spreadsheet_is_read(tmp_path, delimiter):
    table = tmp_path / "split.csv"
    table.write_bytes(b"\xef\xbb\xbfStudy,split\r\nCXR1,train\r\nCXR2,test\r\n".replace(b",", delimiter))
    assert [(s.id, s.split) for s in load_openi_reports(table)] == [("CXR1", "train"), ("CXR2", "test")]


def test_an_unknown_study_is_one_error(tmp_path):
    table = tmp_path / "split.csv"
    table.write_text("study,split\nCXR1,train\nCXR99999,test\n")
    with pytest.raises(DataError, match="1 studies .* are not in the archive, such as CXR99999"):
        load_openi_reports(table)


def _archive(path, text: bytes):
    with tarfile.open(path, "w:gz") as tar:
        member = tarfile.TarInfo("ecgen-radiology/1.xml")
        member.size = len(text)
        tar.addfile(member, io.BytesIO(text))


def test_a_corrupt_archive_is_one_error(tmp_path):
    whole = assets.asset("openi_reports").read_bytes()
    path = tmp_path / "reports.tgz"
    flipped = bytearray(whole)
    flipped[50_000:50_100] = bytes(100)
    for content in (whole[: len(whole) // 2], b"no archive at all", b"", bytes(flipped)):
        path.write_bytes(content)
        with pytest.raises(DataError, match="not a readable archive of Open-i reports"):
            read_openi_archive(path)
    for record in (b"<eCitation><uId", b"<eCitation/>"):
        _archive(path, record)
        with pytest.raises(DataError, match="not a readable archive"):
            read_openi_archive(path)


def test_a_missing_wheel_is_the_asset_error(monkeypatch):
    def nothing(name: str):
        raise AssetError("asset 'openi_reports': the wheel is not installed.")

    monkeypatch.setattr(assets, "asset", nothing)
    with pytest.raises(AssetError):
        load_openi_reports()
