"""One thing to see on a radiograph, and the words that name it, place it and say how much of it there is.

``codes.findings_from_mesh`` reads findings from a report's MeSH codes; ``edits.draw`` draws them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from r2gen_lib.errors import SimulationError
from r2gen_lib.findings.kinds import KINDS

#: Every finding the simulator draws, in the order of the labels that the vision encoder learns.
FINDING_NAMES = tuple(kind.name for kind in KINDS)

#: Those that the shipped encoder has learnt; later ones were added after it, and are in no code of Open-i's.
LEARNT_NAMES = FINDING_NAMES[:46]

#: Findings that have no side, whatever else their code says.
MIDLINE = frozenset(kind.name for kind in KINDS if kind.midline)

#: How severe a word is, 0 to 1. The first word here that a code holds counts: "enlarged/mild" is mild.
SEVERITY = {
    "borderline": 0.15,
    "small": 0.3,
    "mild": 0.3,
    "moderate": 0.6,
    "large": 1.0,
    "severe": 1.0,
    "enlarged": 0.5,
    "prominent": 0.5,
}
PATTERNS = ("multiple", "scattered", "diffuse", "patchy", "streaky", "round", "focal", "interstitial", "healed",
            "degenerative", "chronic")  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """One thing to see on a radiograph.

    Attributes:
        name: one of ``FINDING_NAMES``.
        side: "left", "right", "bilateral", or "" where it has none (``MIDLINE``) or it is left open.
        zone: one of ``kinds.ZONES``, or "".
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


def names_chosen(names: Iterable[str], among: Collection[str], which: str) -> list[str]:
    """Names of findings as people type them: case does not matter, a part that fits one will do; each once, in order.

    Args:
        names: such as ``["Cardiomegaly", "effusion"]``.
        among: the names that can be chosen.
        which: what those have in common, for the error: ``"with a sentence"``.

    Raises:
        SimulationError: a name fits none or several, or there are no names.
    """
    found: dict[str, None] = {}
    for name in names:
        folded = name.strip().casefold()
        exact = [known for known in among if known.casefold() == folded]
        near = exact or [known for known in among if folded and folded in known.casefold()]
        if len(near) != 1:
            fits = f"several fit: {', '.join(near)}" if near else "none fits"
            raise SimulationError(f"finding {name!r}: {fits}. Expected one of those {which}: {', '.join(among)}.")
        found[near[0]] = None
    if not found:
        raise SimulationError(f"findings: found none, expected one or more of {', '.join(among)}.")
    return list(found)
