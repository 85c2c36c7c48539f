"""Which settings fit a device: the largest batch for every mode and width of the LLM's weights."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pandas as pd
from tqdm import tqdm

from r2gen_lib.config import MODES, Preset
from r2gen_lib.model.budget.memory import Parts, generation_memory, quantization_saving, training_memory
from r2gen_lib.model.memory_saving import QUANTIZATIONS

MARGIN = 0.1  # of the device's memory is left free: estimates are not exact, and other processes want some
LARGEST = 256
_POINTS = 2, 8  # batches that are dry-run; in between and beyond, memory grows by the same bytes a report
_WIDTHS = {"32-bit": "float32", "16-bit": "bfloat16"}  # fp16 is as wide as bf16
_COLUMNS = ("mode", "LLM weights", "gradient checkpointing", "training batch", "generation batch")


def fitting_settings(preset: Preset, gigabytes: float, device: str = "cuda") -> pd.DataFrame:
    """The largest training and generation batches within ``gigabytes`` (1e9 bytes) less ``MARGIN``.

    Columns: mode, LLM weights, gradient checkpointing, training batch, generation batch; 0 where not even one fits, and
    ``LARGEST`` at most. Quantised weights need CUDA, so there are none for "cpu".
    """
    limit = gigabytes * 1e9 * (1 - MARGIN)
    saved = {one.replace("bit", "-bit"): quantization_saving(preset, one) for one in QUANTIZATIONS if device == "cuda"}
    rows, generation = [], {}
    settings = list(product(MODES, _WIDTHS, (False, True)))
    for mode, width, checkpointing in tqdm(settings, desc="dry runs", leave=False, disable=None):
        language = replace(
            preset.language, dtype=_WIDTHS[width], quantization=None, gradient_checkpointing=checkpointing
        )
        changed = replace(preset, language=language)
        if width not in generation:
            generation[width] = [generation_memory(changed, device, batch).total for batch in _POINTS]
        training = [training_memory(_batched(changed, batch), mode, device).total for batch in _POINTS]
        for name, less in {width: 0, **(saved if width == "16-bit" else {})}.items():
            batches = (_largest(limit + less, totals) for totals in (training, generation[width]))
            rows.append((mode, name, "yes" if checkpointing else "no", *batches))
    return pd.DataFrame(rows, columns=_COLUMNS).sort_values(list(_COLUMNS[:3]), key=_in_order, ignore_index=True)


def memory_by_part(preset: Preset, device: str = "cuda") -> pd.DataFrame:
    """GB (1e9 bytes) at the peak of a training step by part, for every mode with its LLM in 16, 8 and 4 bits, and in 4
    with gradient checkpointing.

    Indexed by (mode, setting); columns weights, state, working, runtime (``Memory``) and total.
    """
    packed = {}
    for quantization in (None, *QUANTIZATIONS):
        language = replace(preset.language, dtype="bfloat16", quantization=quantization)
        parts = Parts(replace(preset, language=language), "shallow", device)
        packed[quantization] = parts.weights(), parts.dequantized()
    settings = {"16-bit": (None, False), "8-bit": ("8bit", False), "4-bit": ("4bit", False)}
    settings["4-bit, checkpointing"] = ("4bit", True)
    rows = {}
    for mode in MODES:
        found = {}
        for checkpointing in (False, True):
            language = replace(preset.language, dtype="bfloat16", gradient_checkpointing=checkpointing)
            found[checkpointing] = training_memory(replace(preset, language=language), mode, device)
        for name, (quantization, checkpointing) in settings.items():
            memory, (weights, unpacked) = found[checkpointing], packed[quantization]
            weights += memory.weights - packed[None][0]  # what the mode adds: a LoRA
            parts = (weights, memory.state, memory.working + unpacked, memory.runtime)
            rows[mode, name] = [number / 1e9 for number in (*parts, sum(parts))]
    index = pd.MultiIndex.from_tuples(rows, names=["mode", "setting"])
    return pd.DataFrame(rows.values(), index, ["weights", "state", "working", "runtime", "total"])


def _batched(preset: Preset, batch: int) -> Preset:
    return replace(preset, optim=replace(preset.optim, batch_size=batch))


def _in_order(column: pd.Series) -> pd.Series:
    order = [*MODES, "32-bit", "16-bit", "8-bit", "4-bit", "no", "yes"]
    return column.map(order.index)


def _largest(limit: float, totals: list[int]) -> int:
    """The largest batch within ``limit``, on the line through the totals at ``_POINTS``."""
    each = (totals[1] - totals[0]) / (_POINTS[1] - _POINTS[0])
    alone = totals[0] - each * _POINTS[0]
    return int(min(max((limit - alone) // each, 0), LARGEST))
