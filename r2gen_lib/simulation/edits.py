"""How each finding is drawn into the volume: which voxels change and to what.

A finding becomes one or more edits: a soft weight (0..1) in a box of the volume and the Hounsfield units that it pulls
towards, or a displacement (a bent spine, a low diaphragm). The weight *is* the ground truth: what was edited is known
to the voxel. Everything random comes from the generator passed in.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from r2gen_lib.simulation import chest_findings, lung_findings, shape_findings
from r2gen_lib.simulation.findings import Finding
from r2gen_lib.simulation.geometry import Edit
from r2gen_lib.simulation.thorax import Thorax

_MIDLINE = {
    "Cardiomegaly", "Edema", "Interstitial Markings", "Hyperinflation", "Hypoinflation", "Tortuous Aorta",
    "Aortic Calcification", "Hiatal Hernia", "Degenerative Spine",
}  # fmt: skip

DRAWERS: dict[str, Callable[[Thorax, Finding, np.random.Generator], list[Edit]]] = {
    "Cardiomegaly": chest_findings.cardiomegaly,
    "Pleural Effusion": lung_findings.effusion,
    "Atelectasis": lung_findings.atelectasis,
    "Opacity": lung_findings.opacity,
    "Consolidation": lung_findings.consolidation,
    "Edema": lung_findings.edema,
    "Pneumothorax": lung_findings.pneumothorax,
    "Nodule": lung_findings.nodule,
    "Calcified Granuloma": lung_findings.granuloma,
    "Hyperinflation": shape_findings.hyperinflation,
    "Hypoinflation": shape_findings.hypoinflation,
    "Scoliosis": shape_findings.scoliosis,
    "Device": chest_findings.device,
    "Catheter": chest_findings.catheter,
    "Surgical Clips": chest_findings.clips,
    "Tortuous Aorta": chest_findings.aorta,
    "Aortic Calcification": chest_findings.aortic_calcification,
    "Elevated Diaphragm": shape_findings.elevated_diaphragm,
    "Pleural Thickening": lung_findings.pleural_thickening,
    "Scar": lung_findings.scar,
    "Interstitial Markings": lung_findings.interstitial,
    "Hiatal Hernia": chest_findings.hiatal_hernia,
    "Degenerative Spine": chest_findings.spine,
}


def draw(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """The edits of one finding: one a side where it is bilateral.

    Args:
        thorax: the anatomy.
        finding: what to draw; an open side, zone or severity is chosen by ``rng``.
        rng: the study's generator.
    """
    function = DRAWERS[finding.name]
    severity = finding.severity if finding.severity is not None else float(rng.uniform(0.25, 0.7))
    sides = ["left", "right"] if finding.side == "bilateral" else [finding.side or str(rng.choice(["left", "right"]))]
    if finding.name in _MIDLINE:
        sides = [finding.side or "left"] if finding.side != "bilateral" else ["left"]
    edits = []
    for side in sides:
        chosen = Finding(finding.name, side, finding.zone, severity, finding.code)
        edits.extend(function(thorax, chosen, rng))
    return edits
