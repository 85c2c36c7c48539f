"""What a GGUF file says of its model beyond its tensors: applied to transformers' config, or refused by name.

transformers' reader takes the keys it has a place for and passes over the rest, such as the scaling of rotary
frequencies, or the norm's epsilon of architectures that have two names for it. A model read so writes other text.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import torch
from torch import Tensor, nn
from transformers import PretrainedConfig

from r2gen_lib.errors import AssetError, short

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
_ROPE = {
    "rope.freq_base", "rope.freq_base_swa", "rope.dimension_count", "rope.scaling.type", "rope.scaling.factor",
    "rope.scale_linear",
}  # fmt: skip
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
_NO_ROPE = {"gpt2", "bloom", "mamba"}
_FREQUENCIES = "rope_freqs.weight"


@dataclass(frozen=True)
class GgufFacts:
    """What is in a GGUF file besides the values of its weights.

    Attributes:
        path: the file.
        architecture: llama.cpp's name, such as "llama".
        values: its keys of the architecture, without its name in front.
        tensors: names of all tensors.
        divisors: what each rotary frequency is divided by (Llama 3.1's long context); empty: nothing.
    """

    path: Path
    architecture: str
    values: Mapping[str, Any]
    tensors: frozenset[str]
    divisors: tuple[float, ...] = ()

    def refuse(self, key: str, found: Any, why: str) -> AssetError:
        """The error that ``key`` is not one this can do."""
        name = key if key in self.tensors else f"{self.architecture}.{key}"
        return AssetError(
            f"{self.path}: {name} is {short(found)}, which is not read ({why}); without it the model would write "
            "other text. Give LanguageConfig.source the folder of transformers' files that the GGUF file was made from."
        )


@dataclass(frozen=True)
class Rope:
    """Rotary frequencies as the file wants them: ``base ** (-2i / width) / (factor * divisors[i])``."""

    base: float
    width: int
    factor: float = 1.0
    divisors: tuple[float, ...] = ()

    @property
    def scaled(self) -> bool:
        """Whether they are others than those of ``base`` and ``width`` alone."""
        return self.factor != 1 or any(divisor != 1 for divisor in self.divisors)

    def frequencies(self) -> Tensor:
        """(width / 2,), in fp32."""
        plain = self.base ** (-torch.arange(0, self.width, 2, dtype=torch.float64) / self.width)
        divisors = torch.tensor(self.divisors, dtype=torch.float64) if self.divisors else 1.0
        return (plain / self.factor / divisors).float()


def read_facts(path: Path) -> GgufFacts:
    """Keys and names of a GGUF file. Raises what the gguf package raises if it is none."""
    reader = gguf.GGUFReader(path)
    architecture = _value(reader.fields["general.architecture"])
    prefix = f"{architecture}."
    values = {
        name.removeprefix(prefix): _value(field) for name, field in reader.fields.items() if name.startswith(prefix)
    }
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    divisors: tuple[float, ...] = ()
    if _FREQUENCIES in tensors:
        tensor = tensors[_FREQUENCIES]
        divisors = tuple(gguf.dequantize(tensor.data, tensor.tensor_type).astype("float64").ravel().tolist())
    return GgufFacts(path, architecture, values, frozenset(tensors), divisors)


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
        if key in _ROPE or key in _DESCRIBES or key in own or f"{key.partition('.')[0]}.*" in own:
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
        elif key == "attention.scale" and _near(value, _head_width(config) ** -0.5):
            continue
        elif key in _NEUTRAL and value in _NEUTRAL[key]:
            continue
        elif value not in (0, False, "", [], None):
            raise facts.refuse(key, value, "it has no place in transformers' config")
    changed += _set_query_scale(config, facts)
    return changed + _set_rope(config, facts)


def check_rope(model: nn.Module, facts: GgufFacts) -> None:
    """Raise AssetError where the model's rotary frequencies are not the file's."""
    rope = _rope(model.config, facts)
    if rope is None:
        return
    found = [
        (name, buffer)
        for name, buffer in model.named_buffers()
        if name.endswith("inv_freq")
        and "original" not in name
        and not any(word in name for word in ("local", "sliding"))
    ]
    expected = rope.frequencies()
    fits = [
        buffer.shape == expected.shape and torch.allclose(buffer.float().cpu(), expected, rtol=1e-3)
        for _, buffer in found
    ]
    scale = {float(getattr(module, "attention_scaling", 1.0) or 1.0) for module in model.modules()}
    if all(fits) and (fits or not rope.scaled) and scale == {1.0}:
        return
    key = next((key for key in ("rope.scaling.factor", "rope.scale_linear") if facts.values.get(key, 1) != 1), None)
    if rope.scaled and key is None:
        raise facts.refuse(_FREQUENCIES, facts.divisors, f"{type(model).__name__} has no place for it")
    key = key or ("rope.dimension_count" if rope.width != _head_width(model.config) else "rope.freq_base")
    raise facts.refuse(key, facts.values.get(key), f"{type(model).__name__} has no place for it")


def unread_tensors(model: nn.Module, facts: GgufFacts) -> list[str]:
    """Tensors of the file that no tensor of the model is read from: transformers passes over them."""
    try:
        from transformers.integrations.gguf import GGUF_ARCHS
    except ImportError:
        GGUF_ARCHS = {}
    kinds = {name: arch for arch, name in gguf.MODEL_ARCH_NAMES.items()}
    if facts.architecture in GGUF_ARCHS or facts.architecture not in kinds:
        return []  # there the loader says it itself
    layers = model.config.num_hidden_layers
    names = gguf.get_tensor_name_map(kinds[facts.architecture], layers)
    read = {_FREQUENCIES}
    for name in model.state_dict():
        stem, dot, suffix = name.rpartition(".")
        if suffix not in ("weight", "bias"):
            stem, dot, suffix = name, "", ""
        parts = stem.split(".")
        for i in range(len(parts)):
            known = names.get_name(".".join(parts[i:]))
            if known:
                read.add(f"{known}{dot}{suffix}")
    return sorted(name for name in facts.tensors - read if "_exps." not in name and ".attn_rot_embd" not in name)


def _value(field: gguf.ReaderField) -> Any:
    """A field's value as Python has it."""
    text = field.types[-1] == gguf.GGUFValueType.STRING
    items = [bytes(field.parts[i]).decode("utf-8") if text else field.parts[i][0].item() for i in field.data]
    return items if field.types[0] == gguf.GGUFValueType.ARRAY else items[0]


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
        known = _head_width(config) if key == "attention.key_length" else 0
        if _near(value, known):
            return []
        raise facts.refuse(key, value, "it has no place in transformers' config")
    found = getattr(config, name)
    if found is None and key == "feed_forward_length" and _near(value, 4 * config.hidden_size):
        return []  # GPT-2's default
    if _near(found, value):
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


def _rope(config: PretrainedConfig, facts: GgufFacts) -> Rope | None:
    """Rotary frequencies that the file wants, None for architectures without.

    llama.cpp takes scaling to be linear where no type is given, and reads the older rope.scale_linear for its factor.
    """
    values = facts.values
    for tensor in ("rope_factors_long.weight", "rope_factors_short.weight"):
        if tensor in facts.tensors:
            raise facts.refuse(tensor, "there", "frequencies that change with the length of the text")
    kind = values.get("rope.scaling.type", "linear")
    factor = float(values.get("rope.scaling.factor") or values.get("rope.scale_linear") or 1.0)
    if kind not in ("none", "linear"):
        raise facts.refuse("rope.scaling.type", kind, "RoPE scaling other than linear")
    if kind == "none":
        factor = 1.0
    if facts.architecture in _NO_ROPE:
        return None
    if facts.architecture == "gemma4":  # two kinds of layers, with frequencies of their own each
        if factor != 1:
            raise facts.refuse("rope.scaling.factor", factor, "RoPE scaling of this architecture")
        return None
    width = int(values.get("rope.dimension_count") or _head_width(config))
    rope = Rope(float(values.get("rope.freq_base") or 10000.0), width, factor, facts.divisors)
    if rope.divisors and len(rope.divisors) != width // 2:
        raise facts.refuse(_FREQUENCIES, f"of length {len(rope.divisors)}", f"expected {width // 2}")
    if not all(divisor > 0 and math.isfinite(divisor) for divisor in (*rope.divisors, factor, rope.base)):
        raise facts.refuse("rope.scaling.factor", factor, "expected numbers above 0")
    return rope


def _set_rope(config: PretrainedConfig, facts: GgufFacts) -> list[str]:
    """Base, width and scaling of the rotary frequencies, under the names of this version of transformers."""
    rope = _rope(config, facts)
    if rope is None:
        return []
    changed: dict[str, Any] = {}
    scaling: dict[str, Any] = {}
    if rope.scaled and rope.divisors:
        divisors = [rope.factor * divisor for divisor in rope.divisors]
        scaling = dict(
            rope_type="longrope",  # every frequency is divided by a number of its own, whatever the length
            short_factor=divisors,
            long_factor=divisors,
            factor=1.0,
            attention_factor=1.0,
            original_max_position_embeddings=config.max_position_embeddings,
        )
    elif rope.scaled:
        scaling = dict(rope_type="linear", factor=rope.factor)
    wanted = {"rope_theta": rope.base, **scaling}
    parameters = getattr(config, "rope_parameters", None)
    share = rope.width / _head_width(config)
    if isinstance(parameters, dict):
        layered = isinstance(parameters.get("full_attention"), dict)
        own = dict(parameters["full_attention"] if layered else parameters)
        if "partial_rotary_factor" in own or hasattr(config, "partial_rotary_factor"):
            wanted["partial_rotary_factor"] = share
        changed = {name: value for name, value in wanted.items() if own.get(name) != value}
        if layered and "rope.freq_base_swa" in facts.values:
            local = dict(parameters.get("sliding_attention") or {})
            if local.get("rope_theta") != facts.values["rope.freq_base_swa"]:
                changed["rope_local_base_freq"] = local["rope_theta"] = float(facts.values["rope.freq_base_swa"])
            parameters = {**parameters, "sliding_attention": local}
        own |= wanted
        config.rope_parameters = {**parameters, "full_attention": own} if layered else own
    else:  # before transformers 5
        before = getattr(config, "rope_theta", None)
        changed = {} if _near(before, rope.base) else {"rope_theta": rope.base}
        config.rope_theta = rope.base
        if hasattr(config, "partial_rotary_factor") and not _near(config.partial_rotary_factor, share):
            config.partial_rotary_factor = changed["partial_rotary_factor"] = share
        if scaling:
            config.rope_scaling = changed["rope_scaling"] = scaling
    named = {"rope_theta", "partial_rotary_factor", "rope_local_base_freq"}
    return sorted(set(changed) & named) + (["rope_scaling"] if rope.scaled else [])


def _head_width(config: PretrainedConfig) -> int:
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


def _near(one: Any, other: Any) -> bool:
    """Equal, as far as fp32 tells."""
    if isinstance(one, bool) or isinstance(other, bool) or not all(isinstance(x, (int, float)) for x in (one, other)):
        return one == other
    return math.isclose(one, other, rel_tol=1e-6)
