"""Checks of notebook 06: what fits a GPU, how long it takes, how many steps several GPUs make, a prediction."""

from __future__ import annotations

import math
from collections.abc import Callable

from r2gen_lib.checks.core import Wrong, ask, close, described, exercise


@exercise("06.1", "Which modes fit 24 GB?")
def check_training_gb(training_gb: Callable[[float, float, float], float], fitting: set[str]) -> str:
    """``training_gb(frozen, trained, working_gb)``: GB (1e9 bytes); ``fitting``: the modes that fit 24 GB less a tenth.

    Frozen parameters take 2 bytes each. Trained ones are kept in fp32 with gradient and AdamW's two moments.
    """
    for frozen, trained, working in ((6.8e9, 5e6, 1.0), (0.0, 1e9, 0.0), (7e9, 0.0, 2.5), (1e9, 9e7, 3.0)):
        expected = 2e-9 * frozen + 16e-9 * trained + working
        found = ask(training_gb, frozen, trained, working)
        if close(found, expected):
            continue
        slips = [
            (
                2e-9 * frozen + 4e-9 * trained + working,
                "Gradient and AdamW's two moments of what is trained are missing.",
            ),
            (
                2e-9 * frozen + 8e-9 * trained + working,
                "AdamW keeps two moments of each trained parameter: 8 bytes more.",
            ),
            (2e-9 * frozen + 12e-9 * trained + working, "Weight, gradient and two moments: four numbers of 4 bytes."),
            (2e-9 * frozen + 14e-9 * trained + working, "What is trained has its weight in fp32: 4 bytes, not 2."),
            (16e-9 * (frozen + trained) + working, "What is frozen has no gradient and no moments."),
            (4e-9 * frozen + 16e-9 * trained + working, "The frozen language model is in 16 bits: 2 bytes each."),
            (2e-9 * frozen + 16e-9 * trained, "The working memory (activations, logits) is missing."),
            (expected * 1e9 / 2**30, "A GB is 1e9 bytes here; you divided by 2**30."),
        ]
        slip = next(
            (text for value, text in slips if close(found, value)), "2 bytes frozen, 4 * 4 bytes trained, working."
        )
        raise Wrong(
            f"training_gb({frozen:.3g}, {trained:.3g}, {working:g}) gave {described(found)}, "
            f"expected {expected:.4g}. {slip}"
        )
    modes = {"shallow": (6.825e9, 4.2e6, 5.4), "delta": (6.825e9, 5.0e6, 7.9), "deep": (6.738e9, 91e6, 9.0)}
    limit = 0.9 * 24
    expected = {mode for mode, sizes in modes.items() if training_gb(*sizes) <= limit}
    found = set(fitting)
    if found != expected:
        wrong = sorted(found ^ expected)[0]
        size = training_gb(*modes[wrong]) if wrong in modes else math.nan
        raise Wrong(
            f"fitting is {sorted(found)}, but {wrong} needs {size:.2f} GB by your own function. "
            f"Put in the modes of the table that need {limit:.2f} GB or less: a tenth of the 24 stays free."
        )
    return f"of the table {', '.join(sorted(expected))} fits. With nothing left free delta would, too."


@exercise("06.2", "Tokens a second, hours")
def check_hours(hours: Callable[[int, int, float, float], float]) -> str:
    """``hours(studies, epochs, tokens_a_study, tokens_a_second)``."""
    for studies, epochs, tokens, rate in (
        (270_790, 3, 200.0, 4_000.0),
        (2_069, 15, 120.0, 1_000.0),
        (7_200, 1, 1.0, 1.0),
    ):
        expected = studies * epochs * tokens / rate / 3600
        found = ask(hours, studies, epochs, tokens, rate)
        if close(found, expected):
            continue
        slips = [
            (expected * 3600, "These are seconds."),
            (expected * 60, "These are minutes."),
            (expected / epochs, "These are the hours of one epoch."),
            (expected / tokens, "The tokens of each study are missing."),
            (studies * epochs * tokens * rate / 3600, "Divide by tokens a second: a faster GPU needs less time."),
        ]
        slip = next(
            (text for value, text in slips if close(found, value)), "Tokens in all, over tokens a second, over 3600."
        )
        raise Wrong(
            f"hours({studies}, {epochs}, {tokens:g}, {rate:g}) gave {described(found)}, expected {expected:.4g}. {slip}"
        )
    return "tokens in all, over tokens a second. Measure the rate on a few steps before you rent the GPU for the rest."


@exercise("06.3", "Steps on several GPUs")
def check_optimizer_steps(optimizer_steps: Callable[[int, int, int, int], int]) -> str:
    """``optimizer_steps(studies, per_gpu, gpus, accumulate)``: of one epoch; the last, smaller batch counts."""
    for studies, per_gpu, gpus, accumulate in ((1000, 6, 2, 4), (1000, 8, 1, 1), (1000, 8, 2, 1), (10, 8, 4, 2)):
        batch = per_gpu * gpus * accumulate
        expected = math.ceil(studies / batch)
        found = ask(optimizer_steps, studies, per_gpu, gpus, accumulate)
        if found == expected:
            continue
        slips = {
            studies // batch: "The last batch is smaller, and counts: round up.",
            math.ceil(studies / (per_gpu * accumulate)): "GPUs work at the same time: a step takes a batch on each.",
            math.ceil(studies / (per_gpu * gpus)): "Accumulated batches make one step of the optimiser together.",
            math.ceil(studies / per_gpu): "That is one GPU without accumulation.",
            studies / batch: "Steps are whole: round up.",
        }
        slip = slips.get(found, "Studies over (per GPU x GPUs x accumulated), rounded up.")
        shown = f"{studies}, {per_gpu}, {gpus}, {accumulate}"
        raise Wrong(f"optimizer_steps({shown}) gave {described(found)}, expected {expected}. {slip}")
    return "one batch on each GPU, as often as is accumulated, makes a step."


_SMALLER = 8, 16  # batches that are measured before the prediction
_TARGET = 32


@exercise("06.4", "Predict, then measure")
def check_prediction(record: list[tuple[str, float, float]], why: str) -> str:
    """Was the time of a batch of 32 predicted from smaller batches, before it was measured?

    Args:
        record: what happened, in its order: ("measured", batch, seconds) or ("predicted", batch, seconds). What stands
            before the last prediction's measurements is an earlier attempt.
        why: in words, why the step does not take in proportion to the batch; its form alone is checked.

    How near the prediction was does not count.
    """
    names = [(name, batch) for name, batch, _ in record]
    if ("predicted", _TARGET) not in names:
        raise Wrong(
            f'there is no prediction. Write record.append(("predicted", {_TARGET}, seconds)) before measuring it.'
        )
    last = len(names) - 1 - names[::-1].index(("predicted", _TARGET))
    if ("measured", _TARGET) in names[:last]:
        raise Wrong(f"a batch of {_TARGET} was measured before the prediction. Start again with an empty record.")
    if ("measured", _TARGET) not in names[last:]:
        raise Wrong(f"nothing of a batch of {_TARGET} was measured after the prediction. Call step_seconds({_TARGET}).")
    known = {batch: seconds for name, batch, seconds in record[:last] if name == "measured"}
    if len(known) < 2:
        raise Wrong(f"{len(known)} batch size(s) were measured before the prediction, expected two: {_SMALLER}.")
    predicted = record[last][2]
    (one, first), (two, second) = sorted(known.items())[0], sorted(known.items())[-1]
    each = (second - first) / (two - one)
    line = first + each * (_TARGET - one)
    if not _near(predicted, line):
        slips = [
            (_TARGET * second / two, "That is in proportion: it forgets what every step costs, however small."),
            (_TARGET * first / one, "That is in proportion: it forgets what every step costs, however small."),
            (each * _TARGET, "The part that every step costs is missing."),
        ]
        slip = next((text for value, text in slips if _near(predicted, value)), "Two points make a line.")
        raise Wrong(
            f"the prediction is {predicted:.3f} s, expected {line:.3f} s by the line through batches {one} and {two}. "
            f"{slip}"
        )
    if len(why.split()) < 8:
        raise Wrong(f"your reason has {len(why.split())} words; expected a sentence of eight or more.")
    measured = next(seconds for name, batch, seconds in record[last:] if (name, batch) == ("measured", _TARGET))
    return (
        f"predicted {predicted:.3f} s, measured {measured:.3f} s: {measured / predicted:.2f} times. Only the form of "
        "your reason was checked: compare it with the solution's."
    )


def _near(found: float, expected: float) -> bool:
    """Within 2%."""
    return abs(found - expected) <= 0.02 * abs(expected)
