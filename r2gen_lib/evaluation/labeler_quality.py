"""How good the rules are: their labels beside the radiologists' MeSH codes, on all 3,955 reports of Open-i.

People assigned the codes from findings and impression together, so both sections are labelled. Twelve of the 14
observations have headings of their own and are compared. Two are not: "No Finding", because the code "normal" is also
missing where CheXpert sees no finding (a spur, an old granuloma); and "Enlarged Cardiomediastinum", because the coders
spread it over heart, aorta, lymph nodes and mediastinum.

Phrases, and the codes that count as an observation, were adjusted after looking at errors, nearly all in reports with
odd numbers, and at the scores of all: the numbers flatter the rules, and the even-numbered half is no clean test.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import precision_recall_fscore_support

from r2gen_lib import assets
from r2gen_lib.data.readers.openi import read_openi_archive
from r2gen_lib.data.reports import choose_section
from r2gen_lib.findings.report_labeler import State, label_reports
from r2gen_lib.findings.report_phrases import OBSERVATIONS


@dataclass(frozen=True)
class Codes:
    """MeSH headings that say an observation, if their modifiers fit.

    Attributes:
        headings: any of these.
        needs: one of these must be among the modifiers (empty: whatever they are).
        without: none of these may be.
    """

    headings: tuple[str, ...]
    needs: tuple[str, ...] = ()
    without: tuple[str, ...] = ()

    def fit(self, code: str) -> bool:
        """Whether a code such as ``Opacity/lung/base/left`` is one of them."""
        heading, *modifiers = (part.strip() for part in code.split("/"))
        return (
            heading in self.headings
            and (not self.needs or any(word in modifiers for word in self.needs))
            and not any(word in modifiers for word in self.without)
        )


_SHADOWS = ("Opacity", "Density", "Infiltrate")
_NOT_LUNG = ("pleura", "mediastinum", "paratracheal", "thoracic vertebrae", "spine", "ribs", "breast")

#: Observation -> the codes that say it.
CODED: dict[str, tuple[Codes, ...]] = {
    "Cardiomegaly": (Codes(("Cardiomegaly",)), Codes(("Cardiac Shadow",), needs=("enlarged",))),
    # "Nodular" is coded as "round". Granulomas have headings of their own and are no lesions in CheXpert's sense:
    # old, calcified and harmless.
    "Lung Lesion": (Codes(("Nodule", "Mass")), Codes(_SHADOWS, needs=("round",))),
    # CheXpert counts scars and interstitial changes as opacities; modifiers that are not of the lung do not count.
    "Lung Opacity": (
        Codes(
            (*_SHADOWS, "Airspace Disease", "Cicatrix", "Lung Diseases, Interstitial"), without=(*_NOT_LUNG, "round")
        ),
        Codes(("Markings",), needs=("interstitial",)),
    ),
    # CheXpert's edema takes in congestion and heart failure.
    "Edema": (Codes(("Pulmonary Edema", "Pulmonary Congestion", "Heart Failure")),),
    "Consolidation": (Codes(("Consolidation",)),),
    "Pneumonia": (Codes(("Pneumonia",)),),
    "Atelectasis": (Codes(("Pulmonary Atelectasis",)),),
    "Pneumothorax": (Codes(("Pneumothorax", "Hydropneumothorax", "Hemopneumothorax")),),
    # A blunted angle alone is coded apart ("Costophrenic Angle") and is not taken for an effusion.
    "Pleural Effusion": (Codes(("Pleural Effusion", "Hydropneumothorax", "Hemopneumothorax", "Hemothorax")),),
    "Pleural Other": (Codes(("Thickening", "Cicatrix", "Calcinosis"), needs=("pleura",)),),
    "Fracture": (Codes(("Fractures, Bone",)),),
    # Clips, sutures and spinal fusions ("Surgical Instruments", "Spinal Fusion") support nobody and are left out.
    "Support Devices": (
        Codes(("Catheters, Indwelling", "Implanted Medical Device", "Medical Device", "Tube, Inserted", "Stents")),
    ),
}

#: Which statements count as present, by the policy's name.
_LEAST = {"negative": State.PRESENT, "positive": State.UNCERTAIN}


def quality_table(archive: Path | None = None) -> pd.DataFrame:
    """Precision, recall and F1 of the rules against the MeSH codes.

    Args:
        archive: Open-i's archive of reports; by default the wheel's. Its 95 reports that nobody coded ("No Indexing")
            stay in and count as having no finding, so what the rules find there counts against them.

    Returns:
        A row an observation, then "macro" and the macro F1 of the odd- and even-numbered halves. Columns: how many
        reports are coded with it; precision, recall and F1 with uncertain statements as negative and as positive.

    Raises:
        AssetError: the wheel is not installed.
        DataError: the archive is not what it should be.
    """
    records = read_openi_archive(archive or assets.asset("openi_reports"))
    texts = [choose_section(sections, "both", study_id) for study_id, (sections, _) in records.items()]
    labels = label_reports(texts)[:, [OBSERVATIONS.index(name) for name in CODED]]
    truth = coded([codes for _, codes in records.values()])
    odd = np.array([int(study_id.removeprefix("CXR")) % 2 == 1 for study_id in records])
    parts = {"macro": np.ones_like(odd), "macro, odd-numbered": odd, "macro, even-numbered": ~odd}
    columns: dict[tuple[str, str], list] = {
        ("", "coded"): [*truth.sum(axis=0), *(truth[p].any(1).sum() for p in parts.values())]
    }
    for policy, least in _LEAST.items():
        single = _scores(labels >= least, truth, None)
        means = [_scores(labels[part] >= least, truth[part], "macro") for part in parts.values()]
        for n, score in enumerate(("precision", "recall", "F1")):
            columns[f"uncertain as {policy}", score] = [*single[n], *(mean[n] for mean in means)]
    return pd.DataFrame(columns, index=pd.Index([*CODED, *parts], name="labels by rules"))


def markdown_table(table: pd.DataFrame) -> str:
    """F1 of a ``quality_table`` as docs/evaluation.md shows it: two digits an observation, three for the means."""
    lines = ["| | uncertain as negative | uncertain as positive |", "|---|---:|---:|"]
    for name in table.index.drop("macro, odd-numbered"):
        digits = 3 if name.startswith("macro") else 2
        cells = (f"{table[f'uncertain as {policy}', 'F1'][name]:.{digits}f}".lstrip("0") for policy in _LEAST)
        lines.append(f"| {name.replace('-numbered', '-numbered half')} | {' | '.join(cells)} |")
    return "\n".join(lines)


def coded(codes: list[tuple[str, ...]]) -> np.ndarray:
    """Whether each study's codes say each observation of ``CODED``: bool (studies, 12)."""
    rows = [[any(rule.fit(code) for rule in rules for code in study) for rules in CODED.values()] for study in codes]
    return np.array(rows, dtype=bool).reshape(-1, len(CODED))


def _scores(written: np.ndarray, truth: np.ndarray, average: str | None) -> tuple:
    return precision_recall_fscore_support(truth, written, average=average, zero_division=0)[:3]
