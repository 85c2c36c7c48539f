"""The data sets by name. This is where reports meet pictures: ``data`` knows no simulator, the simulator no reports."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from r2gen_lib.data.openi import load_openi_reports
from r2gen_lib.data.study import Picture, Study
from r2gen_lib.errors import DataError
from r2gen_lib.simulation.batch import cached_picture
from r2gen_lib.simulation.codes import findings_from_mesh
from r2gen_lib.simulation.projection import VIEWS

SOURCES = ("openi_sim",)


def load_studies(source: str = "openi_sim", *, section: str = "findings", limit: int | None = None) -> list[Study]:
    """The studies of a data set, in the order of its split table.

    ``"openi_sim"``: the 2,955 real reports of the IU-Xray benchmark with its own split, each with two *simulated*
    radiographs that show what the report's MeSH codes say. A picture is drawn when it is first loaded, then kept in
    the cache; ``r2gen_lib.simulation.batch.render_pictures`` draws many at once.

    Args:
        source: the data set's name.
        section: the report section that is the target text: "findings", "impression", or both joined by "+".
        limit: at most so many studies *of each split*, the first ones.

    Raises:
        DataError: an unknown source or section, or no study is left.
        AssetError: a data wheel is missing.
    """
    if source not in SOURCES:
        raise DataError(f"data set {source!r}: expected one of {', '.join(SOURCES)}.")
    if limit is not None and limit < 1:
        raise DataError(f"limit: found {limit}, expected at least 1, or None for every study.")
    reports = load_openi_reports(section=section, missing="skip")
    taken: dict[str, int] = {}
    studies = []
    for study in reports:
        taken[study.split] = taken.get(study.split, 0) + 1
        if limit is None or taken[study.split] <= limit:
            studies.append(_with_simulated_pictures(study))
    return studies


def _with_simulated_pictures(study: Study) -> Study:
    # both sections, whichever is the target: a study has one picture
    report = ". ".join(study.sections.get(name, "") for name in ("findings", "impression"))
    findings = findings_from_mesh(study.mesh, study.id, report=report, strict=False)
    pictures = tuple(
        Picture(view, simulated=True, loader=partial(cached_picture, study.id, findings, view)) for view in VIEWS
    )
    return replace(study, findings=findings, pictures=pictures, source="openi_sim")
