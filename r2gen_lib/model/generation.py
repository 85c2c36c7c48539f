"""From spliced prompts to report texts: beam search or greedy, ended where the model ended it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import torch
from torch import nn
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList, PreTrainedTokenizerBase
from transformers.generation import NoRepeatNGramLogitsProcessor, RepetitionPenaltyLogitsProcessor

from r2gen_lib.config import DecodingConfig
from r2gen_lib.errors import R2GenError
from r2gen_lib.model.alignment import Splice


@dataclass(frozen=True)
class Generated:
    """One report.

    Attributes:
        text: the report alone, without special tokens.
        finished: False when ``max_new_tokens`` ended it; ``text`` is then cut to a whole sentence or word.
        ids: the generated token ids, up to the end token, before anything was cut back.
    """

    text: str
    finished: bool
    ids: list[int]


def generate_reports(
    language: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    spliced: Splice,
    decoding: DecodingConfig,
    changes: Mapping[str, Any],
) -> list[Generated]:
    """Continue prompts of equal length (so no padding is needed).

    Raises:
        R2GenError: ``changes`` names a field that DecodingConfig lacks.
    """
    decoding = _changed(decoding, changes)
    sequences = language.generate(
        inputs_embeds=spliced.inputs_embeds,
        attention_mask=spliced.attention_mask,
        generation_config=_generation_config(decoding, tokenizer),
        logits_processor=LogitsProcessorList([_Penalties(decoding, tokenizer.bos_token_id)]),
    )
    return [_finish(ids, tokenizer, decoding.cut_unfinished) for ids in sequences.tolist()]


def _changed(decoding: DecodingConfig, changes: Mapping[str, Any]) -> DecodingConfig:
    unknown = set(changes) - {field.name for field in fields(DecodingConfig)}
    if unknown:
        raise R2GenError(
            f"generate: unknown option(s) {', '.join(sorted(unknown))}, expected some of {', '.join(asdict(decoding))}."
        )
    decoding = replace(decoding, **changes)
    if decoding.num_beams < 1 or not 0 <= decoding.min_new_tokens <= decoding.max_new_tokens:
        raise R2GenError(
            f"generate: num_beams={decoding.num_beams}, min_new_tokens={decoding.min_new_tokens}, "
            f"max_new_tokens={decoding.max_new_tokens}; expected at least one beam and min <= max."
        )
    return decoding


def _generation_config(decoding: DecodingConfig, tokenizer: PreTrainedTokenizerBase) -> GenerationConfig:
    options: dict[str, Any] = dict(num_beams=decoding.num_beams, max_new_tokens=decoding.max_new_tokens)
    if decoding.num_beams > 1:
        options["length_penalty"] = decoding.length_penalty
    if decoding.min_new_tokens:
        options["min_new_tokens"] = decoding.min_new_tokens
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    return GenerationConfig(
        do_sample=False,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=pad,
        **options,
    )


class _Penalties(LogitsProcessor):
    """Penalties over what was generated. The prompt is vectors, so it can't be seen; as in the original, the
    history begins with the start token, so that repeating *it* is penalised too."""

    def __init__(self, decoding: DecodingConfig, start: int | None) -> None:
        self.start = start
        self.parts = []
        if decoding.repetition_penalty != 1.0:
            self.parts.append(RepetitionPenaltyLogitsProcessor(decoding.repetition_penalty))
        if decoding.no_repeat_ngram_size:
            self.parts.append(NoRepeatNGramLogitsProcessor(decoding.no_repeat_ngram_size))

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        if self.start is not None:
            input_ids = torch.cat([torch.full_like(scores[:, :1], self.start, dtype=torch.long), input_ids], dim=1)
        for part in self.parts:
            scores = part(input_ids, scores)
        return scores


def _finish(ids: list[int], tokenizer: PreTrainedTokenizerBase, cut: bool) -> Generated:
    end = tokenizer.eos_token_id
    finished = end in ids
    ids = ids[: ids.index(end)] if finished else ids
    text = tokenizer.decode(ids, skip_special_tokens=True).strip()
    return Generated(cut_to_whole(text) if cut and not finished else text, finished, ids)


def cut_to_whole(text: str) -> str:
    """Drop an unfinished end: back to the last whole sentence, else to the last whole word, else as it is."""
    if text.endswith((".", "!", "?")):
        return text
    sentences = re.match(r".*[.!?](?=\s)", text, flags=re.DOTALL)
    if sentences:
        return sentences.group(0)
    words = text.rsplit(maxsplit=1)
    return words[0] if len(words) > 1 else text
