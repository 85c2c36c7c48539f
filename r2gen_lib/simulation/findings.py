"""What a report's MeSH codes say is on the radiograph, as findings the simulator can draw.

The Open-i collection codes every report by hand: a path such as ``Pleural Effusion/left/small`` is a heading and its
modifiers. ``findings_from_mesh`` turns a study's codes into :class:`Finding` objects; what a code leaves open (the side
of "a nodule") is drawn from the study's seed when the picture is made, not here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

#: Every finding the simulator draws, in the order of the labels that the vision encoder learns.
FINDING_NAMES = (
    "Cardiomegaly", "Pleural Effusion", "Blunted Costophrenic Angle", "Pneumothorax", "Pleural Thickening",
    "Atelectasis", "Opacity", "Consolidation", "Edema", "Vascular Congestion", "Bronchovascular Markings",
    "Interstitial Markings", "Nodule", "Mass", "Calcified Granuloma", "Calcified Lymph Nodes", "Scar", "Emphysema",
    "Hyperinflation", "Hypoinflation", "Flattened Diaphragm", "Elevated Diaphragm", "Eventration", "Lucency",
    "Volume Loss", "Tortuous Aorta", "Aortic Calcification", "Enlarged Mediastinum", "Enlarged Hilum", "Epicardial Fat",
    "Hiatal Hernia", "Scoliosis", "Kyphosis", "Degenerative Spine", "Vertebral Deformity", "Rib Fracture",
    "Clavicle Fracture", "Osteopenia", "Spinal Hardware", "Device", "Catheter", "Tube", "Surgical Clips",
    "Sternal Wires", "Stent", "Foreign Body",
)  # fmt: skip

#: Findings that have no side, whatever else their code says.
MIDLINE = frozenset((
    "Cardiomegaly", "Edema", "Vascular Congestion", "Bronchovascular Markings", "Interstitial Markings", "Emphysema",
    "Hyperinflation", "Hypoinflation", "Tortuous Aorta", "Aortic Calcification", "Enlarged Mediastinum",
    "Hiatal Hernia", "Kyphosis", "Degenerative Spine", "Vertebral Deformity", "Osteopenia", "Spinal Hardware",
    "Sternal Wires",
))  # fmt: skip

SEVERITY = {
    "borderline": 0.15,
    "small": 0.3,
    "mild": 0.3,
    "moderate": 0.6,
    "large": 1.0,
    "severe": 1.0,
    "enlarged": 0.5,
}
PATTERNS = ("multiple", "scattered", "diffuse", "patchy", "streaky", "round", "focal", "interstitial", "healed",
            "degenerative", "chronic")  # fmt: skip
ZONES = ("upper lobe", "middle lobe", "lower lobe", "lingula", "apex", "base", "hilum", "retrocardiac")


@dataclass(frozen=True)
class Finding:
    """One thing to see on a radiograph.

    Attributes:
        name: one of ``FINDING_NAMES``.
        side: "left", "right", "bilateral", or "" where the code names none.
        zone: one of ``ZONES``, or "".
        severity: 0 (barely) to 1 (severe); None where the code names none.
        pattern: the code's other words that change how it looks, such as "multiple", "streaky", "healed", in the
            order of ``PATTERNS``.
        code: the MeSH code it was read from.
    """

    name: str
    side: str = ""
    zone: str = ""
    severity: float | None = None
    pattern: tuple[str, ...] = ()
    code: str = ""

    def __post_init__(self) -> None:
        if self.name not in FINDING_NAMES:
            raise ValueError(f"Finding name {self.name!r} is unknown; expected one of {', '.join(FINDING_NAMES)}")

    def __str__(self) -> str:
        words = [self.side, self.zone, self.name.lower()]
        return " ".join(word for word in words if word)


_HEADINGS = {
    "Cardiomegaly": "Cardiomegaly",
    "Heart Failure": "Cardiomegaly",
    "Pleural Effusion": "Pleural Effusion",
    "Hydropneumothorax": "Pneumothorax",
    "Pulmonary Atelectasis": "Atelectasis",
    "Opacity": "Opacity",
    "Infiltrate": "Opacity",
    "Airspace Disease": "Opacity",
    "Density": "Opacity",
    "Consolidation": "Consolidation",
    "Pneumonia": "Consolidation",
    "Pulmonary Edema": "Edema",
    "Pulmonary Congestion": "Edema",
    "Pneumothorax": "Pneumothorax",
    "Nodule": "Nodule",
    "Mass": "Nodule",
    "Granuloma": "Nodule",
    "Calcified Granuloma": "Calcified Granuloma",
    "Granulomatous Disease": "Calcified Granuloma",
    "Emphysema": "Hyperinflation",
    "Pulmonary Emphysema": "Hyperinflation",
    "Pulmonary Disease, Chronic Obstructive": "Hyperinflation",
    "Lung, Hyperlucent": "Hyperinflation",
    "Scoliosis": "Scoliosis",
    "Implanted Medical Device": "Device",
    "Medical Device": "Device",
    "Catheters, Indwelling": "Catheter",
    "Tube, Inserted": "Catheter",
    "Surgical Instruments": "Surgical Clips",
    "Atherosclerosis": "Aortic Calcification",
    "Diaphragmatic Eventration": "Elevated Diaphragm",
    "Cicatrix": "Scar",
    "Markings": "Interstitial Markings",
    "Lung Diseases, Interstitial": "Interstitial Markings",
    "Pulmonary Fibrosis": "Interstitial Markings",
    "Hernia, Hiatal": "Hiatal Hernia",
    "Spondylosis": "Degenerative Spine",
    "Osteophyte": "Degenerative Spine",
}


def findings_from_mesh(codes: Iterable[str]) -> tuple[Finding, ...]:
    """The findings that a study's MeSH codes name and that the simulator draws; codes it can't draw are left out.

    Each (finding, side, zone) occurs once: the same opacity coded twice is one opacity.
    """
    found: dict[tuple[str, str, str], Finding] = {}
    for code in codes:
        finding = finding_from_code(code)
        if finding is not None:
            found.setdefault((finding.name, finding.side, finding.zone), finding)
    return tuple(found.values())


def finding_from_code(code: str) -> Finding | None:
    """One MeSH code as a finding, or None where the simulator draws nothing for it (``normal``, ``No Indexing``)."""
    heading, *modifiers = (part.strip() for part in code.split("/"))
    words = {modifier.lower() for modifier in modifiers}
    name = _name(heading, words)
    if name is None:
        return None
    side = next((side for side in ("bilateral", "left", "right") if side in words), "")
    zone = next((zone for zone in ZONES if zone in words), "")
    severity = next((value for word, value in SEVERITY.items() if word in words), None)
    finding = Finding(name, side, zone, severity, code=code)
    if heading == "Mass":
        finding = replace(finding, severity=1.0)
    if heading == "Costophrenic Angle":
        finding = replace(finding, severity=0.08, zone="")
    return finding


def _name(heading: str, words: set[str]) -> str | None:
    if "interstitial" in words:
        return "Interstitial Markings"
    if heading == "Lung":
        return {"hyperdistention": "Hyperinflation", "hypoinflation": "Hypoinflation"}.get(
            next(iter(words & {"hyperdistention", "hypoinflation"}), "")
        )
    if heading == "Diaphragm":
        return "Hyperinflation" if "flattened" in words else "Elevated Diaphragm" if "elevated" in words else None
    if heading == "Costophrenic Angle":
        return "Pleural Effusion" if "blunted" in words else None
    if heading in ("Aorta", "Aorta, Thoracic"):
        return "Tortuous Aorta"
    if heading == "Cardiac Shadow":
        return "Cardiomegaly" if "enlarged" in words or "borderline" in words else None
    if heading == "Calcinosis":
        if words & {"aorta", "aorta, thoracic"}:
            return "Aortic Calcification"
        return "Calcified Granuloma" if words & {"lung", "hilum", "lymph nodes", "mediastinum"} else None
    if heading == "Thickening":
        return "Pleural Thickening" if "pleura" in words else None
    if heading in ("Thoracic Vertebrae", "Spine"):
        return "Degenerative Spine" if "degenerative" in words else None
    return _HEADINGS.get(heading)
