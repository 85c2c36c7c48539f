# Exercises of notebook 00, as README.md in this folder describes. `r2gen exercises` makes the notebooks' cells of them.

# %% notebook 00_start_here

# %% setup
import matplotlib.pyplot as plt
import numpy as np
import torch

from r2gen_lib import R2GenGPT
from r2gen_lib.data.images.preprocess import to_pixel_values
from r2gen_lib.findings.finding import Finding
from r2gen_lib.plots.lessons import show
from r2gen_lib.simulation.simulate import simulate

model = R2GenGPT.from_trained("laptop-shallow")
patient = "CXR12"
large_heart = simulate(patient, [Finding("Cardiomegaly", severity=1.0)])

# %% setup
def pixels(pictures):
    vision = model.preset.vision
    batch = np.stack([to_pixel_values(p, vision.image_size, vision.mean, vision.std) for p in pictures])
    return torch.from_numpy(batch)[:, None]


def reports(pictures, **decoding):
    return model.generate(pixels(pictures), **decoding)

# %% setup
@torch.no_grad()
def nats_of(sentence, features):
    out = model(features=features, reports=[sentence] * len(features))
    nats = torch.nn.functional.cross_entropy(out.logits, out.labels, reduction="none")
    written = out.labels != model.tokenizer.eos_token_id
    return np.array([nats[written & (out.rows == row)].sum().item() for row in range(len(features))])


def leaning(pictures):
    features = model.encode(pixels(pictures))
    return nats_of("The heart is normal in size.", features) - nats_of("The heart is enlarged.", features)

# %% exercise Make it repeat itself | difficulty 1 | importance 1 | 5 minutes
# Decoding is how a report is read out of the model's
# probabilities. Switch off what keeps the model from repeating itself, and forbid it to end early, until one sentence
# comes three times. Then write down in a sentence why it repeats. Which safeguard stops it, and what does that do to a
# report that should name the same word twice?

# %% hint
# `model.preset.decoding` lists what can be changed. Two of the fields speak of repetition.

# %% hint
# A penalty of 1.0 multiplies nothing, an n-gram size of 0 forbids nothing. `min_new_tokens=160, max_new_tokens=160` makes
# the report exactly so long.

# %% stub repetition_penalty is the preset's 1.1
options = dict(num_beams=1, max_new_tokens=40)
why = ""

# %% check
report = reports([large_heart.picture], **options)[0]
print(report)
checks.check_repetition(options, report, why);

# %% solution
options = dict(num_beams=1, repetition_penalty=1.0, no_repeat_ngram_size=0, min_new_tokens=160, max_new_tokens=160)
why = "It reads its own words: a sentence that stands there is likely to come again, and each copy makes it likelier."

# %% explanation
# The language model reads its own words before it writes the next. A sentence that stands there makes its first words
# likelier, these its next words, and so on. `no_repeat_ngram_size` stops it for certain, but it also forbids what is
# right twice ("there is no ... there is no ..."); the penalty makes every used word unlikelier, "no" and "right" too.

# %% wrong repetition_penalty is 1.1, expected 1.0
options = dict(num_beams=1, max_new_tokens=5, repetition_penalty=1.1, no_repeat_ngram_size=0)
why = "A sentence makes itself more likely."

# %% wrong no_repeat_ngram_size is the preset's 6
options = dict(num_beams=1, max_new_tokens=5, repetition_penalty=1.0)
why = "A sentence makes itself more likely."

# %% wrong The model ended its report too soon
options = dict(num_beams=1, max_new_tokens=5, repetition_penalty=1.0, no_repeat_ngram_size=0)
why = "A sentence makes itself more likely."

# %% exercise Does the report name it? | difficulty 2 | importance 3 | 10 minutes
# The simulator draws all of `r2gen_lib.findings.finding.FINDING_NAMES`. Choose one, a side
# and a severity, and read the report: does it name the finding, and on the right side? For one report your eyes will do. For a
# hundred you need `names(report, word)`: True if a sentence of the report says that it is there. Careful: a report names
# what it denies, too.

# %% hint
# Split the report at full stops and look at one sentence at a time, in lower case.

# %% hint
# `re.findall(r"[a-z]+", sentence)` gives whole words. A sentence with "no", "not", "without" or "absent" denies.

# %% stub gave True, expected False. The sentence denies it
def names(report, word):
    return word in report

# %% check
checks.check_names(names);

# %% solution
import re

DENIALS = {"no", "not", "without", "absent"}


def names(report, word):
    for sentence in report.lower().split("."):
        words = set(re.findall(r"[a-z]+", sentence))
        if word in words and not words & DENIALS:
            return True
    return False

# %% explanation
# Such rules err: "no change in the effusion" denies nothing. `r2gen labels` has more of them, and its quality is measured.
# To draw another finding: `simulate("CXR12", [Finding("Pneumothorax", "right", severity=0.8)])`.

# %% wrong The denial is in another sentence
def names(report, word):
    return word in report.lower() and "no " not in report.lower() and "absent" not in report.lower()

# %% wrong Capital letters
def names(report, word):
    return any(word in s and "no " not in s.lower() and "absent" not in s for s in report.split("."))

# %% wrong compare whole words
def names(report, word):
    sentences = report.lower().split(".")
    return any(word in s and not any(d in s for d in ("no", "absent")) for s in sentences)

# %% wrong 'absent' denies behind the word
def names(report, word):
    return any(word in s and "no " not in s for s in report.lower().split("."))

# %% exercise The threshold | difficulty 2 | importance 2 | 10 minutes
# Somewhere between a severity of 0 and 1 the odds of section 5 begin
# to move. Write `first_move(severities, nats, noise)`: the first severity from which on *every* value lies more than
# `noise` above the curve's first one; `math.nan` if there is none. Exercise 4 draws such a curve.

# %% hint
# Walk from the left; at each place ask whether this value and *all* behind it are above `nats[0] + noise`.

# %% stub expected 0.5. The plain case
import math


def first_move(severities, nats, noise):
    return math.nan

# %% check
checks.check_first_move(first_move);

# %% solution
import math


def first_move(severities, nats, noise):
    above = [value > nats[0] + noise for value in nats]
    for place, severity in enumerate(severities):
        if all(above[place:]):
            return severity
    return math.nan

# %% explanation
# How large the noise is, other normal patients tell: section 5 has twelve of them.

# %% wrong it has to *stay* above
def first_move(severities, nats, noise):
    return next((s for s, value in zip(severities, nats) if value > nats[0] + noise), float("nan"))

# %% wrong Compare with the first value
def first_move(severities, nats, noise):
    for place in range(1, len(nats)):
        if nats[place] - nats[place - 1] > noise:
            return severities[place]
    return float("nan")

# %% wrong Compare with the start of this curve, not with zero
def first_move(severities, nats, noise):
    start = min(nats[0], 0)
    for place in range(len(nats)):
        if all(value > start + noise for value in nats[place:]):
            return severities[place]
    return float("nan")

# %% exercise The curve, and where it crosses | difficulty 2 | importance 3 | 25 minutes
# One patient, a heart that grows: at which severity does "enlarged" become the likelier sentence? Write two functions.
# `severity_curve(patient, severities, leaning)`: the value that `leaning` gives to the patient's picture with
# `Finding("Cardiomegaly", severity=s)`, one for each severity `s`. `crossing(severities, nats)`: where the curve first
# goes from below 0 to 0 or above, with a straight line between the two points; nan (`float("nan")`) where it never does.

# %% guess
# The simulator draws *borderline* with a severity of 0.15, *mild* with 0.3, *moderate* with 0.6. At which severity will
# this patient's curve cross zero?

# %% hint
# `leaning` takes a list of pictures: simulate them all, then ask once.

# %% hint
# Between (s0, n0) and (s1, n1), with n0 below zero and n1 not, the line is at zero at s0 + (s1 - s0) * -n0 / (n1 - n0).

# %% stub The finding was not drawn
def severity_curve(patient, severities, leaning):
    return leaning([simulate(patient).picture for _ in severities])


def crossing(severities, nats):
    return float("nan")

# %% check
if checks.check_crossing(severity_curve, crossing):
    severities = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    nats = severity_curve(patient, severities, leaning)
    print(f"{patient}: crosses at a severity of {crossing(severities, nats):.2f}")
    figure, ax = plt.subplots(figsize=(5, 2.6), layout="constrained")
    ax.plot(severities, nats, marker="o")
    ax.axhline(0, color="#8d99a6", linewidth=0.8)
    ax.set(xlabel="severity of the heart's enlargement", ylabel="nats for “enlarged”", title=f"{patient}, simulated")
    show(figure)

# %% solution
from itertools import pairwise


def severity_curve(patient, severities, leaning):
    hearts = [[Finding("Cardiomegaly", severity=s)] for s in severities]
    return leaning([simulate(patient, heart).picture for heart in hearts])


def crossing(severities, nats):
    for (s0, n0), (s1, n1) in pairwise(zip(severities, nats, strict=True)):
        if n0 < 0 <= n1:
            return s0 + (s1 - s0) * -n0 / (n1 - n0)
    return float("nan")

# %% why
# *Why?* Draw the curve of three other normal patients as well. Do all cross at one severity? Say what a crossing would
# need before you may call it the system's threshold.

# %% explanation
# A crossing belongs to one patient, one pair of sentences and one model. Where the curves of several patients cross at
# different severities, report the spread, not one number. And the odds of a first sentence are not yet what is written:
# notebook 05 counts the reports.

# %% wrong every severity gave the same picture
def severity_curve(patient, severities, leaning):
    return leaning([simulate(patient, [Finding("Cardiomegaly")]).picture for _ in severities])

def crossing(severities, nats):
    return next((s0 + (s1 - s0) * -n0 / (n1 - n0) for s0, n0, s1, n1 in zip(severities, nats, severities[1:], nats[1:]) if n0 < 0 <= n1), float("nan"))

# %% wrong This is the first severity at or above zero
def severity_curve(patient, severities, leaning):
    return leaning([simulate(patient, [Finding("Cardiomegaly", severity=s)]).picture for s in severities])

def crossing(severities, nats):
    return next((s for s, n in zip(severities, nats) if n >= 0), float("nan"))

# %% wrong The curve starts above zero
def severity_curve(patient, severities, leaning):
    return leaning([simulate(patient, [Finding("Cardiomegaly", severity=s)]).picture for s in severities])

def crossing(severities, nats):
    if nats[0] >= 0:
        return severities[0]
    return next((s0 + (s1 - s0) * -n0 / (n1 - n0) for s0, n0, s1, n1 in zip(severities, nats, severities[1:], nats[1:]) if n0 < 0 <= n1), float("nan"))

# %% wrong Halfway between two points
def severity_curve(patient, severities, leaning):
    return leaning([simulate(patient, [Finding("Cardiomegaly", severity=s)]).picture for s in severities])

def crossing(severities, nats):
    return next(((s0 + s1) / 2 for s0, n0, s1, n1 in zip(severities, nats, severities[1:], nats[1:]) if n0 < 0 <= n1), float("nan"))
