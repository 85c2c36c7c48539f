"""The text of a report: its sections, and the gentle cleaning that leaves it readable.

A reference is what every score is measured against, so cleaning is a choice that changes numbers. The
default here changes white space only. The harsher cleaning of the R2Gen benchmark (lower case, no
numbering, sentences joined by `` . ``) is the business of ``cleaning`` and never a default.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from xml.etree import ElementTree

from r2gen_lib.errors import DataError

#: The sections an Open-i report is divided into, in the order they are written.
SECTIONS = ("comparison", "indication", "findings", "impression")

#: Names for several sections at once.
SECTION_ALIASES = {"both": "findings+impression"}

#: What Open-i's de-identification put in the place of names and dates, and of many harmless words.
MARK = "XXXX"

#: What programs write where there is no value, in lower case: ``str()`` of a NaN or a None, spreadsheets, databases.
NO_VALUES = frozenset(
    "nan -nan <nan> na <na> n/a #n/a #na n.a. nat <nat> none <none> null <null> nil undefined - -- --- – — "
    "#name? #value! #ref! #num! #null! #div/0!".split()
)
_NO_VALUE = (
    r"(?:(?:nan|nat|none|null|nil|undefined|n(?:[ \t]*/[ \t]*|\.)?a)(?![^\W_])|#(?:name|value|ref|num|div/0)[?!])"
)
_HEADING = r"(?:(?:clinical )?(?:findings?|impressions?|indications?|history|information)|comparisons?|techniques?|exam"
_HEADING += r"|examination|report|conclusions?|recommendations?)[ \t]*[:=–-]"
_NOTHING_SAID = re.compile(rf"[\W_]*(?:(?:{_HEADING}|{_NO_VALUE})[\W_]*)*", re.IGNORECASE)
_LOST = ("nan", "null", "nat", "<na>", "#n/a", "#name?")
_VALUE_LOST = re.compile(r"(?<![^\W_])(?:nan|NaN|NAN|null|NULL|NaT)(?![^\W_])|<NA>|#N/A|#NAME\?")

_MARK_WORD = re.compile(rf"[^\s.,;:()]*{MARK}[^\s.,;:()]*")
_EMPTY_BRACKETS = re.compile(r"\(\s*\)")
_SPACE_BEFORE_STOP = re.compile(r"\s+([.,;:)])")
_REPEATED_STOP = re.compile(r"([.,;:])(?:\s*[.,;:])+")


def clean_report(text: str, keep_marks: bool = True) -> str:
    """A report with its white space (line breaks, tabs, runs of blanks) collapsed to single spaces.

    Nothing else changes by default: no lower case, no punctuation removed. The de-identification marks
    ``XXXX`` stay too. 42% of the benchmark's reports hold one; nobody knows which word was there ("The
    XXXX are unremarkable"), so filling or dropping it would alter what the report says, and the published
    scores of the IU-Xray benchmark were computed with the marks in the references.

    Args:
        text: raw text of a section.
        keep_marks: ``False`` drops every word that holds a mark and tidies the punctuation left behind.
            The text reads more smoothly and its grammar suffers; scores are then not comparable.

    Returns:
        The cleaned text; ``""`` if nothing is left.
    """
    if not keep_marks:
        text = _EMPTY_BRACKETS.sub(" ", _MARK_WORD.sub(" ", text))
        text = _SPACE_BEFORE_STOP.sub(r"\1", _REPEATED_STOP.sub(r"\1", " ".join(text.split())))
        text = text.lstrip(" .,;:")
    return " ".join(text.split())


def openi_sections(root: ElementTree.Element) -> dict[str, str]:
    """The raw text of each section of one Open-i record, by lower-case name; ``""`` where it is empty.

    Args:
        root: the ``eCitation`` element of the record.
    """
    sections = dict.fromkeys(SECTIONS, "")
    for element in root.iter("AbstractText"):
        name = (element.get("Label") or "").strip().lower()
        if name:  # one that is written in two places is kept whole
            parts = [part for part in (sections.get(name, ""), "".join(element.itertext())) if part.strip()]
            sections[name] = "\n\n".join(parts)
    return sections


def says_nothing(text: str) -> bool:
    """Whether a text has nothing to learn from: no letter and no digit, or only what stands for a missing value.

    ``"nan"``, ``"None"``, ``"<NA>"``, ``"N/A"``, ``"-"`` and the like, in any case, several of them (two empty sections
    that were joined), and such a word or nothing behind a section's heading (``"Indication:nan"``). A text that says
    more than that says something: ``"Pneumothorax: none."``.
    """
    return _NOTHING_SAID.fullmatch(text) is not None


def holds_lost_value(text: str) -> bool:
    """Whether a program's word for a missing value (``nan``, ``<NA>``, ``null``) stands in a text that says more."""
    if not any(word in text.lower() for word in _LOST):  # nearly all reports: the pattern is slow
        return False
    return not says_nothing(text) and _VALUE_LOST.search(text) is not None


def section_names(section: str) -> list[str]:
    """The names in ``"findings+impression"``, each once; ``"both"`` stands for these two."""
    spelled = (SECTION_ALIASES.get(name.strip().lower(), name) for name in section.split("+"))
    return list(dict.fromkeys(name.strip().lower() for name in "+".join(spelled).split("+")))


def choose_section(sections: Mapping[str, str], section: str, study_id: str = "") -> str:
    """The raw text of one section, or of several joined by a space; those that say nothing (``"nan"``) count as empty.

    Args:
        sections: raw texts by lower-case name.
        section: a name, several joined by ``+``, or ``"both"`` for ``"findings+impression"``.
        study_id: named in the error.

    Returns:
        The text; ``""`` if every one of the sections ``says_nothing``.

    Raises:
        DataError: a section is unknown.
    """
    names = section_names(section)
    unknown = [name for name in names if name not in sections]
    if unknown:
        raise DataError(
            f"study {study_id}: no section {', '.join(map(repr, unknown))}; it has {', '.join(sections)}. "
            "Ask for one of these, several joined by '+', or 'both' for findings+impression."
        )
    return " ".join(sections[name].strip() for name in names if not says_nothing(sections[name]))
