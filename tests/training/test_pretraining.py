"""Pretraining the Swin: what the labels say, that a stopped run goes on, and that the shipped weights see."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from r2gen_lib.assets import repository_data
from r2gen_lib.config import PRESETS
from r2gen_lib.data.images.preprocess import to_pixel_values
from r2gen_lib.findings.finding import FINDING_NAMES, LEARNT_NAMES, MIDLINE, Finding
from r2gen_lib.model.finding_head import picture_logits
from r2gen_lib.simulation import coded_findings as coded_findings_module
from r2gen_lib.simulation.coded_findings import coded_findings
from r2gen_lib.simulation.simulate import simulate
from r2gen_lib.training.pretraining import data as pretraining_data
from r2gen_lib.training.pretraining import encoder as pretrain_vision
from r2gen_lib.training.pretraining.data import TokenPictures, random_findings, token_pictures
from r2gen_lib.training.pretraining.encoder import (
    FindingLoss,
    PretrainConfig,
    TokenClassifier,
    auroc_table,
    new_classifier,
    predict,
    pretrain,
    shipped_classifier,
    standardise,
    to_pixels,
)


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
    model = new_classifier().eval()
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
    assert set(coded) == set(LEARNT_NAMES)  # each of them occurs in the training split
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


IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


def test_pixels_are_what_the_preset_asks_for():
    vision = PRESETS["laptop"].vision
    for model in (shipped_classifier(), new_classifier()):
        assert (model.mean, model.std) == (vision.mean, vision.std)
    pictures = np.random.default_rng(0).integers(0, 256, (3, 224, 224), dtype=np.uint8)
    for norm in (IMAGENET, {"mean": vision.mean, "std": vision.std}):
        expected = np.stack([to_pixel_values(picture, 224, **norm) for picture in pictures])
        assert np.array_equal(to_pixels(pictures, **norm).numpy(), expected)
        moved = to_pixels(pictures, torch.Generator().manual_seed(0), **norm)
        black, white = (to_pixels(np.full((1, 2, 2), value, np.uint8), **norm)[0, :, :1, :1] for value in (0, 255))
        assert (moved >= black).all() and (moved <= white).all()
        assert (moved == black).any() and (moved == white).any()
    same = (moved - to_pixels(pictures, torch.Generator().manual_seed(0))).abs().max()
    assert same == 0  # the shipped weights were made so


def test_a_model_is_shown_pixels_by_its_own_normalisation():
    seen = []

    class Backbone(torch.nn.Module):
        def forward(self, pixels):
            seen.append(pixels)
            return pixels.mean((2, 3))[:, None, :].expand(-1, 49, -1)

    pictures = blobs(2, 0).pictures
    model = TokenClassifier(Backbone(), 3, **IMAGENET)
    predict(model, pictures)
    assert torch.equal(seen[0], to_pixels(pictures, **IMAGENET))


def test_training_is_where_the_model_is_and_a_gpu_is_taken_by_default(small, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(pretrain_vision, "default_device", lambda: asked.append(1) or torch.device("cpu"))
    pretrain(tmp_path / "a", replace(small, epochs=0), device="cpu")
    assert not asked
    pretrain(tmp_path / "b", replace(small, epochs=0))
    assert asked
    data = blobs(4, 0)
    loss = FindingLoss(data)(torch.zeros(4, 49, len(FINDING_NAMES), device="meta"), data.labels)
    assert loss.device.type == "meta"


def test_a_chunk_is_named_by_what_is_drawn_in_it(empty_cache, monkeypatch):
    """Other codes draw other findings: pictures and labels of the older ones must not be read again."""
    monkeypatch.setattr(pretraining_data, "CHUNK", 2)
    monkeypatch.setattr(coded_findings_module, "coded_findings", dict)
    drawn = []

    class Drawn:
        def __init__(self, study_id, findings):
            drawn.append(study_id)
            self.picture = np.full((224, 224), len(findings), np.uint8)

        def token_labels(self):
            return np.zeros((len(FINDING_NAMES), 7, 7), np.uint8)

    monkeypatch.setattr(pretraining_data, "simulate", lambda study_id, findings, *_, **__: Drawn(study_id, findings))
    first = token_pictures(4, 0, workers=1)
    assert drawn == [f"pretrain-train-{n}" for n in range(4)]
    again = token_pictures(3, 0, workers=1)
    assert len(drawn) == 4 and np.array_equal(again.pictures, first.pictures[:3])
    monkeypatch.setattr(pretraining_data, "random_findings", lambda rng: (Finding("Nodule", "left"),) * 9)
    assert (token_pictures(4, 0, workers=1).pictures == 9).all() and len(drawn) == 8


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
def test_the_shipped_encoder_tells_the_same_new_patient_with_and_without_a_finding(name):
    with_it, without = [], []
    for patient in range(6):
        side = "" if name in MIDLINE else ["left", "right"][patient % 2]
        finding = Finding(name, side, severity=0.8)
        with_it.append(simulate(f"test-eye-{patient}", (finding,), truth=False).picture)
        without.append(simulate(f"test-eye-{patient}", (), truth=False).picture)
    model = shipped_classifier()
    index = FINDING_NAMES.index(name)
    seen = picture_logits(predict(model, np.stack(with_it))[1])[:, index]
    unseen = picture_logits(predict(model, np.stack(without))[1])[:, index]
    assert (seen > unseen).sum() >= 5
    assert seen.mean() > unseen.mean() + 1
