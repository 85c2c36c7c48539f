# ruff: noqa: F722
"""Greedy and beam search over ``LlamaDecoder``: the same rules as transformers' ``generate``, study by study.

A study leaves the batch as soon as its report can't change any more. Scores are made and adjusted a few rows at a time,
so that they stay in the processor's cache: a vocabulary of 49,152 is 200 kB a row.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor

from r2gen_lib.config import DecodingConfig
from r2gen_lib.model.guidance import GuidedDecoder
from r2gen_lib.model.llama_decoder import LlamaDecoder
from r2gen_lib.model.logits_processors import ScoreRules

ROWS_OF_LOGITS = 96  # rows whose logits are computed at once
ROWS_OF_SCORES = 24  # and of these, rows that are made scores at once
_GROUPS = 1024  # of tokens; the largest scores are looked for in the groups with the largest maxima
_NEVER = -1.0e9  # a score that no report has


@torch.no_grad()
def greedy_search(
    decoder: LlamaDecoder | GuidedDecoder, rules: ScoreRules, decoding: DecodingConfig, ends: Collection[int]
) -> Iterator[tuple[list[int], list[int]]]:
    """After each step: the studies that are still being written, and the token each was continued with."""
    hidden = decoder.read_prompt()  # (S, D)
    studies = list(range(decoder.studies))
    history = torch.empty(len(studies), 0, dtype=torch.long, device=hidden.device)
    for number in range(decoding.max_new_tokens):
        rules.begin_step(number)
        tokens = torch.cat(
            [rules(logits, history[rows]).argmax(dim=-1) for rows, logits in _logits(decoder, hidden, ROWS_OF_SCORES)]
        )  # (S,)
        chosen = tokens.tolist()
        yield list(studies), chosen
        going = [row for row, token in enumerate(chosen) if token not in ends]
        if not going or number + 1 == decoding.max_new_tokens:
            return
        history = torch.cat([history, tokens[:, None]], dim=1)
        if len(going) < len(studies):
            order = decoder.keep(going)
            studies, history = [studies[row] for row in order.tolist()], history[order]
        hidden = decoder.step(history[:, -1:])


@torch.no_grad()
def beam_search(
    decoder: LlamaDecoder | GuidedDecoder, rules: ScoreRules, decoding: DecodingConfig, ends: Collection[int]
) -> list[list[list[int]]]:
    """The token ids of each study's finished reports, their ends included, best first: ``num_beams`` at most.

    A beam that ends joins the study's finished reports, ranked by score / length ** ``length_penalty``; the study is
    done when ``num_beams`` have finished and the best running beam, at its present length, is no better than the worst
    of these (transformers' rule for ``early_stopping=False``).
    """
    beams, limit, device = decoding.num_beams, decoding.max_new_tokens, decoder.seen.device
    candidates = max(2, 1 + len(ends)) * beams
    end_tokens = torch.tensor(sorted(ends), device=device)
    studies = torch.arange(decoder.studies, device=device)
    running = torch.zeros(decoder.studies, beams, 0, dtype=torch.long, device=device)
    scores = torch.full((decoder.studies, beams), _NEVER, device=device)  # (S, B), of the running beams
    scores[:, 0] = 0
    finished = torch.zeros(decoder.studies, beams, limit, dtype=torch.long, device=device)
    lengths = torch.zeros(decoder.studies, beams, dtype=torch.long, device=device)  # 0: none finished here yet
    ranks = torch.full((decoder.studies, beams), _NEVER, device=device)  # (S, B), of the finished, best first
    reports: list[list[list[int]]] = [[] for _ in range(decoder.studies)]
    hidden = decoder.read_prompt().repeat_interleave(beams, dim=0)  # (S x B, D)
    for length in range(1, limit + 1):  # of the reports, with the token that this step writes
        rules.begin_step(length - 1)
        found = [
            _continuations(rules, logits, running, scores, rows, candidates)
            for rows, logits in _logits(decoder, hidden, ROWS_OF_SCORES // beams * beams or beams)
        ]
        totals, parents, tokens = (torch.cat(parts) for parts in zip(*found, strict=True))  # each (S, candidates)
        ending = torch.isin(tokens, end_tokens) if length < limit else torch.ones_like(tokens, dtype=torch.bool)
        grown = torch.cat([_of(running, parents), tokens[:, :, None]], dim=2)  # (S, candidates, length)

        final = torch.where(ending, totals / length**decoding.length_penalty, _NEVER)
        final[:, beams:] = _NEVER  # the others only stand in for beams that end
        ranks, places = torch.cat([ranks, final], dim=1).topk(beams)
        padded = torch.nn.functional.pad(grown, (0, limit - length))
        finished = _of(torch.cat([finished, padded], dim=1), places)
        new = torch.where(final > _NEVER, length, 0)
        lengths = torch.cat([lengths, new], dim=1).gather(1, places)

        scores, places = torch.where(ending, totals + _NEVER, totals).topk(beams)
        running, parents, tokens = _of(grown, places), parents.gather(1, places), tokens.gather(1, places)
        worst = torch.where(lengths.min(dim=1).values > 0, ranks[:, -1], _NEVER)
        going = scores[:, 0] / length**decoding.length_penalty > worst
        if length == limit:
            going = torch.zeros_like(going)
        for row in (~going).nonzero()[:, 0].tolist():
            pairs = zip(finished[row], lengths[row].tolist(), strict=True)
            reports[studies[row]] = [ids[:count].tolist() for ids, count in pairs if count] or [[]]
        rows = going.nonzero()[:, 0].tolist()
        if not rows:
            break
        if len(rows) < len(studies):
            order = decoder.keep(rows)
            studies, (running, scores, finished, lengths, ranks, parents, tokens) = (
                studies[order],
                (state[order] for state in (running, scores, finished, lengths, ranks, parents, tokens)),
            )
        hidden = decoder.step(tokens, parents)
    return reports


def _continuations(
    rules: ScoreRules, logits: Tensor, running: Tensor, scores: Tensor, rows: slice, candidates: int
) -> tuple[Tensor, Tensor, Tensor]:
    """For the studies of ``rows``: the best sums of scores, best first, the beam each continues, and its token."""
    beams = scores.shape[1]
    studies = slice(rows.start // beams, rows.stop // beams)
    logs = torch.log_softmax(logits, dim=-1)  # (r, vocabulary)
    logs = rules(logs, running[studies].flatten(0, 1))
    logs += scores[studies].reshape(-1, 1)
    totals, places = largest(logs.view(-1, beams * logs.shape[-1]), candidates)
    return totals, places // logs.shape[-1], places % logs.shape[-1]


def _logits(
    decoder: LlamaDecoder | GuidedDecoder, hidden: Float[Tensor, "R D"], rows: int
) -> Iterator[tuple[slice, Tensor]]:
    """Slices of at most ``rows`` rows and their logits in fp32."""
    at_once = max(ROWS_OF_LOGITS // rows, 1) * rows
    for start in range(0, hidden.shape[0], at_once):
        logits = decoder.logits(hidden[start : start + at_once])
        for first in range(0, logits.shape[0], rows):
            part = logits[first : first + rows]
            yield slice(start + first, start + first + part.shape[0]), part.float()


def largest(scores: Float[Tensor, "r n"], k: int) -> tuple[Float[Tensor, "r k"], Int[Tensor, "r k"]]:
    """As ``scores.topk(k)``, in one pass over the scores: the ``k`` largest lie in the ``k`` groups of places whose
    maxima are the largest."""
    count = scores.shape[1] // _GROUPS
    if count < 2 or k >= _GROUPS:
        return scores.topk(k)
    whole = count * _GROUPS
    groups = scores[:, :whole].view(-1, count, _GROUPS).amax(dim=1).topk(k).indices  # (r, k)
    members = groups[:, :, None] + torch.arange(0, whole, _GROUPS, device=scores.device)  # (r, k, count)
    rest = torch.arange(whole, scores.shape[1], device=scores.device).expand(scores.shape[0], -1)
    members = torch.cat([members.flatten(1), rest], dim=1)
    values, places = scores.gather(1, members).topk(k)
    return values, members.gather(1, places)


def _of(states: Tensor, places: Int[Tensor, "S k"]) -> Tensor:
    """``states`` (S, n, length), each study's at its ``places``."""
    return states.gather(1, places[:, :, None].expand(-1, -1, states.shape[2]))
