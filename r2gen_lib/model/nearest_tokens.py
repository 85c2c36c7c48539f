"""Which tokens of the vocabulary, among those that are whole words, a visual token lies nearest to."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

_STARTS = ("\u0120", "\u2581")  # how byte-level BPE and sentencepiece write the space before a word


@torch.no_grad()
def nearest_tokens(
    tokens: Float[Tensor, "*shape D_lm"], embed: nn.Embedding, tokenizer: PreTrainedTokenizerBase, k: int
) -> list:
    """The ``k`` tokens of the vocabulary whose embeddings are most alike (cosine) to each visual token, best first.

    Only tokens that are whole words of at least three letters are considered; they are given as texts. The lists are
    nested as ``tokens`` is: ``(N, D_lm)`` gives ``N`` lists of ``k`` texts.
    """
    ids, words = word_table(tokenizer)
    table = nn.functional.normalize(embed.weight[ids.to(embed.weight.device)].float(), dim=-1)  # (W, D_lm)
    directions = nn.functional.normalize(tokens.to(table.device, torch.float32), dim=-1)
    return _nested((directions @ table.T).topk(k).indices.tolist(), words)


def word_table(tokenizer: PreTrainedTokenizerBase) -> tuple[Int[Tensor, " W"], list[str]]:
    """Ids and texts of the vocabulary's entries that start a word and are all letters."""
    vocabulary = tokenizer.get_vocab()
    pairs = [(i, t[1:]) for t, i in vocabulary.items() if t.startswith(_STARTS) and len(t) > 3 and t[1:].isalpha()]
    if not pairs:  # a vocabulary of bare words
        pairs = [(i, t) for t, i in vocabulary.items() if len(t) > 2 and t.isalpha()]
    pairs.sort()
    return torch.tensor([i for i, _ in pairs]), [text for _, text in pairs]


def _nested(indices: list, words: list[str]) -> list:
    return [_nested(item, words) if isinstance(item, list) else words[item] for item in indices]
