"""Checks of notebook 05: clipped bigrams, a score that is fooled, an interval, and the plan of a counterfactual."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable

import numpy as np

from r2gen_lib.checks.core import Wrong, ask, close, described, exercise
from r2gen_lib.checks.start import affirmed


def _pairs(words: list[str]) -> Counter:
    return Counter(zip(words, words[1:], strict=False))


@exercise("05.1", "Clipped bigrams")
def check_bigram_precision(bigram_precision: Callable[[list[str], list[str]], float]) -> str:
    """``bigram_precision(candidate, reference)``: share of the candidate's word pairs, each clipped."""
    cases = [
        ("no no no effusion seen", "there is no effusion and no no nodule"),
        ("the heart is large", "the heart is large"),
        ("the heart the heart", "the heart is large"),
        ("clear lungs", "lungs clear"),
        ("clear", "the lungs are clear"),
        ("no effusion", "no effusion and no effusion here"),
    ]
    for candidate, reference in cases:
        mine, theirs = _pairs(candidate.split()), _pairs(reference.split())
        matched = sum(min(count, theirs[pair]) for pair, count in mine.items())
        expected = matched / mine.total() if mine else 0.0
        found = ask(bigram_precision, candidate.split(), reference.split(), shown=f"{candidate!r}, {reference!r}")
        if close(found, expected):
            continue
        words = candidate.split()
        shared = sum(count for pair, count in mine.items() if pair in theirs)
        slips = [
            (
                mine and shared / mine.total(),
                "Clipping was forgotten: a pair counts at most as often as the reference has it.",
            ),
            (matched / max(1, theirs.total()), "Divided by the reference's pairs: that is recall."),
            (sum((Counter(words) & Counter(reference.split())).values()) / len(words), "These are single words."),
            (matched / len(words), "Divided by the words; there is one pair less than there are words."),
            (mine and len(mine.keys() & theirs.keys()) / len(mine), "Each different pair was counted once (a set)."),
        ]
        slip = next(
            (text for value, text in slips if close(found, float(value or 0))), "Matched pairs / all own pairs."
        )
        if not mine:
            slip = "A candidate of one word has no pair: 0."
        elif found == 0:
            slip = "Nothing was counted yet."
        raise Wrong(f"{candidate!r} against {reference!r} gave {described(found)}, expected {expected:.4g}. {slip}")
    return "pairs are clipped by the reference and divided by the candidate's own number."


def _bleu_1(text: str, reference: str) -> float:
    words, wanted = (one.lower().replace(".", " .").split() for one in (text, reference))
    if not words:
        return 0.0
    return (
        sum((Counter(words) & Counter(wanted)).values()) / len(words) * math.exp(min(0.0, 1 - len(wanted) / len(words)))
    )


@exercise("05.2", "Better score, worse report")
def check_worse_report(reference: str, written: str, mine: str) -> str:
    """Has ``mine`` a higher BLEU-1 than ``written``, and does it miss or invent what matters?

    Made for the given report: a small left effusion, no pneumothorax.
    """
    if not isinstance(mine, str) or mine.strip() == written.strip():
        raise Wrong("your report is the written one, unchanged. Change words so that BLEU-1 rises.")
    before, after = _bleu_1(written, reference), _bleu_1(mine, reference)
    if after <= before:
        short = len(mine.split()) < len(reference.split())
        slip = "It is shorter than the reference, and the brevity penalty takes its share." if short else (
            "Only words that the reference has, and as often as it has them, count."
        )  # fmt: skip
        raise Wrong(f"BLEU-1 is {after:.3f}, expected more than the written report's {before:.3f}. {slip}")
    missed = not affirmed(mine, "effusion")
    invented = affirmed(mine, "pneumothorax") or affirmed(mine, "enlarged")
    wrong_side = affirmed(mine, "right") and not affirmed(mine, "left")
    if not (missed or invented or wrong_side):
        raise Wrong(
            f"BLEU-1 rose from {before:.3f} to {after:.3f}, but the report is not worse: it still names the left "
            "effusion, and invents neither a pneumothorax nor a large heart. Which single word would do most harm?"
        )
    what = "misses the effusion" if missed else "invents a finding" if invented else "names the wrong side"
    return f"BLEU-1 rose from {before:.3f} to {after:.3f}, and the report {what}."


@exercise("05.3", "Bootstrap an interval")
def check_bootstrap(interval: Callable[[np.ndarray, int, int], tuple[float, float]]) -> str:
    """``interval(values, resamples, seed)``: 95 % percentile interval of the mean."""
    rng = np.random.default_rng(7)
    for values in (np.full(8, 0.25), rng.random(40), np.append(rng.random(30) * 0.2, [2.0, 3.0])):
        resampled = values[np.random.default_rng(0).integers(0, len(values), (4000, len(values)))].mean(axis=1)
        low, high = np.percentile(resampled, [2.5, 97.5])
        found = ask(interval, values.copy(), 2000, 0, shown=f"{len(values)} values, 2000, 0")
        if not isinstance(found, tuple | list | np.ndarray) or len(found) != 2:
            raise Wrong(f"the interval is {described(found)}, expected two numbers: its lower and upper end.")
        lower, upper = map(float, found)
        if lower > upper:
            raise Wrong(f"the interval is ({lower:.3f}, {upper:.3f}): the lower end comes first.")
        width, expected = upper - lower, float(high - low)
        if abs(lower - low) <= 0.06 * expected + 1e-9 and abs(upper - high) <= 0.06 * expected + 1e-9:
            continue
        spread = np.percentile(values, [2.5, 97.5])
        slip = (
            "The resample is as large as the data, drawn with replacement; then percentiles 2.5 and 97.5 of the means."
        )
        if width < 1e-9:
            slip = "It has no width: drawn without replacement, every resample is the same studies in another order."
        elif close([lower, upper], spread, 0.02):
            slip = "These are percentiles of the studies themselves; asked for is how sure their *mean* is."
        elif 0.75 < width / expected < 0.93:
            slip = "It is too narrow: 95 % leave out 2.5 % on either side, not 5 %."
        elif width > 1.5 * expected:
            slip = "It is too wide: a resample has as many studies as the data, not fewer."
        raise Wrong(
            f"{len(values)} values of mean {values.mean():.3f} gave ({lower:.3f}, {upper:.3f}), "
            f"expected about ({low:.3f}, {high:.3f}). {slip}"
        )
    a, b = (tuple(map(float, interval(values, 200, seed))) for seed in (3, 3))
    if a != b:
        raise Wrong("the same seed gave two intervals: make the generator from the seed, inside the function.")
    return "it agrees with ours on three sets of values, and the seed decides it."


@exercise("05.4", "Design a counterfactual")
def check_counterfactual(plan: dict) -> str:
    """Is the plan complete: finding, side, severity, chests, words, denials, control, seed, rate?"""
    from r2gen_lib.findings.finding import FINDING_NAMES

    if not isinstance(plan, dict):
        raise Wrong(f"the plan is {described(plan)}, expected a dictionary.")
    keys = ("finding", "side", "severity", "chests", "words", "denied_counts", "control", "same_seed", "rate_expected")
    missing = [key for key in keys if plan.get(key) in (None, "", [], set(), ())]
    if missing:
        raise Wrong(f"the plan says nothing about {', '.join(missing)}. Decide it before you look at a report.")
    chests, words = list(plan["chests"]), {str(word).lower() for word in plan["words"]}
    tests: list[tuple[bool, str]] = [
        (plan["finding"] in FINDING_NAMES, f"finding {plan['finding']!r} is none of FINDING_NAMES."),
        (plan["side"] in ("left", "right", "both", "none"),
         f"side is {plan['side']!r}, expected left, right, both or none."),
        (0 < float(plan["severity"]) <= 1, f"severity is {plan['severity']}, expected more than 0 and at most 1."),
        (len(set(chests)) >= 5, f"{len(set(chests))} different chests, expected at least 5: one is an anecdote."),
        (not isinstance(plan["words"], str), "words is one string, expected a set of words in curly brackets."),
        (all(" " not in word for word in words), "words holds several words in one string: list single words."),
        (plan["denied_counts"] is False, "denied_counts must be False: 'no effusion' says the opposite."),
        ("without" in str(plan["control"]).lower() or "same chest" in str(plan["control"]).lower(),
         f"control is {plan['control']!r}, expected the same chests without the finding."),
        (plan["same_seed"] is True, "same_seed must be True: with another seed more than the finding changes."),
        (0 < float(plan["rate_expected"]) <= 1, f"rate_expected is {plan['rate_expected']}, not in (0, 1]."),
    ]  # fmt: skip
    for holds, message in tests:
        if not holds:
            raise Wrong(message)
    return "the plan can be carried out as it stands. Only its form was checked: now carry it out, and keep to it."
