"""Whole data sets in every layout that is read, small and invented: four studies to train on, two of val, one of test.

Each ``LAYOUTS[name](folder, reports)`` writes its files below a folder that is there, and gives the path for
``load_studies``. ``reports`` may replace texts by the study's place, such as ``{0: "nan"}``.
"""

from __future__ import annotations

import csv
import io
import json
import tarfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from r2gen_lib import assets

PLACES = ("train", "train", "train", "train", "val", "val", "test")
REPORTS = tuple(f"Heart normal {number}. Lungs clear." for number in range(len(PLACES)))


def radiograph(seed: int, height: int = 48, width: int = 40) -> np.ndarray:
    """Two dark lungs in a bright chest, where and how large the seed says; uint8 (height, width)."""
    shift = np.random.default_rng(seed).uniform(-0.1, 0.1, 5)
    y, x = np.mgrid[:height, :width] / np.array([height - 1, width - 1])[:, None, None]
    lungs = sum(
        np.exp(-30 * ((x - middle - dx) ** 2 + 0.5 * (y - 0.5 - dy) ** 2))
        for middle, dx, dy in ((0.28, shift[0], shift[1]), (0.72, shift[2], shift[3]))
    )
    return np.clip(200 + 200 * shift[4] - 150 * lungs, 0, 255).astype(np.uint8)


def picture(path: Path, seed: int, **options) -> None:
    """A PNG, JPEG or, by its suffix, DICOM file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".dcm":
        dicom(path, radiograph(seed))
    else:
        Image.fromarray(radiograph(seed)).save(path, **options)


def dicom(path: Path, grey: np.ndarray, **elements) -> None:
    """A computed radiograph, 8 bits, MONOCHROME2."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, generate_uid

    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = ComputedRadiographyImageStorage, generate_uid()
    dataset.Rows, dataset.Columns = grey.shape
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.SamplesPerPixel, dataset.PixelRepresentation = 7, 1, 0
    dataset.PhotometricInterpretation, dataset.Modality = "MONOCHROME2", "CR"
    dataset.PixelData = grey.tobytes()
    for name, value in elements.items():
        setattr(dataset, name, value)
    dataset.save_as(path, enforce_file_format=True)


def table(path: Path, header: str, rows: Iterable[Iterable]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8", newline="") as stream:
        stream.write(header + "\n")
        csv.writer(stream).writerows(rows)


def _studies(reports: Mapping[int, str]) -> list[tuple[int, str, str]]:
    return [(place, split, reports.get(place, REPORTS[place])) for place, split in enumerate(PLACES)]


def _benchmark_ids() -> list[str]:
    """Ids of the benchmark, one for each of ``PLACES``."""
    with open(assets.repository_data("openi_split.csv"), encoding="utf-8") as stream:
        rows = [(row["study"], row["split"]) for row in csv.DictReader(stream)]
    by_split = {split: iter([study for study, its in rows if its == split]) for split in set(PLACES)}
    return [next(by_split[split]) for split in PLACES]


def r2gen_iu_xray(folder: Path, reports: Mapping[int, str] = {}) -> Path:
    lists: dict[str, list] = {"train": [], "val": [], "test": []}
    for place, split, report in _studies(reports):
        study = f"CXR{place + 1}_IM-{place + 1:04d}"
        paths = [f"{study}/0.png", f"{study}/1.png"]
        lists[split].append({"id": study, "report": report, "image_path": paths, "split": split})
        for number, path in enumerate(paths):
            picture(folder / "images" / path, 2 * place + number)
    (folder / "annotation.json").write_text(json.dumps(lists))
    return folder


def one_path_annotation(folder: Path, reports: Mapping[int, str] = {}) -> Path:
    """``image_path`` is a text and no list; ids are numbers."""
    lists: dict[str, list] = {"train": [], "val": [], "test": []}
    for place, split, report in _studies(reports):
        lists[split].append({"id": place, "report": report, "image_path": f"{place}.jpg"})
        picture(folder / f"{place}.jpg", place)
    (folder / "annotation.json").write_text(json.dumps(lists))
    return folder / "annotation.json"


def r2gen_mimic_cxr(folder: Path, reports: Mapping[int, str] = {}) -> Path:
    lists: dict[str, list] = {"train": [], "val": [], "test": []}
    for place, split, report in _studies(reports):
        path = f"p10/p1000000{place}/s5000000{place}/aa-{place}.jpg"
        entry = {"id": f"aa-{place}", "study_id": 50000000 + place, "subject_id": 10000000 + place, "report": report}
        lists[split].append(entry | {"image_path": [path], "split": split})
        picture(folder / "images" / path, place)
    (folder / "annotation.json").write_text(json.dumps(lists))
    return folder / "annotation.json"


def physionet(folder: Path, reports: Mapping[int, str] = {}) -> Path:
    splits, metadata = [], []
    for place, split, report in _studies(reports):
        subject, study = 10000000 + place, 50000000 + place
        below = folder / "files" / "p10" / f"p{subject}"
        for view in ("PA", "LATERAL"):
            dicom_id = f"{view.lower()}-{place}"
            splits.append((dicom_id, study, subject, "validate" if split == "val" else split))
            metadata.append((dicom_id, subject, study, view))
            picture(below / f"s{study}" / f"{dicom_id}.jpg", 2 * place + (view == "PA"))
        text = f" FINAL REPORT\n INDICATION: ___ with a made-up cough.\n\n FINDINGS: {report}\n\n IMPRESSION: No.\n"
        (below / f"s{study}.txt").write_text(text)
    table(folder / "mimic-cxr-2.0.0-split.csv", "dicom_id,study_id,subject_id,split", splits)
    table(folder / "mimic-cxr-2.0.0-metadata.csv", "dicom_id,subject_id,study_id,ViewPosition", metadata)
    return folder


def indiana(folder: Path, reports: Mapping[int, str] = {}) -> Path:
    header = "uid,MeSH,Problems,image,indication,comparison,findings,impression"
    texts, views = [], []
    for study, (place, _, report) in zip(_benchmark_ids(), _studies(reports), strict=True):
        uid = study.removeprefix("CXR")
        texts.append((uid, "normal", "normal", "PA and lateral", "Cough", "None", report, "No disease."))
        for number, view in enumerate(("Frontal", "Lateral")):
            name = f"{uid}_IM-0001-{number + 1}001.dcm.png"
            views.append((uid, name, view))
            picture(folder / "images" / "images_normalized" / name, 2 * place + number)
    table(folder / "indiana_reports.csv", header, texts)
    table(folder / "indiana_projections.csv", "uid,filename,projection", views)
    return folder


def _records(reports: Mapping[int, str]) -> Iterable[tuple[int, str, str]]:
    """(place, number, XML) of each study."""
    for study, (place, _, report) in zip(_benchmark_ids(), _studies(reports), strict=True):
        text = report.replace("&", "&amp;").replace("<", "&lt;")
        number = study.removeprefix("CXR")
        yield (
            place,
            number,
            f'<eCitation><uId id="{study}"/><AbstractText Label="FINDINGS">{text}</AbstractText>'
            f'<AbstractText Label="IMPRESSION">No disease.</AbstractText><MeSH><major>normal</major></MeSH>'
            f'<parentImage id="{study}_IM-9999-1001"/></eCitation>',
        )


def openi_xml(folder: Path, reports: Mapping[int, str] = {}) -> Path:
    for place, number, xml in _records(reports):
        path = folder / "NLMCXR_reports" / "ecgen-radiology" / f"{number}.xml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(xml)
        picture(folder / "NLMCXR_png" / f"CXR{number}_IM-9999-1001.png", place)
    return folder


def openi_archive(folder: Path, reports: Mapping[int, str] = {}) -> Path:
    with tarfile.open(folder / "NLMCXR_reports.tgz", "w:gz") as tar:
        for place, number, xml in _records(reports):
            member = tarfile.TarInfo(f"ecgen-radiology/{number}.xml")
            member.size = len(xml.encode())
            tar.addfile(member, io.BytesIO(xml.encode()))
            picture(folder / "dicom" / number / f"{number}_IM-9999-1001.dcm", place)
    return folder / "NLMCXR_reports.tgz"


def own_csv(folder: Path, reports: Mapping[int, str] = {}) -> Path:
    """One picture a row."""
    rows = [(f"s{n}", f"{n}.png", "PA", report, split, f"p{n}") for n, split, report in _studies(reports)]
    for place in range(len(rows)):
        picture(folder / f"{place}.png", place)
    table(folder / "mine.csv", "id,picture,view,report,split,patient", rows)
    return folder / "mine.csv"


def own_csv_of_pairs(folder: Path, reports: Mapping[int, str] = {}) -> Path:
    """Both views in a row, sections in columns, some cells through pandas."""
    rows = [
        (f"s{n}", f"img/{n}f.png", "nan" if n == 1 else f"img/{n}l.jpg", report, "nan", split, "NaN")
        for n, split, report in _studies(reports)
    ]
    for place in range(len(rows)):
        picture(folder / "img" / f"{place}f.png", 2 * place)
        picture(folder / "img" / f"{place}l.jpg", 2 * place + 1)
    table(folder / "mine.csv", "id,frontal,lateral,findings,impression,split,patient", rows)
    return folder


LAYOUTS: dict[str, Callable[..., Path]] = {
    layout.__name__: layout
    for layout in (
        *(r2gen_iu_xray, one_path_annotation, r2gen_mimic_cxr, physionet, indiana, openi_xml, openi_archive),
        *(own_csv, own_csv_of_pairs),
    )
}
