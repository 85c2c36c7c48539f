"""R2Gen's annotation format. Every report here is written for the test."""

from __future__ import annotations

import json
import logging
import math
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from r2gen_lib.data.readers.annotation import load_annotation
from r2gen_lib.data.study import Study
from r2gen_lib.errors import DataError

MIMIC_FOLDER = "p10/p10000764/s57375967"


def iu_entry(number: int, in_split: str, **changes) -> dict:
    study_id = f"CXR{number}_IM-{number:04d}"
    entry = dict(
        id=study_id,
        report=f"The heart of number {number} is  normal.\nLungs are clear.",
        image_path=[f"{study_id}/0.png", f"{study_id}/1.png"],
        split=in_split,
    )
    return entry | changes


def iu_xray() -> dict:
    return {
        "train": [iu_entry(1, "train"), iu_entry(2, "train")],
        "val": [iu_entry(3, "val")],
        "test": [iu_entry(4, "test")],
    }


def mimic_entry(dicom: str, **changes) -> dict:
    entry = dict(
        id=dicom,
        study_id=57375967,
        subject_id=10000764,
        report="There is a small effusion.",
        image_path=[f"{MIMIC_FOLDER}/{dicom}.jpg"],
        split="train",
    )
    return entry | changes


@pytest.fixture
def annotation(tmp_path):
    def write(content: object, name: str = "annotation.json") -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return path

    return write


def refused(path: Path, **options) -> str:
    with pytest.raises(DataError) as error:
        load_annotation(path, **options)
    message = str(error.value)
    assert str(path) in message
    return message


def test_iu_xray_is_read_with_its_views_splits_and_gentle_texts(annotation, tmp_path):
    (tmp_path / "images").mkdir()
    studies = load_annotation(annotation(iu_xray()))
    assert [(study.id[:4], study.split) for study in studies] == [
        ("CXR1", "train"),
        ("CXR2", "train"),
        ("CXR3", "val"),
        ("CXR4", "test"),
    ]
    first = studies[0]
    assert first.report == "The heart of number 1 is normal. Lungs are clear."
    assert first.sections == {"findings": iu_xray()["train"][0]["report"]}
    assert [(p.view, p.path) for p in first.pictures] == [
        ("frontal", tmp_path / "images" / "CXR1_IM-0001" / "0.png"),
        ("lateral", tmp_path / "images" / "CXR1_IM-0001" / "1.png"),
    ]
    assert first.source == "iu_xray" and not first.credentialed and first.patient == "" and first.mesh == ()


def test_the_picture_folder_is_the_one_given_else_the_files_own(annotation, tmp_path):
    path = annotation(iu_xray())
    assert load_annotation(path)[0].pictures[0].path == tmp_path / "CXR1_IM-0001" / "0.png"
    other = tmp_path / "elsewhere"
    assert str(other) in str(pytest.raises(DataError, load_annotation, path, other).value)
    other.mkdir()
    assert load_annotation(path, other)[0].pictures[0].path == other / "CXR1_IM-0001" / "0.png"


def test_cleaning_is_a_name_or_a_function_and_leaves_the_raw_text(annotation):
    path = annotation(iu_xray())
    study = load_annotation(path, clean=str.upper)[0]
    assert study.report.startswith("THE HEART") and study.sections["findings"].startswith("The heart")
    with pytest.raises(DataError, match="gentil"):
        load_annotation(path, clean="gentil")


def test_the_one_text_has_the_name_it_is_asked_by_and_no_other(annotation):
    path = annotation(iu_xray())
    assert set(load_annotation(path, section="report")[0].sections) == {"report"}
    for section in ("impression", "findings+impression"):
        assert "impression" in refused(path, section=section, missing="skip")


def test_mimic_is_credentialed_and_grouped_by_patient(annotation):
    content = {"train": [mimic_entry("aa-1"), mimic_entry("aa-2")], "val": [], "test": []}
    studies = load_annotation(annotation(content))
    assert all(study.credentialed and study.source == "mimic_cxr" and study.patient == "10000764" for study in studies)
    assert [study.picture("frontal").path.name for study in studies] == ["aa-1.jpg", "aa-2.jpg"]


def test_mimic_is_known_by_its_paths_too(annotation):
    entry = {key: value for key, value in mimic_entry("aa-1").items() if key not in ("subject_id", "study_id")}
    (study,) = load_annotation(annotation({"train": [entry], "val": [], "test": []}))
    assert study.credentialed and study.patient == "10000764"


def test_credentialed_can_be_said(annotation):
    assert load_annotation(annotation(iu_xray()), credentialed=True)[0].credentialed
    mimic = {"train": [mimic_entry("aa-1")], "val": [], "test": []}
    assert not load_annotation(annotation(mimic), credentialed=False)[0].credentialed


def test_mimic_views_come_from_the_metadata_beside_it(annotation, tmp_path):
    dicoms = ["aa-1", "aa-2", "aa-3", "aa-4"]
    table = "dicom_id,study_id,ViewPosition\naa-1,57375967,PA\naa-2,57375967,LATERAL\naa-3,57375967,\n"
    (tmp_path / "mimic-cxr-2.0.0-metadata.csv").write_text(table)
    content = {"train": [mimic_entry(dicom) for dicom in dicoms], "val": [], "test": []}
    views = [study.pictures[0].view for study in load_annotation(annotation(content))]
    assert views == ["frontal", "lateral", "other", "frontal"]


def test_more_than_two_pictures_are_frontal_lateral_and_other(annotation):
    content = iu_xray()
    content["val"][0]["image_path"] += ["x/2.png", "x/3.png"]
    views = [picture.view for picture in load_annotation(annotation(content))[2].pictures]
    assert views == ["frontal", "lateral", "other", "other"]


def test_ids_may_be_numbers_and_the_fields_split_may_be_absent(annotation):
    entry = iu_entry(7, "train", id=7)
    del entry["split"]
    assert load_annotation(annotation({"train": [entry], "val": [], "test": []}))[0].id == "7"


@pytest.mark.parametrize(
    "content",
    [b"", b"train: [1]", b'{"train": [', b"\xff\xfe\x00", b"[" * 100_000, b'{"train": ' + b"9" * 5000 + b"}"],
)
def test_what_is_not_json_is_one_error(annotation, content):
    assert "not JSON that can be used" in refused(annotation(content))


def test_a_saved_login_page_is_recognised(annotation):
    assert "was a login page saved" in refused(annotation(b"\n<!DOCTYPE html><html></html>"))


def test_a_missing_file_is_one_error(tmp_path):
    assert "cannot be read (No such file" in refused(tmp_path / "annotation.json")


def test_a_byte_order_mark_is_read(annotation):
    assert len(load_annotation(annotation(b"\xef\xbb\xbf" + json.dumps(iu_xray()).encode()))) == 4


def test_a_list_in_place_of_the_splits_is_told(annotation):
    message = refused(annotation(iu_xray()["train"]))
    assert "found a list, expected an object with the lists 'train', 'val' and 'test'" in message


def test_a_missing_split_is_told_with_the_keys_found(annotation):
    content = iu_xray()
    content["valid"] = content.pop("val")
    message = refused(annotation(content))
    assert "no split val; found the keys 'train', 'test', 'valid'" in message and "Is 'valid' val?" in message


def test_thousands_of_keys_are_not_listed(annotation):
    assert len(refused(annotation({f"CXR{i}": {} for i in range(3000)}))) < 800


def test_a_key_given_twice_is_told(annotation):
    text = json.dumps(iu_xray())
    message = refused(annotation((text[:-1] + ', "train": []}').encode()))
    assert "an object has the key 'train' twice" in message


def test_a_split_that_is_no_list_and_no_entries_at_all_are_told(annotation):
    assert "'val' is an object, expected a list" in refused(annotation({**iu_xray(), "val": {}}))
    assert "it names no study" in refused(annotation({"train": [], "val": [], "test": []}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(id=""), "val[0]: its 'id' is empty"),
        (dict(id=None), "val[0]: 'id' is null, expected a text"),
        (dict(id=True), "val[0]: 'id' is true or false, expected a text"),
        (dict(id="\ud800"), "'id' holds half a character"),
        (dict(report=None), "its findings text is empty"),
        (dict(report=math.nan), "its findings text is empty"),
        (dict(report="NaN"), "its findings text is empty (it says 'NaN')"),
        (dict(report="Indication:nan"), "its findings text is empty (it says 'Indication:nan')"),
        (dict(report=["Clear."]), "'report' is a list, expected a text"),
        (dict(report=3.5), "'report' is a number, expected a text"),
        (dict(report="Clear \udcff."), "'report' holds half a character"),
        (dict(report=" \n"), "its findings text is empty"),
        (dict(image_path=[]), "'image_path' is an empty list, expected a list of at least one path"),
        (
            dict(image_path=None),
            "'image_path' is null, expected a list of at least one path, such as [\"CXR3_IM-0003/0.png\"]",
        ),
        (dict(image_path=math.nan), "'image_path' is a number, expected a list"),
        (dict(image_path="../a.png"), "image_path[0]: the path '../a.png' climbs with '..'"),
        (dict(image_path=[""]), "image_path[0]: the path '' is empty"),
        (dict(image_path=[7]), "image_path[0]: the path 7 is of type int, not a text"),
        (dict(image_path=["a.png", "../b.png"]), "image_path[1]: the path '../b.png' climbs with '..'"),
        (dict(image_path=["/etc/passwd"]), "the path '/etc/passwd' is absolute"),
        (dict(split="test"), "its 'split' is 'test' and it is in the list 'val'"),
        (dict(subject_id=[1]), "'subject_id' is a list, expected a text"),
    ],
)
def test_an_entry_that_is_wrong_is_told_with_place_found_and_expected(annotation, changes, message):
    assert message in refused(annotation({**iu_xray(), "val": [iu_entry(3, "val", **changes)]}))


@pytest.mark.parametrize("field", ["id", "report", "image_path"])
def test_a_field_that_is_not_there_is_told_with_those_that_are(annotation, field):
    content = iu_xray()
    content["test"][0].pop(field)
    message = refused(annotation(content))
    assert f"no '{field}'; found" in message and "'split'" in message


def test_an_entry_that_is_no_object_is_told(annotation):
    assert "test[0]: found a text, expected an object" in refused(annotation({**iu_xray(), "test": ["CXR1"]}))


def test_a_link_that_leaves_the_folder_is_refused(annotation, tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    try:
        (images / "CXR3_IM-0003").symlink_to(tmp_path)
    except OSError:
        pytest.skip("links cannot be made here")
    assert "is a link, or lies below one" in refused(annotation(iu_xray()))


def test_an_id_that_appears_twice_is_told_and_across_splits_it_is_a_leak(annotation):
    within, across = iu_xray(), iu_xray()
    within["train"].append(within["train"][0])
    across["test"].append({**across["train"][1], "split": "test"})
    message = refused(annotation(within))
    assert "train[2] ('CXR1_IM-0001'): its id is that of train[0] ('CXR1_IM-0001')." in message
    assert "a study of train may not be in test too" in refused(annotation(across))


def test_empty_reports_can_be_left_out_and_are_counted(annotation, caplog):
    content = iu_xray()
    content["train"][0]["report"] = ""
    with caplog.at_level(logging.INFO, logger="r2gen_lib"):
        studies = load_annotation(annotation(content), missing="skip")
    assert len(studies) == 3
    assert [record.getMessage() for record in caplog.records] == [
        "annotation.json: 1 of 4 studies left out: no findings text."
    ]
    with pytest.raises(DataError, match="missing='keep': expected 'error' or 'skip'"):
        load_annotation(annotation(content), missing="keep")


def test_one_path_may_stand_without_a_list_around_it(annotation, tmp_path):
    (tmp_path / "pictures" / "files" / "p10").mkdir(parents=True)
    content = iu_xray()
    content["train"][0]["image_path"] = "CXR1_IM-0001/0.png"
    content["val"][0] |= {"image_path": f"{MIMIC_FOLDER}/aa-1.jpg"}
    first, *_, third, _ = load_annotation(annotation(content))
    assert [(p.view, p.path) for p in first.pictures] == [("frontal", tmp_path / "CXR1_IM-0001" / "0.png")]
    assert third.patient == "10000764"
    mimic = {"train": [mimic_entry("aa-1", image_path=f"{MIMIC_FOLDER}/aa-1.jpg")], "val": [], "test": []}
    (study,) = load_annotation(annotation(mimic), tmp_path / "pictures")
    assert study.pictures[0].path == tmp_path / "pictures" / "files" / MIMIC_FOLDER / "aa-1.jpg"


@pytest.mark.parametrize("subject", [None, math.nan, "nan", "None", "<NA>"])
def test_a_patient_that_is_not_given_is_none(annotation, subject):
    entry = mimic_entry("aa-1", subject_id=subject, image_path=["a.jpg"])
    (study,) = load_annotation(annotation({"train": [entry], "val": [], "test": []}))
    assert study.patient == ""


def test_missing_reports_are_left_out_and_counted(annotation, caplog):
    content = iu_xray()
    for entry, report in zip(content["train"] + content["val"], (None, math.nan, "<NA>"), strict=True):
        entry["report"] = report
    assert [study.id[:4] for study in load_annotation(annotation(content), missing="skip")] == ["CXR4"]
    assert "3 of 4 studies left out: no findings text" in caplog.text


def test_lists_that_are_no_split_are_named_in_the_log(annotation, caplog):
    assert len(load_annotation(annotation({**iu_xray(), "test2": [iu_entry(9, "test")], "notes": []}))) == 4
    assert "annotation.json: the lists 'test2' (1), 'notes' (0) are not read" in caplog.text


def test_a_report_that_cleaning_makes_a_lone_full_stop_is_empty(annotation, caplog):
    content = iu_xray()
    content["train"][0]["report"], content["train"][1]["report"] = "", "***"
    assert len(load_annotation(annotation(content), clean="r2gen_iu_xray", missing="skip")) == 2
    assert "2 of 4 studies left out" in caplog.text


def test_thousands_of_bad_entries_are_one_short_error(annotation):
    content = {**iu_xray(), "train": [iu_entry(i, "train", image_path=["../a.png"]) for i in range(4000)]}
    message = refused(annotation(content))
    assert "4,000 entries are wrong" in message and "and 3,995 more" in message and message.count("\n") == 6


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=()))
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)
PATHS = st.sampled_from(["a/0.png", "p10/p10000032/s50414267/x.jpg", "../a.png", "/a", "", "a\\b", "C:/a", "a\0b"])
ENTRIES = st.fixed_dictionaries(
    {},
    optional=dict(
        id=st.sampled_from(["a", "b", "", 1]) | VALUES,
        report=st.sampled_from(["Clear.", " "]) | VALUES,
        image_path=st.lists(PATHS | SCALARS, max_size=3) | VALUES,
        split=st.sampled_from(["train", "val", "test"]) | VALUES,
        subject_id=VALUES,
    ),
)
SPLIT_LISTS = st.lists(ENTRIES | VALUES, max_size=3)
NEARLY = st.fixed_dictionaries({"train": SPLIT_LISTS, "val": SPLIT_LISTS | VALUES, "test": SPLIT_LISTS})


@settings(max_examples=150, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(content=NEARLY | VALUES, missing=st.sampled_from(["error", "skip"]))
def test_any_json_gives_studies_or_one_error(content, missing):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "annotation.json")
        path.write_text(json.dumps(content), encoding="utf-8")
        _studies_or_one_error(path, missing)


@settings(max_examples=60, deadline=None, database=None)
@given(content=st.binary(max_size=60))
def test_any_bytes_give_studies_or_one_error(content):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "annotation.json")
        path.write_bytes(content)
        _studies_or_one_error(path, "skip")


def _studies_or_one_error(path: Path, missing: str) -> None:
    try:
        studies = load_annotation(path, missing=missing)
    except DataError as error:
        str(error).encode()  # printable
        assert len(str(error)) < 4000
        return
    assert studies and len({study.id for study in studies}) == len(studies)
    for study in studies:
        assert isinstance(study, Study) and study.report.strip() and study.pictures
        study.report.encode()
        assert all(picture.path.is_relative_to(path.parent) for picture in study.pictures)
