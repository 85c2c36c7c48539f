"""Whether a report speaks of an earlier picture: "unchanged", "compared to the prior study", "no longer seen".

A model that is shown one examination cannot know of another: such words are then invented. Own rules, by sentence. Some
words always compare, others only beside a word for a picture or a finding. What looks alike and compares nothing ("no
change in calibre", "the patient is stable", "none for comparison") is taken out first. Rules err;
tests/findings/test_comparisons.py holds true and false friends.
"""

from __future__ import annotations

import re

from r2gen_lib.findings.sentence_spans import one_of, sentence_spans

_PICTURE = one_of(
    r"stud(?:y|ies), exam\w*, radiographs?, x-?rays?, films?, images?, imaging, pictures?, cts?, scans?,"
    r"comparisons?, reports?, evaluations?, views?"
)
_BEFORE = one_of("prior, previous, preceding, earlier, last, old, older, most recent")
_BETTER_OR_WORSE = one_of(
    "improved, improving, worsened, worsening, resolved, resolving, progressed, progressing, regressed, decreased,"
    "diminished, grown, enlarged further, cleared, changed, re-?expanded, developed"
)
#: What compares nothing, though it has the words of a comparison.
_FALSE_FRIENDS = re.compile(
    r"(?i)\b(?:"
    r"(?:no|without) changes? (?:in|of) (?:caliber|calibre|diameter|width|course|direction)"
    r"|unchanged (?:in )?(?:caliber|calibre|diameter|width)"
    r"|(?:patient|she|he|condition)(?: \w+)? (?:is |are |remains )?stable|stable (?:patient|condition|vital signs)"
    r"|(?:clinically|h?a?emodynamically|vital signs)(?: are)? (?:stable|unchanged)|remains of|interval (?:of|between)"
    r"|(?:no|none|not|without)\b[^.;]{0,40}\b(?:available|for|to)\b[^.;]{0,20}\bcompar(?:e|isons?)\b[^.;]*"
    rf"|(?:no|without) (?:{_BEFORE} |available |comparison )+{_PICTURE}[^.;]*|(?:no|without) comparisons?\b[^.;]*"
    r"|comparisons?(?: ?:| is| was)? (?:none|no|not available|unavailable|n/a)\b[^.;]*"
    r"|compared (?:to|with) (?:the )?(?:left|right|other side|opposite side|contralateral)"
    r")"
)
#: What compares with an earlier picture wherever it stands.
_COMPARES = re.compile(
    r"(?i)\b(?:"
    r"unchanged|stable|stably|re-?demonstrat\w+|no longer|as before|not changed|remains?|interval|in the interim"
    r"|(?:no|without|little|minimal) (?:(?:significant|appreciable|substantial|relevant|definite|acute) )*"
    r"change\b(?! of)|significant change|changes? (?:since|from)"
    r"|(?:is|are) (?:once )?again|again (?:is|are|seen|noted|demonstrated|identified|visible|visualized)|seen again"
    rf"|(?:has|have) (?:\w+ly |since |also |all |not |now |been )*{_BETTER_OR_WORSE}"
    r"|(?:is|are) (?:now |slightly |mildly |somewhat )?(?:improved|improving|worse|worsened|worsening|better)"
    r"|persists?|persisting|persistent|still (?:\w+ )?(?:seen|present|visible|enlarged|ends|lies|in|at|there)"
    r"|(?:than|to|since|from) (?:before|previously)"
    r"|previously (?:\w+ )?(?:seen|noted|described|identified|visible|visualized|demonstrated|reported|present)"
    r"|(?:seen|noted|described|identified|visible|present) (?:previously|earlier)"
    rf"|(?:compared|comparison|comparing|relative|similar) (?:to|with) (?:\w+ ){{0,4}}(?:{_BEFORE}|{_PICTURE})"
    rf"|(?:in|by|on) comparison\b(?! of)|since (?:the )?(?:{_BEFORE}|\w+ {_PICTURE})"
    rf"|(?:from|on|since|than|as|with|to|the) (?:the )?{_BEFORE} (?:\w+ ){{0,2}}{_PICTURE}"
    rf"|(?:prior|previous) (?:\w+ ){{0,2}}{_PICTURE}"
    r"|(?:over|for) (?:the )?(?:last |past )?(?:two|three|several|\d+) (?:days|weeks|months|years)"
    r"|new(?:ly)? (?!york)(?:\w+ ){0,3}(?:opacit\w+|infiltrat\w+|consolidat\w+|effusions?|nodules?|mass|masses|"
    r"pneumothora\w+|fractures?|atelecta\w+|lesions?|disease|densit\w+|findings?|abnormalit\w+|edema|pneumonia)"
    r")\b"
)


def speaks_of_earlier(text: str) -> bool:
    """Whether a sentence of the report compares with an earlier picture; saying that there is none compares nothing."""
    return bool(comparing_sentences(text))


def comparing_sentences(text: str) -> list[str]:
    """The sentences that do, as they stand in the report."""
    sentences = [text[start:end] for start, end in sentence_spans(text)]
    return [one for one in sentences if _COMPARES.search(_FALSE_FRIENDS.sub(" ", one))]
