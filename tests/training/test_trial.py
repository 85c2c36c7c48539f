"""The first minutes of a run, measured: on a CPU, by the toy; and the command that does it on a GPU."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
import torch
from tiny_system import TINY, tiny_model, tiny_studies

from r2gen_lib.config import Profile
from r2gen_lib.errors import R2GenError
from r2gen_lib.training.trainer import train
from r2gen_lib.training.trial import product_peak, trial

pytestmark = pytest.mark.usefixtures("empty_cache")
BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "gpu.py"
TWELVE = Profile("twelve", 16, 4, 4, train_steps=12, eval_every=6, checkpoint_every=4)


def tried(tmp_path, **changed):
    return trial(tiny_model, tiny_studies(), TWELVE, tmp_path / "cut", **{"cut_after": 6, "progress": False} | changed)


def test_a_cut_run_ends_as_one_that_was_never_cut(tmp_path):
    whole = train(tiny_model(), tiny_studies(), profile=TWELVE, out_dir=tmp_path / "whole", progress=False)
    cut = tried(tmp_path)
    assert cut.made_again == 2  # saved at 4, cut after 6
    assert cut.result.history["train_loss"].equals(whole.history["train_loss"])


def test_an_earlier_run_in_the_folder_is_replaced(tmp_path):
    assert tried(tmp_path).made_again == 2
    again = tried(tmp_path, cut_after=4)
    assert again.made_again == 0 and again.result.history["train_loss"].count() == 12


def test_tokens_and_weights_are_those_of_the_step(tmp_path):
    found, model = tried(tmp_path), tiny_model()
    layers = model.language.model.layers
    assert found.weights == sum(p.numel() for p in layers.parameters() if p.ndim > 1)
    prompt = len(model.prompt[1])
    picture = model.visual_tokens(torch.zeros(1, 1, 3, *[TINY.vision.image_size] * 2)).shape[1]
    longest = TINY.optim.batch_size * (prompt + picture + TINY.target.max_tokens)
    assert TINY.optim.batch_size * (prompt + picture) < found.tokens <= longest
    assert found.flops == 4 * found.weights * found.tokens


def test_on_a_cpu_the_table_does_not_claim_a_measured_memory(tmp_path):
    table = tried(tmp_path).table()
    assert table["device"] == "cpu"
    assert table["memory measured, GB"] == "not measured on a CPU"
    assert table["of the card's data sheet"] == "not in our list"
    assert "2 of them made again" in table["steps"]


@pytest.mark.parametrize("cut_after", [0, 12, 20])
def test_a_cut_outside_the_run_is_refused(cut_after, tmp_path):
    with pytest.raises(R2GenError, match=f"found cut_after {cut_after}"):
        tried(tmp_path, cut_after=cut_after)


def test_a_product_takes_time():
    assert 0 < product_peak(torch.device("cpu"), torch.float32, rounds=1) < 1e15


@pytest.fixture
def benchmark(monkeypatch):
    """benchmarks/gpu.py, with a smaller system in the place of the toy. (Notebook 06 runs the toy.)"""
    spec = importlib.util.spec_from_file_location("benchmark_on_a_gpu", BENCHMARK)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "toy_model", tiny_model)
    monkeypatch.setattr(module, "load_studies", lambda name: tiny_studies())
    return module


def test_the_tiny_form_runs_and_says_that_it_is_none_of_a_gpu(benchmark, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--tiny", "--out", str(tmp_path)])
    benchmark.main()
    printed = capsys.readouterr().out
    assert "not yet run on a GPU" in printed
    assert "tokens a second" in printed and "2 of them made again" in printed


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_the_whole_form_is_refused(benchmark, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["gpu.py"])
    with pytest.raises(SystemExit) as stopped:
        benchmark.main()
    assert stopped.value.code == 2 and "--tiny" in capsys.readouterr().err
