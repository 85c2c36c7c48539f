from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_system import SHAPE, TINY, tiny_model, tiny_pixels

from r2gen_lib import cli
from r2gen_lib.commands import parameters as parameters_command
from r2gen_lib.config import MODES, PRESETS
from r2gen_lib.errors import R2GenError
from r2gen_lib.model.budget.fit import LARGEST, MARGIN, fitting_settings
from r2gen_lib.model.budget.live_bytes import LiveBytes
from r2gen_lib.model.budget.memory import (
    PROCESS_BYTES,
    generation_memory,
    memory_table,
    quantization_saving,
    training_memory,
)
from r2gen_lib.model.r2gengpt import R2GenGPT
from r2gen_lib.training.schedule import make_optimizer

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "memory.py"
LONG = "the heart is normal . " * 20


def changed(preset=TINY, batch=None, **language):
    optim = replace(preset.optim, batch_size=batch or preset.optim.batch_size)
    target = replace(preset.target, max_tokens=60)
    return replace(preset, optim=optim, target=target, language=replace(preset.language, **language))


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("mode", MODES)
def test_the_dry_run_needs_what_a_real_step_needs(mode, checkpointing):
    preset = changed(batch=16, gradient_checkpointing=checkpointing)
    model = tiny_model(mode, optim=preset.optim, target=preset.target, language=preset.language).train()
    pixels = tiny_pixels(16)
    given = {"features": model.encode(pixels)} if mode == "shallow" else {"pixel_values": pixels}
    model(**given, reports=[LONG] * 16)  # the words before the picture are known from here on
    with LiveBytes([*model.parameters(), *model.buffers(), pixels, *given.values()]) as live:
        optimizer = make_optimizer(model, preset.optim)
        for _ in range(2):
            live.reset_peak()
            loss = model(**given, reports=[LONG] * 16).loss
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
    estimate = training_memory(preset, mode, "cpu")
    assert estimate.state + estimate.working == pytest.approx(live.peak, rel=0.1)
    assert estimate.weights == sum(t.nbytes for t in (*model.parameters(), *model.buffers()))


def test_the_dry_run_needs_what_real_generation_needs():
    laptop = PRESETS["laptop"]
    preset = replace(laptop, decoding=replace(laptop.decoding, max_new_tokens=4, min_new_tokens=4))
    model = R2GenGPT.from_preset(preset, vision_weights=None, device="cpu")
    pixels = torch.zeros(4, 1, 3, 224, 224)
    with LiveBytes([*model.parameters(), *model.buffers(), pixels]) as live:
        model.generate(pixels)
    estimate = generation_memory(preset, "cpu", batch=4)
    assert estimate.working == pytest.approx(live.peak, rel=0.2) and estimate.state == 0


def test_live_bytes_count_storages_not_views():
    known = torch.zeros(1000)
    with LiveBytes([known]) as live:
        kept = torch.zeros(100)
        views = kept[:50], kept.view(10, 10), known[:3]
        assert live.live == 400
        torch.zeros(200)
        assert (live.live, live.peak) == (400, 1200)
        live.reset_peak()
        assert live.peak == 400
        del kept, views
        assert live.live == 0


@pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="peak resident memory is read from Linux's /proc"
)
def test_the_laptop_presets_estimate_is_the_measured_peak():
    """One mode in a process of its own; benchmarks/memory.py does this for all of them."""
    command = [sys.executable, str(BENCHMARK), "--what", "deep"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    row = done.stdout.splitlines()[-1].split()
    estimate, measured, _, process, _ = map(float, row[1:])
    assert estimate == pytest.approx(measured, rel=0.2)
    assert PROCESS_BYTES["cpu"] / 1e6 == pytest.approx(process, rel=0.2)


def test_memory_grows_by_the_same_bytes_a_report():
    totals = {batch: training_memory(changed(batch=batch), "deep", "cpu").total for batch in (2, 8, 32)}
    slope = (totals[8] - totals[2]) / 6
    assert totals[32] == pytest.approx(totals[8] + 24 * slope, rel=0.02)


def test_what_saves_memory_saves_it():
    deep = changed(batch=16, shape=SHAPE | {"num_hidden_layers": 8})
    plain = training_memory(deep, "shallow", "cpu")
    assert training_memory(changed(deep, 16, attention="sdpa"), "shallow", "cpu").working < plain.working
    checkpointing = training_memory(changed(deep, 16, gradient_checkpointing=True), "shallow", "cpu")
    assert checkpointing.working < 0.5 * plain.working and checkpointing.weights == plain.weights
    half = training_memory(changed(deep, 16, dtype="bfloat16"), "shallow", "cpu")
    assert half.weights < 0.7 * plain.weights


def test_quantised_weights():
    """Llama-2-7b: 6.48 billion parameters in linear layers; the rest stays as it is."""
    preset = PRESETS["iu_xray"]
    linear = 6_738_415_616 - 2 * 32000 * 4096 - 65 * 4096
    largest = 4096 * 11008 * 2
    assert quantization_saving(preset, "8bit") == pytest.approx(linear - largest, rel=1e-6)
    assert quantization_saving(preset, "4bit") == pytest.approx(linear * (1.5 - 0.127 / 8) - largest, rel=1e-6)


@pytest.mark.parametrize("mode", MODES)
def test_colab_fits_a_t4(mode):
    assert training_memory("colab", mode, "cuda").total < (1 - MARGIN) * 16e9
    assert generation_memory("colab", "cuda").total < (1 - MARGIN) * 16e9


def test_an_unknown_device_is_refused():
    with pytest.raises(R2GenError, match="'tpu', expected one of cpu, cuda"):
        training_memory(TINY, "shallow", "tpu")


def test_the_checkpoints_size_is_the_files(tmp_path):
    for mode in MODES:
        model = tiny_model(mode)
        file = model.save_trainable(tmp_path / mode) / "trainable.safetensors"
        header = int.from_bytes(file.read_bytes()[:8], "little") + 8
        assert 1e9 * memory_table(TINY, "cpu").loc[mode, "checkpoint GB"] == pytest.approx(file.stat().st_size - header)


def test_fitting_settings():
    table = fitting_settings(TINY, 0.68, "cuda").set_index(["mode", "LLM weights", "gradient checkpointing"])
    assert len(table) == 3 * 4 * 2
    batch = table["training batch"]
    assert 0 < batch["deep", "32-bit", "no"] < batch["shallow", "32-bit", "no"] <= LARGEST
    assert batch["deep", "32-bit", "no"] <= batch["deep", "32-bit", "yes"]
    room = (1 - MARGIN) * 0.68e9 - PROCESS_BYTES["cuda"]
    found = int(batch["deep", "32-bit", "no"])
    fits, too_large = (
        training_memory(replace(TINY, optim=replace(TINY.optim, batch_size=one)), "deep", "cuda").total
        for one in (found, found + found // 5)
    )
    assert fits - PROCESS_BYTES["cuda"] < 1.05 * room and too_large - PROCESS_BYTES["cuda"] > room
    assert (fitting_settings(TINY, 0.1, "cuda")["training batch"] == 0).all()
    assert set(fitting_settings(TINY, 2, "cpu")["LLM weights"]) == {"32-bit", "16-bit"}


def test_parameters_command(monkeypatch, capsys):
    monkeypatch.setattr(parameters_command, "PRESETS", {"laptop": TINY})
    assert cli.main(["parameters", "--device-memory", "4"]) == 0
    out = capsys.readouterr().out
    assert "preset laptop" in out and "memory on cpu in GB" in out and "checkpoint GB" in out
    assert "Fits in 4 GB, 10% left free" in out and "8-bit" not in out
