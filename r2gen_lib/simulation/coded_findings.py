"""Findings to draw that no study has: a name, with zone and pattern as the codes of real studies have them."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np

from r2gen_lib.data.readers.openi import load_openi_reports
from r2gen_lib.findings.finding import MIDLINE, Finding
from r2gen_lib.findings.mesh_codes import findings_from_mesh


@lru_cache(maxsize=1)
def coded_findings() -> dict[str, tuple[Finding, ...]]:
    """What the codes of the training split say, by finding: with its zones, patterns and sides."""
    by_name: dict[str, list[Finding]] = {}
    for study in load_openi_reports(missing="skip"):
        if study.split == "train":
            for finding in findings_from_mesh(study.mesh, study.id, strict=False):
                by_name.setdefault(finding.name, []).append(finding)
    return {name: tuple(found) for name, found in by_name.items()}


def drawn_anew(name: str, rng: np.random.Generator) -> Finding:
    """A finding with zone and pattern of one of its codes in the training split; side and severity are drawn."""
    coded = coded_findings().get(name, (Finding(name),))
    finding = coded[rng.integers(len(coded))]
    side = str(rng.choice(["left", "right", "bilateral"], p=[0.42, 0.42, 0.16]))
    if finding.name in MIDLINE:
        side = finding.side
    if finding.zone in ("lingula", "middle lobe"):
        side = "left" if finding.zone == "lingula" else "right"
    return replace(finding, side=side, severity=float(rng.uniform(0.1, 1.0)), code="")
