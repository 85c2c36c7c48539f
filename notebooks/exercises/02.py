# Exercises of notebook 02, as README.md in this folder describes. `r2gen exercises` makes the notebooks' cells of them.

# %% notebook 02_visual_alignment

# %% setup
import torch

# %% exercise Count the tokens | difficulty 1 | 5 minutes
# Write `visual_token_count(image, patch, stages)` for a Swin that
# halves its grid after each stage but the last. The paper's Swin-B has patches of 4 and four stages: how many tokens does
# a picture of 224 × 224 give? Of 384 × 384? The cell below knows one case only.

# %% hint
# Patches on one side first; then halve that as often as stages follow each other; square last.

# %% stub gave 49, expected 144
def visual_token_count(image, patch, stages):
    return 49

# %% check
checks.check_visual_token_count(visual_token_count);

# %% solution
def visual_token_count(image, patch, stages):
    side = image // patch // 2 ** (stages - 1)
    return side * side

# %% wrong Off by one
def visual_token_count(image, patch, stages):
    return (image // patch // 2**stages) ** 2

# %% wrong These are the patches
def visual_token_count(image, patch, stages):
    return (image // patch) ** 2

# %% wrong This is one side of the grid
def visual_token_count(image, patch, stages):
    return image // patch // 2 ** (stages - 1)

# %% wrong Each side is halved
def visual_token_count(image, patch, stages):
    return (image // patch) ** 2 // 2 ** (stages - 1)

# %% exercise Write the splice | difficulty 3 | 20 minutes
# `my_splice` below joins rows of *equal* length and returns neither mask
# nor labels. Extend it to reports of different length: pad on the right, and return embeddings, attention mask and labels
# (-100 wherever nothing is to be learnt; not shifted). `before`, `after` and each report are lists of token ids. What goes
# wrong if you pad on the left and leave the positions as they are?

# %% hint
# The head (before, picture, after) is equally long in every row. Only the reports differ: start from tensors of zeros, of
# zeros and of -100, as long as the longest row, and fill in each row's beginning.

# %% hint
# `embed.weight.new_zeros(rows, longest, width)` and `torch.full((rows, longest), -100)`. A row ends at
# `head + len(report)`; the report's last token is its end and is learnt as well.

# %% stub expected three tensors
def my_splice(embed, visual, before, after, reports):
    pairs = zip(visual, reports, strict=True)
    return torch.stack([torch.cat([embed.weight[before], v, embed.weight[after], embed.weight[r]]) for v, r in pairs])

# %% check
checks.check_splice(my_splice);

# %% solution
def my_splice(embed, visual, before, after, reports):
    head = len(before) + visual.shape[1] + len(after)
    rows, longest = len(reports), head + max(map(len, reports))
    embeddings = embed.weight.new_zeros(rows, longest, embed.weight.shape[1])  # (B, L, D_lm)
    mask = torch.zeros(rows, longest, dtype=torch.long)
    labels = torch.full((rows, longest), -100)
    for row, (tokens, report) in enumerate(zip(visual, reports, strict=True)):
        end = head + len(report)
        parts = [embed.weight[before], tokens, embed.weight[after], embed.weight[report]]
        embeddings[row, :end] = torch.cat(parts)
        mask[row, :end] = 1
        labels[row, head:end] = torch.tensor(report)
    return embeddings, mask, labels

# %% explanation
# Padded on the left, the first word of a short report gets another position than in training by itself: positions count
# from the row's beginning. Generation libraries pad left, and correct the positions from the mask.

# %% wrong Padding counts in the loss
def my_splice(embed, visual, before, after, reports):
    head = len(before) + visual.shape[1] + len(after)
    rows, longest = len(reports), head + max(map(len, reports))
    embeddings = embed.weight.new_zeros(rows, longest, embed.weight.shape[1])
    mask = torch.zeros(rows, longest, dtype=torch.long)
    labels = torch.zeros(rows, longest, dtype=torch.long)
    labels[:, :head] = -100
    for row, (tokens, report) in enumerate(zip(visual, reports)):
        end = head + len(report)
        embeddings[row, :end] = torch.cat([embed.weight[before], tokens, embed.weight[after], embed.weight[report]])
        mask[row, :end] = 1
        labels[row, head:end] = torch.tensor(report)
    return embeddings, mask, labels

# %% wrong the model would read it as words
def my_splice(embed, visual, before, after, reports):
    head = len(before) + visual.shape[1] + len(after)
    rows, longest = len(reports), head + max(map(len, reports))
    embeddings = embed.weight.new_zeros(rows, longest, embed.weight.shape[1])
    labels = torch.full((rows, longest), -100)
    for row, (tokens, report) in enumerate(zip(visual, reports)):
        end = head + len(report)
        embeddings[row, :end] = torch.cat([embed.weight[before], tokens, embed.weight[after], embed.weight[report]])
        labels[row, head:end] = torch.tensor(report)
    return embeddings, torch.ones(rows, longest, dtype=torch.long), labels

# %% wrong The mask leaves out the last token
def my_splice(embed, visual, before, after, reports):
    head = len(before) + visual.shape[1] + len(after)
    rows, longest = len(reports), head + max(map(len, reports))
    embeddings = embed.weight.new_zeros(rows, longest, embed.weight.shape[1])
    mask = torch.zeros(rows, longest, dtype=torch.long)
    labels = torch.full((rows, longest), -100)
    for row, (tokens, report) in enumerate(zip(visual, reports)):
        end = head + len(report)
        embeddings[row, :end] = torch.cat([embed.weight[before], tokens, embed.weight[after], embed.weight[report]])
        mask[row, : end - 1] = 1
        labels[row, head:end] = torch.tensor(report)
    return embeddings, mask, labels

# %% wrong The padding is on the left
def my_splice(embed, visual, before, after, reports):
    head = len(before) + visual.shape[1] + len(after)
    rows, longest = len(reports), head + max(map(len, reports))
    embeddings = embed.weight.new_zeros(rows, longest, embed.weight.shape[1])
    mask = torch.zeros(rows, longest, dtype=torch.long)
    labels = torch.full((rows, longest), -100)
    for row, (tokens, report) in enumerate(zip(visual, reports)):
        start = longest - head - len(report)
        embeddings[row, start:] = torch.cat([embed.weight[before], tokens, embed.weight[after], embed.weight[report]])
        mask[row, start:] = 1
        labels[row, start + head :] = torch.tensor(report)
    return embeddings, mask, labels

# %% wrong Labels are not shifted here
def my_splice(embed, visual, before, after, reports):
    head = len(before) + visual.shape[1] + len(after)
    rows, longest = len(reports), head + max(map(len, reports))
    embeddings = embed.weight.new_zeros(rows, longest, embed.weight.shape[1])
    mask = torch.zeros(rows, longest, dtype=torch.long)
    labels = torch.full((rows, longest), -100)
    for row, (tokens, report) in enumerate(zip(visual, reports)):
        end = head + len(report)
        embeddings[row, :end] = torch.cat([embed.weight[before], tokens, embed.weight[after], embed.weight[report]])
        mask[row, :end] = 1
        labels[row, head - 1 : end - 1] = torch.tensor(report)
    return embeddings, mask, labels

# %% exercise Match the scale | difficulty 2 | 10 minutes
# The gain that gives an untrained token the norm of a word was set to
# the *standard deviation* of all embeddings. Is that the same as matching the norm of a typical word? Write
# `gain_for(words)`: the gain with which an untrained token has exactly the *median* norm of the rows of `words`. Then use
# it on the language model's `words` and say why the two differ. Which words are the outliers?

# %% hint
# LayerNorm gives every number of a token the size 1 on average, times the gain. What is then the norm of `width` numbers?

# %% stub a few words of large norm pull it up
def gain_for(words):
    return words.std().item()

# %% check
checks.check_gain(gain_for);

# %% solution
def gain_for(words):
    return (words.norm(dim=-1).median() / words.shape[1] ** 0.5).item()

# %% explanation
# The standard deviation weighs squares, so that rare tokens with a large norm count for much; it also takes the mean of
# all numbers off, where the norm does not. `words.norm(dim=-1).topk(10)` shows the largest.

# %% wrong This is the norm
def gain_for(words):
    return words.norm(dim=-1).median().item()

# %% wrong This matches the mean norm
def gain_for(words):
    return (words.norm(dim=-1).mean() / words.shape[1] ** 0.5).item()

# %% wrong a norm grows with its square root
def gain_for(words):
    return (words.norm(dim=-1).median() / words.shape[1]).item()

# %% wrong a word is a row
def gain_for(words):
    return (words.norm(dim=0).median() / words.shape[1] ** 0.5).item()

# %% exercise Two views, one set of tokens | difficulty 2 | 10 minutes
# Section 1 averages the features of both views before the
# mapper. Write that as `tokens_of_views(features, mapper)`, for any number of views: from `(B, V, N, D_v)` to
# `(B, N, D_lm)`. In which layer of the mapper does the order begin to matter?

# %% hint
# The views are axis 1. A linear layer commutes with a mean; LayerNorm does not.

# %% stub Only the first view was used
def tokens_of_views(features, mapper):
    return mapper(features[:, 0])

# %% check
checks.check_views(tokens_of_views);

# %% solution
def tokens_of_views(features, mapper):
    return mapper(features.mean(dim=1))

# %% wrong taken after the projection
def tokens_of_views(features, mapper):
    return mapper(features).mean(dim=1)

# %% wrong Views were added up
def tokens_of_views(features, mapper):
    return mapper(features.sum(dim=1))

# %% wrong the views are axis 1
def tokens_of_views(features, mapper):
    return mapper(features.mean(dim=2))
