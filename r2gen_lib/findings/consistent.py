"""A report without the sentences that contradict it: what stays was written by the model, word by word."""

from __future__ import annotations

from r2gen_lib.findings.contradictions import UMBRELLA
from r2gen_lib.findings.laterality import REPORT_WORDS, side_in_report
from r2gen_lib.findings.report_labeler import State, sentence_labels


def without_contradictions(report: str) -> str:
    """The report without two kinds of sentences, and as it is where it has none.

    - Denials of what another sentence calls present, unless they name a side or affirm something else. What they deny
      beside it goes with them.
    - Sentences that name a finding on the other side than an earlier one did, and call nothing present that none did
      before. A side behind "both" is no other side. (What this costs: a second catheter or nodule, on the other side.)

    Of two statements the one that affirms stays, and of two sides the first: on validation chests it is mostly the true
    one (docs/experiments.md). "Lung Opacity" is passed over, as ``contradictions.contradictions`` does. A sentence in
    doubt stays.

    Raises:
        DataError: not text.
    """
    sentences = sentence_labels(report)
    affirmed = {name for _, states in sentences for name, state in states.items() if state == State.PRESENT}
    affirmed -= {UMBRELLA}
    said: set[str] = set()
    sides: dict[str, str] = {}
    kept = []
    for sentence, states in sentences:
        denied = {name for name, state in states.items() if state == State.ABSENT}
        one_side = " left" in sentence.lower() or " right" in sentence.lower()
        if denied & affirmed and denied == states.keys() - {"No Finding"} and not one_side:
            continue
        if State.UNCERTAIN not in states.values():
            claims = {name for name, state in states.items() if state == State.PRESENT}
            here = {name: side for name in REPORT_WORDS if (side := side_in_report(name, sentence))}
            other = any(sides.get(name, side) not in (side, "bilateral") for name, side in here.items())
            if other and here.keys() <= sides.keys() and claims <= said:
                continue
            sides, said = here | sides, said | claims
        kept.append(sentence)
    return " ".join(kept) if len(kept) < len(sentences) else report
