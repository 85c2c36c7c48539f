# ruff: noqa: F722
"""One new token of many reports through a frozen Llama, with keys and values that are written once and never moved.

``transformers.generate`` is written for every architecture. For Llama (SmolLM2, Llama 2) this does the same
arithmetic with less of what is not arithmetic: the prompt is read once a study and not once a beam, no key is copied
when beams change places, and studies whose report has ended leave the batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers import LlamaForCausalLM

from r2gen_lib.model.packed_linear import Product, can_pack, packed, plain

_PREFILL = 16  # studies whose prompts are read at once
_USUAL_ROWS = 24  # that products are packed for
_ATTEND = 16  # studies whose keys are attended to at once: their keys stay in a core's cache
_CONSTANT_ROPE = {"default", "linear", "llama3", "yarn"}  # rotary tables that do not depend on the length read so far


@dataclass(frozen=True)
class _Layer:
    """The products of one decoder layer; queries, keys and values are one, and so are gate and up."""

    query_key_value: Product
    output: Product
    gate_up: Product
    down: Product


class FrozenLlama:
    """The products of a frozen Llama, packed where the processor can use that (``packed_linear``)."""

    def __init__(self, language: LlamaForCausalLM) -> None:
        self.made_of = _fingerprint(language)
        head = language.get_output_embeddings()
        make = partial(packed, rows=_USUAL_ROWS) if can_pack(head.weight.device.type, head.weight.dtype) else plain
        self.head = make([head])
        self.beginning: tuple[Tensor, list[tuple[Tensor, Tensor]]] | None = None  # of the last prompt, read once
        self.layers = []
        for layer in language.model.layers:
            attention, mlp = layer.self_attn, layer.mlp
            self.layers.append(
                _Layer(
                    make([attention.q_proj, attention.k_proj, attention.v_proj]),
                    make([attention.o_proj]),
                    make([mlp.gate_proj, mlp.up_proj]),
                    make([mlp.down_proj]),
                )
            )


def packed_bytes(language: LlamaForCausalLM, device: str) -> int:
    """What ``FrozenLlama`` keeps besides the model's own weights, were the model on ``device``."""
    head = language.get_output_embeddings().weight
    layers = [layer.weight for layer in language.model.layers.modules() if isinstance(layer, nn.Linear)]
    return sum(weight.nbytes for weight in (head, *layers)) if can_pack(device, head.dtype) else 0


_MADE: WeakKeyDictionary[nn.Module, FrozenLlama] = WeakKeyDictionary()


def frozen_llama(language: LlamaForCausalLM) -> FrozenLlama:
    """The products of ``language``: kept until ``release``, made again where its weights are others since."""
    made = _MADE.get(language)
    if made is None or made.made_of != _fingerprint(language):
        release(language)
        made = _MADE[language] = FrozenLlama(language)
    return made


def release(language: nn.Module) -> None:
    """Give back what ``frozen_llama`` keeps."""
    _MADE.pop(language, None)


def _fingerprint(language: nn.Module) -> list[tuple[int, int, torch.dtype]]:
    """Changes when a weight is replaced, moved, cast or written into."""
    return [(weight.data_ptr(), weight._version, weight.dtype) for weight in language.parameters()]


def why_not(language: nn.Module) -> str | None:
    """Why ``LlamaDecoder`` cannot take the place of ``language.generate``, in words; None where it can."""
    if type(language) is not LlamaForCausalLM:
        return f"{type(language).__name__} is another architecture than LlamaForCausalLM"
    config = language.config
    if config.hidden_act != "silu" or (config.rope_parameters or {}).get("rope_type", "default") not in _CONSTANT_ROPE:
        return f"activation {config.hidden_act} with {config.rope_parameters} is not supported"
    for name, module in language.named_modules():
        if module._forward_hooks or module._forward_pre_hooks or "forward" in vars(module):
            return f"{name or 'the model'} carries a hook"
    for layer in language.model.layers:
        for name, module in [*layer.self_attn.named_children(), *layer.mlp.named_children()]:
            if name.endswith("_proj") and (type(module) is not nn.Linear or module.bias is not None):
                return f"{name} is no plain linear layer without a bias: {module}"
    return None


@dataclass(frozen=True)
class _Columns:
    """``n`` new columns of keys and values: whose they are, where they stand, and what they attend to.

    Attributes:
        rows: the studies.
        first: the first new column.
        cosine, sine: of each one's place in the text, (n, size); (1, size) where all are at the same place.
        mask: (s, 1, n x group, C), 0 where a column is attended to, else minus infinity; None: all are.
    """

    rows: slice
    first: int
    cosine: Float[Tensor, "m size"]
    sine: Float[Tensor, "m size"]
    mask: Float[Tensor, "s 1 G C"] | None


class LlamaDecoder:
    """The state of ``S`` reports in writing, each with ``B`` beams.

    A study has one row of columns for keys and values: first its ``P`` prompt places, then ``B`` columns for every
    step, one a beam. A beam attends to the prompt and to its own ancestors' columns; ``seen`` holds which these are.
    So a beam that is dropped, or copied, moves no key: only its row of ``seen`` changes.

    Args:
        language: what ``why_not`` has nothing against.
        prompt: the embeddings of the prompts, all of one length.
        beams: ``B``.
        steps: new tokens at most.
        known: how many places at the beginning are alike in every prompt. Their keys and values are read once, and
            kept with the products.
    """

    def __init__(
        self, language: LlamaForCausalLM, prompt: Float[Tensor, "S P D"], beams: int, steps: int, known: int = 0
    ) -> None:
        self.body, self.products = language.model, frozen_llama(language)
        config, weight = language.config, language.get_input_embeddings().weight
        self.heads, self.kv_heads = config.num_attention_heads, config.num_key_value_heads
        self.group = self.heads // self.kv_heads  # query heads that share keys
        self.size, self.scaling = self.body.layers[0].self_attn.head_dim, self.body.layers[0].self_attn.scaling
        self.beams, self.studies, self.prompt_length = beams, prompt.shape[0], prompt.shape[1]
        shape = (self.studies, self.kv_heads, self.prompt_length + beams * steps, self.size)
        new = dict(dtype=weight.dtype, device=weight.device)
        self.keys = [torch.empty(shape, **new) for _ in self.body.layers]
        self.values = [torch.empty(shape, **new) for _ in self.body.layers]
        self.seen = torch.zeros(self.studies, beams, shape[2], dtype=torch.bool, device=weight.device)
        self.seen[:, :, : self.prompt_length] = True
        places = torch.arange(self.prompt_length + steps, device=weight.device)[None]
        cosine, sine = self.body.rotary_emb(prompt[:1].to(weight.dtype), places)  # each (1, places, size)
        half = self.size // 2
        self.cosine, self.sine = cosine[0], torch.cat([-sine[0, :, :half], sine[0, :, half:]], dim=-1)
        self.written = 0  # tokens of each report that the model has read
        self._prompt, self._known = prompt.to(weight.dtype), known

    def read_prompt(self) -> Float[Tensor, "S D"]:
        """The last hidden state of every prompt, normalised; keys and values of the prompts are kept."""
        if self._known:
            self._read_known()
        last = []
        for start in range(0, self.studies, _PREFILL):
            rows = slice(start, min(start + _PREFILL, self.studies))
            last.append(self._read_places(rows, self._known, self.prompt_length)[:, -1])
        del self._prompt
        return self.body.norm(torch.cat(last))

    def _read_known(self) -> None:
        """Keys and values of the places that every prompt begins with: from the last call, or read for one study."""
        words = self._prompt[0, : self._known]
        kept = self.products.beginning
        if kept is None or not torch.equal(kept[0], words):
            self._read_places(slice(0, 1), 0, self._known)
            pairs = [tuple(each[:1, :, : self._known].clone() for each in pair) for pair in self._pairs()]
            kept = self.products.beginning = words.clone(), pairs
        for pair, known in zip(self._pairs(), kept[1], strict=True):
            for each, columns in zip(pair, known, strict=True):
                each[:, :, : self._known] = columns

    def _read_places(self, rows: slice, first: int, stop: int) -> Float[Tensor, "s n D"]:
        """Hidden states of the prompts' places ``first`` to ``stop``; each sees itself and those before it."""
        seen = torch.ones(stop - first, stop, dtype=torch.bool, device=self._prompt.device).tril(first)
        return self._read(self._prompt[rows, first:stop], self._columns(rows, first, slice(first, stop), seen[None]))

    def step(self, tokens: Int[Tensor, "S B"], parents: Int[Tensor, "S B"] | None = None) -> Float[Tensor, "R D"]:
        """The last hidden states, normalised, after one more token a beam: ``R`` is S x B.

        Args:
            tokens: what each beam was continued with.
            parents: the beam that each new beam continues; None: its own.
        """
        rows = slice(0, self.studies)
        first = self.prompt_length + self.beams * self.written
        if self.beams > 1:
            if parents is not None:
                ancestors = parents[:, :, None].expand(-1, -1, self.seen.shape[2])
                self.seen[rows] = self.seen[rows].gather(1, ancestors)
            own = torch.eye(self.beams, dtype=torch.bool, device=tokens.device)
            self.seen[rows, :, first : first + self.beams] = own
        place = slice(self.prompt_length + self.written, self.prompt_length + self.written + 1)
        self.written += 1
        seen = self.seen[rows, :, : first + self.beams] if self.beams > 1 else None
        hidden = self._read(self.body.embed_tokens(tokens), self._columns(rows, first, place, seen))
        return self.body.norm(hidden).flatten(0, 1)

    def logits(self, hidden: Float[Tensor, "R D"]) -> Float[Tensor, "R vocabulary"]:
        """What ``step`` and ``read_prompt`` give, as scores of the next token."""
        return self.products.head(hidden)

    def _columns(self, rows: slice, first: int, places: slice, seen: Bool[Tensor, "s n C"] | None) -> _Columns:
        """New columns from ``first`` on at these places of the text; ``seen``: what each attends to, None: all."""
        mask = None
        if seen is not None:
            mask = torch.zeros(seen.shape, dtype=self.keys[0].dtype, device=seen.device)
            mask = mask.masked_fill_(~seen, float("-inf")).repeat_interleave(self.group, dim=1)[:, None]
        return _Columns(rows, first, self.cosine[places], self.sine[places], mask)

    def _read(self, hidden: Float[Tensor, "s n D"], new: _Columns) -> Float[Tensor, "s n D"]:
        """Hidden states of the new columns, through all layers."""
        for number, layer in enumerate(self.body.layers):
            products = self.products.layers[number]
            mixed = products.query_key_value(layer.input_layernorm(hidden))  # (s, n, all heads x size)
            hidden = hidden + products.output(self._attend(number, mixed.unflatten(-1, (-1, self.size)), new))
            gate, up = products.gate_up(layer.post_attention_layernorm(hidden)).chunk(2, dim=-1)
            hidden = hidden + products.down(F.silu(gate).mul_(up))
        return hidden

    def _attend(self, number: int, heads: Float[Tensor, "s n heads size"], new: _Columns) -> Float[Tensor, "s n D"]:
        studies, columns = heads.shape[:2]
        stop = new.first + columns
        turned = _rotated(heads[:, :, : self.heads + self.kv_heads], new.cosine[:, None], new.sine[:, None])
        query, key = turned.split([self.heads, self.kv_heads], dim=2)
        keys, values = self.keys[number][new.rows, :, :stop], self.values[number][new.rows, :, :stop]
        keys[:, :, new.first :] = key.transpose(1, 2)
        values[:, :, new.first :] = heads[:, :, self.heads + self.kv_heads :].transpose(1, 2)
        query = (
            query.unflatten(2, (self.kv_heads, self.group)).transpose(1, 2).flatten(2, 3)
        )  # (s, kv, n x group, size)
        parts = []
        for start in range(0, studies, _ATTEND):
            some = slice(start, start + _ATTEND)
            mask = None if new.mask is None else new.mask if new.mask.shape[0] == 1 else new.mask[some]
            parts.append(
                F.scaled_dot_product_attention(query[some], keys[some], values[some], mask, scale=self.scaling)
            )
        mixed = torch.cat(parts) if len(parts) > 1 else parts[0]
        return mixed.unflatten(2, (columns, self.group)).transpose(1, 2).flatten(2)

    def _pairs(self) -> Iterator[tuple[Tensor, Tensor]]:
        return zip(self.keys, self.values, strict=True)

    def keep(self, rows: Sequence[int]) -> Int[Tensor, " S"]:
        """Let the other studies leave. The last ones move into the gaps; returns the order that the kept ones have."""
        kept = set(rows)
        order = list(range(len(kept)))
        gaps = [row for row in order if row not in kept]
        for gap, row in zip(gaps, sorted(row for row in kept if row >= len(kept)), strict=True):
            order[gap] = row
        if gaps:
            into, out = (torch.tensor(which, device=self.seen.device) for which in (gaps, [order[gap] for gap in gaps]))
            used = slice(0, self.prompt_length + self.beams * self.written)
            for each in (*self.keys, *self.values):
                each[into, :, used] = each[out, :, used]
            self.seen[into] = self.seen[out]
        self.studies = len(kept)
        return torch.tensor(order, device=self.seen.device)


def _rotated(vectors: Tensor, cosine: Float[Tensor, " size"], sine: Float[Tensor, " size"]) -> Tensor:
    """Rotary position embedding; the first half of ``sine`` is negated already."""
    half = vectors.shape[-1] // 2
    turned = torch.cat([vectors[..., half:], vectors[..., :half]], dim=-1)
    return torch.addcmul(vectors * cosine, turned, sine)
