"""A sentence that says of a simulated finding what is drawn: where, and how much of it.

Plain words of our own in the manner of radiology reports. They are no radiologist's, and must be shown as simulated.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from r2gen_lib.errors import SimulationError
from r2gen_lib.findings.chexpert import CASES
from r2gen_lib.findings.finding import Finding
from r2gen_lib.findings.kinds import KINDS

_KINDS = {kind.name: kind for kind in KINDS}
#: Finding -> ways to say it; what stands for the words in braces: ``Kind``.
_SENTENCES: Mapping[str, tuple[str, ...]] = {name: _KINDS[name].sentences for name in CASES}
_BILATERAL = {name: kind.bilateral for name, kind in _KINDS.items() if kind.bilateral}
_ZONES = {
    "apex": ("lung apex", "lung apices"),
    "base": ("lung base", "lung bases"),
    "upper lobe": ("upper lobe", "upper lobes"),
    "lower lobe": ("lower lobe", "lower lobes"),
    "hilum": ("hilar region", "hilar regions"),
    "": ("lung", "lungs"),
}
#: The findings that have a sentence.
SAYABLE = tuple(_SENTENCES)


def sentence_for(finding: Finding, rng: np.random.Generator) -> str:
    """One of the ways to say it, drawn by ``rng``: "There is a small left pleural effusion."

    Raises:
        SimulationError: the finding is not one of ``SAYABLE``.
    """
    if finding.name not in _SENTENCES:
        raise SimulationError(f"finding {finding.name!r}: there is no sentence for it; expected one of {SAYABLE}.")
    several = finding.side == "bilateral" and finding.name in _BILATERAL
    ways = (_BILATERAL if several else _SENTENCES)[finding.name]
    grade = _grade(finding)
    degree = ("mild", "moderate", "severe")[grade]
    text = str(rng.choice(ways))
    words = {
        "side": finding.side,
        "place": _place(finding),
        "degree": f"{degree}ly" if "{degree} enlarged" in text else degree,
        "size": size_of(finding),
        "kind": _tube(finding),
    }
    said = " ".join(text.format(**words).split())  # a side that is left open leaves no gap
    return said[0].upper() + said[1:]


def size_of(finding: Finding) -> str:
    """How large it is in words: "small", "moderate" (also where that is left open) or "large"."""
    return ("small", "moderate", "large")[_grade(finding)]


def _grade(finding: Finding) -> int:
    severity = 0.5 if finding.severity is None else finding.severity
    return 0 if severity < 0.4 else 1 if severity < 0.75 else 2


def _place(finding: Finding) -> str:
    if finding.zone == "lingula":
        return "the lingula"
    if finding.zone == "retrocardiac":
        return "the retrocardiac region"
    if finding.zone == "middle lobe":
        return "the right middle lobe"
    one, both = _ZONES.get(finding.zone, _ZONES[""])
    if finding.side == "bilateral":
        return f"both {both}"
    return f"the {finding.side} {one}" if finding.side else f"the {both}" if one == "lung" else f"the {one}"


def _tube(finding: Finding) -> str:
    """Which tube ``devices`` draws."""
    if finding.zone == "abdomen":
        return "a nasogastric"
    return "an endotracheal" if finding.zone == "trachea" or not finding.side else "a chest"
