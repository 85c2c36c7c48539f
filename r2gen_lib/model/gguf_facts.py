"""What a GGUF file holds besides the values of its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
from torch import nn

from r2gen_lib.errors import AssetError, short

FREQUENCIES = "rope_freqs.weight"


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
    if FREQUENCIES in tensors:
        tensor = tensors[FREQUENCIES]
        divisors = tuple(gguf.dequantize(tensor.data, tensor.tensor_type).astype("float64").ravel().tolist())
    return GgufFacts(path, architecture, values, frozenset(tensors), divisors)


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
    read = {FREQUENCIES}
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
