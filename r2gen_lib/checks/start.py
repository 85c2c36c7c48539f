"""Checks of notebook 00: decoding, reading a report for a finding, where a curve moves and where it crosses zero."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from r2gen_lib.checks.core import Wrong, ask, close, described, exercise
from r2gen_lib.findings.finding import Finding

_DENIALS = {"no", "not", "without", "absent", "neither", "nor", "negative"}
_REASONS = ("probab", "likel", "chance", "greedy", "penal", "same context", "already", "before")


@exercise("00.1", "Make it repeat itself")
def check_repetition(options: dict, report: str, why: str) -> str:
    """Did these decoding options make a report that repeats a sentence, and is there a reason in words?"""
    if options.get("repetition_penalty") != 1.0:
        found = options.get("repetition_penalty", "the preset's 1.1")
        raise Wrong(
            f"repetition_penalty is {found}, expected 1.0: any other still makes words unlikely that were used."
        )
    if options.get("no_repeat_ngram_size") != 0:
        found = options.get("no_repeat_ngram_size", "the preset's 6")
        raise Wrong(f"no_repeat_ngram_size is {found}, expected 0: any other forbids to write that many tokens again.")
    sentences = Counter(s.strip().lower() for s in report.split(".") if s.strip())
    sentence, times = sentences.most_common(1)[0] if sentences else ("", 0)
    if times < 3:
        raise Wrong(
            f"the most frequent sentence comes {times} time(s), expected at least 3. The model ended its report too "
            "soon: min_new_tokens forbids it to end before that many tokens."
        )
    if len(why.split()) < 8 or not any(word in why.lower() for word in _REASONS):
        raise Wrong(
            f"your reason has {len(why.split())} words; expected a sentence of eight or more that says what makes a "
            "sentence likely once it has been written. What does the model read before it writes the next token?"
        )
    return (
        f"'{sentence}' comes {times} times. Only the form of your reason was checked: compare it with the solution's."
    )


@exercise("00.2", "Does the report name it?")
def check_names(names: Callable[[str, str], bool]) -> str:
    """``names(report, word)``: does a report say that something is there?"""
    cases = [
        ("There is a right pneumothorax.", "pneumothorax", True, "The plain case."),
        ("The lungs are clear.", "pneumothorax", False, "The word does not occur."),
        ("There is no pneumothorax.", "pneumothorax", False, "The sentence denies it: the word alone is too little."),
        ("No pleural effusion. A pneumothorax is seen.", "pneumothorax", True,
         "The denial is in another sentence: split the report into sentences first."),
        ("Pneumothorax on the right.", "pneumothorax", True, "Capital letters: compare in lower case."),
        ("The pleural effusion is absent.", "effusion", False, "'absent' denies behind the word."),
        ("Normal heart with a nodule in the left lung.", "nodule", True,
         "'no' is part of 'Normal' and of 'nodule': compare whole words, not letters."),
        ("Effusion is not seen, without pneumothorax.", "effusion", False, "'not' and 'without' deny as well."),
    ]  # fmt: skip
    for report, word, expected, slip in cases:
        found = ask(names, report, word)
        if bool(found) != expected:
            raise Wrong(f"names({report!r}, {word!r}) gave {bool(found)}, expected {expected}. {slip}")
    return (
        f"all {len(cases)} reports are read as a reader would. Real reports doubt and repeat; `r2gen labels` "
        "reads those by more rules."
    )


@exercise("00.3", "The threshold")
def check_first_move(first_move: Callable[[Sequence[float], Sequence[float], float], float | None]) -> str:
    """``first_move(severities, nats, noise)``: the first severity from which on the odds stay above the start."""
    severities = [0.0, 0.25, 0.5, 0.75, 1.0]
    cases = [
        ([-3.0, -2.9, -2.2, -1.0, 0.4], 0.5, 0.5, "The plain case."),
        ([-3.0, -3.1, -3.2, -1.0, 0.4], 0.5, 0.75, "A fall is no move upwards: don't take the absolute difference."),
        ([-3.0, -2.7, -2.4, -2.1, -1.8], 0.5, 0.5, "Compare with the first value, not with the one before: it creeps."),
        ([-3.0, -2.0, -2.9, -1.5, -1.2], 0.5, 0.75,
         "One value jumps and falls back: it has to *stay* above from there on."),
        ([-3.0, -2.9, -3.0, -2.8, -2.9], 0.5, math.nan, "It never moves: the answer is nan (math.nan)."),
        ([1.0, 1.2, 1.9, 2.0, 2.2], 0.5, 0.5, "Compare with the start of this curve, not with zero."),
    ]  # fmt: skip
    for nats, noise, expected, slip in cases:
        found = ask(first_move, severities, nats, noise)
        right = math.isnan(found) if math.isnan(expected) else found == expected
        if not right:
            raise Wrong(f"with nats {nats} and noise {noise} the answer was {found}, expected {expected}. {slip}")
    return "six curves, six thresholds. Now lay it over the real ones, of a heart and of an effusion."


@exercise("00.4", "The curve, and where it crosses")
def check_crossing(severity_curve: Callable, crossing: Callable[[Sequence[float], Sequence[float]], float]) -> str:
    """``severity_curve(patient, severities, leaning)`` of a growing heart, and where ``crossing`` finds it at zero."""
    _check_curve(severity_curve)
    cases = [
        ([0.0, 0.5, 1.0], [-2.0, -1.0, 1.0], 0.75),
        ([0.0, 0.5, 1.0], [-3.0, 1.0, 2.0], 0.375),
        ([0.0, 0.5, 1.0], [-3.0, -1.0, -0.5], math.nan),
        ([0.0, 0.5, 1.0], [1.0, 2.0, 3.0], math.nan),
        ([0.0, 0.25, 0.5, 0.75, 1.0], [-2.0, 2.0, -1.0, 1.0, 3.0], 0.125),
        ([0.0, 0.5, 1.0], [-2.0, 0.0, 1.0], 0.5),
    ]
    for severities, nats, expected in cases:
        found = ask(crossing, severities, nats)
        right = math.isnan(found) if math.isnan(expected) else close(float(found), expected)
        if not right:
            slip = _crossing_slip(severities, nats, float(found))
            raise Wrong(f"crossing({severities}, {nats}) gave {described(found)}, expected {expected}. {slip}")
    return "the curve is drawn from the right pictures, and six curves cross where they should."


def _check_curve(severity_curve: Callable) -> None:
    from r2gen_lib.simulation.simulate import simulate

    def brightness(pictures: Sequence[np.ndarray]) -> np.ndarray:
        return np.array([np.mean(picture) for picture in pictures])

    severities = [0.2, 1.0]
    hearts = [simulate("CXR2", [Finding("Cardiomegaly", severity=s)]).picture for s in severities]
    expected = brightness(hearts)
    found = ask(severity_curve, "CXR2", severities, brightness, shown="'CXR2', [0.2, 1.0], a stand-in for leaning")
    if np.shape(found) != (2,):
        raise Wrong(f"severity_curve gave {described(found)}, expected two numbers: one for each severity.")
    if close(np.asarray(found, float), expected):
        return
    slip = "Draw Finding('Cardiomegaly', severity=s) into the patient's picture, and hand the pictures to leaning."
    if close(np.asarray(found, float), brightness([simulate("CXR2").picture] * 2)):
        slip = "The finding was not drawn: this is the patient's own picture, twice."
    elif close(float(found[0]), float(found[1])):
        slip = "every severity gave the same picture: hand severity=s to the finding."
    raise Wrong(
        f"with a stand-in for leaning that measures brightness, the curve was {np.round(found, 2).tolist()}, expected "
        f"{expected.round(2).tolist()}. {slip}"
    )


def _crossing_slip(severities: Sequence[float], nats: Sequence[float], found: float) -> str:
    first = next((i for i, value in enumerate(nats) if value >= 0), None)
    if first == 0:
        return "The curve starts above zero: it crosses nothing, and the answer is nan."
    if first is None:
        return "It stays below zero: the answer is nan (math.nan)."
    if math.isnan(found):
        return "Look for two neighbours, the first below zero and the second not."
    if found == severities[first]:
        return "This is the first severity at or above zero; the line crosses before it."
    if close(found, (severities[first] + severities[first - 1]) / 2):
        return "Halfway between two points: weigh them by how far each is from zero."
    return "The first crossing counts, on a straight line between two neighbours."


def affirmed(report: str, word: str) -> bool:
    """Whether a sentence of the report has the word and none that denies."""
    sentences = (set(re.findall(r"[a-z]+", sentence)) for sentence in report.lower().split("."))
    return any(word in words and not words & _DENIALS for words in sentences)
