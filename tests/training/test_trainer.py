from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_system import PROFILE, TINY, fit, tiny_language, tiny_model, tiny_studies

from r2gen_lib.errors import CheckpointError, DataError, R2GenError
from r2gen_lib.model.r2gengpt import R2GenGPT
from r2gen_lib.training.run import Run
from r2gen_lib.training.trainer import train

pytestmark = pytest.mark.usefixtures("empty_cache")

WHAT_THE_MODEL_READS = [
    ("target", dict(max_tokens=5)),
    ("target", dict(mask_token_0=True)),
    ("vision", dict(noisy_when_frozen=True)),
    ("mapper", dict(scale=2.0)),
    ("decoding", dict(num_beams=1)),
]


def weights(model):
    return {name: p.detach().clone() for name, p in model.trainable_parameters().items()}


@pytest.mark.parametrize("mode", ["shallow", "delta", "deep"])
def test_learns_and_leaves_what_it_says(mode, tmp_path):
    model = tiny_model(mode)
    llm = model.llm_checksum()
    result = fit(model, tmp_path / "run")
    assert model.llm_checksum() == llm
    table = result.history.set_index("step")
    assert list(table.index) == list(range(13))
    assert list(table["val_loss"].dropna().index) == [0, 4, 8, 12]
    assert table.loc[12, "val_loss"] < 0.95 * table.loc[0, "val_loss"]
    assert table["train_loss"].notna().sum() == 12
    assert result.best["val_loss"] == table["val_loss"].min()
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "best",
        "history.csv",
        "loss.png",
        "state",
    ]
    assert (tmp_path / "run" / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert len(pd.read_csv(tmp_path / "run" / "history.csv")) == 13
    again = R2GenGPT.from_trained(result.checkpoint, vision_weights=None, language=tiny_language(), device="cpu")
    for name, tensor in weights(model).items():
        assert torch.equal(tensor, again.trainable_parameters()[name]), name


def test_the_picture_comes_to_matter(tmp_path):
    """Bright pictures have another report: with the wrong picture the loss must be higher."""
    profile = replace(PROFILE, train_steps=50, eval_every=50, checkpoint_every=50)
    last = fit(tiny_model(), tmp_path, tiny_studies(48), profile=profile).history.iloc[-1]
    assert last["val_loss"] < 0.8 * last["val_loss_shuffled"]


def stop_after(step, monkeypatch):
    """Kill the run in the middle of an update."""
    update = Run._update

    def killed(run):
        if run.step == step:
            raise KeyboardInterrupt
        return update(run)

    monkeypatch.setattr(Run, "_update", killed)


@pytest.mark.parametrize("mode", ["shallow", "delta"])
def test_a_killed_run_goes_on_as_if_nothing_happened(mode, tmp_path, monkeypatch):
    whole_model = tiny_model(mode)
    whole = fit(whole_model, tmp_path / "whole").history
    with monkeypatch.context() as patch:
        stop_after(6, patch)
        with pytest.raises(KeyboardInterrupt):
            fit(tiny_model(mode), tmp_path / "run")
    model = tiny_model(mode)
    history = fit(model, tmp_path / "run").history
    columns = ["step", "train_loss", "val_loss", "val_loss_shuffled", "rate"]
    pd.testing.assert_frame_equal(history[columns], whole[columns])
    for name, tensor in weights(whole_model).items():
        assert torch.equal(tensor, weights(model)[name]), name


def test_a_finished_run_is_not_run_again(tmp_path, monkeypatch):
    first = fit(tiny_model(), tmp_path)
    monkeypatch.setattr(Run, "_update", lambda run: pytest.fail("trained again"))
    model = tiny_model()
    second = fit(model, tmp_path)
    pd.testing.assert_frame_equal(first.history, second.history)
    assert torch.equal(
        model.mapper.proj.weight, load_file(first.checkpoint / "trainable.safetensors")["mapper.proj.weight"]
    )


def test_starts_anew_when_asked(tmp_path):
    fit(tiny_model(), tmp_path)
    result = fit(tiny_model(), tmp_path, profile=replace(PROFILE, train_steps=4), resume=False)
    assert len(result.history) == 5


def test_another_run_is_refused(tmp_path):
    fit(tiny_model(), tmp_path)
    with pytest.raises(CheckpointError, match="another profile.*resume=False"):
        fit(tiny_model(), tmp_path, profile=replace(PROFILE, train_steps=20))
    with pytest.raises(CheckpointError, match="another mode"):
        fit(tiny_model("delta"), tmp_path)
    with pytest.raises(CheckpointError, match="another seed"):
        fit(tiny_model(), tmp_path, seed=3)


def test_damaged_state(tmp_path):
    fit(tiny_model(), tmp_path)
    file = tmp_path / "state" / "state.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(CheckpointError, match="state.safetensors: cannot be read"):
        fit(tiny_model(), tmp_path)
    (tmp_path / "state" / "state.json").write_text("{")
    with pytest.raises(CheckpointError, match="state.json.*resume=False"):
        fit(tiny_model(), tmp_path)


def test_state_of_other_tensors(tmp_path):
    fit(tiny_model(), tmp_path)
    file = tmp_path / "state" / "state.safetensors"
    tensors = load_file(file)
    del tensors["model/mapper.proj.bias"]
    save_file(tensors, file)
    with pytest.raises(CheckpointError, match="missing: mapper.proj.bias"):
        fit(tiny_model(), tmp_path)


def test_only_optim_may_differ(tmp_path):
    optim = replace(TINY.optim, learning_rate=1e-3)
    model = tiny_model()
    train(model, tiny_studies(), replace(TINY, optim=optim), PROFILE, tmp_path, progress=False)
    saved = json.loads((tmp_path / "best" / "config.json").read_text())
    assert saved["preset"]["optim"]["learning_rate"] == 1e-3 and saved["notes"]["step"] >= 0
    with pytest.raises(
        R2GenError, match="'laptop' is not the model's: .*vision.image_size .*Training can change optim alone"
    ):
        train(tiny_model(), tiny_studies(), "laptop", PROFILE, tmp_path / "other")


def test_a_start_of_the_mapper_that_was_not_is_refused_and_not_recorded(tmp_path):
    """The gain is there since the model was made: another cannot be trained with, so it must not be written down."""
    model = tiny_model()
    other = replace(TINY, mapper=replace(TINY.mapper, start_gain="one"))
    with pytest.raises(
        R2GenError, match=r"in mapper.start_gain \(found 'one', .*made with 'embedding_std'\).*make the model"
    ):
        train(model, tiny_studies(), other, PROFILE, tmp_path / "run", progress=False)
    assert model.preset == TINY and not (tmp_path / "run").exists()
    other_start = tiny_model(mapper=other.mapper)
    assert train(other_start, tiny_studies(), other, PROFILE, tmp_path / "run", progress=False).checkpoint.is_dir()


@pytest.mark.parametrize("part, change", WHAT_THE_MODEL_READS, ids=str)
def test_what_the_model_reads_is_not_changed_by_training(part, change, tmp_path):
    """A model that was made with another value is refused by the setting's name; one that was made so records it."""
    preset = replace(TINY, **{part: replace(getattr(TINY, part), **change)})
    model = tiny_model()
    (name,) = change
    with pytest.raises(R2GenError, match=f"it differs in {part}.{name} "):
        train(model, tiny_studies(), preset, PROFILE, tmp_path / "other", progress=False)
    assert model.preset == TINY and not (tmp_path / "other").exists()
    made = tiny_model(**{part: getattr(preset, part)})
    result = train(made, tiny_studies(), preset, PROFILE, tmp_path / "run", progress=False)
    saved = json.loads((result.checkpoint / "config.json").read_text())["preset"]
    assert saved[part][name] == change[name]


def test_a_preset_that_is_refused_leaves_the_models(tmp_path):
    model = tiny_model()
    with pytest.raises(R2GenError, match="select_by"):
        odd = replace(TINY, optim=replace(TINY.optim, select_by="luck"))
        train(model, tiny_studies(), odd, PROFILE, tmp_path, progress=False)
    assert model.preset == TINY


def test_bad_studies(tmp_path):
    studies = tiny_studies()
    with pytest.raises(DataError, match="empty_splits"):
        fit(tiny_model(), tmp_path / "run", [s for s in studies if s.split == "train"])
    with pytest.raises(DataError, match="empty_reports.*T0"):
        fit(tiny_model(), tmp_path / "run", [replace(studies[0], report=" "), *studies[1:]])
    with pytest.raises(DataError, match="study_in_two_splits"):
        fit(tiny_model(), tmp_path / "run", [*studies, replace(studies[0], split="val")])
    assert not (tmp_path / "run").exists()


def test_a_loss_that_is_no_number(tmp_path):
    model = tiny_model()
    with torch.no_grad():
        model.mapper.proj.bias.fill_(float("nan"))
    with pytest.raises(R2GenError, match="loss is nan.*learning_rate"):
        fit(model, tmp_path)


def test_unwritable_out_dir(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="out_dir"):
        fit(tiny_model(), tmp_path / "file" / "run")


def test_the_seed_chooses_the_studies(tmp_path):
    profile = replace(PROFILE, train_studies=6, val_studies=4)
    runs = [Run(tiny_model(), tiny_studies(), profile, tmp_path, seed, False) for seed in (0, 0, 1)]
    ids = [[s.id for s in run.train_set.studies] for run in runs]
    assert ids[0] == ids[1] != ids[2] and len(ids[0]) == 6
    assert np.all([len(run.val_set) == 4 for run in runs])
