# Exercises of notebook 04, as README.md in this folder describes. `r2gen exercises` makes the notebooks' cells of them.

# %% notebook 04_delta_tuning

# %% exercise lora_forward | difficulty 2 | 15 minutes
# Write the forward pass of a LoRA layer for any number of tokens:
# the frozen layer, and beside it the correction, scaled by `alpha / rank`. Which order of the products is cheaper,
# `(B @ A) @ x` or `B @ (A @ x)`?

# %% hint
# Tokens are rows here: what is $W x$ on paper is `x @ W.T`. The rank is the number of A's rows.

# %% stub the correction is missing
def lora_forward(x, W, A, B, alpha):
    """x (..., columns), W (rows, columns), A (rank, columns), B (rows, rank) -> (..., rows)."""
    return x @ W.T  # add the correction

# %% check
checks.check_lora_forward(lora_forward);

# %% solution
def lora_forward(x, W, A, B, alpha):
    """x (..., columns), W (rows, columns), A (rank, columns), B (rows, rank) -> (..., rows)."""
    rank = A.shape[0]
    return x @ W.T + alpha / rank * (x @ A.T @ B.T)  # thin products only

# %% wrong The scale alpha / rank was forgotten
def lora_forward(x, W, A, B, alpha):
    return x @ W.T + x @ A.T @ B.T

# %% wrong alpha was not divided
def lora_forward(x, W, A, B, alpha):
    return x @ W.T + alpha * (x @ A.T @ B.T)

# %% wrong The rank is A's number of rows
def lora_forward(x, W, A, B, alpha):
    return x @ W.T + alpha / A.shape[1] * (x @ A.T @ B.T)

# %% wrong raised an error: RuntimeError
def lora_forward(x, W, A, B, alpha):
    return x @ W.T + alpha / A.shape[0] * (x @ (A @ B).T)

# %% wrong A and B are swapped
def lora_forward(x, W, A, B, alpha):
    delta = A @ B if A.shape == B.shape else B @ A
    return x @ W.T + alpha / A.shape[0] * (x @ delta.T)

# %% wrong the correction is added to it
def lora_forward(x, W, A, B, alpha):
    return alpha / A.shape[0] * (x @ A.T @ B.T)

# %% exercise Count a LoRA | difficulty 1 | 5 minutes
# How many parameters has a LoRA of rank 8 on the fused `qkv` layer of every
# block of a Swin-T: stage widths 96, 192, 384, 768 with 2, 2, 6, 2 blocks? Write it as
# `lora_parameters(rank, stages)` with `stages` a list of (width, blocks).

# %% hint
# `qkv` maps width to 3 * width. A has rank * width numbers; how many has B?

# %% stub That is A alone
def lora_parameters(rank, stages):
    return sum(rank * width * blocks for width, blocks in stages)

# %% check
checks.check_lora_parameters(lora_parameters);

# %% solution
def lora_parameters(rank, stages):
    return sum(rank * (width + 3 * width) * blocks for width, blocks in stages)

# %% explanation
# To count it in the model itself: `inject_lora(encoder, LoraConfig(rank=8))` on the meta device, and `is_lora(name)` for
# the names of the parameters (section 2).

# %% wrong 3 * width outputs, not width
def lora_parameters(rank, stages):
    return sum(rank * 2 * width * blocks for width, blocks in stages)

# %% wrong Every block has its own LoRA
def lora_parameters(rank, stages):
    return sum(rank * 4 * width for width, blocks in stages)

# %% wrong a LoRA each on q, k and v
def lora_parameters(rank, stages):
    return sum(3 * rank * 2 * width * blocks for width, blocks in stages)

# %% wrong the whole qkv matrix
def lora_parameters(rank, stages):
    return sum(3 * width * width * blocks for width, blocks in stages)

# %% exercise Merge, and check | difficulty 2 | 10 minutes
# Section 6 merged a LoRA into its layer. Write `merge(W, A, B, alpha)`: one
# matrix that does what both did. `W` itself must stay as it was (others share it), and the result keeps its dtype. How
# would you take a merge back, and what is lost in 16 bits?

# %% hint
# Make a new matrix; `+=` changes the old one. `.to(W.dtype)` comes last.

# %% stub Nothing was added
def merge(W, A, B, alpha):
    return W.clone()

# %% check
checks.check_merge(merge);

# %% solution
def merge(W, A, B, alpha):
    rank = A.shape[0]
    return (W.float() + alpha / rank * B @ A).to(W.dtype)

# %% explanation
# `merge(merged, A, B, -alpha)` takes it back. In 16 bits a correction smaller than the last digit of W is lost in the
# rounding, and taking the merge back doesn't give W again, bit for bit.

# %% wrong W itself was changed
def merge(W, A, B, alpha):
    W += (alpha / A.shape[0] * B @ A).to(W.dtype)
    return W

# %% wrong The scale alpha / rank was forgotten
def merge(W, A, B, alpha):
    return (W.float() + B @ A).to(W.dtype)

# %% wrong the merged matrix is torch.float32
def merge(W, A, B, alpha):
    return W.float() + alpha / A.shape[0] * B @ A

# %% wrong how one takes a merge back
def merge(W, A, B, alpha):
    return (W.float() - alpha / A.shape[0] * B @ A).to(W.dtype)

# %% exercise A mode for a budget | difficulty 2 | 15 minutes
# A hospital wants a model for each of its departments. Write
# `disk(mode, departments, encoder, checkpoint)` in MB: the frozen encoder is stored once where it is frozen; a checkpoint
# holds what was trained, in deep mode the whole encoder. Which mode lets all departments share one cache of features, and
# what does that save in every epoch?

# %% hint
# A checkpoint of deep mode holds the encoder. The other two modes need the frozen encoder as well, once.

# %% stub The checkpoint leaves the frozen encoder out
def disk(mode, departments, encoder, checkpoint):
    return departments * checkpoint[mode]

# %% check
checks.check_disk(disk);

# %% solution
def disk(mode, departments, encoder, checkpoint):
    shared = 0 if mode == "deep" else encoder
    return shared + departments * checkpoint[mode]

# %% explanation
# Twenty departments and an encoder of 20 MB: 38 MB in shallow mode, 44 in delta, 436 in deep. Only in shallow mode do all
# see the same features; a cache of them saves the encoder's pass over every picture, in every epoch and department.

# %% wrong it is stored once
def disk(mode, departments, encoder, checkpoint):
    return departments * (checkpoint[mode] + (0 if mode == "deep" else encoder))

# %% wrong the shared one is not needed
def disk(mode, departments, encoder, checkpoint):
    return encoder + departments * checkpoint[mode]

# %% wrong Checkpoints of all departments
def disk(mode, departments, encoder, checkpoint):
    return checkpoint[mode] + (0 if mode == "deep" else encoder)

# %% exercise Modes at equal time | difficulty 2 | 30 minutes
# Section 4 read `comparison`: every mode from three starts, at equal steps and at equal time. Runs of one seed began
# alike, so compare them one with one. Write `paired(table, at, mode)`: for each seed, the mode's `val_loss` less that of
# shallow, at the same `at`; below zero is better than shallow. Print it for delta and deep, at equal steps and at
# equal time. Where do the seeds agree in sign? Three can agree by chance: put into `seeds_needed` how many must agree
# (all better *or* all worse) before chance alone does it in less than 1 of 20 cases. Write one sentence that claims no more
# than the table shows.

# %% hint
# `table[table["at"] == at].pivot(index="seed", columns="mode", values="val_loss")` has a row a seed, a column a mode.

# %% hint
# Without a true difference each seed is a coin. What is the chance that n coins show the same side?

# %% stub A difference a seed is wanted
def paired(table, at, mode):
    return table[table["at"] == at]["val_loss"].mean()


seeds_needed = 3

# %% check
checks.check_paired(paired, seeds_needed);

# %% solution
def paired(table, at, mode):
    losses = table[table["at"] == at].pivot(index="seed", columns="mode", values="val_loss")
    return (losses[mode] - losses["shallow"]).tolist()


seeds_needed = 6  # 2 x (1/2)**6 is 0.03; five give 0.06

# %% explanation
# Means over seeds hide the pairing: two modes may overlap from seed to seed and differ in every pair, as starts move both.
# Agreement of signs needs no assumption on how losses are spread. It doesn't say that the difference is large, nor that it
# would stay with more steps, other rates or real radiographs.

# %% wrong A difference a seed is wanted
def paired(table, at, mode):
    means = table[table["at"] == at].groupby("mode")["val_loss"].mean()
    return [means[mode] - means["shallow"]]


seeds_needed = 6

# %% wrong The sign: the mode
def paired(table, at, mode):
    losses = table[table["at"] == at].pivot(index="seed", columns="mode", values="val_loss")
    return (losses["shallow"] - losses[mode]).tolist()


seeds_needed = 6

# %% wrong These are the rows of 'equal time'
def paired(table, at, mode):
    losses = table[table["at"] == "equal time"].pivot(index="seed", columns="mode", values="val_loss")
    return (losses[mode] - losses["shallow"]).tolist()


seeds_needed = 6

# %% wrong so the chance is twice as large
def paired(table, at, mode):
    losses = table[table["at"] == at].pivot(index="seed", columns="mode", values="val_loss")
    return (losses[mode] - losses["shallow"]).tolist()


seeds_needed = 5
