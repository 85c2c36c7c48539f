# Exercises of notebook 06, as README.md in this folder describes. `r2gen exercises` makes the notebooks' cells of them.

# %% notebook 06_paper_scale

# %% exercise Which modes fit 24 GB? | difficulty 1 | 10 minutes
# Write `training_gb(frozen, trained, working_gb)` in GB of 1e9 bytes.
# Frozen parameters take 2 bytes each. A trained one is kept in fp32, and so are its gradient and AdamW's two moments.
# Then put into `fitting` the modes that fit a GPU of 24 GB with a tenth of it left free, for Llama-2-7b and Swin-B. The
# working memory is what section 1 estimates for eight reports of 60 tokens, the runtime included:
#
# | mode | frozen | trained | working GB |
# |---|---:|---:|---:|
# | shallow | 6.825e9 | 4.2e6 | 5.4 |
# | delta | 6.825e9 | 5.0e6 | 7.9 |
# | deep | 6.738e9 | 91e6 | 9.0 |

# %% hint
# A trained parameter is four numbers of 4 bytes: weight, gradient, first and second moment.

# %% stub Gradient and AdamW's two moments of what is trained are missing
def training_gb(frozen, trained, working_gb):
    return (2 * frozen + 4 * trained) / 1e9 + working_gb


fitting = {"shallow", "delta", "deep"}

# %% check
checks.check_training_gb(training_gb, fitting);

# %% solution
def training_gb(frozen, trained, working_gb):
    return (2 * frozen + 16 * trained) / 1e9 + working_gb


fitting = {"shallow"}

# %% explanation
# The frozen part alone takes 13.7 GB; what trains takes 0.07, 0.08 and 1.5 GB. So it is the working memory that decides
# about delta: gradients pass through the encoder, too, whose activations are kept. It needs 21.63 GB, and 21.60 are
# allowed. These are estimates, and the tenth is there because they can be too low: section 4 has by how much they were.

# %% wrong What is frozen has no gradient and no moments
def training_gb(frozen, trained, working_gb):
    return 16 * (frozen + trained) / 1e9 + working_gb


fitting = set()

# %% wrong AdamW keeps two moments
def training_gb(frozen, trained, working_gb):
    return (2 * frozen + 8 * trained) / 1e9 + working_gb


fitting = {"shallow"}

# %% wrong delta needs 21.63 GB by your own function
def training_gb(frozen, trained, working_gb):
    return (2 * frozen + 16 * trained) / 1e9 + working_gb


fitting = {"shallow", "delta"}

# %% wrong A GB is 1e9 bytes here
def training_gb(frozen, trained, working_gb):
    return (2 * frozen + 16 * trained + working_gb * 1e9) / 2**30


fitting = {"shallow"}

# %% wrong The working memory
def training_gb(frozen, trained, working_gb):
    return (2 * frozen + 16 * trained) / 1e9


fitting = {"shallow", "delta"}

# %% exercise Tokens a second, hours | difficulty 1 | 10 minutes
# You measured how many tokens a second your GPU trains on. Write
# `hours(studies, epochs, tokens_a_study, tokens_a_second)`. Prompt, picture and report all count as tokens of a study.

# %% hint
# All tokens, over tokens a second, are seconds.

# %% stub These are seconds
def hours(studies, epochs, tokens_a_study, tokens_a_second):
    return studies * epochs * tokens_a_study / tokens_a_second

# %% check
checks.check_hours(hours);

# %% solution
def hours(studies, epochs, tokens_a_study, tokens_a_second):
    return studies * epochs * tokens_a_study / tokens_a_second / 3600

# %% wrong the hours of one epoch
def hours(studies, epochs, tokens_a_study, tokens_a_second):
    return studies * tokens_a_study / tokens_a_second / 3600

# %% wrong a faster GPU needs less time
def hours(studies, epochs, tokens_a_study, tokens_a_second):
    return studies * epochs * tokens_a_study * tokens_a_second / 3600

# %% wrong These are minutes
def hours(studies, epochs, tokens_a_study, tokens_a_second):
    return studies * epochs * tokens_a_study / tokens_a_second / 60

# %% exercise Steps on several GPUs | difficulty 1 | 5 minutes
# Write `optimizer_steps(studies, per_gpu, gpus, accumulate)`: how often the
# optimiser moves in one epoch, if each GPU takes `per_gpu` studies at a time and gradients of `accumulate` such batches
# are added up first. The last step may be smaller. What becomes of the warm-up when you go from one GPU to two?

# %% hint
# How many studies does one step see? `math.ceil` rounds up.

# %% stub one GPU without accumulation
import math


def optimizer_steps(studies, per_gpu, gpus, accumulate):
    return math.ceil(studies / per_gpu)

# %% check
checks.check_optimizer_steps(optimizer_steps);

# %% solution
import math


def optimizer_steps(studies, per_gpu, gpus, accumulate):
    return math.ceil(studies / (per_gpu * gpus * accumulate))

# %% explanation
# Twice the GPUs make half as many steps. A warm-up counted in steps then lasts twice as many studies; rates and warm-up
# that were found on one GPU need a second look.

# %% wrong and counts: round up
def optimizer_steps(studies, per_gpu, gpus, accumulate):
    return studies // (per_gpu * gpus * accumulate)

# %% wrong GPUs work at the same time
def optimizer_steps(studies, per_gpu, gpus, accumulate):
    return -(-studies // (per_gpu * accumulate))

# %% wrong Accumulated batches make one step
def optimizer_steps(studies, per_gpu, gpus, accumulate):
    return -(-studies // (per_gpu * gpus))

# %% exercise Predict, then measure | difficulty 2 | 30 minutes
# How long does a step of the toy take with a batch of 32? *Predict* it before you measure it, as one does before renting a
# GPU. `step_seconds(batch)` below takes steps of that batch, returns the quickest and keeps it in `record`. Measure batches
# 8 and 16. They make a line: what every step costs, and what each report adds. Append your prediction,
# `record.append(("predicted", 32, seconds))`, then measure 32. Write into `why` a sentence: why does twice the batch not
# take twice the time? On a GPU, from where on would you expect that it does?

# %% hint
# With times `a` of 8 and `b` of 16, a report adds `(b - a) / 8`.

# %% given
import time

import torch

from r2gen_lib.model.toy import toy_model

record, toy = [], toy_model().train()
features = torch.randn(1, 16, 16)  # the toy's encoder gives 16 tokens of 16 numbers


def step_seconds(batch, rounds=5):
    """Seconds of a step of the toy: the quickest of some, after one that prepares things."""
    found = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        toy(features=features.expand(batch, -1, -1), reports=["The lungs are clear."] * batch).loss.backward()
        found.append(time.perf_counter() - start)
    record.append(("measured", batch, min(found[1:])))
    return record[-1][2]

# %% stub there is no prediction
small, large = step_seconds(8), step_seconds(16)
# record.append(("predicted", 32, ...))
# step_seconds(32)
why = ""

# %% check
checks.check_prediction(record, why);

# %% solution
small, large = step_seconds(8), step_seconds(16)
each = (large - small) / 8
record.append(("predicted", 32, large + 16 * each))
step_seconds(32)
why = "Every step pays once for starting its operations, and only the rest grows with the number of reports."

# %% explanation
# In a system as small as the toy, most of a step is Python and the start of each operation, so that a report more adds
# little. A GPU has more arithmetic units than a small batch can fill: there a larger batch is nearly free until they are
# all at work, and from there on twice the batch takes twice the time. If your prediction was far off, look for what the
# line left out: other programs, memory that a larger batch no longer finds in the cache, or batches too near each other.

# %% wrong was measured before the prediction
small, large, target = step_seconds(8), step_seconds(16), step_seconds(32)
record.append(("predicted", 32, target))
why = "Every step pays once for starting its operations, and only the rest grows with the number of reports."

# %% wrong nothing of a batch of 32 was measured
small, large = step_seconds(8), step_seconds(16)
record.append(("predicted", 32, 3 * large - 2 * small))
why = "Every step pays once for starting its operations, and only the rest grows with the number of reports."

# %% wrong expected two: (8, 16)
record.append(("predicted", 32, 4 * step_seconds(8)))
step_seconds(32)
why = "Every step pays once for starting its operations, and only the rest grows with the number of reports."

# %% wrong Two points make a line
step_seconds(8), step_seconds(16)
record.append(("predicted", 32, 100.0))
step_seconds(32)
why = "Every step pays once for starting its operations, and only the rest grows with the number of reports."

# %% wrong your reason has 2 words
small, large = step_seconds(8), step_seconds(16)
record.append(("predicted", 32, 3 * large - 2 * small))
step_seconds(32)
why = "it grows"
