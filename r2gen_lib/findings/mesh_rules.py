"""What each MeSH heading of Open-i looks like on our radiograph: the table that ``codes`` reads.

A heading has a list of rules; the first that fits the code's other words (its modifiers) holds. A rule draws one or
more findings, or says why it doesn't: because there is nothing to see in our field of view (``hidden``), or because
we leave it out although a radiograph could show it (``left_out``), which counts against the coverage.
"""

from __future__ import annotations

from dataclasses import dataclass

from r2gen_lib.errors import SimulationError
from r2gen_lib.findings.kinds import KINDS


@dataclass(frozen=True)
class Rule:
    """What a code means if any of ``words`` is among its modifiers (no words: always).

    Attributes:
        words: modifiers, lower case.
        draws: names of the findings.
        zone: where the finding lies if the code's own words don't say.
        severity: how severe it is if the code's own words don't say; None leaves it open.
        pattern: patterns that the heading implies.
        reason: why nothing is drawn.
        visible: whether a radiograph in our field of view could show it.
    """

    words: tuple[str, ...] = ()
    draws: tuple[str, ...] = ()
    zone: str = ""
    severity: float | None = None
    pattern: tuple[str, ...] = ()
    reason: str = ""
    visible: bool = True


def _split(words: str) -> tuple[str, ...]:
    return tuple(words.split("|")) if words else ()


def draw(names: str, when: str = "", zone: str = "", severity: float | None = None, pattern: str = "") -> Rule:
    """A rule that draws the findings ``names``; these, ``when`` and ``pattern`` have a bar between: "left|right"."""
    return Rule(_split(when), _split(names), zone, severity, _split(pattern))


def left_out(reason: str, when: str = "") -> Rule:
    """A rule for codes of which nothing is drawn, and why, though a radiograph may show it."""
    return Rule(_split(when), reason=reason)


def hidden(reason: str, when: str = "") -> Rule:
    """A rule for codes of what no frontal radiograph shows, and why."""
    return Rule(_split(when), reason=reason, visible=False)


RARE = "each such code is rarer than ten times"
OUTSIDE = "outside the picture (shoulder joint, upper arm, neck)"
SHOULDER = "humerus|shoulder"
NECK = "cervical vertebrae|neck"
CUT_OFF = "cut off or covered: how the picture was taken"
SILHOUETTE = "a border lost beside another finding, which is drawn"

_AORTA = (left_out(SILHOUETTE, "obscured"), draw("Tortuous Aorta"))
_ANGLE = (draw("Blunted Costophrenic Angle", "blunted"), hidden(CUT_OFF, "obscured"), left_out(RARE))
_WEDGE = draw("Vertebral Deformity", "thoracic vertebrae|lumbar vertebrae|spine")
_BROKEN = (_WEDGE, hidden(OUTSIDE, SHOULDER))
_PATCH = (  # opacity, infiltrate, density: the same shadow by other names
    draw("Interstitial Markings", "interstitial|reticular"),
    draw("Enlarged Mediastinum", "mediastinum|paratracheal|supracardiac", severity=0.4),
    draw("Pleural Thickening", "pleura"),
)
_LARGE_CHAMBER = draw("Cardiomegaly", "enlarged|prominent", severity=0.4)

#: Headings that mean two findings, whatever their modifiers; those that mean one stand beside it in ``kinds``.
_TWO = {
    "Heart Failure": "Cardiomegaly|Vascular Congestion",
    "Hydropneumothorax": "Pneumothorax|Pleural Effusion",
    "Hemopneumothorax": "Pneumothorax|Pleural Effusion",
}

_RULES: dict[str, tuple[Rule, ...]] = {
    **{heading: (draw(names),) for heading, names in _TWO.items()},
    # nothing to see
    "normal": (hidden("a normal chest"),),
    "No Indexing": (hidden("the report was not coded"),),
    "Technical Quality of Image Unsatisfactory": (
        hidden("no finding: pose, breath and exposure vary in every picture"),
    ),
    # heart
    "Cardiac Shadow": (
        left_out(SILHOUETTE, "obscured"),
        draw("Cardiomegaly", "enlarged|borderline|prominent"),
        left_out(RARE),
    ),
    "Heart": (left_out(SILHOUETTE, "obscured"), _LARGE_CHAMBER, left_out(RARE)),
    "Heart Atria": (_LARGE_CHAMBER, left_out(RARE)),
    "Heart Ventricles": (_LARGE_CHAMBER, left_out(RARE)),
    "Pericardial Effusion": (draw("Cardiomegaly", severity=0.6),),
    # pleura
    "Costophrenic Angle": _ANGLE,
    "Sulcus": _ANGLE,
    "Pleura": (draw("Blunted Costophrenic Angle", "blunted"), left_out(RARE)),
    "Thickening": (
        draw("Pleural Thickening", "pleura"),
        draw("Bronchovascular Markings", "bronchovascular|bronchi"),
        draw("Interstitial Markings", "interstitial"),
        draw("Enlarged Mediastinum", "paratracheal", severity=0.3),
        left_out(RARE),
    ),
    # lung: shadows
    "Opacity": (*_PATCH, draw("Opacity")),
    "Infiltrate": (*_PATCH, draw("Opacity")),
    "Airspace Disease": (draw("Opacity", severity=0.6),),
    "Density": (
        *_PATCH,
        left_out(RARE, "breast|adipose tissue|heart|mitral valve"),
        draw("Opacity"),  # ribs, clavicle, sternum, thorax: a shadow in front of the lung looks like one in it
    ),
    "Cicatrix": (draw("Pleural Thickening", "pleura"), left_out(RARE, "breast|ribs"), draw("Scar")),
    "Mass": (
        left_out(RARE, "breast"),
        draw("Enlarged Mediastinum", "mediastinum|paratracheal", severity=0.9),
        draw("Enlarged Hilum", "hilum", severity=0.9),
        draw("Mass"),
    ),
    "Calcified Granuloma": (draw("Calcified Lymph Nodes", "mediastinum|paratracheal"), draw("Calcified Granuloma")),
    "Granulomatous Disease": (draw("Calcified Granuloma", pattern="multiple"),),
    "Calcinosis": (
        draw("Calcified Lymph Nodes", "lymph nodes|hilum|mediastinum|paratracheal|bronchi", zone="mediastinum"),
        draw("Aortic Calcification", "aorta|aorta, thoracic|blood vessels"),
        left_out(RARE, "abdomen|ribs|pleura|spine|mitral valve|coronary vessels|breast implants"),
        draw("Calcified Granuloma", "lung|thorax|retrocardiac|scattered|diffuse|multiple"),
        draw("Aortic Calcification"),  # without a place: the aortic arch, say the reports
    ),
    # lung: vessels and interstitium
    "Markings": (
        draw("Interstitial Markings", "interstitial|reticular|sulcus"),
        draw("Enlarged Mediastinum", "paratracheal", severity=0.3),
        draw("Bronchovascular Markings"),
    ),
    "Pulmonary Fibrosis": (
        draw("Interstitial Markings", "interstitial|diffuse"),
        draw("Scar", "apex|upper lobe|lower lobe|base|left|right"),
        draw("Interstitial Markings"),
    ),
    # lung: air and size
    "Bullous Emphysema": (draw("Emphysema", severity=0.8),),
    "Lung": (
        hidden(CUT_OFF, "obscured"),
        left_out(RARE, "azygos lobe"),
        draw("Hyperinflation", "hyperdistention"),
        draw("Hypoinflation", "hypoinflation"),
        draw("Interstitial Markings", "interstitial"),
        draw("Enlarged Hilum", "hilum"),
        left_out(RARE, "blunted"),
        draw("Vascular Congestion", "blood vessels"),
        draw("Interstitial Markings", "prominent"),
        left_out(RARE),
    ),
    "Lucency": (
        draw("Lucency", "lung|thorax"),
        draw("Rib Fracture", "ribs", severity=0.3),  # the gap of a break, say the reports
        hidden(OUTSIDE, SHOULDER),
        left_out(RARE),
    ),
    "Blister": (draw("Lucency", pattern="round"),),
    "Cavitation": (draw("Lucency", pattern="round"),),
    "Cysts": (hidden(OUTSIDE, SHOULDER), draw("Lucency", pattern="round")),
    "Pneumonectomy": (draw("Volume Loss", severity=0.7),),
    # diaphragm
    "Diaphragm": (
        draw("Flattened Diaphragm", "flattened"),
        draw("Elevated Diaphragm", "elevated"),
        left_out(SILHOUETTE, "obscured"),
        left_out(RARE),
    ),
    # mediastinum
    "Aorta": _AORTA,
    "Aorta, Thoracic": _AORTA,
    "Aortic Aneurysm": (draw("Tortuous Aorta", severity=1.0),),
    # bones
    **dict.fromkeys(
        ("Thoracic Vertebrae", "Spine", "Lumbar Vertebrae", "Spondylosis", "Osteophyte", "Arthritis", "Bone and Bones"),
        (hidden(OUTSIDE, f"{SHOULDER}|{NECK}"), draw("Degenerative Spine")),
    ),
    "Hyperostosis, Diffuse Idiopathic Skeletal": (draw("Degenerative Spine", severity=0.9),),
    "Sclerosis": (
        draw("Degenerative Spine", "thoracic vertebrae|lumbar vertebrae|spine"),
        draw("Pleural Thickening", "pleura"),
        hidden(OUTSIDE, SHOULDER),
        left_out(RARE),
    ),
    "Deformity": (
        draw("Rib Fracture", "ribs", pattern="healed"),
        draw("Clavicle Fracture", "clavicle", pattern="healed"),
        *_BROKEN,
        left_out(RARE),
    ),
    "Fractures, Bone": (
        draw("Rib Fracture", "ribs"),
        draw("Clavicle Fracture", "clavicle"),
        *_BROKEN,
        left_out(RARE, "sternum"),
        left_out("the code does not say which bone"),
    ),
    "Osteoporosis": (draw("Osteopenia", severity=0.7),),
    # what doctors or accidents left
    "Implanted Medical Device": (
        hidden(OUTSIDE, SHOULDER),
        draw("Spinal Hardware", "cervical vertebrae|thoracic vertebrae"),
        left_out(RARE, "abdomen"),
        draw("Device", "aortic valve|mitral valve|heart|heart atria|pulmonary artery", zone="heart"),
        draw("Device"),
    ),
    "Medical Device": (
        draw("Spinal Hardware", "spine"),
        left_out(RARE, "breast"),
        draw("Device", "left|right"),
        draw("Foreign Body", pattern="scattered"),  # electrodes and leads on the skin, say the reports
    ),
    "Catheters, Indwelling": (left_out(RARE, "abdomen|thoracic vertebrae"), draw("Catheter")),
    "Tube, Inserted": (
        draw("Tube", "trachea|trachea, carina", zone="trachea"),
        draw("Tube", "thorax", zone="thorax"),
        draw("Tube", zone="abdomen"),  # without a place: a feeding tube, say most reports
    ),
    "Surgical Instruments": (
        hidden(OUTSIDE, SHOULDER),
        draw("Sternal Wires", "mediastinum|heart"),
        draw("Surgical Clips", "abdomen|breast|neck|cervical vertebrae|lung|thorax"),
        draw("Surgical Clips", "left|right|bilateral", zone="axilla"),
        draw("Sternal Wires"),  # without a place: heart surgery, say the reports
    ),
    "Sutures": (draw("Sternal Wires", "mediastinum|sternum"), draw("Surgical Clips")),
    "Stents": (
        draw("Stent", "coronary vessels", zone="heart"),
        draw("Stent", "aorta", zone="aorta"),
        draw("Stent", zone="abdomen"),
    ),
    "Foreign Bodies": (hidden(OUTSIDE, "shoulder"), draw("Foreign Body")),
    # outside the picture, or rare
    "Shoulder": (hidden(OUTSIDE),),
    "Humerus": (hidden(OUTSIDE),),
    "Cervical Vertebrae": (hidden(OUTSIDE),),
    "Dislocations": (hidden(OUTSIDE, SHOULDER), left_out(RARE)),
    "Cholelithiasis": (left_out(RARE),),
    **dict.fromkeys(
        (
            "Abdomen", "Adipose Tissue", "Breast Implants", "Bronchiectasis", "Bronchiolitis", "Bronchitis",
            "Colonic Interposition", "Contrast Media", "Cystic Fibrosis", "Expansile Bone Lesions", "Funnel Chest",
            "Hernia, Diaphragmatic", "Mastectomy", "Mediastinal Emphysema", "Nipple Shadow", "Pectus Carinatum",
            "Pneumoperitoneum", "Ribs", "Sarcoidosis", "Subcutaneous Emphysema", "Thorax", "Trachea", "Tuberculosis",
        ),
        (left_out(RARE),),
    ),
}  # fmt: skip


def _with_kinds(rules: dict[str, tuple[Rule, ...]]) -> dict[str, tuple[Rule, ...]]:
    """``rules``, and one for each heading that means one finding and nothing else."""
    for kind in KINDS:
        for heading in kind.headings:
            if heading in rules:
                raise SimulationError(
                    f"findings/kinds.py: {kind.name}, headings: found {heading!r}, which has rules already. Take "
                    "it out of mesh_rules, or leave it there and add a rule to it."
                )
            rules[heading] = (draw(kind.name),)
    return rules


RULES = _with_kinds(_RULES)
