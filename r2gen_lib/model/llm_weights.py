"""A language model's files become a model, strictly: what does not fit is an error, and nothing starts at random.

transformers gives every tensor that a file lacks random values, and only logs that it did. Here what it says of its
loading is read, for a folder of any format, for a GGUF file, and for a PEFT adapter on top of a model.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any

from safetensors import safe_open
from torch import nn
from transformers import AutoModelForCausalLM
from transformers.utils.peft_utils import find_adapter_config_file

from r2gen_lib.errors import AssetError
from r2gen_lib.model.strict_loading import listed

#: Buffers that older versions of transformers wrote and that are computed today: frequencies, masks, positions.
_COMPUTED = re.compile(
    r"(^|\.)(rotary_emb\.(inv_freq|(cos|sin)_cached)|position_ids|(attn|attention)\.(bias|masked_bias))$"
)
_ADAPTERS = ("LORA", "IA3")
_AT_RANDOM = "Without this error they would start with random values."
_PREFIXES = ("module.", "base_model.model.", "_orig_mod.", "model.")


def read_model(
    source: str, *, unread: Callable[[nn.Module], Collection[str]] | None = None, **options: Any
) -> nn.Module:
    """``AutoModelForCausalLM.from_pretrained(source)`` that either fits or fails; with a PEFT adapter if it is one's.

    Args:
        unread: names the tensors of the file that are left out without transformers' saying so.
        options: as ``from_pretrained`` takes them.

    Raises:
        AssetError: tensors are missing, unexpected or of another shape; the message lists them.
    """
    adapter = None if "gguf_file" in options else _adapter_config(source)
    if adapter is not None:
        return _with_adapter(source, adapter, options)
    model, found = AutoModelForCausalLM.from_pretrained(
        source, output_loading_info=True, ignore_mismatched_sizes=True, **options
    )
    mismatched, shapes = _mismatched(found["mismatched_keys"])
    unexpected = {name for name in found["unexpected_keys"] if not _COMPUTED.search(name)}
    missing = set(found["missing_keys"]) - mismatched
    unexpected |= set(unread(model)) if unread else set()
    name = str(Path(source) / options["gguf_file"]) if "gguf_file" in options else source
    _require_fit(name, missing, unexpected, shapes, type(model).__name__)
    return model


def has_adapter(model: nn.Module) -> bool:
    """Whether peft has put something on the model."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    return any(isinstance(module, BaseTunerLayer) for module in model.modules())


def _mismatched(keys: Iterable) -> tuple[set[str], list[str]]:
    """Names of the tensors of another shape, and a line on each. Older versions of transformers give names alone."""
    known = sorted((key, None, None) if isinstance(key, str) else tuple(key) for key in keys)
    lines = [name if there is None else f"{name} {tuple(there)}, expected {tuple(here)}" for name, there, here in known]
    return {name for name, *_ in known}, lines


def _require_fit(
    source: str, missing: Collection[str], unexpected: Collection[str], shapes: Collection[str], kind: str
) -> None:
    complaints = listed({"missing": missing, "unexpected": unexpected, "of another shape": shapes})
    if complaints:
        raise AssetError(
            f"language model {source}: does not fit {kind} as its config.json describes it. Tensors "
            f"{complaints}. {_advice(missing, unexpected, shapes)}"
        )


def _advice(missing: Collection[str], unexpected: Collection[str], shapes: Collection[str]) -> str:
    for prefix in _PREFIXES:
        if any(name.startswith(prefix) and name.removeprefix(prefix) in missing for name in unexpected):
            return f"Take {prefix!r} off the names in the file: a wrapper around the model left it there."
    silent = "Without this error the rest would be left out." if not (missing or shapes) else _AT_RANDOM
    return f"{silent} Save the whole model once more, with the config.json that belongs to it (save_pretrained)."


def _adapter_config(source: str) -> dict[str, Any] | None:
    """``adapter_config.json`` of a PEFT adapter; None where there is none."""
    file = find_adapter_config_file(source)
    if file is None:
        return None
    config = json.loads(Path(file).read_text(encoding="utf-8"))
    kind, base = config.get("peft_type"), config.get("base_model_name_or_path")
    remedy = "Merge it into its model (peft: merge_and_unload, then save_pretrained), and give that folder."
    if kind not in _ADAPTERS:
        raise AssetError(
            f"language model {source}: its adapter_config.json has peft_type={kind!r}, expected "
            f"{' or '.join(_ADAPTERS)}. {remedy}"
        )
    if not base or not isinstance(base, str):
        raise AssetError(
            f"language model {source}: its adapter_config.json has base_model_name_or_path={base!r}, expected the "
            "folder or the id of the model that the adapter was trained on."
        )
    if (Path(source) / "config.json").is_file():
        raise AssetError(
            f"language model {source}: holds a whole model (config.json) and an adapter (adapter_config.json): which "
            "of them is meant cannot be told. Keep each in a folder of its own."
        )
    if find_adapter_config_file(base) is not None:
        raise AssetError(f"language model {source}: its base {base} is an adapter too; one is read. {remedy}")
    return config


def _with_adapter(source: str, config: dict[str, Any], options: dict[str, Any]) -> nn.Module:
    """The adapter's base model, with the adapter on it and active."""
    model = read_model(config["base_model_name_or_path"], **options)
    before = set(_plain_names(model))
    strict = "load_config" in inspect.signature(model.load_adapter).parameters  # there shapes are told as well
    found = model.load_adapter(source, **({"ignore_mismatched_sizes": True} if strict else {}))
    if found is not None:
        found = found if isinstance(found, dict) else found.to_dict()
        mismatched, shapes = _mismatched(found["mismatched_keys"])
        missing, unexpected = set(found["missing_keys"]) - mismatched, set(found["unexpected_keys"])
    else:  # before transformers 5 it kept this to itself
        names = _adapter_tensors(source)
        expected = set(_plain_names(model)) - before
        missing, unexpected, shapes = expected - names, names - expected - before, []
    _require_fit(source, missing, unexpected, shapes, type(model).__name__)
    return model


def _plain_names(model: nn.Module) -> Iterable[str]:
    """Names in the state as an adapter's file has them: without the adapter's own name and peft's wrappers."""
    for name in model.state_dict():
        yield re.sub(r"\.(base_layer|original_module|modules_to_save|default)(?=\.|$)", "", name)


def _adapter_tensors(source: str) -> set[str]:
    from peft import load_peft_weights

    file = Path(source) / "adapter_model.safetensors"
    if file.is_file():
        with safe_open(file, framework="pt") as tensors:
            names = set(tensors.keys())
    else:
        names = set(load_peft_weights(source, device="cpu"))
    return {name.removeprefix("base_model.model.") for name in names}
