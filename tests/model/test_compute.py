"""What a run costs, by counting and by arithmetic."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest
from tiny_system import TINY

from r2gen_lib.config import MODES, PRESETS
from r2gen_lib.errors import R2GenError
from r2gen_lib.model.budget.compute import GPUS, hours, step_flops, training_steps
from r2gen_lib.model.budget.fit import memory_by_part
from r2gen_lib.model.budget.memory import training_memory
from r2gen_lib.plots.scale import hour_bars, memory_bars


def test_a_frozen_models_step_is_four_operations_a_weight_and_token():
    preset = PRESETS["laptop"]
    shape = preset.language.shape
    width, inner, layers = shape["hidden_size"], shape["intermediate_size"], shape["num_hidden_layers"]
    kv = width * shape["num_key_value_heads"] // shape["num_attention_heads"]
    weights = layers * (2 * width * width + 2 * width * kv + 3 * width * inner)
    head = width * shape["vocab_size"]
    length = preset.target.max_tokens
    prompt = 4 + 49 + 10  # about: words, picture, words
    by_hand = 4 * preset.optim.batch_size * (weights * (prompt + length) + head * length)
    assert step_flops(preset, "shallow") == pytest.approx(by_hand, rel=0.15)


def test_modes_that_train_the_encoder_work_more():
    counts = [step_flops(TINY, mode) for mode in MODES]
    assert counts[0] < counts[1] < counts[2]
    double = replace(TINY, optim=replace(TINY.optim, batch_size=2 * TINY.optim.batch_size))
    assert step_flops(double, "deep") == pytest.approx(2 * counts[2], rel=0.1)


def test_steps_and_hours():
    assert training_steps("iu_xray", 2069) == 15 * 258
    optim = replace(TINY.optim, batch_size=4, accumulate=2, epochs=3)
    assert training_steps(replace(TINY, optim=optim), 5) == 3  # less than a batch is still a step
    assert hours(3600e12, 10, 0.5) == pytest.approx(0.2)
    with pytest.raises(R2GenError, match="utilisation of 33.*0.3 is 30 %"):
        hours(1e12, 65, 33)


def test_memory_by_part_is_the_estimate_part_by_part():
    table = memory_by_part(TINY, "cuda")
    assert len(table) == 3 * 4
    language = replace(TINY.language, dtype="bfloat16", quantization="4bit", gradient_checkpointing=True)
    for mode in MODES:
        estimate = training_memory(replace(TINY, language=language), mode, "cuda")
        row = table.loc[mode, "4-bit, checkpointing"]
        assert row["total"] == pytest.approx(estimate.total / 1e9, rel=1e-6)
        assert row["weights"] == pytest.approx(estimate.weights / 1e9, rel=1e-6)


def test_figures_draw_every_row_and_say_what_does_not_fit():
    figure = memory_bars(memory_by_part(TINY, "cuda"), {gpu.name: gpu.gigabytes for gpu in GPUS[:2]})
    figure.canvas.draw()
    assert len(figure.axes[0].patches) == 4 * 12
    table = pd.DataFrame({"small": [float("nan"), 0.5], "large": [10.0, 30.0]}, index=["T4", "A100"])
    texts = [text.get_text() for text in hour_bars(table).axes[0].texts]
    assert texts == [" does not fit", " 30 min", " 10 h", " 30 h"]
