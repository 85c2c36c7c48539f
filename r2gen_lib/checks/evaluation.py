"""Checks of notebook 05: clipped bigrams, a score that is fooled, an interval, and CIDEr."""

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


def _cider(candidates: list[str], references: list[str], **change: bool) -> list[float]:
    """CIDEr-D with one reference a study, or with one of the likely slips: what the answer is compared with."""
    theirs = [_grams(text) for text in references]
    seen = Counter(gram for grams in (map(_grams, candidates) if change.get("own") else theirs) for gram in grams)
    scores = []
    for candidate, wanted in zip(map(_grams, candidates), theirs, strict=True):
        rare = {gram: math.log(len(references) / max(1, seen[gram])) for gram in candidate | wanted}
        if change.get("flat"):
            rare = dict.fromkeys(rare, 1.0)
        cosines = []
        for n in (1,) if change.get("words") else (1, 2, 3, 4):
            mine, goal = ({g: c * rare[g] for g, c in grams.items() if len(g) == n} for grams in (candidate, wanted))
            most = {g: math.inf if change.get("unclipped") else goal.get(g, 0) for g in mine}
            product = sum(min(weight, most[g]) * goal.get(g, 0) for g, weight in mine.items())
            size = math.hypot(*mine.values()) * math.hypot(*goal.values())
            cosines.append(product / size if size else 0.0)
        pairs = [sum(count for gram, count in grams.items() if len(gram) == 2) for grams in (candidate, wanted)]
        length = 1.0 if change.get("any_length") else math.exp(-((pairs[0] - pairs[1]) ** 2) / (2 * 6**2))
        scores.append((1 if change.get("once") else 10) * float(np.mean(cosines)) * length)
    return scores


def _grams(text: str) -> Counter:
    words = text.split()
    return Counter(tuple(words[i : i + n]) for n in (1, 2, 3, 4) for i in range(len(words) - n + 1))


_CIDER_SLIPS = {
    "words": "This is single words alone: take the mean over runs of 1, 2, 3 and 4 words.",
    "flat": "Every run of words weighs the same: multiply its count by the logarithm of how rare it is.",
    "own": "Rarity is counted among the *references*, not among the candidates.",
    "unclipped": "Clipping was forgotten: in the product a candidate's weight is at most the reference's.",
    "any_length": "The length is not punished: times exp(-(difference in word pairs)^2 / 72).",
    "once": "The factor 10 is missing.",
}


@exercise("05.4", "CIDEr by hand")
def check_cider(cider: Callable[[list[str], list[str]], list[float]]) -> str:
    """``cider(candidates, references)``: CIDEr-D of each study, by its one reference, as pycocoevalcap has it."""
    from pycocoevalcap.cider.cider import Cider

    said = ["the heart is enlarged", "the heart is normal", "the lungs are clear"]
    cases = [
        (said, said),
        (["the heart is clear", *said[1:]], said),
        (["heart enlarged", "no", "the lungs are clear and the heart is normal and no effusion is seen"], said),
        (["a small small small effusion", "a small effusion", "clear"], ["a small effusion here", "clear", "clear"]),
    ]
    for candidates, references in cases:
        _, judged = Cider().compute_score(
            {i: [text] for i, text in enumerate(references)}, {i: [text] for i, text in enumerate(candidates)}
        )
        found = ask(cider, list(candidates), list(references), shown=f"{candidates}, {references}")
        if not isinstance(found, list | tuple | np.ndarray) or len(found) != len(references):
            raise Wrong(f"cider gave {described(found)}, expected a list of {len(references)} scores, one a study.")
        if close(list(map(float, found)), judged):
            continue
        place = next(i for i, (a, b) in enumerate(zip(found, judged, strict=True)) if not close(float(a), float(b)))
        slipped = {text: _cider(candidates, references, **{name: True}) for name, text in _CIDER_SLIPS.items()}
        slip = next(
            (text for text, scores in slipped.items() if close(found, scores)),
            "Weights first: count times log(studies / references that have it); then the clipped cosine.",
        )
        raise Wrong(
            f"{candidates[place]!r} against {references[place]!r} gave {float(found[place]):.3f}, pycocoevalcap says "
            f"{judged[place]:.3f}. {slip}"
        )
    return "it agrees with pycocoevalcap on four sets of texts, clipping and length included."
