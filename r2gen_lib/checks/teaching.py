"""Checks of notebook 07: a decision, the preference's loss and gradient, advantages, and what of a rise is picture."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from r2gen_lib.checks.core import Wrong, ask, close, described, exercise, same_shape


@exercise("07.1", "Find the decision")
def check_decision(decision: Callable[[list[int], list[int]], tuple[int, ...]]) -> str:
    """``decision(right, wrong)`` -> (place, right token, wrong token) where two token lists first differ, or ()."""
    cases: tuple[tuple[list[int], list[int]], ...] = (
        ([5, 6, 7, 9], [5, 6, 8, 9]),
        ([5, 6, 7, 8, 2], [5, 6, 2]),
        ([4, 2], [3, 2]),
        ([5, 6, 7, 7, 1], [5, 6, 8, 7, 2]),
        ([5, 6], [5, 6, 2]),
    )
    for right, wrong in cases:
        places = [place for place, (a, b) in enumerate(zip(right, wrong, strict=False)) if a != b]
        expected = (places[0], right[places[0]], wrong[places[0]]) if places else ()
        found = _as_tuple(ask(decision, right, wrong))
        if found == expected:
            continue
        slip = "The first place in which they differ, with the right token there, then the wrong one."
        if not expected:
            slip = "One list is the beginning of the other: in no place do both have a token, and another one."
        elif found == (expected[0] + 1, *expected[1:]):
            slip = "Places are counted from 0."
        elif found == (expected[0], expected[2], expected[1]):
            slip = "The right token comes before the wrong one."
        elif len(places) > 1 and found == (places[-1], right[places[-1]], wrong[places[-1]]):
            slip = "This is the last place in which they differ: behind the first one the words are no longer the same."
        elif not found:
            slip = "They differ, and do so in a place that both have."
        raise Wrong(f"decision({right}, {wrong}) gave {described(found)}, expected {expected}. {slip}")
    return "five pairs of sentences: each has one decision at most, behind words that are the same in both."


def _as_tuple(value: object) -> object:
    return tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else value


@exercise("07.2", "The preference's gradient")
def check_preference(preference: Callable[[float, float, float], tuple[float, float, float]]) -> str:
    """``preference(right, wrong, margin)`` -> (loss, gradient at the right logit, gradient at the wrong one)."""
    for right, wrong, margin in ((1.0, 1.5, 2.0), (3.0, 1.0, 2.0), (0.5, -4.0, 1.0), (-1.0, 0.0, 0.0)):
        given = margin - (right - wrong)
        loss, push = math.log1p(math.exp(given)), 1 / (1 + math.exp(-given))
        expected = (loss, -push, push)
        found = ask(preference, right, wrong, margin)
        if not isinstance(found, Sequence) or len(found) != 3:
            raise Wrong(f"preference({right}, {wrong}, {margin}) gave {described(found)}, expected three numbers.")
        if close(list(map(float, found)), list(expected)):
            continue
        other = margin + (right - wrong)
        slips = [
            ((max(given, 0.0), None, None), "That is a hinge, max(0, x): softplus is log(1 + exp(x))."),
            ((loss, push, -push), "Both signs are turned: the loss has to fall when the right logit rises."),
            ((loss, -push, 0.0), "The wrong logit has a gradient, too: it is to fall."),
            ((loss, -(1 - push), 1 - push), "The derivative of softplus(x) is sigmoid(x), not sigmoid(-x)."),
            ((math.log1p(math.exp(other)), None, None), "The right logit is subtracted, the wrong one added."),
            ((math.log1p(math.exp(-(right - wrong))), None, None), "The margin is missing."),
        ]  # fmt: skip
        slip = next((text for value, text in slips if _like(found, value)), "softplus(margin - (right - wrong)).")
        raise Wrong(
            f"preference({right}, {wrong}, {margin}) gave {', '.join(f'{float(one):.3f}' for one in found)}, expected "
            f"{', '.join(f'{one:.3f}' for one in expected)}. {slip}"
        )
    return "loss and both gradients: what the right logit is pushed up, the wrong one is pushed down, and no other."


def _like(found: Sequence[float], value: tuple[float | None, ...]) -> bool:
    return all(v is None or close(float(f), v) for f, v in zip(found, value, strict=True))


@exercise("07.3", "A baseline of one's own")
def check_advantages(advantages: Callable[[np.ndarray], np.ndarray]) -> str:
    """``advantages(rewards)``: (pictures, samples), each reward less the mean of the same picture's *other* samples."""
    cases = (
        np.array([[1.0, 1.0, 0.0], [0.2, 0.4, 0.6]]),
        np.array([[1.0, 0.0, 0.5, 0.5], [0.3, 0.3, 0.3, 0.3]]),
        np.random.default_rng(0).random((4, 2)),
    )
    for rewards in cases:
        samples = rewards.shape[1]
        own = rewards - rewards.mean(axis=1, keepdims=True)
        expected = own * samples / (samples - 1)
        found = ask(advantages, rewards.copy())
        same_shape(found, expected, f"advantages of {rewards.shape[0]} picture(s) with {samples} samples")
        if close(found, expected):
            continue
        with np.errstate(invalid="ignore", divide="ignore"):
            scaled = own / rewards.std(axis=1, keepdims=True)
        slips = [
            (own, "The mean holds the sample itself: leave it out."),
            (rewards - rewards.mean(), "This is the mean over all pictures: an easy one then rewards every report."),
            (rewards - rewards.mean(axis=0), "The mean goes over the pictures: samples are along axis 1."),
            (rewards, "Nothing was subtracted: every sample with a reward is made likelier, the poor ones too."),
            (scaled, "Divided by the spread, as GRPO does; here the difference alone is asked for."),
            (-expected, "The sign is turned: what is better than the others gets a positive advantage."),
        ]
        slip = next((text for value, text in slips if close(found, value)), "Reward less the mean of the others.")
        raise Wrong(
            f"advantages({rewards.round(2).tolist()}) gave {np.round(np.asarray(found, float), 3).tolist()}, expected "
            f"{expected.round(3).tolist()}. {slip}"
        )
    return "each sample is held against the others of its own picture, and where all are alike nothing is learnt."


@exercise("07.4", "How much of the rise is picture?")
def check_picture_part(picture_part: Callable[[float, float, float, float], float]) -> str:
    """``picture_part(before, after, wrong_before, wrong_after)``: the share of a rise that wrong pictures don't get."""
    for before, after, wrong_before, wrong_after in ((0.4, 0.6, 0.3, 0.45), (0.5, 0.6, 0.5, 0.6), (0.2, 0.7, 0.2, 0.2)):
        rise, wrong = after - before, wrong_after - wrong_before
        expected = (rise - wrong) / rise
        found = ask(picture_part, before, after, wrong_before, wrong_after)
        if close(found, expected):
            continue
        slips = [
            (wrong / rise, "That is the share that wrong pictures get as well: the rest was asked for."),
            (rise - wrong, "A share is of the rise: divide by it."),
            (after - wrong_after, "The gap afterwards alone: part of it was there before."),
            ((after - wrong_after) / after, "The gap afterwards was there in part before: compare the two rises."),
            (rise, "This is the rise itself; the wrong pictures are not in it."),
        ]
        slip = next((text for value, text in slips if close(found, value)), "(rise - rise with wrong pictures) / rise.")
        raise Wrong(
            f"picture_part({before}, {after}, {wrong_before}, {wrong_after}) gave {described(found)}, expected "
            f"{expected:.3f}. {slip}"
        )
    if not math.isnan(ask(picture_part, 0.5, 0.5, 0.4, 0.4)):
        raise Wrong("picture_part(0.5, 0.5, 0.4, 0.4): nothing rose, so nothing can be shared out. Return math.nan.")
    return "a reward that rises as much on wrong pictures has risen by words alone."
