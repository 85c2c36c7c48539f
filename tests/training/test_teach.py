"""Rounds of teaching with a tiny system; ``test_the_real_thing`` teaches the shipped model for a step."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_system import tiny_model, tiny_studies

from r2gen_lib import R2GenGPT, cli, load_studies
from r2gen_lib.data.study import Picture, Study
from r2gen_lib.errors import CheckpointError, R2GenError
from r2gen_lib.findings.finding import Finding
from r2gen_lib.training.teaching import teach as teaching
from r2gen_lib.training.teaching.chests import lesson_studies
from r2gen_lib.training.teaching.teach import TeachConfig, teach, visible_findings

SHORT = TeachConfig(rounds=2, contrasts=0, chests=6, rewritten=0, batch_size=2, real=1, learning_rate=1e-2)


@pytest.fixture
def quick(empty_cache, monkeypatch):
    """Chests that need no drawing: noise, and the finding is not in it."""

    def chests(count, seed):
        heart = (Finding("Cardiomegaly", severity=0.5),)
        names = [f"L{seed}-{i}" for i in range(count)]
        return [
            Study(name, "train", "", pictures=(_noise(i),), findings=heart * (i % 2)) for i, name in enumerate(names)
        ]

    monkeypatch.setattr(teaching, "lesson_studies", chests)


def _noise(seed: int) -> Picture:
    return Picture("frontal", loader=lambda: np.random.default_rng(seed).integers(0, 255, (32, 32), dtype=np.uint8))


def weights(model):
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def test_the_mapper_learns_and_all_else_stays(quick, tmp_path):
    model = tiny_model()
    before = weights(model)
    history = teach(model, tiny_studies(), tmp_path, SHORT, progress=False)
    changed = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert changed and all(name.startswith("mapper.") for name in changed)
    assert list(history["round"]) == [1, 2] and np.isfinite(history.drop(columns="round").to_numpy()).all()
    assert history.missed.iloc[0] == 1, "a random model says no finding"
    written = pd.read_csv(tmp_path / "history.csv")
    assert list(written.columns) == list(history.columns) and (tmp_path / "round-2" / "config.json").is_file()


def test_a_call_that_was_stopped_goes_on_as_if_it_had_not_been(quick, tmp_path, monkeypatch):
    whole = tiny_model()
    teach(whole, tiny_studies(), tmp_path / "whole", SHORT, progress=False)
    learn = teaching._learn

    def stops(model, features, lessons, real, config, number, *rest):
        if number == 1:
            raise KeyboardInterrupt
        return learn(model, features, lessons, real, config, number, *rest)

    monkeypatch.setattr(teaching, "_learn", stops)
    with pytest.raises(KeyboardInterrupt):
        teach(tiny_model(), tiny_studies(), tmp_path / "stopped", SHORT, progress=False)
    monkeypatch.setattr(teaching, "_learn", learn)
    again = tiny_model()
    torch.nn.init.normal_(again.mapper.proj.weight)  # whatever it was, it gets the weights of round 1
    teach(again, tiny_studies(), tmp_path / "stopped", SHORT, progress=False)
    for name, parameter in whole.named_parameters():
        assert torch.allclose(parameter, dict(again.named_parameters())[name], atol=1e-6), name


def test_a_folder_of_another_run_is_refused(quick, tmp_path):
    teach(tiny_model(), tiny_studies(), tmp_path, SHORT, progress=False)
    with pytest.raises(CheckpointError, match="other settings .learning_rate"):
        teach(tiny_model(), tiny_studies(), tmp_path, replace(SHORT, learning_rate=2e-2), progress=False)


def test_an_encoder_that_trains_is_refused(tmp_path):
    with pytest.raises(R2GenError, match="mode is delta, expected shallow"):
        teach(tiny_model("delta"), tiny_studies(), tmp_path, SHORT)


def test_without_a_finding_head_all_that_is_drawn_is_to_be_said():
    findings = [(Finding("Cardiomegaly"),), ()]
    features = torch.randn(2, 16, 16)
    assert visible_findings(tiny_model(), features, findings, 0.05) == [[Finding("Cardiomegaly")], []]


def test_chests_are_new_mixed_and_the_same_for_a_seed():
    chests = lesson_studies(200, 5)
    assert [c.findings for c in chests] == [c.findings for c in lesson_studies(200, 5)]
    assert not {c.id for c in chests} & {c.id for c in lesson_studies(200, 6)}
    counts = np.bincount([len(c.findings) for c in chests])
    assert counts[0] > 20 and counts[1] > 50 and counts[2] > 30 and len(counts) >= 4


def test_the_command_passes_its_options_on(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("r2gen_lib.R2GenGPT.from_trained", lambda name: tiny_model())
    monkeypatch.setattr("r2gen_lib.load_studies", lambda *a, **k: tiny_studies())
    seen = {}
    monkeypatch.setattr(teaching, "teach", lambda *args, **decoding: seen.update(args=args, decoding=decoding))
    assert cli.main(["teach", "--rounds", "3", "--chests", "9", "--beams", "1", "--out", str(tmp_path / "t")]) == 0
    assert seen["args"][3] == TeachConfig(rounds=3, chests=9) and seen["decoding"] == {"num_beams": 1}
    assert "round-3" in capsys.readouterr().out
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "x").touch()
    assert cli.main(["teach", "--out", str(tmp_path / "t")]) == 2


def test_the_real_thing(tmp_path):
    """The shipped model, real chests and reports, for one round of four chests and as many true reports."""
    model = R2GenGPT.from_trained("laptop-shallow", device="cpu")
    config = TeachConfig(rounds=1, contrasts=4, chests=4, rewritten=4, batch_size=4, real=1)
    studies = load_studies(limit=24)
    some = [study for study in studies if study.split == "train"] + [s for s in studies if s.split == "val"][:4]
    history = teach(model, some, tmp_path, config, progress=False, num_beams=1)
    assert history.train_loss.iloc[0] < 4 and history.preference_loss.iloc[0] >= 0
    assert json.loads((tmp_path / "teach.json").read_text(encoding="utf-8"))["chests"] == 4
    assert R2GenGPT.from_trained(tmp_path / "round-1", device="cpu").preset == model.preset
