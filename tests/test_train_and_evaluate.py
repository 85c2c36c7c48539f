"""``r2gen train`` and ``r2gen evaluate`` from end to end: a tiny system, a data set of one's own, no stand-ins."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image
from safetensors.torch import save_file
from tiny_system import TINY, tiny_language, tiny_model, tiny_studies

from r2gen_lib import cli
from r2gen_lib.config import PRESETS

#: Option of ``r2gen train`` -> what it sets: a field of ``OptimConfig`` and its value in the checkpoint.
OPTIM = {
    "--batch": ("batch_size", 2),
    "--accumulate": ("accumulate", 3),
    "--learning-rate": ("learning_rate", 0.01),
    "--balance": ("balance", 0.6),
    "--finding-weight": ("finding_weight", 2.0),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the tiny system's frozen weights and ``mine.csv`` are; the preset ``tiny`` is known meanwhile."""
    folder = tmp_path_factory.mktemp("own")
    language = tiny_language()
    language.model.save_pretrained(folder / "llm")
    language.tokenizer.save_pretrained(folder / "llm")
    save_file(tiny_model().vision.swin.state_dict(), folder / "swin.safetensors")
    rows = []
    for n, study in enumerate(tiny_studies(24)):
        Image.fromarray(study.picture().load()).save(folder / f"{study.id}.png")
        split = "test" if n >= 20 else study.split
        texts = {"findings": study.report, "impression": "no pneumothorax ."}
        rows.append({"id": study.id, "frontal": f"{study.id}.png", "lateral": "", **texts, "split": split})
    aside = {"frontal": "", "lateral": "T0.png"}
    rows += [{**rows[0], "id": "T24", **aside}, {**rows[-1], "id": "T25", **aside}]  # train, test
    pd.DataFrame(rows).to_csv(folder / "mine.csv", index=False)
    source, weights = str(folder / "llm"), str(folder / "swin.safetensors")
    tiny = replace(TINY, language=replace(TINY.language, source=source), vision=replace(TINY.vision, weights=weights))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("r2gen_lib.config.presets.PRESETS", {**PRESETS, "tiny": tiny})
        patch.setattr("r2gen_lib.commands.options.PRESETS", {**PRESETS, "tiny": tiny})
        yield folder


def train(folder: Path, out: Path, *options: str) -> int:
    line = ["train", "--preset", "tiny", "--profile", "ci", "--data", str(folder / "mine.csv"), "--out", str(out)]
    return cli.main([*line, "--steps", "4", "--eval-every", "2", *options])


@pytest.fixture(scope="module")
def checkpoint(folder):
    """What one call of the command wrote, with every option that changes how it trains."""
    options = [word for name, (_, value) in OPTIM.items() for word in (name, str(value))]
    options += ["--mode", "delta", "--section", "both", "--clean", "none", "--missing-view", "skip"]
    options += ["--train-studies", "12", "--val-studies", "3", "--tensorboard"]
    assert train(folder, folder / "run", *options) == 0
    return folder / "run" / "best"


def test_train_does_what_its_options_say(checkpoint):
    told = json.loads((checkpoint / "config.json").read_text())
    assert (told["mode"], told["preset"]["name"]) == ("delta", "tiny")
    assert {name: told["preset"]["optim"][field] for name, (field, _) in OPTIM.items()} == {
        name: value for name, (_, value) in OPTIM.items()
    }
    history = pd.read_csv(checkpoint.parent / "history.csv")
    assert history["step"].max() == 4 and history["val_loss"].count() >= 2
    assert list(checkpoint.parent.rglob("events.out.tfevents*"))


def test_views_say_which_pictures_are_read(folder):
    out = folder / "both"
    assert train(folder, out, "--views", "frontal", "lateral", "--missing-view", "other") == 0
    told = json.loads((out / "best" / "config.json").read_text())
    assert told["preset"]["vision"]["views"] == ["frontal", "lateral"]


def test_a_run_is_gone_on_with_where_it_stopped(folder, capsys):
    out = folder / "twice"
    assert train(folder, out, "--missing-view", "skip") == 0
    said = capsys.readouterr().out
    assert f"checkpoint: {out / 'best'}; history and curve: {out}" in said
    before = (out / "history.csv").read_bytes()
    assert train(folder, out, "--missing-view", "skip") == 2
    assert "not empty. Add --resume" in capsys.readouterr().err
    assert train(folder, out, "--missing-view", "skip", "--resume") == 0
    assert capsys.readouterr().out == said and (out / "history.csv").read_bytes() == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("", "lack a view: T24 (no frontal)"),
        ("--missing-view skip --section technique", "technique"),
        ("--missing-view skip --clean wash", "wash"),
        ("--missing-view skip --skip-check dust", "'dust'"),
        ("--missing-view skip --start-from nowhere", "nowhere"),
        ("--views frontal sideways", "sideways"),
        ("--views frontal --oracle", "--oracle reads finding labels"),
        ("--rewritten 3", "no normal study with simulated pictures"),
        ("--rewritten 3 --rewritten-findings Scoliosis", "Scoliosis"),
    ],
)
def test_what_cannot_be_trained_is_refused_and_nothing_written(folder, tmp_path, capsys, options, message):
    assert train(folder, tmp_path / "out", *options.split()) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out" / "best").exists()


def test_evaluate_scores_the_checkpoint_with_its_controls(folder, checkpoint, capsys):
    data = ["--data", str(folder / "mine.csv"), "--section", "both", "--clean", "none", "--missing-view", "skip"]
    line = ["evaluate", "--checkpoint", str(checkpoint), *data]
    out = folder / "scores"
    assert cli.main([*line, "--out", str(out), "--limit", "3", "--beams", "1"]) == 0
    said = capsys.readouterr().out
    assert "3 studies of " in said and "split test, the data's own pictures, section both, cleaning none" in said
    assert "tokenizer ptb, references whole" in said and f"for the browser: {out / 'report.html'}" in said
    reports = pd.read_csv(out / "reports.csv", index_col="id")
    assert list(reports.index) == ["T20", "T21", "T22"]  # without T25, which has no frontal
    assert {"nearest neighbour", "shuffled pictures", "blank picture"} < set(reports)
    assert all("no pneumothorax" in text for text in reports["reference"])
    scores = json.loads((out / "scores.json").read_text())
    assert {"model", "constant report", "nearest neighbour"} < set(scores["systems"])
    settings = scores["settings"]
    assert settings["command"].startswith(f"r2gen evaluate --checkpoint {checkpoint}")
    assert len(settings["checkpoint sha256"]) == 64 and settings["decoding used"]["num_beams"] == 1


def test_evaluate_scores_as_the_public_code_does_where_it_is_asked_to(folder, checkpoint, capsys):
    line = ["evaluate", "--checkpoint", str(checkpoint), "--data", str(folder / "mine.csv"), "--split", "val"]
    protocol = ["--controls", "quick", "--tokenizer", "none", "--cut-references", "5", "--min-tokens", "8"]
    assert cli.main([*line, "--out", str(folder / "protocol"), *protocol]) == 0
    assert "tokenizer none, references cut to 5 tokens" in capsys.readouterr().out
    reports = pd.read_csv(folder / "protocol" / "reports.csv", index_col="id")
    assert list(reports.index) == ["T16", "T17", "T18", "T19"] and "nearest neighbour" not in reports
    assert {len(text.split()) for text in reports["reference"]} == {5}
    settings = json.loads((folder / "protocol" / "scores.json").read_text())["settings"]
    assert (settings["controls"], settings["tokenizer"], settings["references cut to"]) == ("quick", "none", 5)
    assert settings["decoding used"]["min_new_tokens"] == 8
