"""Data sets laid out file for file and column for column as they circulate. Every report and id is invented."""

from __future__ import annotations

import csv
import gzip
import json
import logging
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from r2gen_lib import load_studies
from r2gen_lib.data.audit.audit import examine
from r2gen_lib.data.readers.openi_files import holds_openi_reports
from r2gen_lib.errors import DataError

SUBJECT, STUDY = "p10/p10000032/s50414267", "50414267"
FRONTAL_ID = "02aa804e-aaaaaaaa-bbbbbbbb-cccccccc-00000001"
LATERAL_ID = "174413ec-aaaaaaaa-bbbbbbbb-cccccccc-00000002"
OTHER_ID = "2a2277a9-aaaaaaaa-bbbbbbbb-cccccccc-00000003"
METADATA = (
    "dicom_id,subject_id,study_id,PerformedProcedureStepDescription,ViewPosition,Rows,Columns,StudyDate,StudyTime,"
    "ProcedureCodeSequence_CodeMeaning,ViewCodeSequence_CodeMeaning,PatientOrientationCodeSequence_CodeMeaning"
)


@pytest.fixture(autouse=True)
def own_cache(empty_cache):
    """Hashes of credentialed sentences go nowhere else."""


def picture(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (24, 20), dtype=np.uint8)).save(path)


def table(path: Path, header: str, *rows: tuple) -> None:
    with (gzip.open if path.suffix == ".gz" else open)(path, "wt", encoding="utf-8", newline="") as stream:
        stream.write(header + "\n")
        csv.writer(stream).writerows(rows)


def metadata_row(dicom: str, position: str, step: str = "CHEST (PA AND LAT)", view_code: str = "") -> tuple:
    rest = (3056, 2544, 21800506, "213014.531", step, view_code, "Erect")
    return (dicom, "10000032", STUDY, step, position, *rest)


def test_r2gen_iu_xray(tmp_path):
    """``iu_xray/annotation.json`` beside ``iu_xray/images/CXR2384_IM-0942/0.png`` and ``1.png``."""
    lists = {"train": [], "val": [], "test": []}
    for number, split in ((2384, "train"), (2926, "val"), (1451, "test")):
        study = f"CXR{number}_IM-{number - 1442:04d}"
        paths = [f"{study}/0.png", f"{study}/1.png"]
        lists[split].append({"id": study, "report": f"Lungs {number}.", "image_path": paths, "split": split})
        for seed, path in enumerate(paths):
            picture(tmp_path / "images" / path, number + seed)
    (tmp_path / "annotation.json").write_text(json.dumps(lists))
    studies = load_studies(tmp_path)
    assert [(s.id, s.split, s.source) for s in studies] == [
        ("CXR2384_IM-0942", "train", "iu_xray"),
        ("CXR2926_IM-1484", "val", "iu_xray"),
        ("CXR1451_IM-0009", "test", "iu_xray"),
    ]
    assert all([p.view for p in s.pictures] == ["frontal", "lateral"] and not s.credentialed for s in studies)
    assert not examine(studies, "iu_xray", progress=False).problems


def mimic_annotation(folder: Path) -> Path:
    """An entry a picture; numbers as numbers; paths that begin with p10."""
    entry = {"study_id": int(STUDY), "subject_id": 10000032, "report": " An invented heart.\n"}
    entry["split"] = "train"
    entries = [entry | {"id": d, "image_path": [f"{SUBJECT}/{d}.jpg"]} for d in (FRONTAL_ID, LATERAL_ID)]
    folder.mkdir(exist_ok=True)
    (folder / "annotation.json").write_text(json.dumps({"train": entries, "val": [], "test": []}))
    return folder / "annotation.json"


def test_r2gen_mimic_cxr_with_its_own_picture_folder(tmp_path, caplog):
    annotation = mimic_annotation(tmp_path)
    for dicom in (FRONTAL_ID, LATERAL_ID):
        picture(tmp_path / "images" / SUBJECT / f"{dicom}.jpg")
    with caplog.at_level(logging.WARNING, "r2gen_lib"):
        studies = load_studies(annotation)
    assert [(s.id, s.patient, s.credentialed) for s in studies] == [
        (FRONTAL_ID, "10000032", True),
        (LATERAL_ID, "10000032", True),
    ]
    assert all(study.pictures[0].path.is_file() for study in studies)
    assert "every picture is called frontal, the lateral ones too" in caplog.text


@pytest.mark.parametrize("given", ["", "files"])
def test_r2gen_mimic_cxr_on_physionets_pictures_takes_views_from_its_metadata(tmp_path, caplog, given):
    annotation, jpg = mimic_annotation(tmp_path / "r2gen"), tmp_path / "mimic-cxr-jpg" / "2.0.0"
    for dicom in (FRONTAL_ID, LATERAL_ID):
        picture(jpg / "files" / SUBJECT / f"{dicom}.jpg")
    rows = metadata_row(FRONTAL_ID, "PA"), metadata_row(LATERAL_ID, "LL")
    table(jpg / "mimic-cxr-2.0.0-metadata.csv.gz", METADATA, *rows)
    with caplog.at_level(logging.WARNING, "r2gen_lib"):
        studies = load_studies(annotation, pictures=jpg / given)
    assert [study.pictures[0].view for study in studies] == ["frontal", "lateral"]
    assert all(study.pictures[0].path.is_file() for study in studies) and not caplog.records


def physionet(root: Path, reports: str = "") -> None:
    """MIMIC-CXR-JPG's folder, with the reports of MIMIC-CXR below ``reports``."""
    dicoms = (FRONTAL_ID, "PA"), (LATERAL_ID, "LATERAL"), (OTHER_ID, "")
    for dicom, _ in dicoms:
        picture(root / "files" / SUBJECT / f"{dicom}.jpg")
    split = ((dicom, STUDY, "10000032", "validate") for dicom, _ in dicoms)
    table(root / "mimic-cxr-2.0.0-split.csv.gz", "dicom_id,study_id,subject_id,split", *split)
    table(root / "mimic-cxr-2.0.0-metadata.csv.gz", METADATA, *(metadata_row(*dicom) for dicom in dicoms))
    table(root / "mimic-cxr-2.0.0-chexpert.csv.gz", "subject_id,study_id,Atelectasis", ("10000032", STUDY, "1.0"))
    for name in ("index.html", "LICENSE.txt", "SHA256SUMS.txt"):
        (root / name).write_text("")
    (root / "files" / "index.html").write_text("")
    report = root / reports / "files" / f"{SUBJECT}.txt"
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(
        f"{' ' * 33}FINAL REPORT\n EXAMINATION:  CHEST (PA AND LAT)\n \n INDICATION:  ___F with invented cough\n \n"
        " FINDINGS: \n \n PA and lateral views of the invented chest.  All clear.\n \n IMPRESSION: \n \n Nothing.\n"
    )


@pytest.mark.parametrize("reports", ["", "mimic-cxr-reports"])
def test_physionets_mimic_cxr_jpg(tmp_path, reports):
    physionet(tmp_path, reports)
    (study,) = load_studies(tmp_path)
    assert (study.id, study.split, study.patient, study.credentialed) == ("s50414267", "val", "10000032", True)
    assert study.report == "PA and lateral views of the invented chest. All clear."
    assert [picture.view for picture in study.pictures] == ["frontal", "lateral", "other"]
    assert all(picture.path.is_file() for picture in study.pictures)


def test_the_views_of_mimic_cxrs_metadata(tmp_path):
    """Every ViewPosition that the real table has, and what stands in for an empty one."""
    expected = dict.fromkeys(("PA", "AP"), "frontal") | dict.fromkeys(("LATERAL", "LL", "RL"), "lateral")
    rare = ("LAO", "RAO", "LPO", "SWIMMERS", "PA LLD", "PA RLD", "AP LLD", "AP RLD", "AP AXIAL", "XTABLE LATERAL")
    expected |= dict.fromkeys(rare, "other")
    rows = [metadata_row(f"d{n}", position) for n, position in enumerate(expected)]
    rows += [
        metadata_row("portable", "", "CHEST (PORTABLE AP)"),
        metadata_row("coded", "", view_code="left lateral"),
        metadata_row("unknown", ""),
    ]
    physionet(tmp_path)
    split = [(row[0], STUDY, "10000032", "train") for row in rows]
    table(tmp_path / "mimic-cxr-2.0.0-split.csv.gz", "dicom_id,study_id,subject_id,split", *split)
    table(tmp_path / "mimic-cxr-2.0.0-metadata.csv.gz", METADATA, *rows)
    found = {picture.path.stem: picture.view for picture in load_studies(tmp_path)[0].pictures}
    assert [found[f"d{n}"] for n in range(len(expected))] == list(expected.values())
    assert (found["portable"], found["coded"], found["unknown"]) == ("frontal", "lateral", "other")


INDIANA = "uid,MeSH,Problems,image,indication,comparison,findings,impression"


def indiana(root: Path, reports: str = "indiana_reports.csv", projections: str = "indiana_projections.csv") -> None:
    """The archive as it unpacks: both tables beside ``images/images_normalized``."""
    root.mkdir(exist_ok=True)
    codes = "Cardiomegaly/borderline;Pulmonary Artery/enlarged"
    rows = [
        ("1", "normal", "normal", "Xray Chest PA and Lateral", "Invented", "None.", "No XXXX. Clear.", "A x-XXXX."),
        ("2", codes, "Cardiomegaly;Pulmonary Artery", "Chest, 2 views, frontal", "", "", "Large.", ""),
        ("3998", "normal", "normal", " PA and lateral chest XXXX ", "Invented", "", "", "Heart is normal."),
    ]
    table(root / reports, INDIANA, *rows)
    pictures = ("1_IM-0001-4001.dcm.png", "Frontal"), ("1_IM-0001-3001.dcm.png", "Lateral")
    pictures += ("2_IM-0652-1001.dcm.png", "Frontal"), ("2_IM-0652-2001.dcm.png", "Lateral")
    table(root / projections, "uid,filename,projection", *((name[0], name, view) for name, view in pictures))
    for seed, (name, _) in enumerate(pictures):
        picture(root / "images" / "images_normalized" / name, seed)


@pytest.mark.parametrize("names", [(), ("Indiana_reports.csv", "Indiana_projections.csv"), ("a.csv", "b.csv")])
def test_the_indiana_pair_under_whatever_name(tmp_path, names):
    indiana(tmp_path, *names)
    studies = {study.id: study for study in load_studies(tmp_path)}
    assert list(studies.values()) == load_studies(tmp_path / (names or ["indiana_reports.csv"])[0])
    assert list(studies) == ["CXR1", "CXR2"], "the benchmark's order; CXR3998 has no findings and is not in it"
    assert studies["CXR2"].mesh == ("Cardiomegaly/borderline", "Pulmonary Artery/enlarged")
    assert [(p.view, p.path.is_file()) for p in studies["CXR1"].pictures] == [("frontal", True), ("lateral", True)]


def test_a_folder_with_one_table_of_ones_own_is_read_and_with_two_is_ambiguous(tmp_path):
    table(tmp_path / "notes.csv", "who,when", ("me", "today"))
    table(tmp_path / "mine.csv", "Picture;Report;Split", *[(f"{s}.png;{s} lungs.;{s}",) for s in ("train", "val")])
    assert [study.report for study in load_studies(tmp_path)] == ["train lungs.", "val lungs."]
    (tmp_path / "older.csv").write_bytes((tmp_path / "mine.csv").read_bytes())
    with pytest.raises(DataError, match=r"2 tables with pictures and reports \(mine.csv, older.csv\)\. Name one"):
        load_studies(tmp_path)


class Listed(list):
    """The folders that were listed while ``on``."""

    on = False

    def note(self, event: str, args: tuple) -> None:
        if self.on and event in ("os.scandir", "os.listdir"):
            self.append(str(args[0]))


LISTED = Listed()
sys.addaudithook(LISTED.note)  # Python has no way to take one away


@pytest.fixture
def listed(monkeypatch):
    LISTED.clear()
    monkeypatch.setattr(LISTED, "on", True)
    return LISTED


@pytest.mark.parametrize("layout", ["annotation", "indiana", "own"])
def test_folders_of_pictures_are_not_searched_where_a_file_says_what_it_is(tmp_path, listed, layout):
    if layout == "annotation":
        mimic_annotation(tmp_path)
    elif layout == "indiana":
        indiana(tmp_path)
    else:
        table(tmp_path / "mine.csv", "picture,report,split", ("images/a/0.png", "Clear.", "train"))
    (tmp_path / "images" / "a" / "b").mkdir(parents=True)
    listed.clear()
    assert load_studies(tmp_path)
    assert not [folder for folder in listed if folder.startswith(str(tmp_path / "images") + os.sep)]


def test_the_search_for_reports_stops_at_the_first(tmp_path, listed):
    for name in ("a/deep", "NLMCXR_reports/ecgen-radiology", "z/deep/deeper"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "NLMCXR_reports" / "ecgen-radiology" / "1.XML").write_text("")
    listed.clear()
    assert holds_openi_reports(tmp_path)
    assert listed.count(str(tmp_path / "NLMCXR_reports" / "ecgen-radiology")) == 1
    assert str(tmp_path / "z" / "deep" / "deeper") not in listed, "level by level, up to the first"


def test_a_huge_folder_without_reports_is_not_searched_for_ever(tmp_path, monkeypatch, listed):
    monkeypatch.setattr("r2gen_lib.data.readers.openi_files._LOOKED_AT", 30)
    for n in range(40):
        (tmp_path / "p10" / f"s{n}").mkdir(parents=True)
    assert not holds_openi_reports(tmp_path) and len(listed) < 5
