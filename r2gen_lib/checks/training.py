"""Checks of notebook 03: which positions count, gradients added up, what is frozen, a measurement in turns, a gap."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from statistics import mean, median
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from r2gen_lib.checks.core import Wrong, ask, close, described, exercise
from r2gen_lib.model.alignment import IGNORE


@exercise("03.1", "The mask")
def check_report_loss_mask(report_loss_mask: Callable[[int, int, int], list[bool]]) -> str:
    """``report_loss_mask(prompt_length, report_length, padded_length)``: one flag a prediction."""
    for prompt, report, padded in ((5, 4, 11), (3, 1, 4), (2, 3, 5), (4, 2, 12)):
        expected = [prompt - 1 <= i < prompt + report - 1 for i in range(padded - 1)]
        found = ask(report_loss_mask, prompt, report, padded)
        found = [bool(flag) for flag in found]
        if found == expected:
            continue
        places, wanted = ([i for i, flag in enumerate(flags) if flag] for flags in (found, expected))
        if len(found) != len(expected):
            slip = "The last position predicts nothing: there is one flag less than there are positions."
        elif not places:
            slip = "Nothing counts yet."
        elif places == [i + 1 for i in wanted] or (places and places[0] == prompt):
            slip = "Off by one: the report's first token is predicted by the position before it, the prompt's last."
        elif places == wanted[:-1]:
            slip = "The last token is missing: it ends the report (</s>), and the model has to learn to stop."
        elif places[-1] >= prompt + report - 1:
            slip = "Padding is counted in the loss: nothing is to be learnt from it."
        else:
            slip = "The prompt is not to be learnt: only predictions of report tokens count."
        raise Wrong(
            f"report_loss_mask({prompt}, {report}, {padded}) marks {places} of {len(found)} predictions, "
            f"expected {wanted} of {len(expected)}. {slip}"
        )
    return "the prompt's last position counts, the report's end is learnt, padding and the prompt are not."


@exercise("03.2", "A big batch in parts")
def check_accumulate(accumulate: Callable[[nn.Module, list[tuple[Tensor, Tensor]]], float]) -> str:
    """``accumulate(model, parts)``: gradients and loss of the whole batch, one part after the other."""
    generator = torch.Generator().manual_seed(0)
    for lengths in ((4, 4), (2, 6), (1, 7, 3)):
        parts = [_part(length, generator) for length in lengths]
        expected, whole = _whole(parts)
        model = _model()
        loss = ask(accumulate, model, parts, shown=f"parts of {lengths} tokens")
        if not isinstance(loss, float) and getattr(loss, "numel", lambda: 0)() != 1:
            raise Wrong(f"accumulate gave {described(loss)}, expected the loss of the whole batch as one number.")
        if model.weight.grad is None:
            raise Wrong("the model has no gradient: call backward() on the loss of each part.")
        gradient, size = model.weight.grad, whole.norm().item()
        if not close(gradient, whole):
            slip = _gradient_slip(gradient, parts)
            raise Wrong(
                f"with parts of {lengths} tokens the gradient's norm is {gradient.norm():.4f}, "
                f"expected {size:.4f}. {slip}"
            )
        if not close(float(loss), expected):
            raise Wrong(
                f"the gradient is right, but the loss is {float(loss):.4f}, expected {expected:.4f}: "
                "the sum of all token losses divided by all tokens that count."
            )
    return "loss and gradient are those of the whole batch, whatever the lengths of its parts."


def _part(length: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    inputs = torch.randn(length + 1, 4, generator=generator)
    labels = torch.randint(0, 3, (length + 1,), generator=generator)
    labels[-1] = IGNORE  # padding
    return inputs, labels


def _model() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(4, 3)


def _whole(parts: list[tuple[Tensor, Tensor]], reduction: str = "mean") -> tuple[float, Tensor]:
    model = _model()
    inputs, labels = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
    loss = functional.cross_entropy(model(inputs), labels, ignore_index=IGNORE, reduction=reduction)
    loss.backward()
    return loss.item(), model.weight.grad


def _gradient_slip(gradient: Tensor, parts: list[tuple[Tensor, Tensor]]) -> str:
    each = [_whole([part])[1] for part in parts]
    counted, length = (sum(map(size, parts)) for size in (lambda p: int((p[1] != IGNORE).sum()), lambda p: len(p[1])))
    shares = [(_part_tokens(part) / counted) for part in parts]
    slips = [
        (sum(each) / len(each), "This is the mean of the parts' means: a token of a short part counts for more."),
        (sum(each), "The parts' mean losses were added and not divided: each part counts as a whole batch."),
        (each[-1], "Only the last part counts: zero_grad() between the parts throws the others away."),
        (each[-1] * shares[-1], "Only the last part counts: zero_grad() between the parts throws the others away."),
        (_whole(parts, "sum")[1], "The sum of the losses was not divided by the number of tokens."),
        (_whole(parts, "sum")[1] / length, f"Padding was counted: labels of {IGNORE} are no tokens."),
    ]
    return next(
        (text for value, text in slips if close(gradient, value)), "Weigh each part by its share of the tokens."
    )


def _part_tokens(part: tuple[Tensor, Tensor]) -> int:
    return int((part[1] != IGNORE).sum())


@exercise("03.3", "Prove it frozen, twice")
def check_frozen(by_parameters: Callable[[nn.Module], bool], by_optimizer: Callable[..., bool]) -> str:
    """``by_parameters(language)`` and ``by_optimizer(language, optimizer)``: True where nothing of it can change."""
    frozen = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)).requires_grad_(False)
    leaky = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)).requires_grad_(False)
    leaky[1].bias.requires_grad_(True)
    mapper = nn.Linear(2, 2)
    for module, expected, what in (
        (frozen, True, "a model whose parameters all have requires_grad=False"),
        (leaky, False, "a model of which one bias has requires_grad=True (`all` is not `any`)"),
        (mapper, False, "a model that is trained as a whole"),
    ):
        if bool(found := ask(by_parameters, module, shown="a small model")) != expected:
            raise Wrong(f"by_parameters gave {bool(found)} for {what}, expected {expected}.")
    twin = nn.Linear(2, 2)
    twin.load_state_dict(frozen[0].state_dict())
    sgd = torch.optim.SGD
    second = sgd([{"params": mapper.parameters()}, {"params": [frozen[0].weight], "lr": 0.1}], lr=0.1)
    for optimizer, expected, what in (
        (sgd(mapper.parameters(), lr=0.1), True, "an optimiser that holds the mapper alone"),
        (sgd([*mapper.parameters(), frozen[1].bias], lr=0.1), False, "an optimiser that holds one bias of the model"),
        (second, False, "an optimiser that holds a weight of the model in its *second* parameter group"),
        (sgd(twin.parameters(), lr=0.1), True,
         "an optimiser that holds other tensors of equal numbers: compare identity (`is`, `id`), not values"),
    ):  # fmt: skip
        if bool(found := ask(by_optimizer, frozen, optimizer, shown="a small model, an optimiser")) != expected:
            raise Wrong(f"by_optimizer gave {bool(found)} for {what}, expected {expected}.")
    return "both proofs hold, and both would have caught a leak."


_TURNS = 3  # of each kind, at least: the median of two is their mean
_REASONS = ("thread", "core", "wait", "share", "slowest", "slower one", "scheduler")


@exercise("03.4", "A busy neighbour")
def check_busy_neighbour(record: list[tuple[str, float]], alone: float, beside: float, why: str) -> str:
    """Was the guess written first, were steps alone and beside a busy process taken in turns, and are these medians?

    Args:
        record: what happened, in its order: ("guess", times as long), ("alone", seconds), ("beside", seconds).
            What stands before the last guess is an earlier attempt.
        alone, beside: the student's medians, seconds a step.
        why: the guess's reason in words; its form alone is checked.

    How long anything took, and whether the guess was near it, does not count.
    """
    names = [name for name, _ in record]
    if "guess" not in names:
        raise Wrong(
            'there is no guess in the record. Write record.append(("guess", ...)) before the first step, with a number.'
        )
    last = len(names) - 1 - names[::-1].index("guess")
    guess, steps = record[last][1], record[last + 1 :]
    if not steps:
        slip = "A guess that comes after the measurement is none." if last else "Call timed_step()."
        raise Wrong(f"nothing was measured after the guess. {slip}")
    if not isinstance(guess, int | float) or isinstance(guess, bool) or not guess > 0:
        raise Wrong(f"the guess is {described(guess)}, expected a number above 0: 1 for as long as alone, 2 for twice.")
    if len(why.split()) < 8 or not any(word in why.lower() for word in _REASONS):
        raise Wrong(
            f"your reason has {len(why.split())} words; expected a sentence of eight or more on what a step waits for. "
            "How many threads work on it, on how many cores, and what does each do when its part is done?"
        )
    _see_turns([name for name, _ in steps])
    for name, found in (("alone", alone), ("beside", beside)):
        _see_median(name, found, [seconds for label, seconds in steps if label == name])
    return (
        f"{len(steps)} steps in turns; you guessed {guess:.1f} times as long, and measured {beside / alone:.1f} times "
        f"({alone:.2f} and {beside:.2f} s). Only the form of your reason was checked: compare it with the solution's."
    )


def _see_turns(names: list[str]) -> None:
    """Raises Wrong where steps alone and beside the busy process were not taken in turns, a few of each."""
    counts = {name: names.count(name) for name in ("alone", "beside")}
    if min(counts.values()) < _TURNS:
        raise Wrong(
            f"{counts['alone']} step(s) alone and {counts['beside']} beside the busy process were measured since the "
            f"guess, expected {_TURNS} or more of each."
        )
    if any(first == second for first, second in pairwise(names)):
        raise Wrong(
            f"the steps were {', '.join(names[:8])}: one kind after the other. If the machine became slower meanwhile, "
            "the neighbour would get the blame. Take turns: one step alone, one beside, and again."
        )


def _see_median(name: str, found: float, seconds: list[float]) -> None:
    """Raises Wrong where a number is not the median of these seconds."""
    if close(found, median(seconds), tolerance=1e-6):
        return
    slips = [
        (mean(seconds), "That is the mean: one step that the machine was slow in moves it."),
        (min(seconds), "That is the quickest step: what usually happens is the median."),
        (max(seconds), "That is the slowest step."),
        (sum(seconds), "That is the sum."),
    ]
    slip = next((text for value, text in slips if close(found, value, 1e-6)), "statistics.median gives it.")
    raise Wrong(
        f"{name} is {described(found)}, expected {median(seconds):.4g}, the median of its {len(seconds)} steps. {slip}"
    )


@exercise("03.5", "Two seeds, and the gap with its interval")
def check_gap_interval(
    gap_interval: Callable[[Any], tuple[float, float, float]], runs: dict[int, Any], looks: dict[int, bool]
) -> str:
    """``gap_interval(gaps)``: mean gap and its 95% interval over studies; ``runs``: a seed's gaps, a number a study.

    Args:
        looks: for each seed, whether its interval lies above zero.

    What the gaps are does not count; at least two seeds, each with eight studies or more.
    """
    generator = np.random.default_rng(0)
    for gaps in (generator.normal(0.1, 0.2, 40), generator.exponential(0.1, 25) - 0.02):
        _see_interval(gaps, ask(gap_interval, gaps, shown=f"{len(gaps)} gaps"))
    lengths = {len(np.atleast_1d(gaps)) for gaps in runs.values()}
    if len(runs) < 2:
        raise Wrong(f"runs holds {len(runs)} seed(s), expected 2 or more. Another seed is another training run.")
    if len(lengths) > 1 or min(lengths) < 8:
        raise Wrong(
            f"the runs have {sorted(lengths)} gaps, expected as many for each seed, 8 or more: a gap a study, of the "
            "same held-out studies."
        )
    first, second, *_ = (np.asarray(gaps, dtype=float) for gaps in runs.values())
    if np.array_equal(first, second):
        raise Wrong("both runs have the same gaps. Was the second one trained with another seed?")
    found = {seed: gap_interval(gaps) for seed, gaps in runs.items()}
    for seed, (mean_gap, low, high) in found.items():
        if bool(looks.get(seed)) != bool(low > 0) or seed not in looks:
            raise Wrong(
                f"looks[{seed}] is {looks.get(seed)}, but that run's gap is {mean_gap:+.3f} [{low:+.3f}, {high:+.3f}] "
                "by your own function. It looks if the whole interval is above zero."
            )
    words = "; ".join(f"seed {seed} {gap:+.3f} [{low:+.3f}, {high:+.3f}]" for seed, (gap, low, high) in found.items())
    return f"{words}. A gap without its interval is not a result, and one seed is not the other."


def _see_interval(gaps: np.ndarray, found: Any) -> None:
    """Raises Wrong where this is not the mean with a 95% interval of the mean."""
    if not isinstance(found, tuple | list) or len(found) != 3:
        raise Wrong(f"gap_interval gave {described(found)}, expected three numbers: mean, low, high.")
    mean_gap, low, high = map(float, found)
    expected, error = float(gaps.mean()), float(gaps.std() / len(gaps) ** 0.5)
    if not close(mean_gap, expected):
        raise Wrong(f"the mean of {len(gaps)} gaps is {described(mean_gap)}, expected {expected:.4f}.")
    width, wanted = high - low, 2 * 1.96 * error
    if abs(width - wanted) <= 0.2 * wanted + 1e-9 and low <= mean_gap <= high:
        return
    spread = float(np.subtract(*np.percentile(gaps, [97.5, 2.5])))
    if width < 0:
        slip = "The lower end comes first."
    elif width > 1e-9 and abs(width - spread) < 0.2 * spread:
        slip = "That is how much single studies differ. The interval is of their *mean*: draw all of them again."
    elif width < 1e-9:
        slip = "Draw with replacement; else every draw is the same studies."
    else:
        slip = "Draw as many studies as there are, with replacement, often; 2.5% of the means lie below the interval."
    raise Wrong(
        f"the interval of {len(gaps)} gaps is {width:.3f} wide, expected about {wanted:.3f} (twice 1.96 standard "
        f"errors). {slip}"
    )
