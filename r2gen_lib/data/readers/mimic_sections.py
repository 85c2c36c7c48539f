"""The sections of a free-text radiology report, such as those of MIMIC-CXR.

A report is cut at its headings into parts, and every character of it is in exactly one part, as heading or as text:
nothing is lost, nothing is doubled. What the cuts mean:

- A preliminary reading (WET READ, PFI, PRELIMINARY REPORT) or an ADDENDUM keeps its own headings to itself, up to the
  FINAL REPORT banner or the line of underscores that closes it. The report's impression is the final one.
- FINDINGS AND IMPRESSION under one heading are the ``impression``, as in the sections that MIMIC-CXR's own code
  (Johnson et al., Scientific Data 2019) gives, so that ``findings`` stays what the benchmark calls findings.
- A title such as ``CHEST, TWO VIEWS:`` opens the findings. Labels inside a section (``HEART:``) stay in its text.
- Text under no heading is ``untitled``: it is never passed off as findings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

# Section -> its headings, tried in this order; " " stands for blanks, "~" for blanks that may be absent.
_HEADINGS = {
    "wet_read": r"wet(?: |-)?reads?(?: version #?\d+)?|provisional findings(?: and)? impression|pfi"
    r"|preliminary (?:report|read)",
    "addendum": r"(?:final )?addend(?:um|a)",
    "impression": r"findings?(?: and |~&~|~/~)impressions?|impressions?(?:(?: and |~&~|~/~)recommendations?)?"
    r"|conclusions?|opinion|summary",
    "findings": r"(?:(?:chest|radiographic|pertinent|additional|other) )?findings?",
    "comparison": r"comparisons?(?: (?:exams?|examinations?|films?|radiographs?|study|studies))?|reference exam",
    "indication": r"(?:clinical )?indications?(?: for (?:the |this )?(?:exam|examination|study))?(?:~/~history)?"
    r"|reason for (?:the |this )?(?:exam|examination|study)",
    "history": r"(?:(?:clinical|patient) )?history(?:~/~indications?)?|clinical information",
    "technique": r"techniques?|procedure",
    "examination": r"(?:type of )?(?:examination|exam)|study",
    "recommendations": r"recommendations?(?:\(s\))?",
    "notification": r"notifications?(?:\(s\))?",
}

#: The sections of a report; all of them are keys of ``mimic_sections``' answer.
MIMIC_SECTIONS = (
    *("findings", "impression", "comparison", "indication", "history", "technique", "examination"),
    *("recommendations", "notification", "wet_read", "addendum", "untitled"),
)

_TITLES = "|".join(f"(?P<{name}>{titles})" for name, titles in _HEADINGS.items())
_TITLES = _TITLES.replace(" ", r"[^\S\r\n]+").replace("~", r"[^\S\r\n]*")
_MARK = re.compile(
    r"(?<![^\s.;])(?:"
    r"(?P<banner>(?:final|revised)[ \t]+report(?!\w):?)|(?P<rule>[_=*-]{10,}(?!\S))|"
    rf"(?P<title>(?:{_TITLES})(?:[ \t]*\([^()\n]{{0,40}}\))?)"
    r"(?:[ \t]*(?P<colon>:)|[ \t]+(?P<dash>[-–—])(?=\s)|(?P<line_end>[ \t]*\r?$)|(?P<gap>[ \t]{2,}|\t)|(?=[ \t])))",
    re.IGNORECASE | re.MULTILINE,
)
_LINE_TITLE = re.compile(r"^[ \t]*([A-Z][A-Z0-9 ,()/&_-]{2,60}):", re.MULTILINE)
_PARAGRAPH_END = re.compile(r"(?<=\S)[ \t\r]*\n[ \t\r]*\n")

_ASIDES = ("wet_read", "addendum")
_TARGETS = ("findings", "impression")
_SHORT = ("comparison", "indication", "history", "technique", "examination")
_ONLY_AT_LINE_START = re.compile(r"opinion|summary|procedure|study|exam", re.IGNORECASE)
_VIEW_WORDS = frozenset(
    "CHEST PORTABLE PA AP LAT LATERAL FRONTAL UPRIGHT SUPINE ERECT SEMI DECUBITUS BEDSIDE VIEW VIEWS RADIOGRAPH "
    "RADIOGRAPHS FILM X RAY XRAY ONE TWO THREE SINGLE AND OF THE WITH 1 2 3".split()
)
_OFTEN_MISSPELLED = {
    **{"FINDINGS": "findings", "IMPRESSION": "impression", "CONCLUSION": "impression", "COMPARISON": "comparison"},
    **{"COMPARISONS": "comparison", "INDICATION": "indication", "TECHNIQUE": "technique"},
    **{"EXAMINATION": "examination", "RECOMMENDATION": "recommendations", "NOTIFICATION": "notification"},
}


@dataclass(frozen=True)
class ReportPart:
    """One stretch of a report; ``heading + text`` of all parts, in order, is the report.

    Attributes:
        name: one of ``MIMIC_SECTIONS``.
        heading: the heading as written, with its colon; a banner or a line of underscores counts as one.
        text: what follows it, as written.
    """

    name: str
    heading: str
    text: str


def mimic_sections(text: str) -> dict[str, str]:
    """The text of each section of a free-text report, by the names in ``MIMIC_SECTIONS``; ``""`` where it is absent.

    Any text is accepted. A section that is written in several places is joined by blank lines, in their order.
    De-identification marks (``___``), list numbers and line breaks are left as they are.
    """
    texts: dict[str, list[str]] = {name: [] for name in MIMIC_SECTIONS}
    for part in report_parts(text):
        if part.text.strip():
            texts[part.name].append(part.text.strip())
    return {name: "\n\n".join(found) for name, found in texts.items()}


def report_parts(text: str) -> list[ReportPart]:
    """The report cut at its headings, without loss."""
    parts = []
    name, start, end = "untitled", 0, 0
    for mark in _cuts(text, sorted((*_titles(text), *_line_titles(text)))):
        parts.append(ReportPart(name, text[start:end], text[end : mark[0]]))
        start, end, name = mark
    parts.append(ReportPart(name, text[start:end], text[end:]))
    if not any(part.name == "findings" and part.text.strip() for part in parts):
        parts = [piece for part in parts for piece in _untitled_apart(part)]
    return [part for part in parts if part.heading or part.text]


def _cuts(text: str, marks: list[tuple[int, int, str]]) -> Iterator[tuple[int, int, str]]:
    """The marks that open a new part: the headings inside a preliminary reading or an addendum do not."""
    name, target_seen = "untitled", False
    for index, (start, end, kind) in enumerate(marks):
        if start < marks[index - 1][1] and index:
            continue  # two patterns saw the same heading
        if kind == "banner" or (kind == "rule" and name in _ASIDES):
            name = "untitled"
        elif kind == "view":
            if name in (*_TARGETS, *_ASIDES):
                continue
            name = "findings"
        elif kind != "rule":
            if name in _ASIDES and kind not in _ASIDES and (target_seen or _closes_later(marks[index:])):
                continue
            name = kind
        target_seen = target_seen or name in _TARGETS
        yield start, end, name


def _closes_later(marks: list[tuple[int, int, str]]) -> bool:
    """Whether a banner, or a line of underscores with findings or an impression below it, is still to come."""
    kinds = [kind for _, _, kind in marks]
    below = kinds[kinds.index("rule") :] if "rule" in kinds else []
    return "banner" in kinds or any(kind in _TARGETS for kind in below)


def _titles(text: str) -> Iterator[tuple[int, int, str]]:
    for mark in _MARK.finditer(text):
        kind = next(name for name in ("banner", "rule", *_HEADINGS) if mark[name])
        if kind == "banner":
            alone = text[text.rfind("\n", 0, mark.start()) + 1 :].partition("\n")[0].strip() == mark[0]
            stands = alone or mark[0].isupper()
        else:
            stands = kind == "rule" or _is_heading(mark, kind, text[: mark.start()])
        if stands:
            yield mark.start(), mark.end(), kind


def _is_heading(mark: re.Match, kind: str, before: str) -> bool:
    """Whether a section's name stands there as a heading, and not as a word of a sentence."""
    title, said = mark["title"], before.rstrip()
    capital = title[0].isupper()
    after_sentence = said[-1:] in ".:;!?_"  # also at the very start
    if before.rpartition("\n")[2].strip():  # inside a line
        at_ease = title.isupper() or (capital and after_sentence)
        return mark["colon"] is not None and at_ease and not _ONLY_AT_LINE_START.fullmatch(title)
    # a line that was broken in the middle of a sentence is a long one
    fresh = after_sentence or before[len(said) :].count("\n") > 1 or len(said.rpartition("\n")[2]) < 40
    if mark["colon"]:
        return capital or fresh
    if mark["dash"] or mark["line_end"] is not None:
        return capital and fresh
    return title.isupper() and (mark["gap"] is not None or kind in _ASIDES)


def _line_titles(text: str) -> Iterator[tuple[int, int, str]]:
    """Titles that name the views, and headings with a slip of the keyboard."""
    for mark in _LINE_TITLE.finditer(text):
        words = re.findall(r"[A-Z0-9]+", mark[1])
        if _VIEW_WORDS.issuperset(words) and len(words) > 1:
            yield mark.start(1), mark.end(), "view"
        elif len(words) == 1:
            kinds = (name for right, name in _OFTEN_MISSPELLED.items() if _one_slip(words[0], right))
            yield from ((mark.start(1), mark.end(), name) for name in list(kinds)[:1])


def _one_slip(word: str, right: str) -> bool:
    """Whether one letter was left out, put in, changed, or two neighbours swapped."""
    while word and right and word[0] == right[0]:
        word, right = word[1:], right[1:]
    while word and right and word[-1] == right[-1]:
        word, right = word[:-1], right[:-1]
    return (len(word) < 2 and len(right) < 2) or (len(word) == 2 and word == right[::-1])


def _untitled_apart(part: ReportPart) -> Iterator[ReportPart]:
    """A short section ends with its first paragraph; in a report without findings, what follows is untitled."""
    end = _PARAGRAPH_END.search(part.text) if part.name in _SHORT else None
    if end is None or not part.text[end.end() :].strip():
        yield part
        return
    yield ReportPart(part.name, part.heading, part.text[: end.end()])
    yield ReportPart("untitled", "", part.text[end.end() :])
