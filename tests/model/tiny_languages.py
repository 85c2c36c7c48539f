"""Language models of many architectures, random and tiny, each with a tokenizer of its own kind, saved as folders."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tiny_system import TINY
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig, PreTrainedTokenizerFast

from r2gen_lib.config import LanguageConfig, Preset, PromptConfig
from r2gen_lib.model.llm import LanguageModel, load_language
from r2gen_lib.model.r2gengpt import R2GenGPT

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TURNS = (  # as Gemma's: the turn's end is not the tokenizer's end of sequence
    "<bos>{% for m in messages %}<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n"
    "{{ m.content | trim }}<end_of_turn>\n{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
_LLAMA_LIKE = dict(
    hidden_size=24,
    intermediate_size=32,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=256,
    initializer_range=0.3,
)


@dataclass(frozen=True)
class Kind:
    """One architecture: its config, the special tokens of its tokenizer, and its chat template."""

    config: dict[str, Any]
    special: dict[str, str]
    more: tuple[str, ...] = ()
    template: str | None = None


_ENDOFTEXT = dict(bos_token="<|endoftext|>", eos_token="<|endoftext|>")  # one token for both, none for padding
KINDS = {
    "llama": Kind(
        _LLAMA_LIKE | dict(tie_word_embeddings=False), dict(bos_token="<s>", eos_token="</s>", pad_token="<unk>")
    ),
    "qwen2": Kind(
        _LLAMA_LIKE | dict(tie_word_embeddings=True),
        dict(eos_token="<|im_end|>", pad_token="<|endoftext|>"),
        ("<|im_start|>",),
        CHATML,
    ),
    "gemma": Kind(
        _LLAMA_LIKE | dict(head_dim=8),
        dict(bos_token="<bos>", eos_token="<eos>", pad_token="<pad>"),
        ("<start_of_turn>", "<end_of_turn>"),
        TURNS,
    ),
    "phi": Kind(_LLAMA_LIKE | dict(num_attention_heads=3, num_key_value_heads=3), _ENDOFTEXT),
    "gpt2": Kind(dict(n_embd=24, n_layer=2, n_head=4, n_positions=256, initializer_range=0.3), _ENDOFTEXT),
    # softcapped logits, windows of attention shorter than the prompt
    "gemma2": Kind(
        _LLAMA_LIKE | dict(head_dim=8, sliding_window=8, final_logit_softcapping=2.0, query_pre_attn_scalar=8),
        dict(bos_token="<bos>", eos_token="<eos>", pad_token="<pad>"),
    ),
    # scales embeddings inside the model, and logits
    "granite": Kind(
        _LLAMA_LIKE | dict(embedding_multiplier=12.0, logits_scaling=8.0, attention_multiplier=0.25), _ENDOFTEXT
    ),
    # no keys and values at all
    "mamba": Kind(dict(hidden_size=24, num_hidden_layers=2, state_size=4, initializer_range=0.3), _ENDOFTEXT),
}


def tiny_tokenizer(kind: Kind) -> PreTrainedTokenizerFast:
    """A token a byte, and the special tokens."""
    names = list(dict.fromkeys([*kind.special.values(), *kind.more]))
    vocabulary = {token: i for i, token in enumerate([*names, *sorted(pre_tokenizers.ByteLevel.alphabet())])}
    core = Tokenizer(models.BPE(vocabulary, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        additional_special_tokens=list(kind.more),
        **kind.special,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = kind.template
    return tokenizer


def save_tiny(name: str, folder: Path) -> Path:
    """Model, tokenizer, and a ``generation_config`` that must not be obeyed, in ``folder/name``."""
    tokenizer = tiny_tokenizer(KINDS[name])
    special = dict(
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id
    )
    config = AutoConfig.for_model(name, vocab_size=len(tokenizer), **KINDS[name].config, **special)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config)
    model.generation_config = GenerationConfig(do_sample=True, temperature=5.0, repetition_penalty=3.0)
    model.save_pretrained(folder / name)
    tokenizer.save_pretrained(folder / name)
    return folder / name


def load_tiny(name: str, folder: Path) -> LanguageModel:
    """``save_tiny``, then ``load_language``."""
    return load_language(LanguageConfig(str(save_tiny(name, folder)), "float32"))


PROMPT = PromptConfig("Look at this picture:\n", "\nReport: ")


def in_front_of(language: LanguageModel, mode: str = "shallow", **changes: Any) -> R2GenGPT:
    """The tiny system with another language model; ``changes`` replace fields of the preset."""
    fields = {field: getattr(TINY, field) for field in TINY.__dataclass_fields__} | dict(prompt=PROMPT) | changes
    return R2GenGPT.from_preset(Preset(**fields), mode, vision_weights=None, language=language, device="cpu")
