"""A language model shared among processes: the same run, with a part of it on each."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_system import PROFILE, TINY, tiny_language, tiny_model, tiny_studies

from r2gen_lib.config import LoraConfig
from r2gen_lib.errors import R2GenError
from r2gen_lib.model import checkpoint, sharding
from r2gen_lib.model.r2gengpt import R2GenGPT
from r2gen_lib.training.processes import Processes
from r2gen_lib.training.trainer import train

pytestmark = pytest.mark.usefixtures("empty_cache")
SCRIPT = Path(__file__).with_name("sharded_run.py")
SHARD = replace(TINY, language=replace(TINY.language, shard=True))


@pytest.fixture
def language_folder(tmp_path) -> Path:
    language = tiny_language()
    language.model.save_pretrained(tmp_path / "llm")
    language.tokenizer.save_pretrained(tmp_path / "llm")
    return tmp_path / "llm"


def start_two(*arguments) -> None:
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", SCRIPT]
    subprocess.run([*launch, *arguments], check=True, timeout=500)


def test_two_halves_train_as_one_whole(tmp_path, language_folder):
    """Losses, and the scores of generated reports; in a step, in validation and in generation one process has a batch
    fewer than the other."""
    start_two(tmp_path / "two", language_folder, "2", "False")
    start_two(tmp_path / "checkpointing", language_folder, "2", "True")
    subprocess.run([sys.executable, SCRIPT, tmp_path / "one", language_folder, "4", "False"], check=True, timeout=500)
    one, *others = (pd.read_csv(tmp_path / name / "history.csv") for name in ("one", "two", "checkpointing"))
    assert one["train_loss"].notna().sum() == 12 and one["cider"].notna().sum() == 4
    for other in others:
        for column in ("step", "train_loss", "val_loss", "val_loss_shuffled", "rate", "bleu4", "cider"):
            np.testing.assert_allclose(other[column], one[column], atol=1e-4, err_msg=column)

    alone, *both = (
        json.loads((tmp_path / f"{name}.json").read_text()) for name in ("one-facts-0", "two-facts-0", "two-facts-1")
    )
    assert alone["held"] == alone["all"] and [each["held"] for each in both] == [alone["all"] / 2] * 2
    assert {each[when] for each in (alone, *both) for when in ("before", "after")} == {alone["before"]}

    again = R2GenGPT.from_trained(tmp_path / "two" / "best", vision_weights=None, device="cpu")
    expected = R2GenGPT.from_trained(tmp_path / "one" / "best", vision_weights=None, device="cpu")
    for name, tensor in expected.trainable_parameters().items():
        assert torch.allclose(again.trainable_parameters()[name], tensor, atol=1e-4), name


def test_alone_a_process_holds_it_whole_and_its_run_goes_on_without_the_flag(tmp_path):
    short = replace(PROFILE, train_steps=4)
    train(tiny_model(language=SHARD.language), tiny_studies(), SHARD, short, tmp_path, progress=False)
    assert checkpoint.saved_preset(tmp_path / "best") == TINY
    again = train(tiny_model(), tiny_studies(), TINY, short, tmp_path, progress=False)
    assert len(again.history) == 5


def test_a_checkpoint_from_before_the_field_loads(tmp_path):
    file = tiny_model().save_trainable(tmp_path) / "config.json"
    saved = json.loads(file.read_text())
    del saved["preset"]["language"]["shard"]
    file.write_text(json.dumps(saved))
    again = R2GenGPT.from_trained(tmp_path, vision_weights=None, language=tiny_language(), device="cpu")
    assert again.preset == TINY


@pytest.mark.parametrize(
    "part, change, found",
    [
        (SHARD, dict(language_lora=LoraConfig()), "preset: found language.shard=True beside a language_lora"),
        (SHARD.language, dict(quantization="4bit"), "language: found shard=True, quantization='4bit'.*packed"),
    ],
)
def test_what_cannot_be_sharded_is_refused(part, change, found):
    with pytest.raises(R2GenError, match=found):
        replace(part, **change)


def test_an_old_torch_is_refused(monkeypatch):
    class Two:
        num_processes = 2

    monkeypatch.setattr(sharding, "launched", Two)
    monkeypatch.setattr(torch, "__version__", "2.6.0")
    with pytest.raises(R2GenError, match="found torch 2.6.0, expected 2.8 or newer"):
        sharding.shard_language(tiny_language().model, torch.device("cpu"))


def test_turns_are_as_many_on_every_process():
    second = Processes.alone()
    second.count, second.index = 2, 1
    assert second.turns("abc", together=False) == [("b", True)]
    assert second.turns("abc", together=True) == [("b", True), ("a", False)]
    assert second.turns("ab", together=True) == [("b", True)]
    assert second.turns("a", together=True) == [("a", False)]
