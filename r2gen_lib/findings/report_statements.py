"""From a report's text to single statements in plain wording, before any finding is looked for.

NegEx knows which words deny and how far a denial reaches inside one statement. It does not know where a statement ends
when no full stop says so, nor that "no findings to suggest edema" denies and "has not resolved" does not. That is done
in three steps, a file each, and each of them a table of patterns:

1. ``sentence_spans``: where sentences stand in the text. A full stop ends one; so do a list's number, a bullet, a
   heading, and a line break that no line's width explains.
2. ``plain_wording``: short forms are written out, and phrases that NegEx would misread give way to ones it reads.
3. ``statements``, here: a sentence is cut where a denial or a doubt ends, as in "No pneumothorax, small effusion".

Own rules; the kinds of wordings come from NegEx's and CheXpert's published lists and from reports of the train split.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from r2gen_lib.findings.plain_wording import DEVICE_WORDS, VISIBLE, plain_wording
from r2gen_lib.findings.sentence_spans import one_of

_DENIES = re.compile(
    r"\b"
    + one_of(
        r"no, not, without, negative, free of, clear of, absent, absence, lack of, nor, neither, nolonger, never,"
        r"isdenied, unlikely, rather than, resolved, been removed, removal of, resolution of, notexcluded, isdoubted,"
        r"may, might, could, possible, possibly, probable, probably, likely, suspected, questionable, suggest\w*,"
        r"suspicious, concerning, versus"
    )
    + r"(?![\w-])"
)
#: A sentence under one of these headings is about why or how the picture was taken, not about what it shows.
_NOT_SEEN = re.compile(
    r"\s*"
    + one_of(
        r"indications?, history, clinical(?: history| information| indication)?,"
        r"reason(?: for (?:the )?exam\w*| for study)?, comparisons?, techniques?, exam(?:ination)?, procedure, views?"
    )
    + r"\s*:",
    re.IGNORECASE,
)
#: Words that begin a finding that is there: nobody denies a "stable" or a "persistent" one.
_SIZES = one_of(
    "stable, unchanged, small, tiny, trace, minimal, mild, mildly, moderate, moderately, persistent, persisting,"
    "residual, increasing, increased, decreased, decreasing, worsening, worsened, improved, improving, resolving,"
    "known, redemonstrated, again, minor, slight, slightly, moderate-sized, small-to-moderate, severe, marked, healed,"
    "healing, scattered, enlarged, enlarging, new, newly, now, improvement, similar, continued, interval,"
    "extensive, multiple, several, subtle, faint, patchy, bibasilar, basilar, low"
)
#: And those that do so after a comma only.
_SIDES = one_of("left, right, bilateral, chronic, old, prior, right-sided, left-sided, a, an, there, also, only")
_VERB = one_of(
    "is, are, was, were, has, have, had, remains?, persists?, appears?, shows?, demonstrates?, measures?, continues?,"
    "ends?, terminates?, projects?, lies, looks?, seems?"
)
_ONLY_SEEN = re.compile(rf"\b{_VERB} (?:been )?(?:not )?(?:\w+ly )?{VISIBLE}\b")
_HAS_VERB = re.compile(rf"\b{_VERB}\b|\bis(?:denied|doubted)|\bnolonger\b")
_STANDS_ALONE = re.compile(
    rf"(?:[\w-]+ ){{0,3}}(?:{DEVICE_WORDS}|ngt|ett|wires|tip)\b"
    r"|(?:the )?(?:heart|cardiac silhouette|mediastinum|cardiomediastinal silhouette) (?:is |are |mildly |moderately )*"
    r"(?:enlarged|large|widened|prominent|normal|unremarkable)"
    r"|(?:acute |old |healed )?\w+ (?:of|in) the "
)
_EXCEPT = one_of(
    "other than, beyond, except(?:ing)?(?: for)?, apart from, aside from, with the exception of, besides,"
    "save for, barring"
)
_SPLIT_ALWAYS = re.compile(
    r"\s*;\s*|\s+(?:–|--|-)\s+|\s*–\s*"  # noqa: RUF001
    rf"|\s+(?={_EXCEPT}\b)"
    r"|(?<!not)[ ,]+(?=only \w+ )"
    rf"|\s*\(\s*(?=[^()]{{0,80}}\b(?:no|not|without)\b)|\s*\(\s*(?={_SIZES} )|\)\s*(?=,|$)|\. "
)
_COMMA = re.compile(r"\s*,\s*(?:and |but |with )?|\s+and\s+")


def statements(sentence: str) -> list[str]:
    """The sentence's statements in plain wording: pieces that a denial or a doubt in another piece does not reach."""
    if _NOT_SEEN.match(sentence):
        return []
    found = []
    for part in _SPLIT_ALWAYS.split(plain_wording(sentence)):
        found += _cut_at_commas(part.strip(" ,"))
    return [part for part in found if part]


def _cut_at_commas(part: str) -> Iterator[str]:
    start = 0
    for match in _COMMA.finditer(part):
        before, after = part[start : match.start()], part[match.end() :]
        if before.strip() and _begins_another(before, match.group(), after):
            yield before.strip(" ,")
            start = match.end()
    yield part[start:].strip(" ,")


def _begins_another(before: str, joint: str, after: str) -> bool:
    """Whether a new statement begins at a comma or "and" between two parts of a sentence."""
    if not (_DENIES.search(before) or _DENIES.search(after)):
        return False  # nothing to keep apart
    if re.match(r"(?:or|nor)\b", after) and not _HAS_VERB.search(before):
        return False
    if re.match(r"(?:it|they|this|these|which|that)\b", after):
        return False  # "the effusion was seen before, it is not seen now"
    if "," in joint and re.match(r"(?:after|following|status post) ", before):
        return True  # "after removal of the tube, a small pneumothorax"
    comma = "," in joint
    piece = re.split(r",|\b(?:but|however|although|though)\b", after, maxsplit=1)[0]  # up to the next joint
    if comma and "versus" in piece and "versus" not in before and not _DENIES.search(before):
        return True  # "opacity, atelectasis versus pneumonia"
    listed = _goes_on_as_list(after)
    if comma and not listed and _DENIES.search(before) and _STANDS_ALONE.match(piece):
        return True  # "no pneumothorax, tube in place", "no effusion, heart enlarged"
    denied_first = re.match(r"(?:no|without|negative|not|free)\b", piece) is not None
    verb = _HAS_VERB.search(piece)
    if _HAS_VERB.search(before) and verb and not denied_first:  # both are whole sentences
        return not (listed and _ONLY_SEEN.search(piece))
    if verb and not _ONLY_SEEN.search(piece) and not listed and not re.search(r"\bisdenied|isdoubted|nolonger", piece):
        if not _DENIES.search(before) or (not comma and verb.group() in ("are", "were", "have")):
            return False  # "heart and mediastinum are normal", "heart size, mediastinum are normal"
        return not denied_first  # "no X, the heart is enlarged"
    if verb and comma and not denied_first:  # "small effusion, pneumothorax is not seen"
        many = re.search(r"\b(?:are|were|have|and|or|nor)\b", piece)
        return bool(re.match(rf"{_SIZES}\b", before.lstrip())) or not (many or _DENIES.search(before))
    return _states_a_finding(after, comma) and not listed


def _states_a_finding(after: str, comma: bool) -> bool:
    """Whether the part begins as a finding that is there: "small effusion", "a persistent pneumothorax"."""
    first = re.sub(r"^(?:an?|the) (?=\S)", "", after).split(" ")[0]
    if re.fullmatch(_SIZES, first):
        return True
    return comma and re.match(rf"{_SIDES}(?:\s|$)|large (?:left|right|bilateral|upper|lower|new)\b", after) is not None


def _goes_on_as_list(after: str) -> bool:
    """Whether a list goes on with "or": "no consolidation, large effusion or pneumothorax"."""
    return re.search(r"\b(?:or|nor)\b", re.split(r"\b(?:but|however|there is|there are)\b", after)[0]) is not None
