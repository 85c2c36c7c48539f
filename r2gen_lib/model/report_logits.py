"""The language model reads a prompt, a picture and a report, and says how likely each token of the report was."""

from __future__ import annotations

import copy

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import Cache, DynamicCache

from r2gen_lib.errors import R2GenError
from r2gen_lib.model.alignment import Splice
from r2gen_lib.model.llm import cache_argument, cache_of
from r2gen_lib.model.memory_saving import checkpointed

_KEYS_AND_VALUES = {"DynamicLayer", "DynamicSlidingWindowLayer"}  # cache layers that can be copied for every row


class ReportReader:
    """Logits of the reports alone, with what every row begins with read once for all batches.

    Args:
        language: a causal language model.
        before: ids of the words before the picture (``prompt_ids``), or the embeddings of any beginning (P, D_lm).
        constant: whether those words always give the same keys and values; they don't while ``language`` trains.
        checkpoints: keep one tensor a layer for the backward pass (``memory_saving.checkpointed``); no cache then.
    """

    def __init__(
        self, language: nn.Module, before: list[int] | Tensor, constant: bool = True, checkpoints: bool = False
    ) -> None:
        self.language, self.before = language, before
        self.constant, self.checkpoints = constant and len(before) > 0, checkpoints
        self._known: tuple[torch.device, torch.dtype, list[tuple[int, int]], Cache] | None = None

    def __call__(self, spliced: Splice) -> Float[Tensor, "R vocabulary"]:
        """In the language model's dtype, row by row, for the ``R`` tokens that ``spliced.predicts_report`` chooses."""
        check_length(self.language, spliced.inputs_embeds.shape[1])
        if self.checkpoints and spliced.inputs_embeds.requires_grad:
            with checkpointed(self.language):
                return self._logits(spliced, {})
        return self._logits(spliced, self._before_picture(spliced.inputs_embeds.shape[0]))

    def _logits(self, spliced: Splice, cache: dict[str, Cache]) -> Float[Tensor, "R vocabulary"]:
        known = len(self.before) if cache else 0  # P: what is read already
        embeds = spliced.inputs_embeds[:, known:]
        chosen = spliced.predicts_report[:, known:]  # (B, L-P-1)

        def only_chosen(_: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor] | None:
            """The head's input where a report's token comes next: logits elsewhere are work for nothing."""
            hidden = inputs[0]  # (B, L-P, D_lm); a generation in another thread has another shape
            return (hidden[:, :-1][chosen],) if hidden.shape == embeds.shape else None

        hook = self.language.get_output_embeddings().register_forward_pre_hook(only_chosen)
        try:
            logits = self.language(
                inputs_embeds=embeds, attention_mask=spliced.attention_mask, use_cache=known > 0, **cache
            ).logits
        finally:
            hook.remove()
        if logits.ndim == 3:  # (B, L-P, vocabulary), of an architecture whose head is not called so
            logits = logits[:, :-1][chosen]
        return logits

    @torch.no_grad()
    def _before_picture(self, batch: int) -> dict[str, Cache]:
        """Keys and values of the words before the picture, as an argument for the language model, for ``batch`` rows
        alike. Empty where there is nothing to keep, or the architecture keeps something else than keys and values."""
        weight = self.language.get_input_embeddings().weight
        changes = [(id(parameter), parameter._version) for parameter in self.language.parameters()]
        state = weight.device, weight.dtype, changes  # moved, cast, or with other weights, it has other keys and values
        if self.constant and (self._known is None or self._known[:3] != state):
            name = "inputs_embeds" if isinstance(self.before, Tensor) else "input_ids"
            beginning = {name: torch.as_tensor(self.before, device=weight.device)[None]}
            cache = cache_of(self.language.base_model(**beginning, use_cache=True))
            kinds = {type(layer).__name__ for layer in getattr(cache, "layers", ())}
            self.constant = isinstance(cache, DynamicCache) and kinds <= _KEYS_AND_VALUES
            self._known = *state, cache
        if not self.constant:
            return {}
        cache = copy.deepcopy(self._known[3])
        cache.batch_repeat_interleave(batch)
        return cache_argument(self.language.base_model, cache)


def check_length(language: nn.Module, length: int) -> None:
    """Raises R2GenError where ``length`` tokens are more than the language model has positions for."""
    limit = getattr(language.config.get_text_config(), "max_position_embeddings", None)
    if limit is not None and length > limit:
        raise R2GenError(
            f"prompt, visual tokens and report: found {length} tokens, but {type(language).__name__} reads at most "
            f"{limit}. Shorten the prompt, set mapper.pool, or lower target.max_tokens or max_new_tokens."
        )
