"""The order in which a chest radiograph is read: heart, mediastinum, vessels, lungs, pleura, devices, bones, abdomen.

Teachers give their students such an order so that nothing is forgotten and nothing is said twice. A small language
model needs it for the same reason: where every finding has one place, the place tells what has been said.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

#: What the sentences of each region name, and its place in the order. The first that fits is a sentence's: the pleura
#: comes before the lungs here, since where an effusion is denied the lungs are often named beside it.
_REGIONS = tuple(
    (place, re.compile(words, re.IGNORECASE))
    for place, words in (
        (0, r"\bheart|cardiac|cardio(?!pulm)"),
        (1, r"mediastin|\baort|\bhil(a|ar|um)\b|trachea"),
        (2, r"vascul|\bedema|congest"),
        (4, r"effusion|costophrenic|pleura"),
        (5, r"pneumothora"),
        (
            3,
            r"lung|air ?space|pulmon|consolid|opaci|atelecta|infiltrat|nodul|\bmass|granulom|interstiti|emphysem"
            r"|pneumonia|hyper(infl|expan)|hypoinfl|scar",
        ),
        (6, r"catheter|\btube|pacemaker|device|\bclip|wire|stent|sternotom|\bline|\bport\b|\bpicc\b"),
        (7, r"\bbon[ey]|osseous|spin(e|al)|\brib|fractur|skelet|vertebra|scolio|kypho|osteo|clavic|degenerat"),
        (8, r"diaphragm|abdom|bowel|gastric|hernia"),
    )
)


def in_reading_order(sentences: Iterable[str]) -> list[str]:
    """The sentences, those of one region together, as they came; one that names no region stays behind the one before.

    A sentence that names several regions stands with the first of them that ``_REGIONS`` lists.
    """
    placed, before = [], -1
    for sentence in sentences:
        before = next((place for place, words in _REGIONS if words.search(sentence)), before)
        placed.append((before, sentence))
    return [sentence for _, sentence in sorted(placed, key=lambda pair: pair[0])]
