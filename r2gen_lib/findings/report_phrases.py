"""The words of the rules: which phrases of a report name which of CheXpert's observations, which negate, which doubt.

Own lists, written for chest radiograph reports in English and tried on Open-i's; the observations and what belongs to
each are CheXpert's (Irvin et al., arXiv 1901.07031). Nothing but data is here; ``report_labeler`` reads it.

A phrase is words with a blank between. ``a|b`` is either word, ``opaci*`` any word that begins so, ``word?`` may be
missing, ``...`` stands for up to eight words that neither deny nor contrast. Case does not matter.
"""

from __future__ import annotations

#: CheXpert's order of its 14 observations.
OBSERVATIONS = (
    "No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Lesion", "Lung Opacity", "Edema",
    "Consolidation", "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion", "Pleural Other", "Fracture",
    "Support Devices",
)  # fmt: skip

#: The five that CheXpert's competition scores.
FIVE = ("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Pleural Effusion")

_LARGE = "enlarged|enlargement|large|prominent|prominence|megaly|increased|generous"
_HEART = "heart|cardiac|cardiopericardial"
_WIDE = "widened|widening|wide|enlarged|enlargement|prominent|prominence"

#: Observation -> phrases that say it is there (unless negated or doubted).
MENTIONS: dict[str, tuple[str, ...]] = {
    "Enlarged Cardiomediastinum": (
        f"mediastin* silhouette|contour|contours|shadow? ... {_WIDE}",
        f"{_WIDE} of? the? superior|upper? mediastin*",
        f"cardiomediastin* silhouette|contour|contours? ... {_WIDE}",
        f"{_WIDE} cardiomediastin*",
    ),
    "Cardiomegaly": (
        "cardiomegaly", "cardiomegally",
        f"{_HEART} size|silhouette|shadow|contour|contours? ... {_LARGE}",
        f"{_LARGE} of? the? {_HEART}",
    ),
    "Lung Lesion": (
        "nodule*", "micronodule*", "nodular|masslike density|densities|opaci*|lesion|lesions|focus|foci",
        "mass|masses", "cavitary|pulmonary|lung lesion|lesions", "cavity|cavities|cavitation",
        "carcinoma|neoplasm|malignancy|tumor|metastas*",
    ),
    "Lung Opacity": (
        "opaci*", "infiltrat*", "airspace|airspaces disease|process|changes", "air space|- disease|space disease?",
        "interstitial|reticular|bronchovascular markings|pattern|prominence|thickening|changes|disease|lung",
        "scar|scars|scarring|scarred", "reticul*", "peribronchial thickening|cuffing",
        "density|densities",
    ),
    "Edema": (
        "edema", "heart|cardiac failure|decompensation", "chf",
        "pulmonary|vascular|venous vascular|venous? congestion|engorgement|redistribution|prominence|indistinctness",
        "congestion", "indistinct|engorged|prominent central? lung|pulmonary? vascular*|vasculature|vessels",
        "vascular*|vasculature ... indistinct|engorged|congested|prominent", "cephalization",
    ),
    "Consolidation": ("consolidat*",),
    "Pneumonia": ("pneumonia*", "bronchopneumonia", "pneumonitis", "infection|infectious", "superinfection"),
    "Atelectasis": (
        "atelect*", "lung|lobe|lobar collapse|collapsed", "collapse of the? right|left? upper|middle|lower? lung|lobe",
    ),
    "Pneumothorax": ("pneumothora*", "hydropneumothora*", "hemopneumothora*"),
    "Pleural Effusion": (
        "effusion|effusions", "pleural fluid", "hydropneumothora*", "hemopneumothora*", "hemothora*",
    ),
    "Pleural Other": (
        "pleural|pleuroparenchymal -? based|parenchymal|peripheral? thickening|scar|scarring|plaque*|fibrosis|calcifi*",
        "pleuroparenchymal|fissural|fissure thickening|scarring", "apical|biapical -? cap|caps|capping|thickening",
        "thickening of|in the pleura|fissure", "fibrothorax", "calcified pleur*",
    ),
    "Fracture": ("fracture*", "fx"),
    "Support Devices": (
        "catheter*", "picc", "ngt|ogt|ett|cvc|cvl|dobhoff|swan", "port|portacath|mediport|infuse-a-port",
        "pacemaker*|pacer|pacing", "icd|aicd",
        "defibrillator*", "tube|tubes", "device|devices", "line|lines", "lead|leads", "hardware", "prosthe*",
        "stent|stents", "arthroplasty", "generator", "stimulator*", "cannula*", "drain|drains", "monitor",
        "tip|tips", "valve replacement", "filter|filters",
        "anchor*", "implantable",
    ),
}  # fmt: skip

_NORMAL = "normal|unremarkable"

#: Observation -> phrases that say it is not there without negating its name.
NORMAL: dict[str, tuple[str, ...]] = {
    "Enlarged Cardiomediastinum": (
        f"mediastin*|cardiomediastin* ... {_NORMAL}", f"{_NORMAL} ... mediastin*|cardiomediastin*",
        "mediastin*|cardiomediastin* ... not|nonenlarged widened|enlarged?",
    ),
    "Cardiomegaly": (
        f"heart|cardiac|cardiomediastin* ... {_NORMAL}", f"{_NORMAL} ... heart|cardiac|cardiomediastin*",
        "heart|cardiac ... not ... enlarged", "heart ... nonenlarged",
    ),
    "Lung Opacity": ("lung|lungs ... clear", "clear lung|lungs"),
    "Pleural Effusion": (f"pleural space|spaces ... {_NORMAL}|clear",),
    "Edema": (f"vascular*|vasculature ... {_NORMAL}|normally", f"{_NORMAL} ... vascular*|vasculature"),
}  # fmt: skip

#: Observation -> phrases that doubt it in themselves.
DOUBTFUL: dict[str, tuple[str, ...]] = {
    "Cardiomegaly": (
        f"{_HEART} ... upper limits|limit",
        f"{_HEART} ... borderline",
        f"borderline enlarged? {_HEART}",
        "borderline cardiomegaly",
    ),
}

#: Observation -> longer phrases that hold one of its mentions and mean something else.
OTHER_MEANING: dict[str, tuple[str, ...]] = {
    "Lung Lesion": ("mass effect",),
    "Lung Opacity": ("nodular|masslike density|densities|opaci*", "bone|bony|osseous density"),
    "Edema": ("soft tissue edema",),
    "Pneumonia": ("granulomatous|prior|previous|old|remote granulomatous? infection|infectious",),
    "Pleural Effusion": ("pericardial|joint effusion|effusions",),
    "Support Devices": (
        "midclavicular|pleural|fissure|fracture|septal|lung|suture|b|kerley|midline -? b? line|lines",
        "breast prosthe*|implant*",
        "scapula|scapular|diaphragm|diaphragmatic tip|tips",
    ),
}

#: What is added to, or taken out of, negspacy's English clinical terms. Words such as "isdenied" come from
#: ``plain_wording.REWRITTEN``.
NEGATION_ADDED: dict[str, list[str]] = {
    "pseudo_negations": ["no change", "not changed"],
    "preceding_negations": [
        "resolution of", "interval removal of", "removal of", "resolved", "clear of", "rather than", "lack of",
        "neither", "nor", "negative", "absent", "absence of", "nolonger", "excludes", "excluding", "removed",
    ],
    "following_negations": [
        "is not", "are not", "was not", "were not", "not seen", "not identified", "not present", "is absent",
        "are absent", "has resolved", "have resolved", "resolved", "has cleared", "have cleared", "cleared",
        "been removed", "removed", "isdenied", "not evident", "not visualized", "not appreciated", "not visible",
        "not noted", "not demonstrated", "not detected", "not apparent", "nolonger", "absent", "disappeared",
    ],
    "termination": [
        "there is", "there are", "there has", "with", "and there", "otherwise", "may", "might", "could", "possible",
        "possibly", "probable", "probably", "likely", "suggest", "suggesting", "suggestive", ";", "notexcluded",
        "other than", "except", "apart from", "aside from", "after", "following", "status post",
    ],
}  # fmt: skip
NEGATION_REMOVED: dict[str, list[str]] = {
    "preceding_negations": [
        "versus", "r/o", "ro", "rule out", "rules out", "cannot", "can't", "cant", "couldn't", "couldnt",
        "evaluate for", "doubt", "declined",
    ],
    "following_negations": ["declined"],
}  # fmt: skip

#: The terms of the second pass, in negspacy's four kinds: "negation" there is doubt here.
UNCERTAINTY: dict[str, list[str]] = {
    "pseudo_negations": [],
    "preceding_negations": [
        "may", "might", "could", "possible", "possibly", "probable", "probably", "likely", "suspected",
        "suspicious for", "suspicion", "concerning for", "concern for", "worrisome for", "questionable", "question",
        "suggest", "suggests", "suggesting", "suggestive of", "versus", "vs", "rule out", "notexcluded", "consider",
        "borderline", "differential", "equivocal", "perhaps", "evaluate for", "potentially", "ifany", "presumed",
        "presumably", "suspicious of", "raise concern", "raises concern", "assess for", "potential",
    ],
    "following_negations": [
        "isdoubted", "is possible", "are possible", "is suspected", "are suspected", "versus", "vs", "is questioned",
        "borderline", "upper limits", "upper limit", "ifany", "is considered",
        "is likely", "is probable", "equivocal", "doubtful", "is questionable",
    ],
    "termination": ["but", "however", "although", "though", "no", "without", "there is", "there are", ";"],
}  # fmt: skip
