"""Which settings fit a device: the largest batch for every mode and width of the LLM's weights."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pandas as pd
from tqdm import tqdm

from r2gen_lib.config import MODES, Preset
from r2gen_lib.model.low_memory import QUANTIZATIONS
from r2gen_lib.model.memory import generation_memory, quantization_saving, training_memory

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
