"""notebooks/SYMPTOMS.md: each symptom is made on purpose, and the page's check names it; a sound run passes."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from tiny_system import PROFILE, fit, tiny_model, tiny_studies, with_optim

from r2gen_lib.errors import R2GenError

PAGE = (Path(__file__).parents[1] / "notebooks" / "SYMPTOMS.md").read_text(encoding="utf-8")
LONG = replace(PROFILE, train_steps=40, eval_every=10, checkpoint_every=40)


def check(number: int, capsys, **names) -> str:
    """Paste the check of a section into a session that has these names; what its last line says."""
    section = re.search(rf"^## {number}\. .*?(?=^## |\Z)", PAGE, re.M | re.S)[0]
    (cell,) = re.findall(r"^```python\n(.*?)^```$", section, re.M | re.S)
    exec(compile(cell, f"SYMPTOMS.md, section {number}", "exec"), {"__name__": "cell", **names})
    return capsys.readouterr().out.strip().splitlines()[-1]


def split(studies):
    return {
        f"{name}": [s for s in studies if s.split == part]
        for name, part in (("train_set", "train"), ("held_out", "val"))
    }


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A run as it should be."""
    model = tiny_model()
    result = fit(model, tmp_path_factory.mktemp("sound"), profile=LONG)
    return {"model": model, "history": result.history} | split(tiny_studies())


@pytest.fixture
def blind(sound):
    """A model whose mapper has collapsed: it says the same of every picture."""
    model = tiny_model()
    torch.nn.init.zeros_(model.mapper.proj.weight)
    return sound | {"model": model}


def test_each_section_has_what_a_student_needs():
    sections = re.split(r"^## ", PAGE, flags=re.M)[1:]
    assert [section[0] for section in sections] == list("123456789")
    for section in sections:
        parts = [
            section.find(words) for words in ("**How it looks.**", "**Likely causes", "```python", "**What mends it.**")
        ]
        assert -1 not in parts and parts == sorted(parts)
        assert len(re.search(r"```python\n(.*?)^```", section, re.M | re.S)[1].splitlines()) <= 36


def test_what_is_sound_is_let_pass(sound, capsys):
    assert "none, so it was the step" in check(1, capsys, **sound)
    assert check(2, capsys, **sound).startswith("it can learn")
    assert "none. Pictures arrive" in check(3, capsys, **sound)
    assert check(4, capsys, **sound).startswith("pictures arrive")
    assert re.search(r"a step needs \d\.\d\d GB, free are .*: it (fits|does not fit)$", check(5, capsys, **sound))
    assert check(7, capsys, **sound)
    assert check(8, capsys, **sound)
    assert check(9, capsys, **sound).startswith("the same twice")


def test_a_check_changes_no_weight(sound, capsys):
    before = {name: p.detach().clone() for name, p in sound["model"].named_parameters()}
    for number in (1, 2, 3, 4, 9):
        check(number, capsys, **sound)
    assert all(torch.equal(p, before[name]) for name, p in sound["model"].named_parameters())
    assert not sound["model"].training


def test_not_a_number(sound, tmp_path, capsys):
    model = tiny_model()
    with torch.no_grad():
        model.mapper.proj.bias.fill_(float("nan"))
    with pytest.raises(R2GenError, match="loss is nan"):  # as training says it
        fit(model, tmp_path)
    assert check(1, capsys, **sound | {"model": model}).endswith("trained weights")

    model = tiny_model()
    with torch.no_grad():
        next(model.vision.parameters()).fill_(float("inf"))
    assert check(1, capsys, **sound | {"model": model}).endswith("features")

    model = tiny_model()
    with torch.no_grad():
        model.language.model.norm.weight.fill_(float("inf"))
    assert check(1, capsys, **sound | {"model": model}).endswith("logits")


def test_a_flat_curve(sound, tmp_path, capsys):
    model = tiny_model()
    result = fit(model, tmp_path, preset=with_optim(learning_rate=1e-9))
    losses = result.history["val_loss"].dropna()
    assert abs(losses.iloc[-1] - losses.iloc[0]) < 1e-3  # flat
    assert check(2, capsys, **sound | {"model": model, "history": result.history}).startswith("it can learn")

    model.mapper.register_forward_hook(lambda module, inputs, output: output.detach())
    assert check(2, capsys, **sound | {"model": model}).startswith("it cannot learn")


def test_no_gap(sound, blind, tmp_path, capsys):
    picture = tiny_studies()[0].pictures[0]
    one_for_all = [replace(study, pictures=(picture,)) for study in tiny_studies()]
    model = tiny_model()
    history = fit(model, tmp_path, studies=one_for_all).history
    gaps = (history["val_loss_shuffled"] - history["val_loss"]).dropna()
    assert gaps.abs().max() < 1e-5
    names = {"model": model, "history": history} | split(one_for_all)
    assert check(3, capsys, **names).endswith("pictures")
    assert check(3, capsys, **blind).endswith("visual tokens")


def test_one_report_for_all(blind, capsys):
    assert check(4, capsys, **blind).startswith("pictures do not arrive")


def test_out_of_memory(sound, capsys):
    preset = with_optim(batch_size=10**8)
    model = type("Model", (), {"preset": preset, "mode": "shallow"})
    assert check(5, capsys, **sound | {"model": model}).endswith("it does not fit")


def test_reports_that_do_not_follow(blind, capsys):
    assert check(6, capsys, **blind) == "the words do not follow the picture"


@pytest.mark.slow
def test_reports_of_the_shipped_model_follow(sound, capsys):
    from r2gen_lib import R2GenGPT

    model = R2GenGPT.from_trained("laptop-shallow", device="cpu")
    assert check(6, capsys, **sound | {"model": model}) == "the words follow the picture"


def test_learnt_by_heart(tmp_path, capsys):
    kinds = {"train": "mild", "val": "normal"}  # what is trained on is no help with what is held out
    studies = [study for study in tiny_studies() if kinds[study.split] in study.report]
    result = fit(tiny_model(), tmp_path, studies=studies, profile=LONG)
    assert check(7, capsys, history=result.history) == "learnt by heart"


def test_both_rise(capsys):
    history = pd.DataFrame({"step": range(40), "train_loss": [2 + 0.05 * n for n in range(40)]})
    history["val_loss"] = [2 + 0.05 * n if n % 10 == 0 else None for n in range(40)]
    assert check(7, capsys, history=history) == "both rise: the rate is too high"
    falling = history.assign(
        train_loss=history["train_loss"][::-1].values, val_loss=history["val_loss"].map(lambda x: 4 - x)
    )
    assert check(7, capsys, history=falling) == "no rise to speak of"


def test_uneven_steps(capsys):
    even, uneven = ([9.0, *[1.0] * 18, *last] for last in ([1.1, 1.1], [3.0, 17.0]))
    assert check(8, capsys, history=pd.DataFrame({"seconds": even})).startswith("even steps")
    assert check(8, capsys, history=pd.DataFrame({"seconds": uneven})).startswith("uneven steps")


def test_dropout_is_on(sound, capsys):
    model = tiny_model("delta").train()
    for name, parameter in model.trainable_parameters().items():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    assert check(9, capsys, **sound | {"model": model}).startswith("not the same twice")
