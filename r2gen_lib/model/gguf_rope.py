"""Rotary frequencies as a GGUF file wants them: put into transformers' config, and looked at in the model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig

from r2gen_lib.model.gguf_facts import FREQUENCIES, GgufFacts

#: Keys that are looked at here.
ROPE_KEYS = {
    "rope.freq_base", "rope.freq_base_swa", "rope.dimension_count", "rope.scaling.type", "rope.scaling.factor",
    "rope.scale_linear",
}  # fmt: skip
_NO_ROPE = {"gpt2", "bloom", "mamba"}


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


def set_rope(config: PretrainedConfig, facts: GgufFacts) -> list[str]:
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
    share = rope.width / head_width(config)
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
        changed = {} if near(before, rope.base) else {"rope_theta": rope.base}
        config.rope_theta = rope.base
        if hasattr(config, "partial_rotary_factor") and not near(config.partial_rotary_factor, share):
            config.partial_rotary_factor = changed["partial_rotary_factor"] = share
        if scaling:
            config.rope_scaling = changed["rope_scaling"] = scaling
    named = {"rope_theta", "partial_rotary_factor", "rope_local_base_freq"}
    return sorted(set(changed) & named) + (["rope_scaling"] if rope.scaled else [])


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
        raise facts.refuse(FREQUENCIES, facts.divisors, f"{type(model).__name__} has no place for it")
    key = key or ("rope.dimension_count" if rope.width != head_width(model.config) else "rope.freq_base")
    raise facts.refuse(key, facts.values.get(key), f"{type(model).__name__} has no place for it")


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
    width = int(values.get("rope.dimension_count") or head_width(config))
    rope = Rope(float(values.get("rope.freq_base") or 10000.0), width, factor, facts.divisors)
    if rope.divisors and len(rope.divisors) != width // 2:
        raise facts.refuse(FREQUENCIES, f"of length {len(rope.divisors)}", f"expected {width // 2}")
    if not all(divisor > 0 and math.isfinite(divisor) for divisor in (*rope.divisors, factor, rope.base)):
        raise facts.refuse("rope.scaling.factor", factor, "expected numbers above 0")
    return rope


def head_width(config: PretrainedConfig) -> int:
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


def near(one: Any, other: Any) -> bool:
    """Equal, as far as fp32 tells."""
    if isinstance(one, bool) or isinstance(other, bool) or not all(isinstance(x, (int, float)) for x in (one, other)):
        return one == other
    return math.isclose(one, other, rel_tol=1e-6)
