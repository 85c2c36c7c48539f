"""How much memory a preset needs, before anything is loaded: weights by arithmetic, the rest by a dry run.

The dry run does what ``R2GenGPT`` does in a training step, and while it generates, on the meta device: the same
modules, shapes and dtypes, no numbers. So every encoder, language model, mode and kind of attention counts as it is.
What it cannot see is named here: the runtime itself, and the allocator's waste. ``benchmarks/memory.py`` prints
estimate and measurement side by side.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cache

import pandas as pd
import torch
from torch import Tensor, nn
from transformers import Cache
from transformers.utils import ModelOutput

from r2gen_lib.config import LanguageConfig, Preset, get_preset
from r2gen_lib.errors import R2GenError
from r2gen_lib.model.budget.live_bytes import LiveBytes
from r2gen_lib.model.encoder import VisionEncoder, token_count
from r2gen_lib.model.generation import ENCODED_AT_ONCE, WRITTEN_BY_TRANSFORMERS, studies_at_once
from r2gen_lib.model.llama_decoder import LlamaDecoder, packed_bytes, why_not
from r2gen_lib.model.llm import cache_argument, cache_of, choose_dtype, freeze, language_skeleton
from r2gen_lib.model.lora import with_language_lora
from r2gen_lib.model.memory_saving import checkpointed
from r2gen_lib.model.modes import make_mapper, parameter_table, prepare_mode, set_training
from r2gen_lib.model.report_loss import report_loss
from r2gen_lib.model.search import ROWS_OF_LOGITS, ROWS_OF_SCORES

PROCESS_BYTES = {
    "cpu": 910_000_000,  # measured: Python with torch, transformers, timm, peft and a tokenizer (benchmarks/memory.py)
    "cuda": 600_000_000,  # assumed, as no GPU was at hand: the CUDA context, its kernels, cuBLAS's workspace
}
KERNEL_BYTES = {
    "cpu": 150_000_000,  # measured: what grows with the number of different shapes, 70 to 200 MB (benchmarks/memory.py)
    "cuda": 0,
}
_LETTERS_PER_TOKEN = 4  # of English prose; tokenizers are not loaded here
_QUANTIZED_BYTES = {"8bit": 1.0, "4bit": 0.5 + 0.127 / 8}  # a weight, with its share of the scales


@dataclass(frozen=True)
class Memory:
    """Bytes at the peak.

    Attributes:
        weights: parameters and buffers of encoder, mapper and language model.
        state: gradients and AdamW's two moments of what trains (0 in generation).
        working: all else that lives at the peak: activations kept for the backward pass, logits, keys and values.
        runtime: what the process takes besides (``PROCESS_BYTES`` and ``KERNEL_BYTES``).
    """

    weights: int
    state: int
    working: int
    runtime: int

    @property
    def total(self) -> int:
        return self.weights + self.state + self.working + self.runtime


def training_memory(preset: str | Preset, mode: str, device: str = "cuda") -> Memory:
    """Memory at the peak of a training step of ``optim.batch_size`` reports of ``target.max_tokens``.

    Args:
        device: "cpu" or "cuda": which dtype and attention the preset's "auto" and "half" become, and the runtime. On
            "cuda" 16 bits are taken for granted where the preset leaves the choice.
    """
    parts = Parts(get_preset(preset), mode, device)
    trained = [p for p in parts.parameters() if p.requires_grad]
    state = 12 * sum(p.numel() for p in trained)
    with LiveBytes(parts.tensors()) as live:
        optimizer = torch.optim.AdamW(trained, foreach=device == "cuda")
        for parameter in trained:
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()  # from here on both moments are there
        live.reset_peak()
        loss = parts.loss()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    return Memory(
        parts.weights(), state, live.peak - state + parts.dequantized(), PROCESS_BYTES[device] + KERNEL_BYTES[device]
    )


def generation_memory(preset: str | Preset, device: str = "cuda", batch: int | None = None) -> Memory:
    """Memory at the peak of writing ``batch`` reports (default: ``optim.batch_size``) of ``max_new_tokens``."""
    preset = get_preset(preset)
    parts = Parts(preset, "shallow", device)
    with LiveBytes(parts.tensors()) as live, torch.no_grad():
        parts.generate(batch or preset.optim.batch_size)
    working = live.peak + parts.dequantized() + (packed_bytes(parts.language, device) if parts.searches else 0)
    return Memory(parts.weights(), 0, working, PROCESS_BYTES[device] + KERNEL_BYTES[device])


def quantization_saving(preset: Preset, quantization: str) -> int:
    """Bytes that a quantised LLM takes less at the peak than one of 16 bits; the rest of the estimate is the same."""
    plain, packed = (
        Parts(replace(preset, language=replace(preset.language, dtype="bfloat16", quantization=one)), "shallow", "cuda")
        for one in (None, quantization)
    )
    return plain.weights() - packed.weights() - packed.dequantized()


def memory_table(preset: str | Preset, device: str = "cuda") -> pd.DataFrame:
    """``parameter_table`` with the checkpoint's size and the peaks of training and generation, one row a mode.

    Columns added, in GB (1e9 bytes): checkpoint GB, training GB, generation GB.
    """
    preset = get_preset(preset)
    table = parameter_table(preset)
    table["checkpoint GB"] = 4e-9 * table["trainable"]  # saved in fp32
    table["training GB"] = [training_memory(preset, mode, device).total / 1e9 for mode in table.index]
    table["generation GB"] = generation_memory(preset, device).total / 1e9
    return table


class Parts:
    """Encoder, mapper and language model of a preset on the meta device, and what ``R2GenGPT`` does with them."""

    def __init__(self, preset: Preset, mode: str, device: str) -> None:
        if device not in PROCESS_BYTES:
            raise R2GenError(f"memory: found device {device!r}, expected one of {', '.join(PROCESS_BYTES)}.")
        self.preset, self.mode, config = preset, mode, preset.language
        self.dtype = _dtype(config.dtype, device)
        self.language = _skeleton(json.dumps(dict(config.shape)), self.dtype)
        with torch.device("meta"):
            self.encoder = VisionEncoder(preset.vision)
            self.mapper = make_mapper(preset, self.encoder, self.language.config.hidden_size)
        prepare_mode(self.encoder, self.mapper, mode, preset.lora)
        if preset.language_lora:
            self.language = with_language_lora(self.language, preset.language_lora)
        set_training(self.encoder, mode, True)
        fused = config.attention.startswith("flash") or (config.attention == "auto" and device == "cuda")
        self.language.config._attn_implementation = "sdpa" if fused else config.attention.replace("auto", "eager")
        self.before, self.after = (
            math.ceil(len(text) / _LETTERS_PER_TOKEN)
            for text in (preset.prompt.before_image, preset.prompt.after_image)
        )

    def parameters(self) -> Iterable[nn.Parameter]:
        return [p for part in (self.encoder, self.mapper, self.language) for p in part.parameters()]

    def tensors(self) -> list[Tensor]:
        """Parameters and buffers, shared ones once."""
        return [*self.parameters(), *(b for part in (self.encoder, self.language) for b in part.buffers())]

    def weights(self) -> int:
        """Bytes of all of them, the language model's linear layers quantised if the preset says so."""
        whole = sum(tensor.nbytes for tensor in self.tensors())
        saved = sum(linear.weight.nbytes for linear in self._quantized())
        packed = sum(linear.weight.numel() for linear in self._quantized()) * _QUANTIZED_BYTES.get(self._packing, 0)
        return int(whole - saved + packed)

    def dequantized(self) -> int:
        """Bytes of the largest quantised layer, which is unpacked where it is used."""
        return max((linear.weight.nbytes for linear in self._quantized()), default=0)

    @property
    def _packing(self) -> str | None:
        return self.preset.language.quantization

    def _quantized(self) -> list[nn.Linear]:
        head = self.language.get_output_embeddings()
        linear = [m for m in self.language.modules() if isinstance(m, nn.Linear) and m is not head]
        return linear if self._packing else []

    def loss(self) -> Tensor:
        """As ``R2GenGPT.forward``; in shallow mode the trainer gives it features, not pictures."""
        rows, length = self.preset.optim.batch_size, self.preset.target.max_tokens
        visual = self.mapper(self._features(rows))
        checkpoints = self.preset.language.gradient_checkpointing
        words = self._empty(rows, self.after + length)
        parts = ([self._empty(rows, self.before)] if checkpoints else []) + [visual.to(self.dtype), words]
        hidden = self._read(torch.cat(parts, dim=1), None if checkpoints else self._known(rows)).last_hidden_state
        logits = self.language.get_output_embeddings()(hidden[:, -length - 1 : -1].reshape(rows * length, -1))
        labels = torch.empty(rows * length, dtype=torch.long, device="meta")
        return report_loss(logits, labels)

    @property
    def searches(self) -> bool:
        """Whether reports are written by ``model.search`` and not by transformers."""
        return self.preset.language.quantization is None and why_not(self.language) is None

    def generate(self, rows: int) -> None:
        """As ``R2GenGPT.generate`` at its fullest: the prompts, then the last of the new tokens with every beam."""
        side = self.preset.vision.image_size
        pictures = torch.empty(rows, self._views, 3, side, side, device="meta")
        visual = self.mapper(torch.cat([self.encoder(some) for some in pictures.split(ENCODED_AT_ONCE)]))
        prompt = torch.cat(
            [self._empty(rows, self.before), visual.to(self.dtype), self._empty(rows, self.after)], dim=1
        )
        if self.searches:
            self._search(prompt[: studies_at_once(self.language, prompt.shape[1], self.preset.decoding)])
        else:
            self._generate(prompt[:WRITTEN_BY_TRANSFORMERS])

    def _search(self, prompt: Tensor) -> None:
        rows, decoding = prompt.shape[0], self.preset.decoding
        decoder = LlamaDecoder(self.language, prompt, decoding.num_beams, decoding.max_new_tokens)
        decoder.read_prompt()
        decoder.written = decoding.max_new_tokens - 1
        tokens = torch.empty(rows, decoding.num_beams, dtype=torch.long, device="meta")
        hidden = decoder.step(tokens, tokens if decoding.num_beams > 1 else None)
        logits = decoder.logits(hidden[:ROWS_OF_LOGITS])
        scores = logits[:ROWS_OF_SCORES].float()
        scores.log_softmax(-1)

    def _generate(self, prompt: Tensor) -> None:
        rows, new = prompt.shape[0], self.preset.decoding.max_new_tokens
        beams = rows * self.preset.decoding.num_beams
        prompt = prompt.repeat_interleave(beams // rows, dim=0)
        cache = cache_of(self._read(prompt))
        for index, layer in enumerate(cache.layers):
            shape = (*layer.keys.shape[:2], new - 1, layer.keys.shape[-1])
            cache.update(*(torch.empty(shape, dtype=self.dtype, device="meta") for _ in "kv"), index)
        cache.reorder_cache(torch.empty(beams, dtype=torch.long, device="meta"))
        hidden = self._read(self._empty(beams, 1), cache).last_hidden_state
        scores = self.language.get_output_embeddings()(hidden[:, -1]).float().log_softmax(-1)
        _ = [scores + 0 for _ in range(4)]  # copies: one a penalty, the beams' sums, and their sorting

    @property
    def _views(self) -> int:
        return len(self.preset.vision.views)

    def _features(self, rows: int) -> Tensor:
        side = self.preset.vision.image_size
        if self.mode == "shallow":
            return torch.empty(rows, token_count(self.encoder), self.encoder.width, device="meta")
        return self.encoder(torch.empty(rows, self._views, 3, side, side, device="meta"))

    @torch.no_grad()
    def _known(self, rows: int) -> Cache:
        """Keys and values of the words before the picture, one copy a row."""
        cache = cache_of(self._read(self._empty(1, self.before)))
        cache.batch_repeat_interleave(rows)
        return cache

    def _read(self, words: Tensor, cache: Cache | None = None) -> ModelOutput:
        """The language model without its head, over ``words`` behind what ``cache`` holds."""
        known = cache.get_seq_length() if cache else 0
        rows, length = words.shape[:2]
        mask = torch.empty(rows, 1, length, known + length, dtype=self.dtype, device="meta")  # 4-D: taken as it is
        checkpoints = words.requires_grad and self.preset.language.gradient_checkpointing
        given = cache_argument(self.language.base_model, cache) if cache else {}
        with checkpointed(self.language) if checkpoints else nullcontext():
            return self.language.base_model(
                inputs_embeds=words, attention_mask=mask, use_cache=not checkpoints, **given
            )

    def _empty(self, rows: int, length: int) -> Tensor:
        return torch.empty(rows, length, self.language.config.hidden_size, dtype=self.dtype, device="meta")


@cache
def _skeleton(shape: str, dtype: torch.dtype) -> nn.Module:
    """The frozen language model of that shape (JSON); made once, as its making takes longer than a dry run."""
    return freeze(language_skeleton(LanguageConfig("", shape=json.loads(shape))).to(dtype))


def _dtype(dtype: str, device: str) -> torch.dtype:
    return torch.bfloat16 if device == "cuda" and dtype in ("auto", "half") else choose_dtype(dtype, device)
