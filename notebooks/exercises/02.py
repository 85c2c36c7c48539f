# Exercises of notebook 02, as README.md in this folder describes. `r2gen exercises` makes the notebooks' cells of them.

# %% notebook 02_visual_alignment

# %% setup
import torch
from torch import nn

from r2gen_lib.model.alignment import VisualMapper

# %% exercise Count the tokens | difficulty 1 | importance 2 | 5 minutes
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

# %% exercise Write the splice | difficulty 3 | importance 3 | 20 minutes
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

# %% exercise Match the scale | difficulty 2 | importance 1 | 10 minutes
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

# %% exercise Two views, one set of tokens | difficulty 2 | importance 2 | 10 minutes
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

# %% exercise Build the mapper | difficulty 3 | importance 3 | 40 minutes
# Write the whole mapper of section 2 as a module, from its formula:
#
# $$\text{token}_j = \text{LayerNorm}(W x_j + b + s\, B_j A x_j) + t_j$$
#
# `MyMapper(vision_width, language_width, tokens, rank, scale)` takes features `(B, tokens, vision_width)` and gives
# `(B, tokens, language_width)`. Call the parameters as the library does, so that weights can be copied: `proj` (`W` and
# `b`), `norm`, `down` (`A`, a linear layer without a bias), `token_up` (all `B_j`: tokens × rank × language_width, zeros
# at the start), `token_bias` (all `t_j`: tokens × language_width, zeros at the start). The class below is the paper's
# mapper. When the check says *Right*, three mappers are trained on a toy: a bright spot lies at one of two places, and a
# frozen reader that only *averages* the tokens has to say at which.

# %% guess
# Guessing costs a loss of log 2 = 0.693. Which loss will the paper's mapper reach on the toy, which the paper's with a
# vector for each place, and which yours?

# %% hint
# `nn.Parameter(torch.zeros(tokens, rank, language_width))` is a parameter. Of `x` with `(B, M, r)` and `B_j` with
# `(M, r, D)`, `torch.einsum("bmr,mrd->bmd", x, up)` makes `(B, M, D)`: each place has its own matrix.

# %% hint
# Both additions have their place in the formula: the projection *inside* the LayerNorm, the vector behind it.

# %% given
def loss_on_toy(mapper, steps=150):
    generator = torch.Generator().manual_seed(0)
    spot = 0.1 * torch.randn(32, 4, 6, generator=generator)
    spot[:, 0] += 1.0  # a bright spot at place 0
    features = torch.cat([spot, spot.flip(1)])  # and the same pictures with the spot at place 3
    place = torch.cat([torch.zeros(32), torch.ones(32)])
    reader = torch.randn(8, generator=generator)  # frozen; it sees only the mean of the tokens
    optimiser = torch.optim.Adam(mapper.parameters(), lr=1e-2)
    for _ in range(steps):
        loss = nn.functional.binary_cross_entropy_with_logits(mapper(features).mean(dim=1) @ reader, place)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return loss.item()

# %% stub lacks down.weight, token_bias, token_up
class MyMapper(nn.Module):
    def __init__(self, vision_width, language_width, tokens, rank, scale):
        super().__init__()
        self.proj = nn.Linear(vision_width, language_width)
        self.norm = nn.LayerNorm(language_width)

    def forward(self, features):
        return self.norm(self.proj(features))

# %% check
if checks.check_my_mapper(MyMapper):
    torch.manual_seed(0)
    print("guessing                    loss 0.693")
    print(f"the paper's mapper          loss {loss_on_toy(VisualMapper(6, 8)):.3f}")
    print(f"and a vector for each place loss {loss_on_toy(VisualMapper(6, 8, tokens=4, bias=True)):.3f}")
    print(f"yours                       loss {loss_on_toy(MyMapper(6, 8, tokens=4, rank=2, scale=4.0)):.3f}")

# %% solution
class MyMapper(nn.Module):
    def __init__(self, vision_width, language_width, tokens, rank, scale):
        super().__init__()
        self.proj = nn.Linear(vision_width, language_width)
        self.norm = nn.LayerNorm(language_width)
        self.down = nn.Linear(vision_width, rank, bias=False)
        self.token_up = nn.Parameter(torch.zeros(tokens, rank, language_width))
        self.token_bias = nn.Parameter(torch.zeros(tokens, language_width))
        self.scale = scale

    def forward(self, features):
        own = torch.einsum("bmr,mrd->bmd", self.down(features), self.token_up)
        return self.norm(self.proj(features) + self.scale * own) + self.token_bias

# %% why
# *Why?* Why does the vector for each place not help on the toy, and the projection for each place does? And why is the
# paper's mapper less blind in the real system than in this toy?

# %% explanation
# The paper's mapper treats every place alike, so that the mean of its tokens is the same wherever the spot lies: no
# training can bring the loss below log 2. A vector for each place is added whatever is seen there; in the mean it is one
# constant. Only `B_j` makes what is *seen* at a place count otherwise than elsewhere. The real reader is no average: the
# language model knows the positions of its tokens, and the encoder's vectors hold some of their surroundings. What the
# additions bring there has to be measured; notebook 03 trains without them.

# %% wrong token_up does not start at zero
class MyMapper(nn.Module):
    def __init__(self, vision_width, language_width, tokens, rank, scale):
        super().__init__()
        self.proj, self.norm = nn.Linear(vision_width, language_width), nn.LayerNorm(language_width)
        self.down, self.scale = nn.Linear(vision_width, rank, bias=False), scale
        self.token_up = nn.Parameter(torch.randn(tokens, rank, language_width))
        self.token_bias = nn.Parameter(torch.zeros(tokens, language_width))

    def forward(self, features):
        own = torch.einsum("bmr,mrd->bmd", self.down(features), self.token_up)
        return self.norm(self.proj(features) + self.scale * own) + self.token_bias

# %% wrong token_bias is added before the LayerNorm
class MyMapper(nn.Module):
    def __init__(self, vision_width, language_width, tokens, rank, scale):
        super().__init__()
        self.proj, self.norm = nn.Linear(vision_width, language_width), nn.LayerNorm(language_width)
        self.down, self.scale = nn.Linear(vision_width, rank, bias=False), scale
        self.token_up = nn.Parameter(torch.zeros(tokens, rank, language_width))
        self.token_bias = nn.Parameter(torch.zeros(tokens, language_width))

    def forward(self, features):
        own = torch.einsum("bmr,mrd->bmd", self.down(features), self.token_up)
        return self.norm(self.proj(features) + self.scale * own + self.token_bias)

# %% wrong The projection of each place is added behind the LayerNorm
class MyMapper(nn.Module):
    def __init__(self, vision_width, language_width, tokens, rank, scale):
        super().__init__()
        self.proj, self.norm = nn.Linear(vision_width, language_width), nn.LayerNorm(language_width)
        self.down, self.scale = nn.Linear(vision_width, rank, bias=False), scale
        self.token_up = nn.Parameter(torch.zeros(tokens, rank, language_width))
        self.token_bias = nn.Parameter(torch.zeros(tokens, language_width))

    def forward(self, features):
        own = torch.einsum("bmr,mrd->bmd", self.down(features), self.token_up)
        return self.norm(self.proj(features)) + self.scale * own + self.token_bias

# %% wrong The scale is not used
class MyMapper(nn.Module):
    def __init__(self, vision_width, language_width, tokens, rank, scale):
        super().__init__()
        self.proj, self.norm = nn.Linear(vision_width, language_width), nn.LayerNorm(language_width)
        self.down = nn.Linear(vision_width, rank, bias=False)
        self.token_up = nn.Parameter(torch.zeros(tokens, rank, language_width))
        self.token_bias = nn.Parameter(torch.zeros(tokens, language_width))

    def forward(self, features):
        own = torch.einsum("bmr,mrd->bmd", self.down(features), self.token_up)
        return self.norm(self.proj(features) + own) + self.token_bias

# %% wrong token_up is (2, 8), expected (4, 2, 8)
class MyMapper(nn.Module):
    def __init__(self, vision_width, language_width, tokens, rank, scale):
        super().__init__()
        self.proj, self.norm = nn.Linear(vision_width, language_width), nn.LayerNorm(language_width)
        self.down, self.scale = nn.Linear(vision_width, rank, bias=False), scale
        self.token_up = nn.Parameter(torch.zeros(rank, language_width))
        self.token_bias = nn.Parameter(torch.zeros(tokens, language_width))

    def forward(self, features):
        return self.norm(self.proj(features) + self.scale * self.down(features) @ self.token_up) + self.token_bias
