"""Open-i as it lies on a disk after a download: made-up records with real names of files, and hostile ones."""

from __future__ import annotations

import gzip
import io
import logging
import tarfile
from collections import Counter

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileMetaDataset

from r2gen_lib import assets
from r2gen_lib.data.readers.error_list import ErrorList
from r2gen_lib.data.readers.openi import parse_record, read_openi_archive, read_split_table
from r2gen_lib.data.readers.openi_files import load_openi_files, read_openi_folder
from r2gen_lib.data.readers.openi_views import header_view, known_views, name_views, picture_key
from r2gen_lib.data.reports import SECTIONS
from r2gen_lib.errors import DataError


def xml(study: str, *pictures: str, findings: str = "Lungs are clear.", mesh: str = "normal") -> str:
    images = "".join(f'<parentImage id="{name}"/>' for name in pictures)
    return (
        f'<?xml version="1.0" encoding="utf-8"?><eCitation><uId id="{study}"/>'
        f'<AbstractText Label="FINDINGS">{findings}</AbstractText>'
        '<AbstractText Label="IMPRESSION">Normal.</AbstractText>'
        f"<MeSH><major>{mesh}</major></MeSH>{images}</eCitation>"
    )


def put(folder, files: dict[str, str | bytes]):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


@pytest.fixture
def split(tmp_path_factory):
    """A split table of made-up studies, far from Open-i's numbers."""
    path = tmp_path_factory.mktemp("table") / "split.csv"
    path.write_text("study,split\nCXR90002,val\nCXR90001,train\nCXR90003,test\n")
    return path


def views_of(study) -> list[tuple[str, str]]:
    return [(picture.view, picture.path.name) for picture in study.pictures]


def dicom(path, position: str = "", series: str = ""):
    header = Dataset()
    header.ViewPosition, header.SeriesDescription = position, series
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    header.SOPClassUID, header.SOPInstanceUID = pydicom.uid.ComputedRadiographyImageStorage, pydicom.uid.generate_uid()
    header.file_meta.MediaStorageSOPClassUID = header.SOPClassUID
    header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
    path.parent.mkdir(parents=True, exist_ok=True)
    pydicom.dcmwrite(path, header, enforce_file_format=True)


def test_reports_and_png_pictures_meet(tmp_path):
    put(
        tmp_path,
        {
            "NLMCXR_reports/ecgen-radiology/1.xml": xml("CXR1", "CXR1_1_IM-0001-3001", "CXR1_1_IM-0001-4001"),
            "NLMCXR_reports/ecgen-radiology/10.xml": xml(
                "CXR10",
                "CXR10_IM-0002-1001",
                "CXR10_IM-0002-2001",
                findings=" Small\n effusion.",
                mesh="Pleural Effusion",
            ),
            "NLMCXR_reports/ecgen-radiology/._10.xml": b"\x00\x05 left by a Mac",
            "NLMCXR_png/CXR1_1_IM-0001-3001.png": b"",
            "NLMCXR_png/CXR1_1_IM-0001-4001.png": b"",
            "NLMCXR_png/CXR10_IM-0002-1001.png": b"",
        },
    )
    first, second = load_openi_files(tmp_path)
    assert (first.id, first.split, first.report, first.source) == ("CXR1", "train", "Lungs are clear.", "openi")
    assert second.report == "Small effusion." and second.sections["findings"] == " Small\n effusion."
    assert second.mesh == ("Pleural Effusion",) and not second.credentialed and second.patient == ""
    # in both, the lateral view comes first
    assert views_of(first) == [("lateral", "CXR1_1_IM-0001-3001.png"), ("frontal", "CXR1_1_IM-0001-4001.png")]
    assert views_of(second) == [("lateral", "CXR10_IM-0002-1001.png"), ("frontal", "CXR10_IM-0002-2001.png")]
    assert [picture.path.exists() for picture in second.pictures] == [True, False]  # for the doctor to list
    assert load_openi_files(tmp_path, tmp_path / "NLMCXR_png", section="both")[0].report == "Lungs are clear. Normal."


def test_dicom_pictures_and_converted_ones_are_found_by_their_own_names(tmp_path):
    record = xml("CXR1", "CXR1_1_IM-0001-3001", "CXR1_1_IM-0001-4001")
    put(tmp_path / "reports", {"1.xml": record})
    put(tmp_path / "dcm", {"1/1_IM-0001-3001.dcm": b"", "1/1_IM-0001-4001.dcm": b""})
    put(tmp_path / "both", {"images/1_IM-0001-4001.dcm.png": b"", "1/1_IM-0001-4001.dcm": b"", "notes.png": b""})
    (study,) = load_openi_files(tmp_path / "reports", tmp_path / "dcm")
    assert views_of(study) == [("lateral", "1_IM-0001-3001.dcm"), ("frontal", "1_IM-0001-4001.dcm")]
    (study,) = load_openi_files(tmp_path / "reports", tmp_path / "both")
    assert study.picture("frontal").path == tmp_path / "both" / "images" / "1_IM-0001-4001.dcm.png"


def test_views_of_pictures_that_no_table_knows_come_from_headers_then_from_the_order(tmp_path, split):
    names = ["CXR90001_IM-1-1", "CXR90001_IM-1-2", "CXR90001_IM-1-3"]
    put(tmp_path, {"1.xml": xml("CXR90001", *names), "2.xml": xml("CXR90002", "CXR90002_IM-1-1", "CXR90002_IM-1-2")})
    dicom(tmp_path / "1" / "90001_IM-1-1.dcm", "LL")
    dicom(tmp_path / "1" / "90001_IM-1-2.dcm", "", "Chest")
    dicom(tmp_path / "1" / "90001_IM-1-3.dcm", "", "W chest PA")
    put(tmp_path, {"2/90002_IM-1-1.dcm": b"no header at all"})
    by_id = {study.id: study for study in load_openi_files(tmp_path, split_table=split)}
    assert list(by_id) == ["CXR90002", "CXR90001"]  # the table's order
    assert [picture.view for picture in by_id["CXR90001"].pictures] == ["lateral", "other", "frontal"]
    assert [picture.view for picture in by_id["CXR90002"].pictures] == ["frontal", "lateral"]


@pytest.mark.parametrize(
    ("hints", "views"),
    [
        ([], []),
        ([""], ["frontal"]),
        (["lateral"], ["lateral"]),
        (["frontal?", "frontal?"], ["frontal", "lateral"]),  # headers say PA by default
        (["", "frontal?"], ["lateral", "frontal"]),
        (["lateral", "frontal?", ""], ["lateral", "frontal", "other"]),
        (["frontal", "frontal?", "lateral"], ["frontal", "frontal", "lateral"]),
        (["frontal?", "frontal?", ""], ["frontal", "frontal", "lateral"]),
        (["", "", "", ""], ["frontal", "lateral", "other", "other"]),
    ],
)
def test_every_picture_gets_one_view(hints, views):
    assert name_views(hints) == views


def test_headers_that_say_both_views_say_nothing():
    assert header_view("PA") == header_view(" ap ") == "frontal?"
    assert header_view("", "Chest Lateral") == header_view("LL") == "lateral"
    assert header_view("", "Chest PA and Lateral") == header_view("", "CHEST") == ""


def test_spellings_of_one_picture_have_one_key():
    spellings = ["CXR1_1_IM-0001-3001", "CXR1_1_IM-0001-3001.png", "1_IM-0001-3001.dcm", "1_IM-0001-3001.dcm.png"]
    assert {picture_key(name) for name in spellings} == {"CXR1_IM-0001-3001"}
    assert picture_key("CXR11_IM-0067-1001") == "CXR11_IM-0067-1001"


def test_the_real_archive_is_read_and_nearly_every_study_of_it_gets_a_frontal_view():
    records = read_openi_folder(assets.asset("openi_reports"), errors := ErrorList("archive"))
    assert len(records) == 3955 and not errors.count
    assert set(read_split_table(assets.repository_data("openi_split.csv"))) < set(records)
    named = {
        record.id: name_views([known_views().get(picture_key(name), "") for name in record.images])
        for record in records.values()
    }
    views = Counter(view for names in named.values() for view in names)
    assert views == {"frontal": 3826, "lateral": 3587, "other": 57}
    pairs = Counter(tuple(sorted(names)) for names in named.values() if len(names) == 2)
    assert pairs == {("frontal", "lateral"): 3200, ("lateral", "lateral"): 8}


def test_reports_are_read_from_the_archive_as_it_is(tmp_path):
    with tarfile.open(tmp_path / "NLMCXR_reports.tgz", "w:gz") as tar:
        content = xml("CXR1", "CXR1_1_IM-0001-3001").encode()
        member = tarfile.TarInfo("ecgen-radiology/1.xml")
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    for root in (tmp_path, tmp_path / "NLMCXR_reports.tgz"):
        (study,) = load_openi_files(root)
        assert study.id == "CXR1" and study.pictures == ()
    (tmp_path / "NLMCXR_reports.tgz").write_bytes(gzip.compress(b"not a tar archive"))
    with pytest.raises(DataError, match="not a readable archive of Open-i reports"):
        load_openi_files(tmp_path)


BOMB = """<?xml version="1.0"?><!DOCTYPE eCitation [<!ENTITY a "ha">
<!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]>
<eCitation><uId id="CXR1"/><AbstractText Label="FINDINGS">&c;</AbstractText></eCitation>"""
OTHER_FILE = """<?xml version="1.0"?><!DOCTYPE eCitation [<!ENTITY f SYSTEM "file:///etc/passwd">]>
<eCitation><uId id="CXR1"/><AbstractText Label="FINDINGS">&f;</AbstractText></eCitation>"""
OTHER_SERVER = '<!DOCTYPE eCitation SYSTEM "http://127.0.0.1:9/x.dtd"><eCitation><uId id="CXR1"/></eCitation>'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (BOMB, "declares a document type or an entity"),
        (OTHER_FILE, "declares a document type or an entity"),
        (OTHER_SERVER, "declares a document type or an entity"),
        ("", "not well-formed XML"),
        ("<eCitation><uId", "not well-formed XML"),
        ('<?xml version="1.0" encoding="klingon"?><eCitation/>', "not well-formed XML"),
        (b"\x89PNG\r\n\x1a\n", "not well-formed XML"),
        ("<eCitation/>", "without <uId"),
        ("<html><body/></html>", "found <html> without <uId"),
        ("<eCitation>" + " " * 2_000_001 + "</eCitation>", "2,000,024 bytes, expected at most 2,000,000"),
    ],
)
def test_a_hostile_or_damaged_record_is_one_error_with_its_name(tmp_path, content, message):
    put(tmp_path, {"1.xml": content})
    with pytest.raises(DataError, match=message) as caught:
        load_openi_files(tmp_path)
    assert "1.xml" in str(caught.value) and str(tmp_path) in str(caught.value) and len(str(caught.value)) < 700


def test_a_hostile_record_in_an_archive_is_refused_by_the_reader_of_the_wheel_too(tmp_path):
    with tarfile.open(tmp_path / "reports.tgz", "w:gz") as tar:
        member = tarfile.TarInfo("1.xml")
        member.size = len(BOMB)
        tar.addfile(member, io.BytesIO(BOMB.encode()))
    for read in (read_openi_archive, load_openi_files):
        with pytest.raises(DataError, match="declares a document type or an entity"):
            read(tmp_path / "reports.tgz")


TAGS = st.sampled_from(["eCitation", "uId", "AbstractText", "MeSH", "major", "parentImage", "a:b", "x"])
VALUES = st.sampled_from(["CXR1", "FINDINGS", " impression ", ""]) | st.text(st.characters(codec="utf-8"), max_size=8)
ELEMENTS = st.recursive(
    VALUES,
    lambda inner: st.builds(
        lambda tag, name, value, inside: f'<{tag} {name}="{value}">{"".join(inside)}</{tag}>',
        *(TAGS, st.sampled_from(["id", "Label", "x"]), VALUES, st.lists(inner, max_size=4)),
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None, database=None)
@given(
    ELEMENTS.map(lambda inside: f'<eCitation><uId id="CXR1"/>{inside}</eCitation>'.encode()) | st.binary(max_size=80)
)
def test_any_xml_gives_a_record_or_one_error(content):
    try:
        record = parse_record(content)
    except DataError as error:
        assert len(str(error)) < 700
        return
    assert record.id == "CXR1" and set(SECTIONS) <= set(record.sections) and record.mesh
    assert all(isinstance(text, str) for text in (*record.sections.values(), *record.mesh, *record.images))


def test_many_bad_records_are_one_short_error(tmp_path):
    put(tmp_path, {f"{number}.xml": "<eCitation>" for number in range(300)})
    with pytest.raises(DataError, match="300 entries are wrong") as caught:
        load_openi_files(tmp_path)
    assert str(caught.value).count("\n") <= 6 and "295 more" in str(caught.value)


def test_two_files_with_one_study_are_an_error_that_names_both(tmp_path):
    put(tmp_path, {"1.xml": xml("CXR1"), "copy/1.xml": xml("CXR1")})
    with pytest.raises(DataError, match=r"study CXR1, as .*1\.xml does"):
        load_openi_files(tmp_path)


def test_what_is_not_there_is_said(tmp_path, split):
    (tmp_path / "empty").mkdir()
    put(tmp_path / "reports", {"1.xml": xml("CXR90001", "CXR90001_IM-1-1")})
    put(tmp_path / "others", {"holiday.png": b""})
    with pytest.raises(DataError, match="found nothing, expected a folder or an archive"):
        load_openi_files(tmp_path / "none")
    with pytest.raises(DataError, match="found no XML file"):
        load_openi_files(tmp_path / "empty")
    with pytest.raises(DataError, match="none of its 1 reports, such as CXR90001, is in the split table"):
        load_openi_files(tmp_path / "reports")
    for folder, message in (
        ("none", "found nothing"),
        ("others", "found no PNG or DICOM file with a name of Open-i's"),
    ):
        with pytest.raises(DataError, match=message):
            load_openi_files(tmp_path / "reports", tmp_path / folder, split_table=split)
    with pytest.raises(DataError, match="must be unpacked first"):
        load_openi_files(tmp_path / "reports", tmp_path / "others" / "holiday.png", split_table=split)


def test_studies_that_are_left_out_are_counted_in_the_log(tmp_path, split, caplog):
    put(tmp_path, {"1.xml": xml("CXR90001"), "2.xml": xml("CXR90002", findings="")})
    with caplog.at_level(logging.WARNING, "r2gen_lib"):
        (study,) = load_openi_files(tmp_path, split_table=split)
    assert study.id == "CXR90001"
    assert "1 of the 3 studies in the split table are not there" in caplog.text
    assert "1 of 2 studies left out: no findings text" in caplog.text
    with pytest.raises(DataError, match="study CXR90002: its findings text is empty"):
        load_openi_files(tmp_path, split_table=split, missing="error")
    with pytest.raises(DataError, match="no section 'conclusion'"):
        load_openi_files(tmp_path, split_table=split, section="conclusion")


def test_missing_values_are_no_reports_and_reports_without_a_split_are_counted(tmp_path, split, caplog):
    put(tmp_path, {"1.xml": xml("CXR90001"), "2.xml": xml("CXR90002", findings="nan"), "9.xml": xml("CXR90009")})
    (study,) = load_openi_files(tmp_path, split_table=split)
    assert study.id == "CXR90001"
    assert "1 of 2 studies left out: no findings text" in caplog.text
    assert "1 reports left out: the split table does not name them" in caplog.text
    both = load_openi_files(tmp_path, split_table=split, section="both")
    assert [study.report for study in both] == ["Normal.", "Lungs are clear. Normal."]
    with pytest.raises(DataError, match=r"study CXR90002: its findings text is empty \(it says 'nan'\)"):
        load_openi_files(tmp_path, split_table=split, missing="error")


def test_a_picture_named_like_a_path_stays_in_the_folder(tmp_path, split):
    put(tmp_path, {"1.xml": xml("CXR90001", "../../../etc/x_IM-1", "/etc/y_IM-1", "..\\z_IM-1"), "p/1_IM-1-1.png": b""})
    (study,) = load_openi_files(tmp_path, tmp_path / "p", split_table=split)
    assert {picture.path.parent for picture in study.pictures} == {tmp_path / "p"}
