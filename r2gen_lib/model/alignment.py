# ruff: noqa: F722
"""Where pictures meet words: the visual mapper, and the splice of visual tokens into the prompt."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from r2gen_lib.config import PromptConfig
from r2gen_lib.errors import DataError, R2GenError

IGNORE = -100  # the label of a position that has no loss


class VisualMapper(nn.Module):
    """``Linear(D_v -> D_lm)`` then ``LayerNorm(D_lm)``: all that shallow mode trains, and two additions of ours.

    Args:
        start_gain: what the LayerNorm's gain starts at. 1 is the paper's; the standard deviation of the
            word embeddings gives an untrained visual token a word's norm.
        pool: side of the token grid that is passed on (None: all tokens); neighbours are averaged.
        tokens: how many tokens are passed on; needed where each has parameters of its own (``bias``, ``rank``).
        bias: each token has a learned vector of its own, added last and starting at 0. The projection's bias is the
            same for every token, so that without these the mapper can only say "write a report" once for each token
            in the same words. Off, as in the paper: none.
        rank: of a projection that each token has of its own, added to the common one before the norm: ``B_j A x``, with
            one ``A (rank, D_v)`` for all and ``B_j (D_lm, rank)`` starting at 0, as in LoRA. A bright spot at the heart
            and one at the lung's base then become different words. 0, as in the paper: none.
        scale: what that projection is multiplied by, LoRA's ``alpha / rank``: more than 1 and it learns faster than
            the common one.

    Raises:
        R2GenError: each token is to have parameters of its own, and ``tokens`` is not given.

    Source: arXiv 2309.09812, section 2.1; ``bias`` is ours, as in prompt tuning (Lester et al. 2021), and so is
    ``rank``.
    """

    def __init__(
        self,
        vision_width: int,
        language_width: int,
        start_gain: float = 1.0,
        pool: int | None = None,
        tokens: int | None = None,
        bias: bool = False,
        rank: int = 0,
        scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.proj = nn.Linear(vision_width, language_width)
        self.norm = nn.LayerNorm(language_width)
        nn.init.constant_(self.norm.weight, start_gain)
        self.pool = pool
        if tokens is None and (bias or rank):
            raise R2GenError("VisualMapper: bias and rank need tokens, the number of visual tokens.")
        self.token_bias = nn.Parameter(torch.zeros(tokens, language_width)) if bias else None
        self.token_scale = scale
        self.down = nn.Linear(vision_width, rank, bias=False) if rank else None
        self.token_up = nn.Parameter(torch.zeros(tokens, rank, language_width)) if rank else None

    def forward(self, features: Float[Tensor, "B N D_v"]) -> Float[Tensor, "B M D_lm"]:
        """Visual tokens in the LLM's embedding space; ``M`` is ``N``, or ``pool * pool``."""
        pooled = pool_tokens(features, self.pool)  # (B, M, D_v)
        projected = self.proj(pooled)  # (B, M, D_lm)
        if self.down is not None:
            own = torch.einsum("bmr,mrd->bmd", self.down(pooled), self.token_up)
            projected = projected + self.token_scale * own
        tokens = self.norm(projected)
        return tokens if self.token_bias is None else tokens + self.token_bias


def pool_tokens(features: Float[Tensor, "B N D_v"], side: int | None) -> Float[Tensor, "B M D_v"]:
    """Average a square grid of tokens down to ``side * side``; None returns ``features`` as they are."""
    if side is None:
        return features
    grid = math.isqrt(features.shape[1])
    if grid * grid != features.shape[1] or not 0 < side <= grid:
        raise R2GenError(
            f"mapper.pool: found {side} for {features.shape[1]} visual tokens, expected a side "
            "between 1 and that of a square grid. Use None to pass every token on."
        )
    square = features.transpose(1, 2).unflatten(2, (grid, grid))  # (B, D_v, g, g)
    return nn.functional.adaptive_avg_pool2d(square, side).flatten(2).transpose(1, 2)  # (B, side*side, D_v)


@dataclass(frozen=True)
class Splice:
    """One batch as the LLM reads it. ``L`` is the longest row: prompt, visual tokens, prompt, report.

    Attributes:
        inputs_embeds: ``(B, L, D_lm)``, padded on the right with zeros.
        attention_mask: ``(B, L)``, 1 where something stands, 0 in the padding.
        labels: ``(B, L)``, token ids of the report and its end; -100 elsewhere. Not yet shifted.
    """

    inputs_embeds: Float[Tensor, "B L D_lm"]
    attention_mask: Int[Tensor, "B L"]
    labels: Int[Tensor, "B L"]

    @property
    def predicts_report(self) -> Bool[Tensor, "B L-1"]:
        """The positions whose *next* token counts in the loss."""
        return self.labels[:, 1:] != IGNORE

    def rows(self, chosen: slice | Int[Tensor, " n"]) -> Splice:
        """These studies alone."""
        return Splice(self.inputs_embeds[chosen], self.attention_mask[chosen], self.labels[chosen])

    def without_loss_on(self, token: int) -> Splice:
        """The same batch, with no loss where that token is to be written; it is still read."""
        return replace(self, labels=self.labels.masked_fill(self.labels == token, IGNORE))


def prompt_ids(tokenizer: PreTrainedTokenizerBase, prompt: PromptConfig) -> tuple[list[int], list[int]]:
    """Token ids before and after the picture.

    The tokenizer's beginning-of-sequence token comes first, unless the prompt's own words start with it (as
    SmolLM2's chat format does) or there is none. With ``prompt.chat`` the chat template decides that too.

    Raises:
        R2GenError: there is no chat template, or it does not keep the user's words.
    """
    words = _chat(tokenizer, prompt) if prompt.chat else (prompt.before_image, prompt.after_image)
    before, after = (tokenizer(text, add_special_tokens=False).input_ids for text in words)
    bos = tokenizer.bos_token_id
    needed = bos is not None and not prompt.chat and before[:1] != [bos]
    return ([bos] if needed else []) + before, after


def question_ids(tokenizer: PreTrainedTokenizerBase, prompt: PromptConfig, question: str) -> list[int]:
    """Token ids of what stands after the picture where ``question`` is asked in place of the preset's instruction.

    Raises:
        R2GenError: the question is empty, or the prompt has no place for one.
    """
    if not question.strip():
        raise R2GenError("question: found none, expected a sentence such as 'Is there a pleural effusion?'.")
    if prompt.chat or "{question}" not in prompt.question:
        raise R2GenError(
            f"PromptConfig.question: found {prompt.question!r}{' with chat=True' * prompt.chat}, expected the words "
            "around a question, with {question} in its place and chat=False. A model that was trained without "
            "questions, such as laptop-shallow, can't be asked: take laptop-ask, or train one with "
            "r2gen train --questions."
        )
    text = prompt.question.replace("{question}", question.strip())
    return tokenizer(text, add_special_tokens=False).input_ids


def end_ids(tokenizer: PreTrainedTokenizerBase, prompt: PromptConfig) -> list[int]:
    """The tokens that end a report, that of the training text first.

    It is the tokenizer's end of sequence; with ``prompt.chat`` it is what the chat template ends an answer with
    (Gemma: ``<end_of_turn>``), if that is another.

    Raises:
        R2GenError: the tokenizer has no such token, so that no report would end.
    """
    ends = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    if prompt.chat:
        closing = tokenizer(_chat(tokenizer, prompt, answered=True)[1], add_special_tokens=False).input_ids
        special = set(tokenizer.added_tokens_decoder) | set(tokenizer.all_special_ids)
        ends = [token for token in closing if token in special][:1] + ends
    if not ends:
        raise R2GenError(
            f"tokenizer of {tokenizer.name_or_path}: eos_token is not set, expected the token that ends a text. "
            "Set it in the model folder's tokenizer_config.json."
        )
    return list(dict.fromkeys(ends))


_PLACE = "\ufffc"  # Unicode's object replacement character: stands for what is no text


def _chat(tokenizer: PreTrainedTokenizerBase, prompt: PromptConfig, answered: bool = False) -> tuple[str, str]:
    """What the chat template writes before and after the picture, or (``answered``) before and after the report."""
    question = prompt.before_image + ("" if answered else _PLACE) + prompt.after_image
    messages = [{"role": "user", "content": question}] + [{"role": "assistant", "content": _PLACE}] * answered
    try:
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=not answered)
    except Exception as error:  # no template, or one that refuses: jinja2 and transformers raise many kinds
        raise R2GenError(
            f"PromptConfig.chat: the chat template of {tokenizer.name_or_path} cannot be used ({error}). Write the "
            "model's format into before_image and after_image instead, with chat=False."
        ) from error
    if text.count(_PLACE) != 1:
        raise R2GenError(
            f"PromptConfig.chat: the chat template of {tokenizer.name_or_path} wrote the message {text.count(_PLACE)} "
            "times, expected once. Write the model's format into before_image and after_image, with chat=False."
        )
    before, _, after = text.partition(_PLACE)
    return before, after


def report_ids(
    tokenizer: PreTrainedTokenizerBase, reports: Sequence[str], max_tokens: int, end: int | None = None
) -> list[list[int]]:
    """Token ids of each report and its end token, at most ``max_tokens``. Of a model: ``R2GenGPT.report_ids``.

    A report that is cut keeps no end token: its end was not there to be learnt (the original does the same).

    Args:
        end: the token that ends a report, the first of ``end_ids``. It may be left out where there is but one: no chat
            template ends an answer with another token than the tokenizer's end of sequence.

    Raises:
        DataError: a report is empty.
        R2GenError: ``end`` is left out, and which token it is depends on the prompt, or there is none.
    """
    if end is None:
        end = _only_end(tokenizer)
    for row, report in enumerate(reports):
        if not report.strip():
            raise DataError(f"report {row} of the batch is empty: there is nothing to learn. Leave the study out.")
    ids = tokenizer(list(reports), add_special_tokens=False).input_ids
    return [(row + [end])[:max_tokens] for row in ids]


def _only_end(tokenizer: PreTrainedTokenizerBase) -> int:
    """The token that ends a report whatever the prompt is."""
    (end,) = end_ids(tokenizer, PromptConfig("", ""))
    if tokenizer.chat_template:
        try:
            chat = end_ids(tokenizer, PromptConfig("", "", chat=True))[0]
        except R2GenError:  # a template that cannot be used: no prompt of ours is made by it
            return end
        if chat != end:
            raise R2GenError(
                f"report_ids: end is left out, but an answer of the chat template of {tokenizer.name_or_path} ends "
                f"with {tokenizer.decode([chat])!r} and a text with {tokenizer.eos_token!r}. Use "
                "model.report_ids(reports), or give end=end_ids(tokenizer, preset.prompt)[0]."
            )
    return end


def splice(
    embed: nn.Embedding,
    visual: Float[Tensor, "B M D_lm"],
    prompt: tuple[Sequence[int], Sequence[int]],
    reports: Sequence[Sequence[int]] | None = None,
    asked: Sequence[Sequence[int]] | None = None,
) -> Splice:
    """Put visual tokens between the words of the prompt, and the reports behind.

    Args:
        embed: the LLM's word embeddings.
        visual: the mapper's output; cast to the embeddings' dtype here.
        prompt: ids before and after the picture (``prompt_ids``).
        reports: ids of each report (``report_ids``); None leaves the report to be generated.
        asked: with reports, ids of what stands after each picture in place of ``prompt[1]`` (``question_ids``).

    Rows are padded on the right, so positions count from 0 in every row and need no correction.
    """
    batch, device = visual.shape[0], embed.weight.device
    before, after = (embed(torch.tensor(ids, dtype=torch.long, device=device)).expand(batch, -1, -1) for ids in prompt)
    instruction = [after] if asked is None else []  # else each row has a question of its own
    head = torch.cat([before, visual.to(embed.weight.dtype), *instruction], dim=1)  # (B, P, D_lm)
    places = torch.ones(head.shape[:2], dtype=torch.long, device=device)
    prompts = Splice(head, places, torch.full_like(places, IGNORE))
    if reports is None:
        return prompts
    questions = asked or [[]] * len(reports)
    rows = [[*question, *ids] for question, ids in zip(questions, reports, strict=True)]
    spliced = followed_by(prompts, embed, rows)
    for labels, question in zip(spliced.labels, questions, strict=True):
        labels[head.shape[1] : head.shape[1] + len(question)] = IGNORE
    return spliced


def followed_by(prompts: Splice, embed: nn.Embedding, reports: Sequence[Sequence[int]]) -> Splice:
    """The prompts, none of them padded, with a report's token ids behind each."""
    shape = len(reports), max(map(len, reports), default=0)
    labels = prompts.labels.new_full(shape, IGNORE)  # (B, T)
    for row, ids in zip(labels, reports, strict=True):
        row[: len(ids)] = torch.tensor(ids, dtype=torch.long, device=row.device)
    written = labels != IGNORE
    words = embed(labels.clamp(min=0)) * written.unsqueeze(-1)  # (B, T, D_lm)
    return Splice(
        inputs_embeds=torch.cat([prompts.inputs_embeds, words], dim=1),
        attention_mask=torch.cat([prompts.attention_mask, written.long()], dim=1),
        labels=torch.cat([prompts.labels, labels], dim=1),
    )
