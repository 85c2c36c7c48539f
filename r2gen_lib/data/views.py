"""The words for views, and what happens to a study that lacks a view the model reads.

That is a policy with a name, applied before anything else:

``"error"``   stop and say which studies.
``"skip"``    leave those studies out, and log how many.
``"blank"``   a black picture stands in: the model sees that nothing is there. Not for studies without any picture.
``"other"``   the study's first picture stands in, whatever its view, so a single frontal is shown twice.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from r2gen_lib.data.study import Picture, Study
from r2gen_lib.errors import DataError, shown

FRONTAL_POSITIONS = ("PA", "AP")
#: What DICOM headers and tables made from them call a lateral picture.
LATERAL_POSITIONS = ("LATERAL", "LL", "RL", "LAT", "LARGE LATERAL")
#: What a table or a DICOM ViewPosition calls a view, in lower case -> our word.
VIEW_WORDS: Mapping[str, str] = {
    **{word: word for word in ("frontal", "lateral", "other")},
    **{position.lower(): "frontal" for position in FRONTAL_POSITIONS},
    **{position.lower(): "lateral" for position in LATERAL_POSITIONS},
}
MISSING_VIEW = ("error", "skip", "blank", "other")
_CONSEQUENCE = {
    "skip": "and are left out",
    "blank": "where a black picture stands in",
    "other": "where their first picture stands in",
}
_LOG = logging.getLogger("r2gen_lib")


def with_views(studies: Sequence[Study], views: Sequence[str], missing_view: str = "error") -> list[Study]:
    """The studies, each with every one of ``views``, so that ``study.picture(view)`` finds it. No file is opened.

    Args:
        studies: as ``load_studies`` gives them.
        views: the views that are read, such as ``("frontal", "lateral")``.
        missing_view: what happens where one is missing, one of ``MISSING_VIEW``.

    Raises:
        DataError: an unknown policy; views are missing and the policy is ``"error"``; a study has no picture at all and
            the policy is ``"blank"`` or ``"other"``; ``"skip"`` leaves no study.
    """
    if missing_view not in MISSING_VIEW:
        raise DataError(f"missing_view={missing_view!r}: expected one of {', '.join(MISSING_VIEW)}.")
    needs = [(study, _lacking(study, views)) for study in studies]
    lacking = [(study, absent) for study, absent in needs if absent]
    hopeless = [(study, absent) for study, absent in lacking if missing_view == "error" or not study.pictures]
    if hopeless and missing_view != "skip":
        _refuse(hopeless)
    if lacking:
        found = f"{len(lacking):,} of {len(needs):,} studies lack a view"
        _LOG.warning("%s, %s: %s", found, _CONSEQUENCE[missing_view], _some(lacking))
    if missing_view == "skip":
        kept = [study for study, absent in needs if not absent]
        if lacking and not kept:
            raise DataError(f"missing_view='skip' leaves no study: {found}. Ask for views they have.")
        return kept
    return [_completed(study, absent, missing_view) if absent else study for study, absent in needs]


def _lacking(study: Study, views: Sequence[str]) -> tuple[str, ...]:
    has = {picture.view for picture in study.pictures}
    return tuple(view for view in views if view not in has)


def _refuse(lacking: Sequence[tuple[Study, tuple[str, ...]]]) -> None:
    if len(lacking) == 1:
        study, absent = lacking[0]
        study.picture(absent[0])  # its error names the study and what it has
    raise DataError(
        f"{len(lacking):,} studies lack a view: {_some(lacking)}. "
        "Ask for views they have, or choose missing_view='skip' (or, where they have a picture, 'blank' or 'other')."
    )


def _completed(study: Study, absent: Sequence[str], missing_view: str) -> Study:
    if missing_view == "blank":
        added = tuple(Picture(view, loader=black_picture) for view in absent)
    else:
        added = tuple(replace(study.pictures[0], view=view) for view in absent)
    return replace(study, pictures=study.pictures + added)


def black_picture() -> np.ndarray:
    """uint8 ``(224, 224)``, all black."""
    return np.zeros((224, 224), dtype=np.uint8)


def _some(lacking: Sequence[tuple[Study, tuple[str, ...]]]) -> str:
    return shown([f"{study.id} (no {', no '.join(absent)})" for study, absent in lacking])
