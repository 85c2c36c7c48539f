# Exercises of notebook 03, as README.md in this folder describes. `r2gen exercises` makes the notebooks' cells of them.

# %% notebook 03_frozen_llm_training

# %% setup
import torch

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
