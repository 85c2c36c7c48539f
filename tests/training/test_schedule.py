from __future__ import annotations

import numpy as np
import pytest
from tiny_system import tiny_model

from r2gen_lib.config import OptimConfig
from r2gen_lib.training.schedule import length_batches, make_optimizer, rate_at, set_rate


def test_every_study_once_and_lengths_together():
    lengths = np.random.default_rng(0).integers(10, 100, 256).tolist()
    batches = length_batches(lengths, 8, seed=0, epoch=0)
    assert sorted(sum(batches, [])) == list(range(256))
    padded = sum(max(lengths[i] for i in batch) * len(batch) for batch in batches)
    assert padded < 1.1 * sum(lengths)


def test_epochs_differ_and_repeat():
    lengths = list(range(64))
    first = length_batches(lengths, 8, 0, 0)
    assert first == length_batches(lengths, 8, 0, 0)
    assert first != length_batches(lengths, 8, 0, 1)
    assert first != length_batches(lengths, 8, 1, 0)


def test_a_small_last_batch_is_dropped_unless_alone():
    assert [len(batch) for batch in length_batches([5] * 11, 4, 0, 0)] == [4, 4]
    assert [len(batch) for batch in length_batches([5] * 3, 4, 0, 0)] == [3]


def test_rate_warms_up_and_falls():
    optim = OptimConfig(1.0, warmup_steps=4, final_rate=0.1)
    rates = [rate_at(step, 20, optim) for step in range(20)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert rates[-1] == pytest.approx(0.1)
    assert rate_at(0, 1, optim) > 0


@pytest.mark.parametrize("mode", ["shallow", "delta", "deep"])
def test_what_decays_and_how_fast(mode):
    model = tiny_model(mode)
    optim = OptimConfig(1e-2, weight_decay=0.1, encoder_rate=0.5)
    optimizer = make_optimizer(model, optim)
    set_rate(optimizer, 0.5)
    names = {id(p): name for name, p in model.trainable_parameters().items()}
    seen = {}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            seen[names[id(parameter)]] = (group["lr"], group["weight_decay"])
    assert set(seen) == set(names.values())
    assert seen["mapper.proj.weight"] == (5e-3, 0.1)
    assert seen["mapper.norm.weight"] == seen["mapper.proj.bias"] == (5e-3, 0.0)
    for name, (rate, decay) in seen.items():
        if name.startswith("vision."):
            assert rate == 2.5e-3
            if "norm" in name or "bias" in name:
                assert decay == 0.0
