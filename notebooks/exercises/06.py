# Exercises of notebook 06, as README.md in this folder describes. `r2gen exercises` makes the notebooks' cells of them.

# %% notebook 06_paper_scale

# %% exercise Which modes fit 16 GB? | difficulty 1 | 10 minutes
# Write `training_gb(frozen, trained, working_gb)` in GB of 1e9 bytes.
# Frozen parameters take 2 bytes each. A trained one is kept in fp32, and so are its gradient and AdamW's two moments.
# Then put into `fitting` the modes that fit a GPU of 16 GB, for Llama-2-7b and Swin-B, without the tenth that section
# 2 leaves free. The working memory is what `training_memory` of `r2gen_lib.model.budget.memory` estimates on CUDA for two
# reports of 60 tokens, the runtime included:
#
# | mode | frozen | trained | working GB |
# |---|---:|---:|---:|
# | shallow | 6.825e9 | 4.2e6 | 1.8 |
# | delta | 6.825e9 | 5.0e6 | 2.4 |
# | deep | 6.738e9 | 91e6 | 2.7 |

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
# about delta: gradients pass through the encoder, too, whose activations are kept. One report at a time would fit. These
# are estimates: `r2gen parameters --preset iu_xray` prints them for the preset's batch, and counts the encoder in fp32.

# %% wrong What is frozen has no gradient and no moments
def training_gb(frozen, trained, working_gb):
    return 16 * (frozen + trained) / 1e9 + working_gb


fitting = set()

# %% wrong AdamW keeps two moments
def training_gb(frozen, trained, working_gb):
    return (2 * frozen + 8 * trained) / 1e9 + working_gb


fitting = {"shallow"}

# %% wrong delta needs 16.1 GB by your own function
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
