"""One radiographic examination: its pictures, its report, its codes, and the split it belongs to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from r2gen_lib.errors import DataError, ImageError, shown

if TYPE_CHECKING:
    from r2gen_lib.findings.finding import Finding

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Picture:
    """One view of a study. It holds no pixels; ``load`` fetches them.

    Attributes:
        view: ``"frontal"``, ``"lateral"`` or ``"other"``.
        path: the file on disk, or ``None`` while nothing has been rendered.
        simulated: whether the picture was projected by the simulator; say so wherever it is shown.
        loader: for simulated pictures, a function that renders the picture or reads it from the cache.
    """

    view: str
    path: Path | None = None
    simulated: bool = False
    loader: Callable[[], np.ndarray] | None = field(default=None, compare=False, repr=False)

    def load(self) -> np.ndarray:
        """The picture as uint8 ``(H, W)``, black 0 and white 255.

        Raises:
            ImageError: there is nothing to load from, the file cannot be read, or the loader gave
                something other than a grey 8-bit picture.
        """
        if self.loader is not None:
            return _checked_grey(self.loader(), self)
        if self.path is not None:
            from r2gen_lib.data.images.decode import load_grey

            return load_grey(self.path)
        raise ImageError(
            f"{self.view} picture: it has neither a path nor a loader, so there is nothing to load. "
            "Give Picture(path=...) a PNG, JPEG or DICOM file, or take studies from load_studies()."
        )


def _checked_grey(grey: np.ndarray, picture: Picture) -> np.ndarray:
    if isinstance(grey, np.ndarray) and grey.dtype == np.uint8 and grey.ndim == 2 and grey.size:
        return grey
    found = f"{grey.dtype} {grey.shape}" if isinstance(grey, np.ndarray) else type(grey).__name__
    raise ImageError(
        f"{picture.view} picture: its loader returned {found}, expected a uint8 array (H, W). "
        "Convert the picture to 8-bit grey in the loader."
    )


@dataclass(frozen=True)
class Study:
    """One examination of one patient.

    Attributes:
        id: unique among all splits, such as ``"CXR3029"``.
        split: ``"train"``, ``"val"`` or ``"test"``.
        report: the target text, cleaned as the loader was asked to.
        sections: raw text of each section by lower-case name (``"findings"``, ``"impression"``, ...).
        mesh: the radiologists' codes, such as ``"Pleural Effusion/left/small"``; ``("normal",)`` for none.
        pictures: the views; may be empty when only texts were loaded.
        findings: what the simulator draws; empty for real pictures.
        source: the name of the data set, such as ``"openi_sim"``.
        patient: who was examined, where that is known; a patient belongs to one split.
        credentialed: whether the data may be seen only under a use agreement (MIMIC-CXR): nothing of such a study
            may be saved in a notebook's output.
        question: what is asked in place of the preset's instruction, so that ``report`` is the answer; "" for a report.
    """

    id: str
    split: str
    report: str
    sections: Mapping[str, str] = field(default_factory=dict, hash=False)
    mesh: tuple[str, ...] = ("normal",)
    pictures: tuple[Picture, ...] = ()
    findings: tuple[Finding, ...] = ()
    source: str = ""
    patient: str = ""
    credentialed: bool = False
    question: str = ""

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise DataError(
                f"study {self.id}: split is {self.split!r}, expected one of {', '.join(SPLITS)}. "
                "Correct the split table."
            )

    def picture(self, view: str = "frontal") -> Picture:
        """The first picture of a view.

        Raises:
            DataError: the study has no such view.
        """
        for picture in self.pictures:
            if picture.view == view:
                return picture
        has = ", ".join(picture.view for picture in self.pictures) or "no pictures"
        raise DataError(
            f"study {self.id}: no {view} view; it has {has}. Ask for a view it has, or leave the study out."
        )


def by_split(studies: Iterable[Study], split: str) -> list[Study]:
    """The studies of one split, in their order.

    Raises:
        DataError: ``split`` is not ``"train"``, ``"val"`` or ``"test"``.
    """
    if split not in SPLITS:
        raise DataError(f"split {split!r}: expected one of {', '.join(SPLITS)}.")
    return [study for study in studies if study.split == split]


def check_leaks(studies: Iterable[Study]) -> None:
    """See that no study is in two splits, nor twice in one.

    A model that was trained on a study it is later tested on is scored on memory, not on reading.

    Raises:
        DataError: naming the first few ids and the splits they are in.
    """
    places: dict[str, list[str]] = {}
    for study in studies:
        places.setdefault(study.id, []).append(study.split)
    leaks = {key: splits for key, splits in places.items() if len(set(splits)) > 1}
    if leaks:
        raise DataError(
            f"studies in more than one split ({len(leaks)}): {_some(leaks)}. "
            "A study may be in one split only: remove it from the others."
        )
    twice = {key: splits for key, splits in places.items() if len(splits) > 1}
    if twice:
        raise DataError(f"studies that appear more than once ({len(twice)}): {_some(twice)}. Keep one of each.")


def _some(places: Mapping[str, list[str]]) -> str:
    """``"CXR1 (train, test), CXR2 (train x2)"``, and so on."""
    words = []
    for key in sorted(places):
        counts = Counter(places[key])
        words.append(f"{key} ({', '.join(s if n == 1 else f'{s} x{n}' for s, n in counts.items())})")
    return shown(words)
