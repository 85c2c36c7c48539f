# Exercises of notebook 05, as README.md in this folder describes. `r2gen exercises` makes the notebooks' cells of them.

# %% notebook 05_evaluation

# %% setup
from collections import Counter

import numpy as np

# %% exercise Clipped bigrams | difficulty 2 | 15 minutes
# Write the clipped precision of word pairs, without `clipped` of section 1.
# A candidate of a single word has no pair: 0. Likely slips: clipping forgotten, and dividing by the reference's pairs.

# %% hint
# `zip(words, words[1:])` gives the pairs; a `Counter` of them counts, and `&` of two Counters takes the smaller counts.

# %% stub Nothing was counted yet
def bigram_precision(candidate: list[str], reference: list[str]) -> float:
    """Share of the candidate's word pairs that the reference has, each at most as often as it has it."""
    return 0.0  # replace this line

# %% check
checks.check_bigram_precision(bigram_precision);

# %% solution
def bigram_precision(candidate: list[str], reference: list[str]) -> float:
    """Share of the candidate's word pairs that the reference has, each at most as often as it has it."""
    mine, theirs = (Counter(zip(words, words[1:], strict=False)) for words in (candidate, reference))
    return (mine & theirs).total() / mine.total() if mine else 0.0

# %% wrong Clipping was forgotten
def bigram_precision(candidate, reference):
    mine, theirs = (list(zip(words, words[1:])) for words in (candidate, reference))
    return sum(pair in theirs for pair in mine) / len(mine) if mine else 0.0

# %% wrong that is recall
def bigram_precision(candidate, reference):
    mine, theirs = (Counter(zip(words, words[1:])) for words in (candidate, reference))
    return (mine & theirs).total() / theirs.total() if theirs else 0.0

# %% wrong Each different pair was counted once
def bigram_precision(candidate, reference):
    mine, theirs = (set(zip(words, words[1:])) for words in (candidate, reference))
    return len(mine & theirs) / len(mine) if mine else 0.0

# %% wrong raised an error: ZeroDivisionError
def bigram_precision(candidate, reference):
    mine, theirs = (Counter(zip(words, words[1:])) for words in (candidate, reference))
    return (mine & theirs).total() / mine.total()

# %% wrong These are single words
def bigram_precision(candidate, reference):
    mine, theirs = Counter(candidate), Counter(reference)
    return (mine & theirs).total() / mine.total()

# %% exercise Better score, worse report | difficulty 2 | 10 minutes
# Change the written report so that its BLEU-1 rises and it gets
# worse for the patient. Which kind of change is cheapest? Would METEOR have noticed? Then do it to a generated report.

# %% hint
# Copy from the reference what earns words, and drop or add the one word that matters.

# %% given
truth = "There is a small left pleural effusion. The heart is normal in size. There is no pneumothorax."
paraphrase = "Small amount of fluid on the left, an effusion. Cardiac silhouette unremarkable."

# %% stub your report is the written one, unchanged
mine = paraphrase  # change it

# %% check
checks.check_worse_report(truth, paraphrase, mine);

# %% solution
mine = "There is no left pleural effusion. The heart is normal in size. There is no pneumothorax."

# %% explanation
# One word, "no", turns the finding into its opposite and costs next to nothing: every other word is the reference's.
# METEOR aligns words too: here it rises from 0.15 to 0.53. Clinical scores (`r2gen labels`) would: they read what is affirmed.

# %% wrong but the report is not worse
mine = "There is a small left pleural effusion. The heart is normal in size."

# %% wrong Only words that the reference has
mine = "A giant tension pneumothorax with shift of every mediastinal structure, which needs help at once and without delay."

# %% wrong the brevity penalty takes its share
mine = "There is no effusion."

# %% exercise Bootstrap an interval | difficulty 2 | 15 minutes
# Write `interval(values, resamples, seed)`: the 95 % percentile interval
# of the *mean*, from so many resamples of the studies. The seed decides everything. How wide is it for 10 studies, for
# 100, for 1,000?

# %% hint
# `rng = np.random.default_rng(seed)`; a resample is `rng.choice(values, size=len(values))`, drawn with replacement.

# %% hint
# Keep the mean of each resample; `np.percentile(means, [2.5, 97.5])`.

# %% stub percentiles of the studies themselves
def interval(values, resamples, seed):
    return tuple(np.percentile(values, [2.5, 97.5]))

# %% check
checks.check_bootstrap(interval);

# %% solution
def interval(values, resamples, seed):
    rng = np.random.default_rng(seed)
    means = [rng.choice(values, size=len(values)).mean() for _ in range(resamples)]
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)

# %% explanation
# The width falls with the square root of the number of studies: ten times as many make it about a third.

# %% wrong drawn without replacement
def interval(values, resamples, seed):
    rng = np.random.default_rng(seed)
    means = [rng.choice(values, size=len(values), replace=False).mean() for _ in range(resamples)]
    return tuple(np.percentile(means, [2.5, 97.5]))

# %% wrong 2.5 % on either side
def interval(values, resamples, seed):
    rng = np.random.default_rng(seed)
    means = [rng.choice(values, size=len(values)).mean() for _ in range(resamples)]
    return tuple(np.percentile(means, [5, 95]))

# %% wrong a resample has as many studies as the data
def interval(values, resamples, seed):
    rng = np.random.default_rng(seed)
    means = [rng.choice(values, size=5).mean() for _ in range(resamples)]
    return tuple(np.percentile(means, [2.5, 97.5]))

# %% wrong the same seed gave two intervals
def interval(values, resamples, seed):
    rng = np.random.default_rng()
    means = [rng.choice(values, size=len(values)).mean() for _ in range(resamples)]
    return tuple(np.percentile(means, [2.5, 97.5]))

# %% exercise Design a counterfactual | difficulty 3 | 15 minutes
# Choose a finding from `FINDING_NAMES` and at least five normal chests.
# Decide beforehand, in the dictionary, which words should appear, whether a denial counts, what the control is and which
# rate you expect. The check looks at the form alone; carrying the plan out is the exercise.

# %% hint
# The control tells how often the words come without the finding: the same chests, the same seed.

# %% stub the plan says nothing about finding
plan = dict(
    finding="",
    side="",
    severity=None,
    chests=[],
    words=set(),
    denied_counts=None,
    control="",
    same_seed=None,
    rate_expected=None,
)

# %% check
checks.check_counterfactual(plan);

# %% solution
plan = dict(
    finding="Pleural Effusion",
    side="left",
    severity=0.8,
    chests=["CXR12", "CXR23", "CXR30", "CXR34", "CXR38"],
    words={"effusion", "blunting", "fluid"},
    denied_counts=False,  # "no effusion" says the opposite
    control="the same chests without the finding",
    same_seed=True,
    rate_expected=0.5,
)

# %% explanation
# The five chests are coded normal, in the test split. The result is two rates, with the finding and without, and their
# difference; with five chests one report more or less is a fifth.

# %% wrong expected at least 5: one is an anecdote
plan = dict(finding="Pleural Effusion", side="left", severity=0.8, chests=["CXR12"], words={"effusion"},
            denied_counts=False, control="the same chests without it", same_seed=True, rate_expected=0.5)

# %% wrong 'no effusion' says the opposite
plan = dict(finding="Pleural Effusion", side="left", severity=0.8, chests=list("abcde"), words={"effusion"},
            denied_counts=True, control="the same chests without it", same_seed=True, rate_expected=0.5)

# %% wrong expected the same chests without the finding
plan = dict(finding="Pleural Effusion", side="left", severity=0.8, chests=list("abcde"), words={"effusion"},
            denied_counts=False, control="other patients", same_seed=True, rate_expected=0.5)

# %% wrong is none of FINDING_NAMES
plan = dict(finding="Effusion", side="left", severity=0.8, chests=list("abcde"), words={"effusion"},
            denied_counts=False, control="the same chests without it", same_seed=True, rate_expected=0.5)

# %% wrong with another seed more than the finding changes
plan = dict(finding="Pleural Effusion", side="left", severity=0.8, chests=list("abcde"), words={"effusion"},
            denied_counts=False, control="the same chests without it", same_seed=False, rate_expected=0.5)
