# Exercises of notebook 05, as README.md in this folder describes. `r2gen exercises` makes the notebooks' cells of them.

# %% notebook 05_evaluation

# %% setup
import math
from collections import Counter

import numpy as np


def grams(text, n):
    words = text.split()
    return Counter(zip(*(words[i:] for i in range(n)), strict=False))


def weights(text, n, said):
    """Each n-gram's count, times the logarithm of how rare it is: of how many texts one has it."""
    seen = Counter(gram for one in said for gram in grams(one, n))
    return {gram: count * math.log(len(said) / max(1, seen[gram])) for gram, count in grams(text, n).items()}

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

# %% exercise CIDEr by hand | difficulty 3 | 30 minutes
# Write `cider(candidates, references)`: CIDEr-D of every study, a list of numbers, where each study has one reference.
# Section 1 did it for single words. What is new: runs of two, three and four words, whose cosines are averaged;
# *clipping*: in the product, though not in the sizes, a candidate's weight is at most the reference's; and *length*: the
# score is multiplied by $\exp(-d^2 / (2 \cdot 6^2))$, where $d$ is the difference in the number of word pairs. The check
# compares with `pycocoevalcap`. Then: which of the two changes would stop a report that says "effusion" ten times?

# %% hint
# `weights(text, n, references)` and `grams(text, n)` of section 1 take any n.

# %% hint
# Size of a list of weights: `math.hypot(*weights.values())`. A size of 0 means a cosine of 0 for that n.

# %% hint
# Average the four cosines, multiply by 10 and by the length factor.

# %% stub Weights first
def cider(candidates: list[str], references: list[str]) -> list[float]:
    """CIDEr-D of each candidate by the reference in the same place."""
    return [0.0 for _ in candidates]  # replace this line

# %% check
checks.check_cider(cider);

# %% solution
def cider(candidates: list[str], references: list[str]) -> list[float]:
    """CIDEr-D of each candidate by the reference in the same place."""
    scores = []
    for candidate, reference in zip(candidates, references, strict=True):
        cosines = []
        for n in (1, 2, 3, 4):
            mine, theirs = (weights(text, n, references) for text in (candidate, reference))
            product = sum(min(mine.get(gram, 0), weight) * weight for gram, weight in theirs.items())
            size = math.hypot(*mine.values()) * math.hypot(*theirs.values())
            cosines.append(product / size if size else 0.0)
        gap = grams(candidate, 2).total() - grams(reference, 2).total()
        scores.append(10 * sum(cosines) / 4 * math.exp(-(gap**2) / (2 * 6**2)))
    return scores

# %% explanation
# Clipping stops the repetition from earning more; the length factor punishes it. `pycocoevalcap` measures a text's length
# in word *pairs*, and so does this. Weights depend on all references: the same two texts score otherwise in other company.

# %% wrong single words alone
def cider(candidates, references):
    scores = []
    for candidate, reference in zip(candidates, references):
        mine, theirs = (weights(text, 1, references) for text in (candidate, reference))
        product = sum(min(mine.get(gram, 0), weight) * weight for gram, weight in theirs.items())
        size = math.hypot(*mine.values()) * math.hypot(*theirs.values())
        gap = max(len(candidate.split()) - 1, 0) - max(len(reference.split()) - 1, 0)
        scores.append(10 * (product / size if size else 0) * math.exp(-(gap**2) / 72))
    return scores

# %% wrong Clipping was forgotten
def cider(candidates, references):
    scores = []
    for candidate, reference in zip(candidates, references):
        cosines = []
        for n in (1, 2, 3, 4):
            mine, theirs = (weights(text, n, references) for text in (candidate, reference))
            product = sum(mine.get(gram, 0) * weight for gram, weight in theirs.items())
            size = math.hypot(*mine.values()) * math.hypot(*theirs.values())
            cosines.append(product / size if size else 0)
        gap = max(len(candidate.split()) - 1, 0) - max(len(reference.split()) - 1, 0)
        scores.append(10 * np.mean(cosines) * math.exp(-(gap**2) / 72))
    return scores

# %% wrong The length is not punished
def cider(candidates, references):
    scores = []
    for candidate, reference in zip(candidates, references):
        cosines = []
        for n in (1, 2, 3, 4):
            mine, theirs = (weights(text, n, references) for text in (candidate, reference))
            product = sum(min(mine.get(gram, 0), weight) * weight for gram, weight in theirs.items())
            size = math.hypot(*mine.values()) * math.hypot(*theirs.values())
            cosines.append(product / size if size else 0)
        scores.append(10 * np.mean(cosines))
    return scores

# %% wrong expected a list of 3 scores
def cider(candidates, references):
    return 0.0
