"""From spliced prompts to report texts: beams, greedy or sampled, ended where the model ended it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, fields, replace
from threading import Event, Thread
from typing import Any

import torch
from torch import nn
from transformers import (
    GenerationConfig,
    PreTrainedTokenizerBase,
    StoppingCriteria,
    StoppingCriteriaList,
    TextIteratorStreamer,
    TextStreamer,
)

from r2gen_lib.config import DecodingConfig
from r2gen_lib.errors import R2GenError
from r2gen_lib.findings.consistent import without_contradictions
from r2gen_lib.model.alignment import Splice
from r2gen_lib.model.guidance import GuidedDecoder, GuidedScores
from r2gen_lib.model.llama_decoder import LlamaDecoder, why_not
from r2gen_lib.model.logits_processors import ScoreRules, score_processors
from r2gen_lib.model.report_logits import check_length
from r2gen_lib.model.rerank import most_informative
from r2gen_lib.model.search import beam_search, greedy_search
from r2gen_lib.model.sharding import is_sharded

#: Studies to give ``generate_reports`` at once, where they are many: more make it no faster.
WRITE_AT_ONCE = 64
WRITTEN_BY_TRANSFORMERS = 8  # studies at once
ENCODED_AT_ONCE = 8  # studies
_CACHE_BYTES, _CACHE_BYTES_OF_A_GPU = 2**30, 2**33  # for keys and values
_SAMPLING = ("temperature", "top_k", "top_p", "seed")


@dataclass(frozen=True)
class Generated:
    """One report.

    Attributes:
        text: the report alone, without special tokens, and with ``consistent`` without what contradicts it.
        finished: False when ``max_new_tokens`` ended it; ``text`` is then cut to a whole sentence or word.
        ids: the generated token ids, up to the end token, before anything was cut back or left out.
    """

    text: str
    finished: bool
    ids: list[int]


def generate_reports(
    language: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    spliced: Splice,
    decoding: DecodingConfig,
    ends: Sequence[int],
    known: int = 0,
    normal: Splice | None = None,
) -> list[Generated]:
    """Continue prompts of equal length (so no padding is needed) until one of the tokens ``ends``.

    A plain Llama is continued by ``model.search``, every other architecture by transformers' ``generate``; both give
    the same token ids in fp32.

    Args:
        known: how many places at the beginning are alike in every prompt; they are read once.
        normal: one prompt with the normal picture, where ``compares_with_normal(decoding)``.

    Raises:
        R2GenError: a score is not a finite number.
    """
    places, reports = spliced.inputs_embeds.shape[1], []
    check_length(language, places + decoding.max_new_tokens)
    if normal is not None and is_sharded(language):
        raise R2GenError(
            "decoding.guidance and decoding.rerank: the language model is shared among processes (language.shard), "
            "which all have to read equally often. Set both to 0, or load the model without shard."
        )
    searched = why_not(language) is None
    at_once = studies_at_once(language, places, decoding) if searched else WRITTEN_BY_TRANSFORMERS
    for start in range(0, spliced.inputs_embeds.shape[0], at_once):
        some = spliced.rows(slice(start, start + at_once))
        if searched:
            candidates = _searched(*_search_parts(language, tokenizer, some, decoding, ends, known, normal))
        else:
            candidates = _generated(language, _arguments(language, tokenizer, some, decoding, ends, normal))
        if _reranks(decoding):
            reports += most_informative(language, some, normal, candidates, decoding)
        else:
            reports += [best for best, *_ in candidates]
    return [_finish(ids, tokenizer, ends, decoding) for ids in reports]


def studies_at_once(language: nn.Module, places: int, decoding: DecodingConfig) -> int:
    """How many reports are written together: the keys and values of more would not fit, or make it no faster."""
    config, weight = language.config, language.get_input_embeddings().weight
    columns = (places + decoding.num_beams * decoding.max_new_tokens) * (2 if decoding.guidance else 1)
    size = 2 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim * weight.element_size()
    fit = (_CACHE_BYTES if weight.device.type == "cpu" else _CACHE_BYTES_OF_A_GPU) // (columns * size)
    return min(max(fit, WRITTEN_BY_TRANSFORMERS), WRITE_AT_ONCE)


def compares_with_normal(decoding: DecodingConfig) -> bool:
    """Whether a setting needs the normal picture."""
    return decoding.guidance > 0 or _reranks(decoding)


def _reranks(decoding: DecodingConfig) -> bool:
    return decoding.rerank > 0 and decoding.num_beams > 1


def stream_report(
    language: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    spliced: Splice,
    decoding: DecodingConfig,
    ends: Sequence[int],
    known: int = 0,
    normal: Splice | None = None,
) -> Iterator[str]:
    """Pieces of one report as they are generated; joined, they are its whole text, an unfinished end included.

    Where transformers' ``generate`` writes, it does so in a thread of its own, which ends after the next token when the
    caller stops iterating.

    Raises:
        R2GenError: more than one study, beams (their text changes until the end), or scores that are not finite.
    """
    if spliced.inputs_embeds.shape[0] != 1 or decoding.num_beams > 1:
        raise R2GenError(
            f"stream: found {spliced.inputs_embeds.shape[0]} studies and num_beams={decoding.num_beams}, expected one "
            "of each: the text of beams changes until the end. Use generate for the others."
        )
    check_length(language, spliced.inputs_embeds.shape[1] + decoding.max_new_tokens)
    if why_not(language) is None:
        parts = _search_parts(language, tokenizer, spliced, decoding, ends, known, normal)
        pieces = _searched_pieces(tokenizer, *parts)
    else:
        arguments = _arguments(language, tokenizer, spliced, decoding, ends, normal)
        pieces = _generated_pieces(language, tokenizer, arguments)
    begun = False
    with closing(pieces):
        for piece in pieces:
            piece = piece if begun else piece.lstrip()
            begun = begun or bool(piece)
            if piece:
                yield piece


def _searched_pieces(
    tokenizer: PreTrainedTokenizerBase,
    decoder: LlamaDecoder | GuidedDecoder,
    rules: ScoreRules,
    decoding: DecodingConfig,
    ends: Sequence[int],
) -> Iterator[str]:
    streamer = _Pieces(tokenizer, skip_special_tokens=True)
    for _, tokens in greedy_search(decoder, rules, decoding, ends):
        streamer.put(torch.tensor(tokens))
        yield from streamer.taken()
    streamer.end()
    yield from streamer.taken()


def _generated_pieces(
    language: nn.Module, tokenizer: PreTrainedTokenizerBase, arguments: dict[str, Any]
) -> Iterator[str]:
    stop, failures = Event(), []
    streamer = TextIteratorStreamer(tokenizer, skip_prompt=True, skip_special_tokens=True)

    def run() -> None:
        try:
            language.generate(**arguments, streamer=streamer, stopping_criteria=StoppingCriteriaList([_When(stop)]))
        except BaseException as error:  # raised again where the pieces are read
            failures.append(error)
            streamer.end()

    thread = Thread(target=run, daemon=True)
    thread.start()
    try:
        yield from streamer
    finally:
        stop.set()
        thread.join()
    if failures:
        raise failures[0]


class _Pieces(TextStreamer):
    """Whole words, as soon as their last token is known."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, **decoding: Any) -> None:
        super().__init__(tokenizer, **decoding)
        self._waiting: list[str] = []

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        self._waiting.append(text)

    def taken(self) -> list[str]:
        """What is new since the last call."""
        taken, self._waiting = self._waiting, []
        return taken


class _When(StoppingCriteria):
    """Ends every row once ``event`` is set."""

    def __init__(self, event: Event) -> None:
        self.event = event

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **kwargs: Any) -> torch.Tensor:
        return torch.full(input_ids.shape[:1], self.event.is_set(), dtype=torch.bool, device=input_ids.device)


def _searched(
    decoder: LlamaDecoder | GuidedDecoder, rules: ScoreRules, decoding: DecodingConfig, ends: Sequence[int]
) -> list[list[list[int]]]:
    """The token ids of each study's finished reports, best first; one where the search is greedy."""
    if decoding.num_beams > 1:
        return beam_search(decoder, rules, decoding, ends)
    reports: list[list[int]] = [[] for _ in range(decoder.studies)]
    for studies, tokens in greedy_search(decoder, rules, decoding, ends):
        for study, token in zip(studies, tokens, strict=True):
            reports[study].append(token)
    return [[report] for report in reports]


def _generated(language: nn.Module, arguments: dict[str, Any]) -> list[list[list[int]]]:
    """As ``_searched``, by transformers. Sharded: every process goes on until the last one's reports have ended."""
    config = arguments["generation_config"]
    each = config.num_return_sequences
    ids = language.generate(**arguments, synced_gpus=is_sharded(language)).tolist()
    ids = [row[: _end_of(row, config.eos_token_id, len(row)) + 1] for row in ids]  # what follows is padding
    return [ids[start : start + each] for start in range(0, len(ids), each)]


def _search_parts(
    language: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    spliced: Splice,
    decoding: DecodingConfig,
    ends: Sequence[int],
    known: int,
    normal: Splice | None,
) -> tuple[LlamaDecoder | GuidedDecoder, ScoreRules, DecodingConfig, Sequence[int]]:
    """What ``greedy_search`` and ``beam_search`` are given."""
    beams, steps = decoding.num_beams, decoding.max_new_tokens
    decoder = LlamaDecoder(language, spliced.inputs_embeds, beams, steps, known)
    if decoding.guidance:
        prompt = normal.inputs_embeds.expand(decoder.studies, -1, -1)
        others = LlamaDecoder(language, prompt, beams, steps, known=prompt.shape[1] - 1)  # the last place is to be read
        decoder = GuidedDecoder(decoder, others, decoding.guidance)
    start = tokenizer.bos_token_id
    rules = ScoreRules(decoding, None if start in ends else start, list(ends))
    return decoder, rules, decoding, ends


def changed_decoding(decoding: DecodingConfig, changes: Mapping[str, Any]) -> DecodingConfig:
    """``decoding`` with some fields replaced. ``do_sample=True`` means one beam, unless ``changes`` say how many.

    Raises:
        R2GenError: an unknown field, a value that cannot be, or a setting that nothing would read.
    """
    unknown = set(changes) - {field.name for field in fields(DecodingConfig)}
    if unknown:
        raise R2GenError(
            f"generate: unknown option(s) {', '.join(sorted(unknown))}, expected some of {', '.join(asdict(decoding))}."
        )
    decoding = replace(decoding, **({"num_beams": 1} if changes.get("do_sample") else {}) | dict(changes))
    unread = [] if decoding.do_sample else [name for name in _SAMPLING if name in changes]
    if unread:
        raise R2GenError(f"generate: found {', '.join(unread)} without do_sample=True: alone they change nothing.")
    ranking = [name for name in ("length_penalty", "rerank") if name in changes]
    if ranking and decoding.num_beams == 1:
        raise R2GenError(
            f"generate: found {' and '.join(ranking)} with num_beams=1, expected more: this only ranks beams."
        )
    return decoding


def _arguments(
    language: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    spliced: Splice,
    decoding: DecodingConfig,
    ends: Sequence[int],
    normal: Splice | None,
) -> dict[str, Any]:
    """The arguments of transformers' ``generate``: all but beams and reranking acts through ``logits_processor``."""
    start, pad = tokenizer.bos_token_id, tokenizer.pad_token_id
    config = GenerationConfig(
        do_sample=False,
        num_beams=decoding.num_beams,
        num_return_sequences=decoding.num_beams if _reranks(decoding) else 1,
        max_new_tokens=decoding.max_new_tokens,
        bos_token_id=start,
        eos_token_id=list(ends),
        pad_token_id=ends[0] if pad is None else pad,
        **({"length_penalty": decoding.length_penalty} if decoding.num_beams > 1 else {}),
    )
    processors = score_processors(decoding, None if start in ends else start, list(ends), spliced.inputs_embeds.device)
    if decoding.guidance:
        processors.insert(0, GuidedScores(language, normal.inputs_embeds, decoding.guidance))
    return dict(
        inputs_embeds=spliced.inputs_embeds,
        attention_mask=spliced.attention_mask,
        generation_config=config,
        logits_processor=processors,
    )


def _finish(
    ids: list[int], tokenizer: PreTrainedTokenizerBase, ends: Sequence[int], decoding: DecodingConfig
) -> Generated:
    end = _end_of(ids, ends)
    ids = ids[:end]
    text = tokenizer.decode(ids, skip_special_tokens=True).strip()
    if decoding.cut_unfinished and end is None:
        text = cut_to_whole(text)
    if decoding.consistent:
        text = without_contradictions(text)
    return Generated(text, end is not None, ids)


def _end_of(ids: list[int], ends: Sequence[int], otherwise: int | None = None) -> int | None:
    """The place of the first end token."""
    return next((place for place, token in enumerate(ids) if token in ends), otherwise)


def cut_to_whole(text: str) -> str:
    """Drop an unfinished end: back to the last whole sentence, else to the last whole word, else as it is."""
    if text.endswith((".", "!", "?")):
        return text
    sentences = re.match(r".*[.!?](?=\s)", text, flags=re.DOTALL)
    if sentences:
        return sentences.group(0)
    words = text.rsplit(maxsplit=1)
    return words[0] if len(words) > 1 else text
