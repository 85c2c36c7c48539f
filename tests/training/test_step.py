from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_system import PROFILE, TINY, tiny_model, tiny_studies, with_optim

from r2gen_lib.errors import R2GenError
from r2gen_lib.training import validation
from r2gen_lib.training.examples import Examples
from r2gen_lib.training.processes import Processes
from r2gen_lib.training.schedule import make_optimizer
from r2gen_lib.training.step import take_step
from r2gen_lib.training.trainer import train
from r2gen_lib.training.validation import best_row, out_of_patience

pytestmark = pytest.mark.usefixtures("empty_cache")


def one_step(optim, indices=range(8)):
    """The model after one step, its loss and the norm of its gradient."""
    model = tiny_model().train()
    loss, norm = take_step(
        model,
        make_optimizer(model, optim),
        Examples(model, tiny_studies()[:16], "train", progress=False),
        list(indices),
        optim,
        Processes.alone(),
    )
    return model, loss, norm


@pytest.mark.parametrize("size", [4, 3, 1])
def test_accumulated_batches_are_one_batch(size):
    """Reports differ in length, so a mean of the batches' means would not do."""
    whole, loss, norm = one_step(replace(TINY.optim, batch_size=8))
    parts, loss_of_parts, norm_of_parts = one_step(replace(TINY.optim, batch_size=size))
    assert loss_of_parts == pytest.approx(loss, abs=1e-5) and norm_of_parts == pytest.approx(norm, rel=1e-4)
    for name, parameter in whole.trainable_parameters().items():
        assert torch.allclose(parameter.grad, parts.trainable_parameters()[name].grad, atol=1e-5), name


def test_a_run_with_accumulation_is_the_run_with_the_larger_batch(tmp_path):
    def losses(name, **optim):
        preset = with_optim(**optim)
        return train(tiny_model(), tiny_studies(), preset, PROFILE, tmp_path / name, progress=False).history

    whole, parts = losses("whole", batch_size=4), losses("parts", batch_size=2, accumulate=2)
    np.testing.assert_allclose(parts["train_loss"], whole["train_loss"], atol=1e-4)


def test_clipping_is_applied():
    _, _, norm = one_step(replace(TINY.optim, clip_norm=None))
    limit = norm / 10
    model, _, before = one_step(replace(TINY.optim, clip_norm=limit))
    gradients = torch.cat([p.grad.flatten() for p in model.trainable_parameters().values()])
    assert before == pytest.approx(norm) and gradients.norm().item() == pytest.approx(limit, rel=1e-3)


def test_without_a_limit_gradients_are_left_alone():
    model, _, norm = one_step(replace(TINY.optim, clip_norm=None))
    gradients = torch.cat([p.grad.flatten() for p in model.trainable_parameters().values()])
    assert gradients.norm().item() == pytest.approx(norm, rel=1e-6)


def test_norms_and_biases_do_not_decay(monkeypatch):
    """With no gradient at all, decay alone moves a weight."""
    model = tiny_model()
    optimizer = make_optimizer(model, replace(TINY.optim, weight_decay=0.5))
    before = {name: p.detach().clone() for name, p in model.trainable_parameters().items()}
    for parameter in model.trainable_parameters().values():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    moved = {name for name, p in model.trainable_parameters().items() if not torch.equal(p, before[name])}
    assert moved == {"mapper.proj.weight"}


def test_patience_ends_a_run_and_it_stays_ended(tmp_path, monkeypatch):
    values = iter(np.repeat([3.0, 2.0, 2.5, 2.0, 1.0], 2))
    monkeypatch.setattr(validation, "mean_loss", lambda *args, **kwargs: next(values))
    profile = replace(PROFILE, eval_every=2)

    def fit():
        return train(tiny_model(), tiny_studies(), with_optim(patience=2), profile, tmp_path, progress=False)

    first = fit()
    assert first.best["step"] == 2 and first.history["step"].max() == 6
    again = fit()
    assert again.history["step"].max() == 6 and again.best == first.best


def test_best_by_scores():
    optim = replace(TINY.optim, select_by="bleu4+cider", patience=1)
    rows = [
        {"step": 0, "val_loss": 3.0, "val_loss_shuffled": 3.0, "bleu4": 0.1, "cider": 0.2},
        {"step": 4, "val_loss": 2.0, "val_loss_shuffled": 2.5, "bleu4": 0.2, "cider": 0.4},
        {"step": 8, "val_loss": 1.0, "val_loss_shuffled": 2.5, "bleu4": 0.2, "cider": 0.3},
    ]
    assert best_row(rows, optim) == rows[1] and out_of_patience(rows, optim)
    assert best_row(rows, replace(optim, select_by="val_loss"))["step"] == 8
    worse = [*rows, {"step": 12, "val_loss": 4.0, "val_loss_shuffled": 4.0}]
    assert best_row(worse, replace(optim, select_by="last"))["step"] == 12


def test_the_reports_are_written_and_scored(tmp_path, monkeypatch):
    """BLEU-4 and CIDEr of every held-out study's report; Java's tokenizer is stood in for."""
    from r2gen_lib.metrics import nlg as language

    monkeypatch.setattr(language, "tokenize", lambda texts: [text.replace(".", "").strip() for text in texts])
    studies = tiny_studies(9)
    held_out = {study.report for study in studies if study.split == "val"}
    model = tiny_model()
    monkeypatch.setattr(model, "generate", lambda features: ["the heart is normal in size ."] * len(features))
    profile = replace(PROFILE, train_steps=2, eval_every=2)
    result = train(model, studies, with_optim(select_by="bleu4+cider"), profile, tmp_path, progress=False)
    assert len(held_out) == 2 and 0 < result.best["bleu4"] < 1 and result.best["cider"] > 0
    assert list(result.history["bleu4"].dropna()) == pytest.approx([result.best["bleu4"]] * 2)
    assert result.best["step"] == 0


@pytest.mark.parametrize("field", ["accumulate", "patience"])
def test_counts_below_one(field, tmp_path):
    with pytest.raises(R2GenError, match=f"optim.{field}: found 0, expected a number greater than 0"):
        train(tiny_model(), tiny_studies(), with_optim(**{field: 0}), PROFILE, tmp_path, progress=False)
