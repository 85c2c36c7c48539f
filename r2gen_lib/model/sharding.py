"""A frozen language model that no GPU holds whole: every process keeps its share of each decoder layer (FSDP).

A layer is gathered from all processes when it computes, in the forward and again in the backward pass, and let go
after it. So each process has to call the model equally often, with batches of its own: ``Processes.turns``.
"""

from __future__ import annotations

import os
from dataclasses import replace

import torch
from accelerate import PartialState
from packaging.version import Version
from torch import Tensor, nn

from r2gen_lib.config import Preset
from r2gen_lib.errors import R2GenError
from r2gen_lib.model.memory_saving import decoder_layers

_OLDEST_TORCH = "2.8"  # fully_shard's ignored_params


def launched() -> PartialState:
    """Accelerate's account of the processes that a launcher started, which this one joins; or of this one alone.

    A process that ``notebook_launcher`` forks from a kernel that has trained inherits the kernel's account, by which it
    would be alone: that one is dropped.
    """
    if PartialState._shared_state.get("num_processes") == 1 and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        PartialState._reset_state()
    return PartialState(cpu=not torch.cuda.is_available())  # without cpu=True it leaves CPU processes alone


def unsharded(preset: Preset) -> Preset:
    """The preset as what it trains is written down: whether processes share the language model is left out."""
    return replace(preset, language=replace(preset.language, shard=False))


def shard_language(language: nn.Module, device: torch.device) -> nn.Module:
    """Cut every decoder layer of a frozen model, in place, into one share for each process that was launched.

    Embeddings, norm and head are whole on every process: words are looked up outside of the layers. A process alone
    keeps all of it. Nothing is sent here: the processes may come one after the other.

    Args:
        language: on the CPU; only a share of it goes to ``device``.

    Raises:
        R2GenError: torch is older than 2.8, or the layers of the architecture are not known.
    """
    if launched().num_processes == 1:
        return language
    if Version(torch.__version__) < Version(_OLDEST_TORCH):
        raise R2GenError(f"LanguageConfig.shard: found torch {torch.__version__}, expected {_OLDEST_TORCH} or newer.")
    from torch.distributed import fsdp, group
    from torch.distributed.device_mesh import DeviceMesh

    mesh = DeviceMesh.from_group(group.WORLD, device.type)
    for layer in decoder_layers(language, "shard"):
        fsdp.fully_shard(layer, mesh=mesh, reshard_after_forward=True)
    body = language.base_model  # the layers' common root lets it fetch the next layer while one computes
    fsdp.fully_shard(body, mesh=mesh, ignored_params={p for p in body.parameters() if not is_share(p)})
    return language


def is_sharded(language: nn.Module) -> bool:
    """Whether ``shard_language`` has cut it."""
    return any(is_share(parameter) for parameter in language.parameters())


def is_share(parameter: Tensor) -> bool:
    """Whether it is one process's share of a parameter."""
    return hasattr(parameter, "full_tensor")


def whole(parameter: Tensor) -> Tensor:
    """The parameter, put together if it is a share; then every process has to call this."""
    return parameter.full_tensor() if is_share(parameter) else parameter
