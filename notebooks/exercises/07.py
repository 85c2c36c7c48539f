# Exercises of notebook 07, as README.md in this folder describes. `r2gen exercises` makes the notebooks' cells of them.

# %% notebook 07_teaching_it_to_look

# %% setup
import math

# %% exercise Find the decision | difficulty 1 | 10 minutes
# Write `decision(right, wrong)` for the token ids of two sentences that stand in the same place, their ends included:
# `(place, right token, wrong token)` where they first differ, counted from 0. Where one list is the beginning of the
# other there is no decision: return `()`. Why is it only the *first* place that counts?

# %% hint
# `zip(right, wrong)` stops where the shorter list stops, and `enumerate` counts.

# %% stub Places are counted from 0
def decision(right, wrong):
    for place, (a, b) in enumerate(zip(right, wrong, strict=False), start=1):
        if a != b:
            return place, a, b
    return ()

# %% check
checks.check_decision(decision);

# %% solution
def decision(right, wrong):
    for place, (a, b) in enumerate(zip(right, wrong, strict=False)):
        if a != b:
            return place, a, b
    return ()

# %% explanation
# Up to the first difference the model has read the same words, so its scores there are one choice between two tokens.
# Behind it the two sentences have different words before each place, and a comparison would be of two contexts.

# %% wrong This is the last place in which they differ
def decision(right, wrong):
    places = [(i, a, b) for i, (a, b) in enumerate(zip(right, wrong)) if a != b]
    return places[-1] if places else ()

# %% wrong The right token comes before the wrong one
def decision(right, wrong):
    return next(((i, b, a) for i, (a, b) in enumerate(zip(right, wrong)) if a != b), ())

# %% wrong raised an error: StopIteration
def decision(right, wrong):
    return next((i, a, b) for i, (a, b) in enumerate(zip(right, wrong)) if a != b)

# %% wrong raised an error: IndexError
def decision(right, wrong):
    place = next(i for i in range(max(len(right), len(wrong))) if right[i] != wrong[i])
    return place, right[place], wrong[place]

# %% exercise The preference's gradient | difficulty 2 | 15 minutes
# Write `preference(right, wrong, margin)`, given two logits: the loss softplus(margin - (right - wrong)), its
# derivative by the right logit, and its derivative by the wrong one. No torch: `import math` is enough. How large is
# the push when the two are tied, and how large when the right one leads by far more than the margin?

# %% hint
# softplus(x) is log(1 + exp(x)), and its derivative is 1 / (1 + exp(-x)).

# %% hint
# With x = margin - right + wrong, the chain rule gives -1 times that derivative for `right`, and +1 times for `wrong`.

# %% stub That is a hinge
def preference(right, wrong, margin):
    return max(0.0, margin - (right - wrong)), 0.0, 0.0

# %% check
checks.check_preference(preference);

# %% solution
def preference(right, wrong, margin):
    x = margin - (right - wrong)
    push = 1 / (1 + math.exp(-x))
    return math.log1p(math.exp(x)), -push, push

# %% explanation
# At a tie and with a margin of 2 the push is sigmoid(2) = 0.88; with a lead of 8 it is sigmoid(-6) = 0.002. What is
# settled is left in peace. Cross-entropy at this place would push the right token against the whole vocabulary.

# %% wrong Both signs are turned
def preference(right, wrong, margin):
    x = margin - (right - wrong)
    push = 1 / (1 + math.exp(-x))
    return math.log1p(math.exp(x)), push, -push

# %% wrong not sigmoid(-x)
def preference(right, wrong, margin):
    x = margin - (right - wrong)
    push = 1 / (1 + math.exp(x))
    return math.log1p(math.exp(x)), -push, push

# %% wrong The margin is missing
def preference(right, wrong, margin):
    x = -(right - wrong)
    push = 1 / (1 + math.exp(-x))
    return math.log1p(math.exp(x)), -push, push

# %% wrong expected three numbers
def preference(right, wrong, margin):
    return math.log1p(math.exp(margin - (right - wrong)))

# %% exercise A baseline of one's own | difficulty 2 | 15 minutes
# Section 4 held each sample against the mean of its picture's samples, itself among them. Write
# `advantages(rewards)` for an array (pictures, samples) that leaves it out: each reward less the mean of the *other*
# samples of the same picture. What becomes of a picture whose samples all have the same reward?

# %% hint
# The sum of the others is the row's sum less the sample's own reward, and there is one fewer of them.

# %% stub The mean holds the sample itself
def advantages(rewards):
    return rewards - rewards.mean(axis=1, keepdims=True)

# %% check
checks.check_advantages(advantages);

# %% solution
def advantages(rewards):
    others = (rewards.sum(axis=1, keepdims=True) - rewards) / (rewards.shape[1] - 1)
    return rewards - others

# %% explanation
# It is n / (n - 1) times what section 4 has, so the direction of a step is the same (Kool et al. 2019, "Buy 4 REINFORCE
# samples, get a baseline for free"). A picture whose samples are all alike has advantages of 0: nothing is learnt from
# it. That is most of the pictures once a model always writes the same report.

# %% wrong This is the mean over all pictures
def advantages(rewards):
    return rewards - rewards.mean()

# %% wrong Nothing was subtracted
def advantages(rewards):
    return rewards

# %% wrong Divided by the spread, as GRPO does
def advantages(rewards):
    own = rewards - rewards.mean(axis=1, keepdims=True)
    return own / rewards.std(axis=1, keepdims=True)

# %% wrong The sign is turned
def advantages(rewards):
    return (rewards.sum(axis=1, keepdims=True) - rewards) / (rewards.shape[1] - 1) - rewards

# %% exercise How much of the rise is picture? | difficulty 1 | 5 minutes
# Write `picture_part(before, after, wrong_before, wrong_after)`: a reward before and after training, and the same with
# another study's pictures. Of what the reward rose, which share do the wrong pictures *not* get? Where nothing rose:
# `math.nan`. Then put in the four numbers of your own run of section 4.

# %% hint
# Two rises: with the right pictures, and with wrong ones.

# %% stub That is the share that wrong pictures get as well
import math


def picture_part(before, after, wrong_before, wrong_after):
    rise = after - before
    return (wrong_after - wrong_before) / rise if rise else math.nan

# %% check
checks.check_picture_part(picture_part);

# %% solution
def picture_part(before, after, wrong_before, wrong_after):
    rise, wrong = after - before, wrong_after - wrong_before
    return (rise - wrong) / rise if rise else math.nan

# %% explanation
# Negative: the wrong pictures gained more than the right ones. Above 1: they lost. With a small rise the share is noise
# over noise, so look at the rise's size first.

# %% wrong A share is of the rise
def picture_part(before, after, wrong_before, wrong_after):
    return (after - before) - (wrong_after - wrong_before)

# %% wrong The gap afterwards alone
def picture_part(before, after, wrong_before, wrong_after):
    return after - wrong_after

# %% wrong raised an error: ZeroDivisionError
def picture_part(before, after, wrong_before, wrong_after):
    rise, wrong = after - before, wrong_after - wrong_before
    return (rise - wrong) / rise

# %% wrong expected 0.250. This is the rise itself
def picture_part(before, after, wrong_before, wrong_after):
    return after - before
