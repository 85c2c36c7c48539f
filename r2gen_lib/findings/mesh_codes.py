"""From a report's MeSH codes to the findings that the simulator draws.

Open-i's reports are coded by hand: ``Pleural Effusion/left/small`` is a heading and its modifiers. ``mesh_rules`` says
which finding a heading names; this module reads side, zone, severity and pattern from the modifiers and settles what a
study's codes leave open or say twice.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache

from r2gen_lib.errors import SimulationError
from r2gen_lib.findings.finding import MIDLINE, PATTERNS, SEVERITY, Finding
from r2gen_lib.findings.kinds import KINDS, ZONES
from r2gen_lib.findings.laterality import one_side
from r2gen_lib.findings.mesh_rules import RULES, Rule

#: The zones that a finding's drawer knows; a code's other places are dropped. Names that are missing here have none.
ZONES_OF = {kind.name: kind.zones for kind in KINDS if kind.zones}

#: Modifiers that name a zone by another word.
PLACES = {
    "costophrenic angle": "base",
    "cardiophrenic angle": "base",
    "sulcus": "base",
    "pleural sinus": "base",
    "trachea, carina": "trachea",
    "cervical vertebrae": "neck",
    "lumbar vertebrae": "lumbar",
}

#: What a zone becomes for a finding that doesn't know it: an upper-lobe pneumothorax is apical.
NEAREST_ZONE = {
    "upper lobe": "apex",
    "lower lobe": "base",
    "paratracheal": "mediastinum",
    "trachea": "mediastinum",
    "lumbar": "abdomen",
}

#: Modifiers that the picture has no use for, but that are Open-i's.
OTHER_MODIFIERS = frozenset((
    "abnormal", "acute", "adipose tissue", "anterior", "aorta, thoracic", "aortic valve", "azygos lobe",
    "blood vessels", "blunted", "breast implants", "bronchi", "bronchovascular", "clavicle", "coronary vessels",
    "diaphragm", "elevated", "esophagus", "flattened", "heart atria", "heart ventricles", "humerus", "hyperdistention",
    "hypoinflation", "irregular", "lung", "lymph nodes", "mitral valve", "multilobar", "obscured", "pleura",
    "posterior", "pulmonary alveoli", "pulmonary artery", "reticular", "ribs", "shoulder", "spine", "sternum",
    "supracardiac", "thoracic vertebrae", "tortuous",
))  # fmt: skip
MODIFIERS = frozenset(("left", "right", "bilateral", *SEVERITY, *PATTERNS, *ZONES, *PLACES)) | OTHER_MODIFIERS

_UNNAMED_SEVERITY = 0.5  # where a code without a severity stands among those with one
_HEADINGS = {heading.casefold(): heading for heading in RULES}


def findings_from_mesh(
    codes: Iterable[str], study_id: str = "", seed: int = 0, report: str = "", strict: bool = True
) -> tuple[Finding, ...]:
    """The findings that a study's MeSH codes name, each with the side it is drawn on.

    Rules:
        * A code may name several findings (a hydropneumothorax is air and fluid) or none (``normal``, ``Shoulder``).
        * A finding that has sides and whose code names none gets one (``sides.one_side``): from a zone that lies on
          one side (the lingula is left), else from the report's own words, else from the study's other codes for the
          same finding, else what is usual (scattered: both), else from a draw that depends on ``study_id``, ``seed``
          and the finding's name alone.
        * The same finding, side and zone coded twice is drawn once, at the greater severity (a code without one
          counts as 0.5); a bilateral finding takes in the left or right one of the same zone, and a study has one
          scoliosis (its thoracic and lumbar curves are coded apart).
        * ``normal`` beside a finding contradicts it: an error if ``strict``, else the finding counts.

    Args:
        codes: MeSH codes, such as ``["Pleural Effusion/left/small"]``.
        study_id: settles open sides; the same study always gets the same.
        seed: another seed settles them otherwise.
        report: the report's text, in which open sides are looked up.
        strict: refuse what Open-i doesn't hold (unknown headings and modifiers, no code at all, ``normal`` beside a
            finding). False is for reading a whole collection: what is unknown draws nothing, and
            ``coverage.coverage_table`` lists it.

    Raises:
        SimulationError: a code is empty or not text; if ``strict``, what is said there.
    """
    codes = _checked(codes, study_id, strict)
    open_findings = [finding for code in codes for finding in findings_of_code(code)]
    if strict and open_findings and any(_split(code)[0] == "normal" for code in codes):
        raise SimulationError(
            f"{_study(study_id)}found the code 'normal' beside {open_findings[0].code!r}, which contradicts it. "
            "Leave one of them out."
        )
    return _merged([one_side(finding, open_findings, study_id, seed, report) for finding in open_findings])


@lru_cache(maxsize=4096)
def findings_of_code(code: str) -> tuple[Finding, ...]:
    """One code's findings, as far as the code itself goes; a side it doesn't name stays open ("")."""
    rule = rule_of(code)
    if rule is None:
        return ()
    _, words = _split(code)
    severity = next((value for word, value in SEVERITY.items() if word in words), rule.severity)
    pattern = tuple(word for word in PATTERNS if word in words or word in rule.pattern)
    findings = []
    for name in rule.draws:
        side = next((side for side in ("bilateral", "left", "right") if side in words and name not in MIDLINE), "")
        findings.append(Finding(name, side, _zone(name, words, rule), severity, pattern, code))
    return tuple(findings)


def rule_of(code: str) -> Rule | None:
    """The rule that a code falls under; None for an unknown heading."""
    heading, words = _split(code)
    for rule in RULES.get(heading, ()):
        if not rule.words or words & set(rule.words):
            return rule
    return None


def heading_of(code: str) -> str:
    """A code's heading, spelt as in ``RULES`` where it is known there."""
    return _split(code)[0]


@lru_cache(maxsize=4096)
def _split(code: str) -> tuple[str, frozenset[str]]:
    heading, *modifiers = (" ".join(part.split()) for part in code.split("/"))
    return _HEADINGS.get(heading.casefold(), heading), frozenset(modifier.casefold() for modifier in modifiers)


def _zone(name: str, words: frozenset[str], rule: Rule) -> str:
    known = ZONES_OF.get(name, ())
    places = {PLACES.get(word, word) for word in words} & set(ZONES)
    near = {NEAREST_ZONE.get(place, place) for place in places}
    found = next((zone for zone in known if zone in places), None) or next((zone for zone in known if zone in near), "")
    return found or (rule.zone if rule.zone in known else "")


def _merged(findings: list[Finding]) -> tuple[Finding, ...]:
    """Each (name, side, zone) once, at its greatest severity; bilateral takes in left and right; one scoliosis."""
    both = {(finding.name, finding.zone) for finding in findings if finding.side == "bilateral"}
    kept: dict[tuple[str, str, str], Finding] = {}
    for finding in findings:
        if (finding.name, finding.zone) in both:
            finding = replace(finding, side="bilateral")
        key = (finding.name, "" if finding.name == "Scoliosis" else finding.side, finding.zone)
        if key not in kept or _rank(finding) > _rank(kept[key]):
            kept[key] = finding
    return tuple(kept.values())


def _rank(finding: Finding) -> float:
    return _UNNAMED_SEVERITY if finding.severity is None else finding.severity


def _checked(codes: Iterable[str], study_id: str, strict: bool) -> list[str]:
    if isinstance(codes, str):
        raise SimulationError(f"{_study(study_id)}codes: found the text {codes!r}, expected a list. Pass [{codes!r}].")
    codes = list(codes)
    for number, code in enumerate(codes, 1):
        if not isinstance(code, str) or not code.strip():
            raise SimulationError(
                f"{_study(study_id)}code {number}: found {code!r}, expected text such as "
                "'Pleural Effusion/left/small'. Correct it or leave it out."
            )
        if strict:
            _check_words(code, study_id)
    if strict and not codes:
        raise SimulationError(f"{_study(study_id)}codes: found none, expected at least one. Pass ['normal'] for none.")
    return codes


def _check_words(code: str, study_id: str) -> None:
    """Raise if a code's heading or a modifier is not one of Open-i's."""
    heading, modifiers = _split(code)
    if heading not in RULES:
        _refuse(code, study_id, "heading", heading, list(RULES))
    for word in sorted(modifiers - MODIFIERS):
        _refuse(code, study_id, "modifier", word, sorted(MODIFIERS))


def _refuse(code: str, study_id: str, part: str, found: str, known: list[str]) -> None:
    by_folded = {word.casefold(): word for word in known}
    near = difflib.get_close_matches(found.casefold(), by_folded, n=3, cutoff=0.4)
    nearest = ", ".join(repr(by_folded[word]) for word in near) or "none is close"
    raise SimulationError(
        f"{_study(study_id)}code {code!r}: found the {part} {found!r}, expected one of Open-i's {len(known)} (nearest: "
        f"{nearest}). Correct the code, or pass strict=False to draw nothing for it."
    )


def _study(study_id: str) -> str:
    return f"study {study_id}: " if study_id else ""
