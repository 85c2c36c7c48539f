"""Pretraining the Swin: what the labels say, that a stopped run goes on, and that the shipped weights see."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from r2gen_lib.assets import repository_data
from r2gen_lib.simulation.findings import FINDING_NAMES, MIDLINE, Finding
from r2gen_lib.simulation.simulate import simulate
from r2gen_lib.training import pretrain_vision
from r2gen_lib.training.pretrain_vision import (
    PretrainConfig,
    auroc_table,
    new_eye,
    picture_logits,
    predict,
    pretrain,
    shipped_eye,
    standardise,
    to_pixels,
)
from r2gen_lib.training.pretraining_data import TokenPictures, coded_findings, random_findings


def blobs(count: int, seed: int) -> TokenPictures:
    """Pictures whose first finding is a bright square under one token: quick to make and to learn."""
    rng = np.random.default_rng(seed)
    pictures = rng.integers(0, 60, (count, 224, 224), dtype=np.uint8)
    labels = np.zeros((count, len(FINDING_NAMES), 7, 7), np.uint8)
    for i in range(0, count, 2):
        row, column = rng.integers(0, 7, 2)
        labels[i, 0, row, column] = 1
        pictures[i, row * 32 : row * 32 + 32, column * 32 : column * 32 + 32] = 250
    return TokenPictures(pictures, labels)


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(
        pretrain_vision, "token_pictures", lambda n, seed, split="train": blobs(n, seed + (split != "train"))
    )
    return PretrainConfig(pictures=16, held_out=8, epochs=2, batch_size=8)


def test_a_stopped_run_goes_on_and_ends_with_the_same_weights(small, tmp_path, monkeypatch):
    pretrain(tmp_path / "whole", small)
    saves, save = [], pretrain_vision._save

    def save_and_stop(path, *arguments):
        save(path, *arguments)
        saves.append(path.name)
        if saves.count("state.safetensors") == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(pretrain_vision, "_save", save_and_stop)
    with pytest.raises(KeyboardInterrupt):
        pretrain(tmp_path / "stopped", small)
    monkeypatch.setattr(pretrain_vision, "_save", save)
    pretrain(tmp_path / "stopped", small)
    whole = load_file(tmp_path / "whole" / "vision_laptop.safetensors")
    again = load_file(tmp_path / "stopped" / "vision_laptop.safetensors")
    assert whole.keys() == again.keys()
    assert all(torch.allclose(whole[name].float(), again[name].float(), atol=2e-3) for name in whole)
    assert (tmp_path / "stopped" / "vision_laptop_curve.csv").read_text().count("\n") == 3


def test_training_can_go_on_from_weights_of_an_earlier_run(small, tmp_path):
    pretrain(tmp_path / "first", replace(small, epochs=1))
    start = tmp_path / "first" / "vision_laptop.safetensors"
    pretrain(tmp_path / "second", replace(small, epochs=0, start_from=str(start)))
    first, second = load_file(start), load_file(tmp_path / "second" / "vision_laptop.safetensors")
    kept = [name for name in first if not name.startswith("norm.")]  # standardised again, by what fp16 left over
    assert len(kept) == len(first) - 2 and all(torch.equal(first[name], second[name]) for name in kept)


def test_standardised_tokens_say_the_same(small):
    torch.manual_seed(0)
    model = new_eye().eval()
    with torch.no_grad():
        model.backbone.swin.norm.bias.normal_()
    pictures = blobs(8, 0).pictures
    before = predict(model, pictures)[1]
    standardise(model, pictures)
    tokens, after = predict(model, pictures)
    assert torch.allclose(before, after, atol=1e-3)
    assert tokens.float().mean((0, 1)).abs().max() < 0.01
    assert (tokens.float().std((0, 1)) - 1).abs().max() < 0.01


def test_random_findings_are_often_none_and_never_contradict_each_other():
    drawn = [random_findings(np.random.default_rng(seed)) for seed in range(400)]
    assert 0.05 < sum(not findings for findings in drawn) / len(drawn) < 0.2
    names = [{finding.name for finding in findings} for findings in drawn]
    assert set().union(*names) == set(FINDING_NAMES)
    assert not any({"Hyperinflation", "Hypoinflation"} <= each for each in names)


def test_zones_and_patterns_are_those_of_codes_and_the_side_is_drawn_anew():
    coded = coded_findings()
    assert set(coded) == set(FINDING_NAMES)  # each finding occurs in the training split
    drawn = [f for seed in range(300) for f in random_findings(np.random.default_rng(seed)) if f.name == "Opacity"]
    assert {f.zone for f in drawn} <= {f.zone for f in coded["Opacity"]}
    assert {f.side for f in drawn} == {"left", "right", "bilateral"}
    assert all(0.1 <= f.severity <= 1 for f in drawn)


def test_a_picture_is_as_suspicious_as_its_most_suspicious_token():
    logits = torch.full((2, 49, 3), -6.0)
    logits[0, 17, 1] = 5.0
    pooled = picture_logits(logits)
    assert pooled[0, 1] == pytest.approx(5.0, abs=0.1)
    assert (pooled[1] < 0).all() and pooled[0, 0] < 0


def test_augmentation_keeps_shape_and_range_and_without_a_generator_nothing_changes():
    pictures = np.random.default_rng(0).integers(0, 255, (3, 224, 224), dtype=np.uint8)
    plain = to_pixels(pictures)
    assert plain.shape == (3, 3, 224, 224) and torch.equal(plain, to_pixels(pictures))
    moved = to_pixels(pictures, torch.Generator().manual_seed(0))
    assert moved.shape == plain.shape and moved.abs().max() <= 1 and not torch.equal(moved, plain)


def test_auroc_is_one_for_a_seer_and_missing_where_nothing_is_there():
    data = blobs(8, 0)
    logits = torch.from_numpy(data.labels).float().flatten(2).transpose(1, 2) * 8 - 4
    rows = auroc_table(logits, data.labels)
    assert rows[0]["AUROC (picture)"] == rows[0]["AUROC (token)"] == 1.0
    assert np.isnan(rows[1]["AUROC (picture)"]) and rows[1]["pictures with it"] == 0


def test_the_shipped_weights_are_small():
    for name in ("vision_laptop", "vision_laptop_head"):
        assert repository_data(f"weights/{name}.safetensors").stat().st_size < 16e6


@pytest.mark.parametrize("name", ["Pleural Effusion", "Cardiomegaly", "Pneumothorax", "Device"])
def test_the_shipped_eye_tells_the_same_new_patient_with_and_without_a_finding(name):
    with_it, without = [], []
    for patient in range(6):
        side = "" if name in MIDLINE else ["left", "right"][patient % 2]
        finding = Finding(name, side, severity=0.8)
        with_it.append(simulate(f"test-eye-{patient}", (finding,), truth=False).picture)
        without.append(simulate(f"test-eye-{patient}", (), truth=False).picture)
    model = shipped_eye()
    index = FINDING_NAMES.index(name)
    seen = picture_logits(predict(model, np.stack(with_it))[1])[:, index]
    unseen = picture_logits(predict(model, np.stack(without))[1])[:, index]
    assert (seen > unseen).sum() >= 5
    assert seen.mean() > unseen.mean() + 1
