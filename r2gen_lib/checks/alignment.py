"""Checks of notebook 02: how many visual tokens, the splice, the gain, the mean over views, the whole mapper."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from r2gen_lib.checks.core import Wrong, ask, close, described, exercise, same_shape
from r2gen_lib.model.alignment import IGNORE, VisualMapper, splice


@exercise("02.1", "Count the tokens")
def check_visual_token_count(visual_token_count: Callable[[int, int, int], int]) -> str:
    """``visual_token_count(image, patch, stages)`` of a Swin that halves its grid after each stage but the last."""
    for image, patch, stages in ((224, 16, 2), (224, 4, 4), (384, 4, 4), (224, 16, 1)):
        side = image // patch // 2 ** (stages - 1)
        found = ask(visual_token_count, image, patch, stages)
        if found == side**2:
            continue
        slips = {
            (image // patch) ** 2: "These are the patches: the grid is halved between stages, stages - 1 times.",
            (image // patch // 2**stages) ** 2: "Off by one: the grid is not halved after the last stage.",
            side: "This is one side of the grid; the tokens are its square.",
            (image // patch) ** 2 // 2 ** (stages - 1): "Each side is halved, so that a quarter of the tokens is left.",
        }
        slip = slips.get(found, f"Patches a side: {image // patch}. How often is that halved?")
        raise Wrong(
            f"visual_token_count({image}, {patch}, {stages}) gave {described(found)}, expected {side**2}. {slip}"
        )
    return "49 tokens for the paper's Swin-B at 224 x 224, 144 at 384 x 384, and both other cases."


@exercise("02.2", "Write the splice")
def check_splice(my_splice: Callable) -> str:
    """``my_splice(embed, visual, before, after, reports)``: embeddings, attention mask and labels, padded right."""
    generator = torch.Generator().manual_seed(0)
    embed = nn.Embedding(12, 5).requires_grad_(False)
    embed.weight.copy_(torch.randn(12, 5, generator=generator))
    before, after = [1, 3], [4]
    for reports in ([[5, 6, 2], [7, 8, 2]], [[5, 6, 9, 2], [7, 2]], [[5, 2], [7, 8, 9, 10, 2], [6, 2]]):
        visual = torch.randn(len(reports), 3, 5, generator=generator)
        expected = splice(embed, visual, (before, after), reports)
        lengths = [len(report) for report in reports]
        found = ask(my_splice, embed, visual, before, after, reports, shown=f"reports of {lengths} tokens")
        if not isinstance(found, tuple | list) or len(found) != 3:
            raise Wrong(
                f"my_splice gave {described(found)}, expected three tensors: embeddings, attention mask, labels."
            )
        _compare(expected, *found, lengths, head=6)
    return "equal with the library's splice, for reports of equal and of different length."


def _compare(expected, embeddings: Tensor, mask: Tensor, labels: Tensor, lengths: list[int], head: int) -> None:
    same_shape(mask, expected.attention_mask, "the attention mask")
    same_shape(labels, expected.labels, "labels", "They cover the whole row, prompt and picture as well.")
    same_shape(embeddings, expected.inputs_embeds, "inputs_embeds")
    short, longest = lengths.index(min(lengths)), max(lengths)
    row, pad = mask[short].int().tolist(), longest - min(lengths)
    if not torch.equal(mask.long(), expected.attention_mask):
        slip = "It is 1 where something stands."
        if pad and all(row):
            slip = "The mask has 1 in the padding: the model would read it as words."
        elif pad and not any(row[:pad]):
            slip = "The padding is on the left: positions then begin with it, and each row's words get other places."
        elif sum(row) == head + min(lengths) - 1:
            slip = "The mask leaves out the last token, which ends the report; the model has to learn it."
        raise Wrong(
            f"the mask of a report of {min(lengths)} tokens is {row}, "
            f"expected {expected.attention_mask[short].tolist()}. {slip}"
        )
    if not torch.equal(labels.long(), expected.labels):
        found, wanted = labels[short].tolist(), expected.labels[short].tolist()
        slip = f"Outside the report every label is {IGNORE}."
        if found[head : head + min(lengths)] != wanted[head : head + min(lengths)]:
            slip = "Labels are not shifted here: each stands at its own token; the loss shifts them later."
        elif pad and found[-1] != IGNORE:
            slip = f"Padding counts in the loss: its label must be {IGNORE}, not {found[-1]}."
        raise Wrong(f"labels of a report of {min(lengths)} tokens are {found}, expected {wanted}. {slip}")
    stands = expected.attention_mask.bool()
    if not close(embeddings[stands], expected.inputs_embeds[stands]):
        raise Wrong(
            "inputs_embeds differ where something stands; expected before, picture, after, report, in this order."
        )


@exercise("02.3", "Match the scale")
def check_gain(gain_for: Callable[[Tensor], float]) -> str:
    """``gain_for(words)``: LayerNorm's gain that gives a visual token the norm of the median word."""
    generator = torch.Generator().manual_seed(1)
    for vocabulary, width in ((400, 16), (300, 64)):
        words = torch.randn(vocabulary, width, generator=generator) * 0.1
        words[: vocabulary // 20] *= 30  # a few words have a very large norm
        words[-vocabulary // 5 :] += 0.2
        norms = words.norm(dim=-1)
        expected = (norms.median() / width**0.5).item()
        found = ask(gain_for, words.clone(), shown=f"a table of {vocabulary} words, {width} wide")
        try:
            found = float(found)
        except (TypeError, ValueError) as error:
            raise Wrong(f"gain_for gave {described(found)}, expected one number.") from error
        if abs(found - expected) < 1e-3 * expected:
            continue
        slips = {
            words.std().item(): "This is the standard deviation of all numbers: a few words of large norm pull it up.",
            norms.median().item(): "This is the norm; a token whose numbers have size 1 has norm sqrt(width) already.",
            (norms.mean() / width**0.5).item(): "This matches the mean norm, which the words of large norm pull up.",
            (words.norm(dim=0).median() / width**0.5).item(): "Norms of columns; a word is a row (dim=-1).",
            (norms.median() / width).item(): "Divided by the width; a norm grows with its square root.",
        }
        slip = next((text for value, text in slips.items() if abs(found - value) < 1e-3 * value), "")
        raise Wrong(
            f"with {vocabulary} words, {width} wide, the gain was {found:.4f}, expected {expected:.4f}: "
            f"norm {norms.median():.3f} = gain * sqrt({width}). {slip}"
        )
    return "a token that leaves LayerNorm with this gain has the norm of the median word."


@exercise("02.4", "Two views, one set of tokens")
def check_views(tokens_of_views: Callable[[Tensor, nn.Module], Tensor]) -> str:
    """``tokens_of_views(features, mapper)``: (B, V, N, D_v) -> (B, N, D_lm), the mean over views taken first."""
    torch.manual_seed(2)
    mapper = VisualMapper(6, 8).requires_grad_(False)
    for batch, views, tokens in ((2, 2, 4), (3, 3, 3), (1, 1, 5)):
        features = torch.randn(batch, views, tokens, 6)
        expected = mapper(features.mean(dim=1))
        found = ask(tokens_of_views, features.clone(), mapper, shown=f"{views} views of {tokens} tokens")
        same_shape(found, expected, "the answer", "Axes are (B, V, N, D): the views are axis 1.")
        if close(found, expected):
            continue
        late = mapper(features).mean(dim=1)
        slip = "The mean is over axis 1."
        if close(found, late):
            slip = "The mean over views was taken after the projection: LayerNorm is not linear, and the tokens shrink."
        elif close(found, mapper(features[:, 0])):
            slip = "Only the first view was used."
        elif close(found, mapper(features.sum(dim=1))):
            slip = "Views were added up, not averaged: the projection's bias then counts too little."
        raise Wrong(
            f"tokens differ from ours by up to {(found - expected).abs().max():.3f}, expected 0; their mean norm is "
            f"{found.norm(dim=-1).mean():.3f}, ours {expected.norm(dim=-1).mean():.3f}. {slip}"
        )
    return "the views are averaged before the projection, as the paper does."


@exercise("02.5", "Build the mapper")
def check_my_mapper(my_mapper: type[nn.Module]) -> str:
    """``MyMapper(vision_width, language_width, tokens, rank, scale)`` against ``VisualMapper``, weights copied."""
    torch.manual_seed(3)
    for tokens, rank, scale in ((4, 2, 3.0), (9, 3, 0.5)):
        ours = VisualMapper(6, 8, tokens=tokens, bias=True, rank=rank, scale=scale)
        shown = f"6, 8, tokens={tokens}, rank={rank}, scale={scale}"
        theirs = ask(lambda t=tokens, r=rank, s=scale: my_mapper(6, 8, tokens=t, rank=r, scale=s), shown=shown)
        _compare_parameters(theirs, ours)
        with torch.no_grad():
            for parameter in ours.parameters():
                parameter.copy_(torch.randn_like(parameter))
            theirs.load_state_dict(ours.state_dict())
            features = torch.randn(2, tokens, 6)
            expected, found = ours(features), ask(theirs, features, shown=f"features {tuple(features.shape)}")
        same_shape(found, expected, "the answer")
        if not close(found, expected):
            slip = _mapper_slip(found, ours, features)
            apart = (found - expected).abs().max()
            raise Wrong(f"with the library's weights, tokens differ from ours by up to {apart:.2f}, expected 0. {slip}")
    return "the same tokens as VisualMapper from the same weights, for two sizes."


def _compare_parameters(theirs: nn.Module, ours: VisualMapper) -> None:
    """Raises Wrong where names, shapes or the starting values of the additions are not the library's."""
    if not isinstance(theirs, nn.Module):
        raise Wrong(f"MyMapper(...) is {described(theirs)}, expected an nn.Module.")
    found, expected = dict(theirs.named_parameters()), dict(ours.named_parameters())
    if missing := sorted(expected.keys() - found.keys()):
        raise Wrong(f"MyMapper lacks {', '.join(missing)}. Of parameters it has {', '.join(found) or 'none'}.")
    if more := sorted(found.keys() - expected.keys()):
        raise Wrong(f"MyMapper has {', '.join(more)}, which the formula has not. `A` has no bias of its own.")
    for name, parameter in expected.items():
        if found[name].shape != parameter.shape:
            raise Wrong(f"{name} is {tuple(found[name].shape)}, expected {tuple(parameter.shape)}.")
    for name in ("token_up", "token_bias"):
        if found[name].any():
            raise Wrong(f"{name} does not start at zero: an untrained mapper is to be the paper's.")


@torch.no_grad()
def _mapper_slip(found: Tensor, ours: VisualMapper, features: Tensor) -> str:
    common, bias = ours.proj(features), ours.token_bias
    own = torch.einsum("bmr,mrd->bmd", ours.down(features), ours.token_up)
    scaled = ours.token_scale * own
    slips = [
        (ours.norm(common + scaled + bias), "token_bias is added before the LayerNorm; the formula has it behind."),
        (ours.norm(common) + scaled + bias, "The projection of each place is added behind the LayerNorm."),
        (ours.norm(common + own) + bias, "The scale is not used."),
        (ours.norm(common) + bias, "The projection of each place, B_j A x, is missing."),
        (ours.norm(common + scaled), "The vector of each place, token_bias, is missing."),
    ]
    return next((text for tokens, text in slips if close(found, tokens)), "Compare each part with the formula.")
