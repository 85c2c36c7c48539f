"""Checks of notebook 06: what fits a GPU, how long it takes, and how many steps several GPUs make."""

from __future__ import annotations

import math
from collections.abc import Callable

from r2gen_lib.checks.core import Wrong, ask, close, described, exercise


@exercise("06.1", "Which modes fit 16 GB?")
def check_training_gb(training_gb: Callable[[float, float, float], float], fitting: set[str]) -> str:
    """``training_gb(frozen, trained, working_gb)``: GB (1e9 bytes); ``fitting``: the modes that fit 16 GB.

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
    modes = {"shallow": (6.825e9, 4.2e6, 1.8), "delta": (6.825e9, 5.0e6, 2.4), "deep": (6.738e9, 91e6, 2.7)}
    expected = {mode for mode, sizes in modes.items() if training_gb(*sizes) <= 16}
    found = set(fitting)
    if found != expected:
        wrong = sorted(found ^ expected)[0]
        size = training_gb(*modes[wrong]) if wrong in modes else math.nan
        raise Wrong(
            f"fitting is {sorted(found)}, but {wrong} needs {size:.1f} GB by your own function. "
            "Put in the modes of the table that need 16 GB or less."
        )
    return f"of the table {', '.join(sorted(expected))} fits. In 4 bits the frozen part would shrink to a quarter."


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
