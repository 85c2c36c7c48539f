"""Every data set by its name or its place. This is where reports meet pictures: ``data`` knows no simulator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from r2gen_lib.data.readers.openi import load_openi_reports
from r2gen_lib.data.readers.registry import LAYOUTS, layout_of
from r2gen_lib.data.study import Study
from r2gen_lib.errors import DataError
from r2gen_lib.findings.mesh_codes import findings_from_mesh
from r2gen_lib.privacy import mark

SOURCES = ("openi_sim",)  # what needs no path


def load_studies(
    source: str | Path = "openi_sim",
    *,
    pictures: str | Path | None = None,
    section: str = "findings",
    clean: str | Callable[[str], str] = "gentle",
    limit: int | None = None,
    missing: str = "skip",
) -> list[Study]:
    """The studies of a data set, in the order of its split table or file.

    ``"openi_sim"``: the 2,955 real reports of the IU-Xray benchmark with its own split, each with two *simulated*
    radiographs that show what the report's MeSH codes say. A picture is drawn when it is first loaded, then kept in
    the cache; ``r2gen_lib.simulation.render.render_pictures`` draws many at once.

    Credentialed studies are marked (``r2gen_lib.privacy``): a notebook that holds them is not saved with outputs.

    A path is read as what it is, the first layout of ``data.readers.registry`` that fits: an R2Gen ``annotation.json``
    (IU-Xray or MIMIC-CXR), MIMIC-CXR as PhysioNet lays it out, the Indiana CSV pair, a ``.csv`` of your own, Open-i's
    reports as downloaded (XML and pictures, or the ``.tgz``); each as a file, or the folder that holds it.

    Args:
        source: the data set's name, or a file or folder.
        pictures: the folder that its pictures are in, where that is not beside it.
        section: the target text: "findings", "impression", "both", or sections joined by "+".
        clean: a cleaning by name (``r2gen_lib.data.cleaning.CLEANINGS``), or a function of one text.
        limit: at most so many studies *of each split*, the first ones.
        missing: what happens to studies without that section, or with "nan", "None" or the like in its place: "skip"
            leaves them out and logs how many; "error".

    Raises:
        DataError: no such source, a file that is not what it should be, an unknown section or cleaning, or no study.
        AssetError: a data wheel is missing.
    """
    if limit is not None and limit < 1:
        raise DataError(f"limit: found {limit}, expected at least 1, or None for every study.")
    options = {"section": section, "clean": clean, "missing": missing}
    if str(source) in SOURCES:
        if pictures is not None:
            raise DataError(f"pictures={str(pictures)!r}: the pictures of {source} are simulated. Leave it out.")
        return [_with_simulated_pictures(s) for s in _first(load_openi_reports(**options), limit)]
    path = Path(source)
    known = layout_of(path)
    if known is None:
        raise _unknown(path)
    layout, place = known
    if layout.limited:
        options["limit"] = limit  # 227,835 reports of MIMIC-CXR: only those that are wanted are read
    studies = _first(layout.read(place, pictures and Path(pictures), **options), limit)
    mark(studies)
    return studies


def _unknown(path: Path) -> DataError:
    places = ", ".join(layout.words for layout in LAYOUTS[:-1]) + f", or {LAYOUTS[-1].words}"
    if path.is_dir():
        return DataError(f"{path}: a folder without a data set that is known; expected {places}.")
    found = f"a file of type {path.suffix or 'unknown'}" if path.is_file() else "no such name, file or folder"
    return DataError(f"data set {str(path)!r}: found {found}; expected {', '.join(SOURCES)}, or {places}.")


def _first(studies: list[Study], limit: int | None) -> list[Study]:
    """At most ``limit`` studies of each split."""
    if limit is None:
        return studies
    taken: dict[str, int] = {}
    kept = []
    for study in studies:
        taken[study.split] = taken.get(study.split, 0) + 1
        if taken[study.split] <= limit:
            kept.append(study)
    return kept


def _with_simulated_pictures(study: Study) -> Study:
    from r2gen_lib.simulation.render import simulated_pictures  # with torch, which no other source needs

    # both sections, whichever is the target: a study has one picture
    report = ". ".join(study.sections.get(name, "") for name in ("findings", "impression"))
    findings = findings_from_mesh(study.mesh, study.id, report=report, strict=False)
    return replace(study, findings=findings, pictures=simulated_pictures(study.id, findings), source="openi_sim")
