"""What a GGUF file says of its model beyond its tensors: applied to transformers' config, or refused by name.

transformers' reader takes the keys it has a place for and passes over the rest, such as the scaling of rotary
frequencies, or the norm's epsilon of architectures that have two names for it. A model read so writes other text.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from transformers import PretrainedConfig

from r2gen_lib.model.gguf_facts import GgufFacts
from r2gen_lib.model.gguf_rope import ROPE_KEYS, head_width, near, set_rope

#: A key without its architecture's name, and the config's fields that may hold it; the first that is there does.
_FIELDS = {
    "context_length": ("max_position_embeddings", "n_positions"),
    "embedding_length": ("hidden_size",),
    "block_count": ("num_hidden_layers",),
    "feed_forward_length": ("intermediate_size", "ffn_hidden_size", "n_inner"),
    "attention.head_count": ("num_attention_heads",),
    "attention.head_count_kv": ("num_key_value_heads", "num_kv_heads"),
    "attention.key_length": ("head_dim",),
    "attention.layer_norm_rms_epsilon": ("rms_norm_eps", "norm_eps", "layer_norm_epsilon"),
    "attention.layer_norm_epsilon": ("layer_norm_eps", "layer_norm_epsilon", "norm_epsilon", "norm_eps"),
    "attention.sliding_window": ("sliding_window",),
    "attn_logit_softcapping": ("attn_logit_softcapping",),
    "final_logit_softcapping": ("final_logit_softcapping",),
    "vocab_size": ("vocab_size",),
    "use_parallel_residual": ("use_parallel_residual",),
    "expert_count": ("num_local_experts", "num_experts"),
    "expert_used_count": ("num_experts_per_tok",),
    "expert_feed_forward_length": ("moe_intermediate_size", "intermediate_size"),
    "expert_shared_feed_forward_length": ("shared_expert_intermediate_size",),
    "expert_weights_norm": ("norm_topk_prob",),
}
#: Keys that change nothing where they have one of these values.
_NEUTRAL: Mapping[str, tuple] = {
    "attention.causal": (True,),
    "attention.clamp_kqv": (0,),
    "logit_scale": (0, 1),
    "embedding_scale": (0, 1),
    "residual_scale": (0, 1),
    "expert_weights_scale": (0, 1),
    "expert_group_count": (0, 1),
    "expert_group_used_count": (0, 1),
    "moe_every_n_layers": (0, 1),
    "interleave_moe_layer_step": (0, 1),
    "expert_gating_func": (0, 1),  # softmax
    "rope.scaling.attn_factor": (0, 1),
    "rope.scaling.yarn_attn_factor": (0, 1),
}
#: Keys that describe the file, or that are looked at elsewhere here.
_DESCRIBES = {"tensor_data_layout", "rope.scaling.finetuned", "rope.scaling.original_context_length"}
#: Architectures whose config transformers makes from every key: what is theirs alone is read there.
_READ_WHOLE = {
    "qwen35": {"ssm.*", "full_attention_interval", "nextn_predict_layers", "rope.dimension_sections"},
    "qwen35moe": {"ssm.*", "full_attention_interval", "nextn_predict_layers", "rope.dimension_sections"},
    "lfm2": {"shortconv.l_cache"},
    "mamba": {"ssm.conv_kernel", "ssm.state_size", "ssm.time_step_rank", "ssm.inner_size"},
    "bloom": {"attention.max_alibi_bias"},  # 8, which bloom always has
    "minimax-m2": {"expert_gating_func"},
}
_LONG = 1024  # more tokens than prompt, picture and report have: a window as wide changes none of them


def apply_facts(config: PretrainedConfig, facts: GgufFacts) -> list[str]:
    """Put into ``config``, in place, what transformers' reader left out; the names of the fields that changed.

    A limit that no report comes near is put in too, but not named: the model writes what it wrote before.

    Raises:
        AssetError: a key changes the model and has no place in ``config``; the message names it.
    """
    changed: list[str] = []
    values = dict(facts.values)
    if facts.architecture in ("llama", "mistral") and "attention.head_count_kv" not in values:
        raise facts.refuse("attention.head_count_kv", "not there", "the rows of attn_k cannot be put in order")
    heads, width = values.get("attention.head_count"), values.get("embedding_length")
    if isinstance(heads, int) and heads and isinstance(width, int):
        values.setdefault("attention.key_length", width // heads)
    if isinstance(values.get("block_count"), int):
        values["block_count"] -= values.get("nextn_predict_layers", 0)
    own = _READ_WHOLE.get(facts.architecture, set())
    for key, value in sorted(values.items()):
        if key in ROPE_KEYS or key in _DESCRIBES or key in own or f"{key.partition('.')[0]}.*" in own:
            continue
        if key == "attention.value_length":
            if value != values.get("attention.key_length", value):
                raise facts.refuse(key, value, "it is not attention.key_length")
        elif key == "attention.sliding_window_pattern":
            _check_pattern(config, facts, key, value)
        elif key in _FIELDS and value is not False and value == 0:
            continue  # llama.cpp wants some keys even where they mean nothing, as heads of a mamba
        elif key in _FIELDS:
            changed += _set(config, facts, key, value)
        elif key == "attention.scale" and near(value, head_width(config) ** -0.5):
            continue
        elif key in _NEUTRAL and value in _NEUTRAL[key]:
            continue
        elif value not in (0, False, "", [], None):
            raise facts.refuse(key, value, "it has no place in transformers' config")
    changed += _set_query_scale(config, facts)
    return changed + set_rope(config, facts)


def _set(config: PretrainedConfig, facts: GgufFacts, key: str, value: Any) -> list[str]:
    """Make the field of ``key`` say ``value``; its name if it did not."""
    if isinstance(value, list):  # one a layer
        several = {item for item in value if item}
        if len(several) != 1:
            raise facts.refuse(key, value, "it differs from layer to layer")
        value = several.pop()
    name = next((name for name in _FIELDS[key] if hasattr(config, name)), None)
    if key == "attention.sliding_window":
        if not value or value >= facts.values.get("context_length", math.inf):
            return []
        layers = getattr(config, "layer_types", None)
        if layers is not None and not any("sliding" in layer for layer in layers):
            name = None
    if key == "attention.key_length" and facts.architecture == "gemma4":
        name = "global_head_dim"
    if name is None:
        known = head_width(config) if key == "attention.key_length" else 0
        if near(value, known):
            return []
        raise facts.refuse(key, value, "it has no place in transformers' config")
    found = getattr(config, name)
    if found is None and key == "feed_forward_length" and near(value, 4 * config.hidden_size):
        return []  # GPT-2's default
    if near(found, value):
        return []
    try:
        setattr(config, name, value)
    except (AttributeError, TypeError, ValueError) as error:
        raise facts.refuse(key, value, f"{name} of transformers' config is {found}") from error
    same = key == "context_length" or (key == "attention.sliding_window" and value >= _LONG)
    return [] if same else [name]


def _check_pattern(config: PretrainedConfig, facts: GgufFacts, key: str, value: Any) -> None:
    """Which layers see a window alone, as a period or a flag a layer, must be what the config has."""
    layers = getattr(config, "layer_types", None)
    if layers is None:
        if value in (0, [], None) or not any(value if isinstance(value, list) else [value]):
            return
        raise facts.refuse(key, value, "it has no place in transformers' config")
    slides = ["sliding" in layer for layer in layers]
    wanted = value if isinstance(value, list) else [(i + 1) % value != 0 for i in range(len(slides))] if value else []
    if [bool(flag) for flag in wanted] != slides:
        raise facts.refuse(key, value, f"transformers' config has {['full', 'sliding'][slides[0]]} first and so on")


def _set_query_scale(config: PretrainedConfig, facts: GgufFacts) -> list[str]:
    """The 27B of Gemma 2 and 3 scale queries by another width than a head's. No key says so: llama.cpp goes by the
    number of layers."""
    if facts.values.get("block_count") != {"gemma2": 46, "gemma3": 62}.get(facts.architecture):
        return []
    if not hasattr(config, "query_pre_attn_scalar"):
        return []
    expected = config.hidden_size // config.num_attention_heads
    if config.query_pre_attn_scalar == expected:
        return []
    config.query_pre_attn_scalar = expected
    return ["query_pre_attn_scalar"]
