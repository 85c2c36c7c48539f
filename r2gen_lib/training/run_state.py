"""The state of a run between two steps, so that a killed run goes on as if nothing had happened.

A folder of safetensors and JSON (no pickle) that is replaced whole: trained tensors, optimiser moments,
random state, step and history.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from r2gen_lib.config.serialization import FORMAT, preset_from_dict, preset_to_dict
from r2gen_lib.errors import CheckpointError, R2GenError, short
from r2gen_lib.former_names import HISTORY, with_todays_names
from r2gen_lib.model.checkpoint import folder_writer
from r2gen_lib.model.r2gengpt import R2GenGPT
from r2gen_lib.model.strict_loading import load_strictly, read_tensors
from r2gen_lib.training.processes import Processes

STATE, TENSORS = "state.json", "state.safetensors"
_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


def save_state(
    folder: Path,
    model: R2GenGPT,
    optimizer: torch.optim.Optimizer,
    run: dict,
    history: list,
    processes: Processes | None = None,
) -> None:
    """Write the state; ``run`` says what run it belongs to, ``history`` has a row a step. All processes call this: each
    has a random state, the first one writes."""
    processes = processes or Processes.alone()
    tensors: dict[str, Tensor] = {}
    for index, states in enumerate(processes.gather(_random_states(model))):
        tensors |= {_random_name(device, index): state for device, state in states.items()}
    if not processes.main:
        return
    for name, parameter in model.trainable_parameters().items():
        tensors[f"model/{name}"] = parameter.detach()
        for key in _MOMENTS:
            if key in optimizer.state.get(parameter, {}):
                tensors[f"{key}/{name}"] = optimizer.state[parameter][key]
    with folder_writer(folder, marker=STATE) as temporary:
        save_file({name: t.cpu().contiguous().clone() for name, t in tensors.items()}, temporary / TENSORS)
        (temporary / STATE).write_text(json.dumps({"format": FORMAT, "run": run, "history": history}), encoding="utf-8")


def load_state(
    folder: Path, model: R2GenGPT, optimizer: torch.optim.Optimizer, run: dict, index: int = 0
) -> list[dict[str, Any]]:
    """Put model, optimiser and random state where the saved run was; returns its history ([]: none saved).

    Args:
        index: the number of this process, whose random state is put back.

    Raises:
        CheckpointError: the saved run is another one (the message names what differs), or is damaged.
    """
    if not (folder / STATE).is_file():
        return []
    try:
        saved = json.loads((folder / STATE).read_text(encoding="utf-8"))
        found, history = saved["run"], [with_todays_names(row, HISTORY) for row in saved["history"]]
        if "preset" in found:  # of an earlier format, or saved before a field existed: it has the field's default
            found["preset"] = preset_to_dict(preset_from_dict(found["preset"], saved.get("format", 1)))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, R2GenError) as error:
        raise CheckpointError(f"{folder / STATE}: cannot be read ({error}). {_ADVICE}") from error
    for field in run | found:
        if found.get(field) != run.get(field):
            raise CheckpointError(
                f"{folder}: a run with another {field}: found {short(found.get(field), 300)}, this one has "
                f"{short(run.get(field), 300)}. {_ADVICE}"
            )
    tensors = read_tensors(folder / TENSORS)
    parameters = model.trainable_parameters()
    prefix = "model/"
    trained = {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
    load_strictly(model, trained, str(folder), set(parameters))
    for name, parameter in parameters.items():
        moments = {key: tensors[f"{key}/{name}"] for key in _MOMENTS if f"{key}/{name}" in tensors}
        if moments:
            moves = {key: t if key == "step" else t.to(parameter.device) for key, t in moments.items()}
            optimizer.state[parameter] = moves
    torch.set_rng_state(tensors[_random_name("cpu", index)])
    if model.device.type == "cuda" and _random_name("cuda", index) in tensors:
        torch.cuda.set_rng_state(tensors[_random_name("cuda", index)], model.device)
    return history


def _random_states(model: R2GenGPT) -> dict[str, Tensor]:
    on_gpu = model.device.type == "cuda"
    return {"cpu": torch.get_rng_state()} | ({"cuda": torch.cuda.get_rng_state(model.device)} if on_gpu else {})


def _random_name(device: str, index: int) -> str:
    return f"random/{device}" + (f".{index}" if index else "")


_ADVICE = "Give another out_dir, or resume=False to start anew there."
