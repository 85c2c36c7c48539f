"""A report without the sentences that contradict it: what stays was written by the model, word by word."""

from __future__ import annotations

from r2gen_lib.findings.contradictions import UMBRELLA
from r2gen_lib.findings.laterality import REPORT_WORDS, side_in_report
from r2gen_lib.findings.report_labeler import State, sentence_labels


def without_contradictions(report: str) -> str:
    """The report without two kinds of sentences, and as it is where it has none.

    - Denials of what another sentence calls present; they say nothing else that is present or uncertain.
    - Sentences that name a finding on another side than an earlier one did, and no finding that none did before.

    Of two statements the one that affirms stays, and of two sides the first: on validation chests it is mostly the true
    one (docs/experiments.md). "Lung Opacity" is passed over, as ``contradictions.contradictions`` does.

    Raises:
        DataError: not text.
    """
    sentences = sentence_labels(report)
    affirmed = {name for _, states in sentences for name, state in states.items() if state == State.PRESENT}
    affirmed -= {UMBRELLA}
    sides: dict[str, str] = {}
    kept = []
    for sentence, states in sentences:
        denied = {name for name, state in states.items() if state == State.ABSENT}
        if denied & affirmed and denied == states.keys() - {"No Finding"}:
            continue
        here = {name: side for name in REPORT_WORDS if (side := side_in_report(name, sentence))}
        if here and here.keys() <= sides.keys() and any(sides[name] != side for name, side in here.items()):
            continue
        sides = here | sides
        kept.append(sentence)
    return " ".join(kept) if len(kept) < len(sentences) else report
