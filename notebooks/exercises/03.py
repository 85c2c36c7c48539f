# Exercises of notebook 03, as README.md in this folder describes. `r2gen exercises` makes the notebooks' cells of them.

# %% notebook 03_frozen_llm_training

# %% setup
import time

import torch

from r2gen_lib import R2GenGPT, load_studies, train
from r2gen_lib.data.study import by_split

model = R2GenGPT.from_trained("laptop-shallow")
features = model.encode(torch.zeros(1, 1, 3, 224, 224))  # a step takes as long with an empty picture
reports = ["The heart is normal in size. The lungs are clear."]
optimizer = torch.optim.AdamW(model.mapper.parameters(), lr=0.0)

# %% exercise The mask | difficulty 2 | 10 minutes
# Write `report_loss_mask`: given how long prompt and picture are
# together, how long the report is (its end included), and how long the padded row is, return one flag for each position
# but the last. Padding never counts. On the toy of section 1 it must find four, the first of them at position 4.

# %% hint
# The prediction made at position i is about token i + 1. Which positions predict the report's first and last token?

# %% stub Nothing counts yet
def report_loss_mask(prompt_length: int, report_length: int, padded_length: int) -> list[bool]:
    """Does the prediction made at this position count? ``padded_length - 1`` flags."""
    return [False] * (padded_length - 1)  # replace this line

# %% check
checks.check_report_loss_mask(report_loss_mask);

# %% solution
def report_loss_mask(prompt_length: int, report_length: int, padded_length: int) -> list[bool]:
    """Does the prediction made at this position count? ``padded_length - 1`` flags."""
    first = prompt_length - 1  # predicts the report's first token
    return [first <= place < first + report_length for place in range(padded_length - 1)]

# %% wrong Off by one
def report_loss_mask(prompt_length, report_length, padded_length):
    return [prompt_length <= i < prompt_length + report_length for i in range(padded_length - 1)]

# %% wrong The last token is missing
def report_loss_mask(prompt_length, report_length, padded_length):
    return [prompt_length - 1 <= i < prompt_length + report_length - 2 for i in range(padded_length - 1)]

# %% wrong Padding is counted in the loss
def report_loss_mask(prompt_length, report_length, padded_length):
    return [i >= prompt_length - 1 for i in range(padded_length - 1)]

# %% wrong The last position predicts nothing
def report_loss_mask(prompt_length, report_length, padded_length):
    return [prompt_length - 1 <= i < prompt_length + report_length - 1 for i in range(padded_length)]

# %% wrong The prompt is not to be learnt
def report_loss_mask(prompt_length, report_length, padded_length):
    return [i < prompt_length + report_length - 1 for i in range(padded_length - 1)]

# %% exercise A big batch in parts | difficulty 2 | 15 minutes
# Memory allows a part of the batch at a time. `accumulate` below runs
# `backward()` after each part, so that gradients add up, and divides by the number of parts. That is *not* the gradient
# of the whole batch: why? Make it so, and return the loss of the whole batch. A part is `(inputs, labels)`, with label
# -100 where nothing counts.

# %% hint
# The loss of the batch is a mean over *tokens*. Two parts of 2 and 6 tokens don't weigh the same.

# %% hint
# `reduction="sum"` gives the sum of a part's token losses. Divide by the tokens that count in *all* parts.

# %% stub mean of the parts' means
def accumulate(model, parts):
    total = 0.0
    for inputs, labels in parts:
        loss = torch.nn.functional.cross_entropy(model(inputs), labels, ignore_index=-100) / len(parts)
        loss.backward()
        total += loss.item()
    return total

# %% check
checks.check_accumulate(accumulate);

# %% solution
def accumulate(model, parts):
    count = sum((labels != -100).sum().item() for _, labels in parts)
    total = 0.0
    for inputs, labels in parts:
        loss = torch.nn.functional.cross_entropy(model(inputs), labels, ignore_index=-100, reduction="sum") / count
        loss.backward()
        total += loss.item()
    return total

# %% explanation
# The count has to be known before the first `backward()`. Several GPUs have the same problem: the mean of their means is
# not the loss of their common batch, unless each has as many tokens.

# %% wrong added and not divided
def accumulate(model, parts):
    total = 0.0
    for inputs, labels in parts:
        loss = torch.nn.functional.cross_entropy(model(inputs), labels)
        loss.backward()
        total += loss.item()
    return total / len(parts)

# %% wrong Only the last part counts
def accumulate(model, parts):
    count = sum((labels != -100).sum().item() for _, labels in parts)
    total = 0.0
    for inputs, labels in parts:
        model.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(inputs), labels, reduction="sum") / count
        loss.backward()
        total += loss.item()
    return total

# %% wrong Padding was counted
def accumulate(model, parts):
    count = sum(len(labels) for _, labels in parts)
    total = 0.0
    for inputs, labels in parts:
        loss = torch.nn.functional.cross_entropy(model(inputs), labels, reduction="sum") / count
        loss.backward()
        total += loss.item()
    return total

# %% wrong The sum of the losses was not divided
def accumulate(model, parts):
    total = 0.0
    for inputs, labels in parts:
        loss = torch.nn.functional.cross_entropy(model(inputs), labels, reduction="sum")
        loss.backward()
        total += loss.item()
    return total

# %% wrong the gradient is right, but the loss is
def accumulate(model, parts):
    count = sum((labels != -100).sum().item() for _, labels in parts)
    for inputs, labels in parts:
        loss = torch.nn.functional.cross_entropy(model(inputs), labels, reduction="sum") / count
        loss.backward()
    return loss.item()

# %% exercise Prove it frozen, twice | difficulty 1 | 10 minutes
# Section 5 compared fingerprints. Here are two other proofs that the
# language model cannot change: `by_parameters(language)` looks at the parameters, `by_optimizer(language, optimizer)` at
# what the optimiser holds. Both return True where nothing of the model can change, and must not be fooled.

# %% hint
# `optimizer.param_groups` is a list of dictionaries, each with its tensors under "params".

# %% hint
# Two tensors of equal numbers are still two tensors: compare `id(parameter)`.

# %% stub by_parameters gave True for a model of which one bias
def by_parameters(language):
    return True


def by_optimizer(language, optimizer):
    return True

# %% check
checks.check_frozen(by_parameters, by_optimizer);

# %% solution
def by_parameters(language):
    return not any(parameter.requires_grad for parameter in language.parameters())


def by_optimizer(language, optimizer):
    held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    return not any(id(parameter) in held for parameter in language.parameters())

# %% explanation
# Try both on the model of section 5: `by_optimizer(model.language, torch.optim.AdamW(model.trainable_parameters().values()))`.
# Neither sees an assignment such as `weight += 1` under `no_grad`: that, only the fingerprint shows.

# %% wrong `all` is not `any`
def by_parameters(language):
    return any(not p.requires_grad for p in language.parameters())


def by_optimizer(language, optimizer):
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    return not any(id(p) in held for p in language.parameters())

# %% wrong in its *second* parameter group
def by_parameters(language):
    return not any(p.requires_grad for p in language.parameters())


def by_optimizer(language, optimizer):
    held = {id(p) for p in optimizer.param_groups[0]["params"]}
    return not any(id(p) in held for p in language.parameters())

# %% wrong compare identity
def by_parameters(language):
    return not any(p.requires_grad for p in language.parameters())


def by_optimizer(language, optimizer):
    held = [p for group in optimizer.param_groups for p in group["params"]]
    return not any(torch.equal(p, q) for p in language.parameters() for q in held)

# %% wrong raised an error
def by_parameters(language):
    return not any(p.requires_grad for p in language.parameters())


def by_optimizer(language, optimizer):
    held = [p for group in optimizer.param_groups for p in group["params"]]
    return not any(p in held for p in language.parameters())

# %% exercise A busy neighbour | difficulty 2 | 10 minutes
# Another process keeps one core of your machine busy. How many times as long
# does a training step take beside it? Section 8 says how the threads of a step wait for each other; it also printed how many
# cores you have. *First* write down a guess and its reason. Then measure. `timed_step()` takes a step, returns its seconds
# and keeps them in `record`; `timed_step(busy=True)` does the same beside a busy process. The cell below measures first one
# kind and then the other, and takes means. Do better: take turns, at least three steps of each kind, and medians. Then
# compare with your guess.

# %% hint
# Take two threads on two cores, and a third program that wants one of the cores. A product is finished when its *last*
# part is finished.

# %% hint
# A turn is `timed_step()` and then `timed_step(busy=True)`. A loop takes as many turns as you like.

# %% given
import subprocess
import sys

BUSY = "import time; print(flush=True); end = time.time() + 60\nwhile time.time() < end: pass"  # a minute at most
record = []  # what happened, in its order


def timed_step(busy=False):
    """Seconds of one training step, alone or beside a busy process, which is ended whatever happens."""
    other = subprocess.Popen([sys.executable, "-c", BUSY if busy else ""], stdout=subprocess.PIPE)
    try:
        other.stdout.readline()  # it is at work now, or it had nothing to do and has ended
        start = time.perf_counter()
        loss = model(features=features[:1], reports=reports[:1]).loss
        loss.backward()
        optimizer.step()
        loss.item()  # a GPU works on by itself: this waits for it
        record.append(("beside" if busy else "alone", time.perf_counter() - start))
    finally:
        other.kill()
        other.communicate()
    return record[-1][1]


timed_step();  # the very first step prepares things; before the guess it doesn't count

# %% stub there is no guess in the record
import statistics

# record.append(("guess", ...))  # how many times as long does a step take beside a busy process?
why = ""  # a sentence

steps_alone = [timed_step() for _ in range(3)]
steps_beside = [timed_step(busy=True) for _ in range(3)]
alone, beside = statistics.mean(steps_alone), statistics.mean(steps_beside)

# %% check
checks.check_busy_neighbour(record, alone, beside, why);

# %% solution
import statistics

record.append(("guess", 2.0))
why = "Two threads share the work on two cores. One has to share its core, and the other one waits for it."

steps_alone, steps_beside = [], []
for _ in range(5):
    steps_alone.append(timed_step())
    steps_beside.append(timed_step(busy=True))
alone, beside = statistics.median(steps_alone), statistics.median(steps_beside)

# %% explanation
# Take two threads on two free cores. The neighbour gets half of one core, so that the thread there needs twice its time,
# and the other thread waits for it at every product: 2, though three quarters of the machine are left. If the system moves
# the three programs between the cores, it comes nearer to 1.5. With more free cores than threads, or with a GPU, it is
# about 1.
#
# If the machine was busy before, one neighbour more is a small change. On our two cores, beside two other programs, a step
# took 1.1 times as long (medians of 8 turns, measured twice), but 2.0 and 2.6 times with threads that spin for long: start
# Jupyter with `GOMP_SPINCOUNT=300000` to see that. This is also why you take turns: the other programs of a machine come
# and go, and in turns they meet both kinds of step.

# %% wrong nothing was measured after the guess
import statistics

steps_alone, steps_beside = [], []
for _ in range(3):
    steps_alone.append(timed_step())
    steps_beside.append(timed_step(busy=True))
alone, beside = statistics.median(steps_alone), statistics.median(steps_beside)
record.append(("guess", beside / alone))
why = "The threads wait for the slowest of them, and it has to share its core."

# %% wrong your reason has 2 words
record.append(("guess", 1.5))
why = "less time"
alone = beside = timed_step()

# %% wrong 1 step(s) alone and 1 beside
record.append(("guess", 1.5))
why = "The threads wait for the slowest of them, and it has to share its core."
alone, beside = timed_step(), timed_step(busy=True)

# %% wrong one kind after the other
import statistics

record.append(("guess", 1.5))
why = "The threads wait for the slowest of them, and it has to share its core."
steps_alone = [timed_step() for _ in range(3)]
steps_beside = [timed_step(busy=True) for _ in range(3)]
alone, beside = statistics.median(steps_alone), statistics.median(steps_beside)

# %% wrong That is the mean
import statistics

record.append(("guess", 1.5))
why = "The threads wait for the slowest of them, and it has to share its core."
steps_alone, steps_beside = [], []
for _ in range(3):
    steps_alone.append(timed_step())
    steps_beside.append(timed_step(busy=True))
alone, beside = statistics.mean(steps_alone), statistics.mean(steps_beside)

# %% exercise Two seeds, and the gap with its interval | difficulty 3 | 40 minutes
# From which gap on may you say that a model looks? Train a mapper twice, from two seeds. `study_gaps` below does one run and
# returns a number for each held-out study: its loss with another study's picture, less its loss with its own.
#
# Write `gap_interval(gaps)`: the mean, and the lower and upper end of its 95% interval, by bootstrap over the studies. Put
# the gaps of both runs into `runs` and, for each seed, into `looks` whether its whole interval is above zero. *Write
# down first*: will the two intervals overlap? Try your code with the toy (`study_gaps(0)`, seconds); then take
# `study_gaps(0, laptop, steps=60)`, two to five minutes a seed on two free cores. Does the answer change with 180 steps?

# %% hint
# `np.random.default_rng(0).integers(len(gaps), size=(1000, len(gaps)))` are a thousand draws of studies, with replacement.

# %% hint
# The interval is of the mean: take the mean of each draw, then their percentiles 2.5 and 97.5.

# %% given
import tempfile

import numpy as np

from r2gen_lib.config import Profile
from r2gen_lib.model.toy import toy_model
from r2gen_lib.training.examples import Examples


def laptop(seed):
    return R2GenGPT.from_preset("laptop", seed=seed)


def study_gaps(seed, make=lambda seed: toy_model(seed=seed), steps=12):
    """Train a new mapper; a gap for each of 16 studies, which are the same for every seed."""
    some, data = make(seed), load_studies("openi_sim")
    short = Profile("gap", 4 * steps, 8, 8, train_steps=steps, eval_every=steps, checkpoint_every=steps)
    with tempfile.TemporaryDirectory() as folder:
        train(some, data, profile=short, out_dir=folder, seed=seed, progress=False)
    held = Examples(some, by_split(data, "val")[:16], "val", progress=False)
    with torch.no_grad():
        own, other = ([some(**held.batch([i], shift)).loss.item() for i in range(16)] for shift in (0, 1))
    return np.subtract(other, own)

# %% stub expected three numbers
def gap_interval(gaps):
    return gaps.mean()


runs, looks = {}, {}

# %% check
checks.check_gap_interval(gap_interval, runs, looks);

# %% solution
def gap_interval(gaps):
    gaps = np.asarray(gaps)
    draws = np.random.default_rng(0).integers(len(gaps), size=(1000, len(gaps)))
    low, high = np.percentile(gaps[draws].mean(axis=1), [2.5, 97.5])
    return gaps.mean(), low, high


runs = {seed: study_gaps(seed) for seed in (0, 1)}
looks = {seed: bool(gap_interval(gaps)[1] > 0) for seed, gaps in runs.items()}

# %% explanation
# The numbers here are the toy's: random weights, twelve steps, nothing about radiology. With the laptop preset the numbers
# are yours. The interval says how far other *studies* would move the mean; what another seed moves is seen in the second
# run alone, and two runs say little about a third. With 16 studies an interval is wide: a gap that it doesn't tell from zero
# may be there all the same.

# %% wrong how much single studies differ
def gap_interval(gaps):
    return gaps.mean(), *np.percentile(gaps, [2.5, 97.5])


runs, looks = {}, {}

# %% wrong Draw with replacement
def gap_interval(gaps):
    draws = [np.random.default_rng(i).permutation(gaps).mean() for i in range(1000)]
    return gaps.mean(), *np.percentile(draws, [2.5, 97.5])


runs, looks = {}, {}

# %% wrong holds 1 seed(s)
def gap_interval(gaps):
    draws = np.random.default_rng(0).integers(len(gaps), size=(1000, len(gaps)))
    return gaps.mean(), *np.percentile(gaps[draws].mean(axis=1), [2.5, 97.5])


runs, looks = {0: np.linspace(-1, 2, 16)}, {0: True}

# %% wrong both runs have the same gaps
def gap_interval(gaps):
    draws = np.random.default_rng(0).integers(len(gaps), size=(1000, len(gaps)))
    return gaps.mean(), *np.percentile(gaps[draws].mean(axis=1), [2.5, 97.5])


runs = dict.fromkeys((0, 1), np.linspace(-1, 2, 16))
looks = {0: True, 1: True}

# %% wrong It looks if the whole interval is above zero
def gap_interval(gaps):
    draws = np.random.default_rng(0).integers(len(gaps), size=(1000, len(gaps)))
    return gaps.mean(), *np.percentile(gaps[draws].mean(axis=1), [2.5, 97.5])


runs = {0: np.linspace(-1, 1.2, 16), 1: np.linspace(0.5, 2, 16)}
looks = {seed: gaps.mean() > 0 for seed, gaps in runs.items()}
