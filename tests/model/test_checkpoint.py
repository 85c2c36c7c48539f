from __future__ import annotations

import json
import os
import sys
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_system import TINY, tiny_language, tiny_model, tiny_pixels

from r2gen_lib.errors import CheckpointError
from r2gen_lib.model import checkpoint
from r2gen_lib.model.r2gengpt import R2GenGPT


def trained(mode="shallow", **changes):
    """A model that isn't as it was made."""
    model = tiny_model(mode, **changes)
    with torch.no_grad():
        for parameter in model.trainable_parameters().values():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


@pytest.mark.parametrize("mode", ["shallow", "delta", "deep"])
def test_round_trip(mode, tmp_path):
    model = trained(mode)
    folder = model.save_trainable(tmp_path / "run", notes={"step": 3})
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == [
        checkpoint.CONFIG,
        checkpoint.TENSORS,
    ]
    again = R2GenGPT.from_trained(folder, vision_weights=None, language=tiny_language(), device="cpu")
    assert again.mode == mode and again.preset == model.preset
    pixels = tiny_pixels()
    assert torch.equal(again.visual_tokens(pixels), model.visual_tokens(pixels))
    assert set(load_file(folder / checkpoint.TENSORS)) == set(model.trainable_parameters())


def test_overwrites_a_checkpoint_but_nothing_else(tmp_path):
    model = trained()
    model.save_trainable(tmp_path / "run")
    model.save_trainable(tmp_path / "run")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine")
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        model.save_trainable(tmp_path / "other")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "run"]


def test_nothing_half_written(tmp_path, monkeypatch):
    def fails(*args, **kwargs):
        raise OSError("disk full")

    monkeypatch.setattr(checkpoint, "save_file", fails)
    with pytest.raises(CheckpointError, match="cannot be written .disk full."):
        trained().save_trainable(tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_another_preset_or_mode(tmp_path):
    folder = trained().save_trainable(tmp_path / "run")
    with pytest.raises(CheckpointError, match="preset is 'tiny', the model's is 'small'"):
        checkpoint.load_trainable(tiny_model(name="small"), folder)
    with pytest.raises(CheckpointError, match="mode is 'shallow', the model's is 'delta'"):
        checkpoint.load_trainable(tiny_model("delta"), folder)


def test_other_frozen_weights(tmp_path):
    folder = trained().save_trainable(tmp_path / "run")
    with pytest.raises(CheckpointError, match="language is"):
        R2GenGPT.from_trained(folder, vision_weights=None, language=tiny_language(seed=5))
    with pytest.raises(CheckpointError, match="encoder is"):
        checkpoint.load_trainable(tiny_model(seed=5), folder)


def test_delta_and_shallow_share_the_encoders_hash():
    assert checkpoint.frozen_hash(tiny_model()) == checkpoint.frozen_hash(tiny_model("delta"))
    assert checkpoint.frozen_hash(tiny_model("deep")) is None


def test_tensors_are_listed(tmp_path):
    model = trained()
    folder = model.save_trainable(tmp_path / "run")
    tensors = load_file(folder / checkpoint.TENSORS)
    tensors["mapper.extra"] = tensors.pop("mapper.proj.bias")
    tensors["mapper.norm.weight"] = torch.ones(7)
    save_file(tensors, folder / checkpoint.TENSORS)
    before = model.mapper.norm.bias.clone()
    with pytest.raises(CheckpointError) as caught:
        checkpoint.load_trainable(model, folder)
    message = str(caught.value)
    assert "missing: mapper.proj.bias" in message and "unknown: mapper.extra" in message
    assert "mapper.norm.weight (7,), expected (24,)" in message
    assert torch.equal(model.mapper.norm.bias, before)


def test_damaged_files(tmp_path):
    model = trained()
    folder = model.save_trainable(tmp_path / "run")
    data = (folder / checkpoint.TENSORS).read_bytes()
    (folder / checkpoint.TENSORS).write_bytes(data[: len(data) // 2])
    with pytest.raises(CheckpointError, match="cannot be read"):
        checkpoint.load_trainable(model, folder)
    (folder / checkpoint.CONFIG).write_text("{")
    with pytest.raises(CheckpointError, match="not readable JSON"):
        checkpoint.load_trainable(model, folder)
    (folder / checkpoint.CONFIG).write_text(json.dumps({"format": 1}))
    with pytest.raises(CheckpointError, match="missing"):
        checkpoint.load_trainable(model, folder)


def test_no_such_checkpoint(tmp_path):
    with pytest.raises(CheckpointError, match="neither a folder"):
        R2GenGPT.from_trained("laptop-nonsense")
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        R2GenGPT.from_trained(tmp_path)


def test_preset_survives_json(tmp_path):
    mapper = replace(TINY.mapper, pool=2)
    folder = trained(mapper=mapper).save_trainable(tmp_path / "run")
    assert checkpoint.saved_preset(folder) == replace(TINY, mapper=mapper)
    config = json.loads((folder / checkpoint.CONFIG).read_text())
    config["preset"]["optim"]["momentum"] = 0.9
    (folder / checkpoint.CONFIG).write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="momentum"):
        checkpoint.saved_preset(folder)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX modes")
@pytest.mark.parametrize(("umask", "folder_mode", "file_mode"), [(0o022, 0o755, 0o644), (0o077, 0o700, 0o600)])
def test_who_may_read_a_checkpoint_is_for_the_umask_to_say(tmp_path, umask, folder_mode, file_mode):
    earlier = os.umask(umask)
    try:
        folder = trained().save_trainable(tmp_path / "saved")
    finally:
        os.umask(earlier)
    assert folder.stat().st_mode & 0o777 == folder_mode
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {file_mode}
    folder.chmod(0o750)
    trained().save_trainable(folder)  # saved again: a folder that was opened to a group, or closed, stays so
    assert folder.stat().st_mode & 0o777 == 0o750


def test_a_halved_checkpoint_has_half_the_bytes_and_writes_as_before(tmp_path):
    model, pixels = trained("delta"), tiny_pixels()
    folder = model.save_trainable(tmp_path / "whole", notes={"step": 3})
    half = checkpoint.save_halved(folder, tmp_path / "half")
    assert {tensor.dtype for tensor in load_file(half / checkpoint.TENSORS).values()} == {torch.float16}
    assert checkpoint.read_config(half) == checkpoint.read_config(folder)
    loaded = tiny_model("delta")
    checkpoint.load_trainable(loaded, half)
    assert torch.allclose(loaded.visual_tokens(pixels), model.visual_tokens(pixels), atol=0.02)
    assert {p.dtype for p in loaded.trainable_parameters().values()} == {torch.float32}

    with torch.no_grad():
        model.mapper.proj.bias[0] = 1e6
    model.save_trainable(folder)
    with pytest.raises(CheckpointError, match=r"mapper.proj.bias has numbers .* beyond fp16"):
        checkpoint.save_halved(folder, tmp_path / "again")
    for kept in (half, folder):
        with pytest.raises(CheckpointError, match="holds something already, which would be lost. Give a new folder"):
            checkpoint.save_halved(half, kept)
    assert checkpoint.read_config(half)["notes"] == {"step": 3} and len(load_file(folder / checkpoint.TENSORS)) > 3


def test_delta_starts_from_the_mapper_of_a_shallow_checkpoint(tmp_path):
    shallow = trained("shallow")
    folder = shallow.save_trainable(tmp_path / "shallow")
    delta, pixels = tiny_model("delta"), tiny_pixels()
    checkpoint.load_mapper(delta, folder)
    assert torch.allclose(delta.visual_tokens(pixels), shallow.visual_tokens(pixels), atol=1e-6)
    before = {name: p.clone() for name, p in delta.mapper.named_parameters()}
    with pytest.raises(CheckpointError, match="preset is 'other', the model's is 'tiny'. Start from"):
        checkpoint.load_mapper(delta, trained(name="other").save_trainable(tmp_path / "other"))
    with pytest.raises(CheckpointError, match="neither a folder of that path"):
        checkpoint.load_mapper(delta, tmp_path / "none")
    assert all(torch.equal(p, before[name]) for name, p in delta.mapper.named_parameters())
