"""The default data set: real reports, simulated pictures."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from r2gen_lib import load_studies
from r2gen_lib.errors import DataError


def test_openi_sim_is_the_benchmark_with_its_split_and_two_views():
    studies = load_studies("openi_sim")
    assert Counter(study.split for study in studies) == {"train": 2069, "val": 296, "test": 590}
    assert all(study.report and study.mesh and study.source == "openi_sim" for study in studies)
    assert all([picture.view for picture in study.pictures] == ["frontal", "lateral"] for study in studies)
    assert all(picture.simulated for study in studies for picture in study.pictures)


def test_limit_counts_studies_of_each_split():
    assert Counter(study.split for study in load_studies(limit=3)) == {"train": 3, "val": 3, "test": 3}


def test_impressions_can_be_the_target_and_studies_without_one_are_left_out_and_counted(caplog):
    studies = load_studies(section="impression")
    assert "6 of 2955 studies left out: no impression text." in caplog.text
    assert 2900 < len(studies) < 2955
    assert all(study.report for study in studies)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"source": "openi"}, "'openi': found no such name, file or folder; expected openi_sim, or an R2Gen"),
        ({"limit": 0}, "limit: found 0"),
        ({"pictures": "here"}, "simulated. Leave it out"),
        ({"clean": "harsh"}, "harsh"),
        ({"section": "fidings"}, "fidings"),
    ],
)
def test_mistakes_are_named(arguments, named):
    with pytest.raises(DataError, match=named):
        load_studies(**arguments)


def test_files_and_folders_that_are_no_data_set_are_refused(tmp_path):
    with pytest.raises(DataError, match="a folder without a data set that is known; expected an R2Gen annotation"):
        load_studies(tmp_path)
    (tmp_path / "notes.docx").write_text("x")
    with pytest.raises(DataError, match=r"found a file of type \.docx"):
        load_studies(tmp_path / "notes.docx")


def annotation(folder):
    entry = {"id": "CXR1_1", "report": "Clear lungs.", "image_path": ["CXR1_1/0.png", "CXR1_1/1.png"], "split": "train"}
    rest = {split: [entry | {"id": f"CXR2_{split}", "split": split}] for split in ("val", "test")}
    (folder / "annotation.json").write_text(json.dumps({"train": [entry], **rest}))
    return folder / "annotation.json"


def own_csv(folder):
    rows = "a,a.png,Clear lungs.,train\nb,b.png,Large heart.,val\nc,c.png,Clear.,test\n"
    (folder / "mine.csv").write_text("id,picture,report,split\n" + rows)
    return folder / "mine.csv"


def indiana(folder):
    header = "uid,MeSH,Problems,image,indication,comparison,findings,impression"
    (folder / "indiana_reports.csv").write_text(f"{header}\n1,normal,normal,PA,,,Clear lungs.,Normal.\n")
    (folder / "indiana_projections.csv").write_text("uid,filename,projection\n1,1.png,Frontal\n")
    return folder


def open_i(folder):
    (folder / "1.xml").write_text(
        '<eCitation><uId id="CXR1"/><AbstractText Label="FINDINGS">Clear lungs.</AbstractText></eCitation>'
    )
    return folder


def mimic(folder):
    tables = {"split": "dicom_id,study_id,subject_id,split\nd,50000001,10000001,validate\n"}
    tables["metadata"] = "dicom_id,subject_id,study_id,ViewPosition\nd,10000001,50000001,PA\n"
    for name, table in tables.items():
        (folder / f"mimic-cxr-2.0.0-{name}.csv").write_text(table)
    report = folder / "files" / "p10" / "p10000001" / "s50000001.txt"
    report.parent.mkdir(parents=True)
    report.write_text("FINAL REPORT\n FINDINGS: Clear made-up lungs.\n IMPRESSION: Nothing.\n")
    return folder


@pytest.mark.parametrize("layout", [annotation, own_csv, indiana, open_i, mimic])
def test_a_path_is_read_as_what_it_is(layout, tmp_path, monkeypatch):
    monkeypatch.setenv("R2GEN_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "data"
    folder.mkdir()
    studies = load_studies(layout(folder))
    assert all("lear" in study.report or "heart" in study.report for study in studies)
    assert all(study.credentialed == (layout is mimic) for study in studies)
    assert not any(picture.simulated for study in studies for picture in study.pictures)
    harsh = load_studies(folder if layout in (indiana, open_i, mimic) else layout(folder), clean="r2gen_iu_xray")
    assert harsh[0].report.endswith(" .") and harsh[0].report == harsh[0].report.lower()


def test_limit_counts_each_split_of_files_too(tmp_path):
    assert len(load_studies(own_csv(tmp_path), limit=1)) == 3


def test_a_picture_loads_as_grey_bytes():
    picture = load_studies(limit=1)[0].picture("frontal").load()
    assert picture.shape == (224, 224) and picture.dtype.name == "uint8"
