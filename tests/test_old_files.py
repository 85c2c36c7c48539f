"""Files that the release of 509b05e wrote are read by today's code, and mean what they meant (tests/old_files)."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from tiny_system import PROFILE, REPORTS, SHAPE, TINY, tiny_language, tiny_pixels, tiny_studies
from transformers import LlamaConfig, LlamaForCausalLM

from r2gen_lib import plots
from r2gen_lib.assets import repository_data
from r2gen_lib.config.serialization import preset_from_dict, preset_to_dict
from r2gen_lib.data.images.cache import PictureCache
from r2gen_lib.data.images.decode import load_grey
from r2gen_lib.data.images.preprocess import to_square
from r2gen_lib.errors import CheckpointError
from r2gen_lib.evaluation.compare_runs import read_run
from r2gen_lib.evaluation.published_scores import read_measured
from r2gen_lib.evaluation.written_reports import read_reports
from r2gen_lib.inference.feature_cache import encode_studies
from r2gen_lib.model.checkpoint import saved_preset
from r2gen_lib.model.llm import LanguageModel, checksum, freeze
from r2gen_lib.model.oracle_encoder import with_oracle
from r2gen_lib.model.r2gengpt import R2GenGPT
from r2gen_lib.training.trainer import train

OLD = Path(__file__).parent / "old_files"
EXPECTED = json.loads((OLD / "expected.json").read_text(encoding="utf-8"))
VISION = OLD / "vision.safetensors"
STOPPED_AT = 6


def language() -> LanguageModel:
    """The language model of then, from its stored weights: another torch may draw other numbers."""
    model = freeze(LlamaForCausalLM(LlamaConfig(**SHAPE, attn_implementation="eager")))
    model.load_state_dict(load_file(OLD / "llm.safetensors"))
    return LanguageModel(model, tiny_language().tokenizer, f"tensors-sha256:{checksum(model)}")


def parts() -> dict:
    return {"vision_weights": VISION, "language": language(), "device": "cpu"}


@pytest.mark.parametrize("mode", ["shallow", "delta", "deep"])
def test_a_checkpoint_gives_the_loss_and_the_reports_that_it_gave(mode):
    model = R2GenGPT.from_trained(OLD / "checkpoints" / mode, **parts()).eval()
    assert model.mode == mode and model.preset.name == "tiny"
    with torch.no_grad():
        loss = model(tiny_pixels(), list(REPORTS.values())).loss.item()
    assert loss == pytest.approx(EXPECTED[mode]["loss"], rel=1e-4)
    assert model.generate(tiny_pixels()) == EXPECTED[mode]["generated"]


@pytest.mark.parametrize("mode", ["shallow", "delta"])
def test_a_stopped_run_goes_on_as_it_would_have_then(mode, tmp_path, empty_cache):
    shutil.copytree(OLD / "stopped" / mode, tmp_path / "run")
    model = R2GenGPT.from_preset(
        TINY, mode, seed=5, **parts()
    )  # another start: what was trained must come from the file
    result = train(model, tiny_studies(), TINY, PROFILE, tmp_path / "run", progress=False)
    saved = json.loads((OLD / "stopped" / mode / "state" / "state.json").read_text(encoding="utf-8"))["history"]
    table = result.history.set_index("step")
    assert list(table.index) == list(range(13))
    assert table["seconds"][:STOPPED_AT].tolist() == [row["seconds"] for row in saved[:STOPPED_AT]]  # not made again
    for column, values in EXPECTED[mode]["history"].items():
        today = {"held_out_loss": "val_loss"}.get(column, column)
        assert table[today].dropna().to_dict() == pytest.approx({int(k): v for k, v in values.items()}, rel=1e-3)


def fields(values: dict, before: str = "") -> dict[str, object]:
    """Nested dicts as one: "optim.learning_rate" -> 0.006."""
    flat: dict[str, object] = {}
    for key, value in values.items():
        inner = isinstance(value, dict) and key not in ("model_kwargs", "shape")
        flat |= fields(value, f"{before}{key}.") if inner else {before + key: value}
    return flat


#: What stood elsewhere in format 1.
MOVED = {
    "optim.layernorm_start": "mapper.start_gain",
    "optim.max_report_tokens": "target.max_tokens",
    "optim.mask_token_0": "target.mask_token_0",
    "optim.noisy_frozen_encoder": "vision.noisy_when_frozen",
    "visual_token_pool": "mapper.pool",
    "visual_token_bias": "mapper.bias",
    "visual_token_rank": "mapper.rank",
    "visual_token_scale": "mapper.scale",
}


#: Fields that came later, as they are where nothing is said of them.
NEW = {"prompt.question": "", "decoding.consistent": False, "decoding.guidance": 0.0, "decoding.rerank": 0.0}


@pytest.mark.parametrize("name", ["laptop", "colab", "iu_xray", "mimic_cxr"])
def test_every_field_of_a_saved_preset_keeps_its_value(name):
    written = json.loads((OLD / "presets.json").read_text(encoding="utf-8"))[name]
    read = fields(json.loads(json.dumps(preset_to_dict(preset_from_dict(written, format=1)))))
    assert {key: read[MOVED.get(key, key)] for key in fields(written)} == fields(written)
    assert {key: read[key] for key in NEW} == NEW
    assert len(read) == len(fields(written)) + len(NEW)  # and nothing else is said


def test_a_setting_from_before_that_is_not_the_default_is_not_lost():
    written = json.loads((OLD / "presets.json").read_text(encoding="utf-8"))["laptop"]
    written["optim"] |= {"mask_token_0": True, "noisy_frozen_encoder": True, "max_report_tokens": 7}
    preset = preset_from_dict(written, format=1)
    assert (preset.target.mask_token_0, preset.target.max_tokens, preset.vision.noisy_when_frozen) == (True, 7, True)


def test_a_run_from_before_of_another_start_is_refused_by_name(tmp_path, empty_cache):
    shutil.copytree(OLD / "stopped" / "shallow", tmp_path / "run")
    preset = replace(TINY, mapper=replace(TINY.mapper, start_gain="one"))
    model = R2GenGPT.from_preset(preset, "shallow", **parts())
    with pytest.raises(CheckpointError, match="a run with another preset.*Give another out_dir"):
        train(model, tiny_studies(), preset, PROFILE, tmp_path / "run", progress=False)


@pytest.mark.parametrize("file, reader", [("config.json", "checkpoint"), ("state.json", "run")])
def test_files_of_a_later_format_are_one_clear_error(file, reader, tmp_path, empty_cache):
    run = tmp_path / "run"
    shutil.copytree(OLD / "stopped" / "shallow", run)
    path = run / ("best" if reader == "checkpoint" else "state") / file
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | {"format": 3}))
    with pytest.raises(CheckpointError, match=f"{file}.*format 3, expected at most 2.*Update r2gen"):
        if reader == "checkpoint":
            R2GenGPT.from_trained(path.parent, **parts())
        else:
            model = R2GenGPT.from_preset(TINY, "shallow", **parts())
            train(model, tiny_studies(), TINY, PROFILE, run, progress=False)


def test_the_shipped_checkpoints_config_says_what_it_was_trained_with():
    preset = saved_preset(repository_data("weights/laptop-shallow"))
    assert (preset.name, preset.language.source, preset.vision.stem) == (
        "laptop",
        "asset:smollm2_gguf",
        "efficientnet_lite0",
    )
    assert preset.vision.model_kwargs["depths"] == (2, 2) and preset.vision.mean == (0.5, 0.5, 0.5)
    assert (preset.optim.learning_rate, preset.mapper.start_gain) == (0.003, "embedding_std")
    assert (preset.mapper.pool, preset.mapper.rank) == (None, 64)


def test_scores_json_is_read_by_the_comparison_and_the_ledger():
    run = read_run(OLD / "evaluated")
    assert run.settings["tokenizer"] == "ptb" and run.settings["credentialed"] is False
    assert list(run.references) == list(run.generated) == ["T8", "T9", "T10", "T11"]
    assert run.references["T9"] == REPORTS["large"]
    assert run.not_above["ROUGE_L"] == ["constant report", "shuffled pictures", "blank picture"]
    model, constant = read_measured(OLD / "evaluated" / "scores.json")
    assert (model["who"], model["split"], model["mode"], model["section"]) == (
        "tiny-shallow",
        "val",
        "shallow",
        "findings",
    )
    assert model["ROUGE_L"] == pytest.approx(0.1) and constant["ROUGE_L"] == pytest.approx(0.5)


def test_reports_csv_of_an_evaluation_with_the_oracle_under_its_former_name_is_read(tmp_path):
    table = pd.read_csv(OLD / "evaluated" / "reports.csv")
    table.assign(**{"perfect eye": table["reference"]}).to_csv(tmp_path / "reports.csv", index=False)
    systems = read_reports(tmp_path / "reports.csv")
    assert list(systems) == ["model", "shuffled pictures", "blank picture", "oracle"]
    assert systems["oracle"] == table.set_index("id")["reference"].to_dict()


def test_a_preset_of_the_oracle_has_todays_name():
    """A stopped run compares presets, so one saved under the former name must go on."""
    written = preset_to_dict(with_oracle(TINY))
    assert written["name"] == "tiny-oracle"
    assert preset_from_dict(written | {"name": "tiny-perfect-eye"}) == with_oracle(TINY)


def test_a_history_is_drawn_under_the_former_and_under_todays_names():
    written = pd.read_csv(repository_data("weights/laptop-shallow/history_before.csv"))
    assert {"held_out_loss", "shuffled_loss"} <= set(written)
    today = written.rename(columns={"held_out_loss": "val_loss", "shuffled_loss": "val_loss_shuffled"})
    first, second = (
        {line.get_label(): line.get_ydata().tolist() for line in plots.loss_curve(each).axes[0].lines}
        for each in (written, today)
    )
    assert first == second and {"validation studies", "validation, shuffled pictures"} <= first.keys()


def listed(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_size for path in folder.rglob("*") if path.is_file()}


def test_cached_features_are_found_again(empty_cache):
    shutil.copytree(OLD / "cache" / "features", empty_cache / "features")
    before = listed(empty_cache / "features")
    model = R2GenGPT.from_preset(TINY, "shallow", **parts())
    features = encode_studies(model, tiny_studies(2), progress=False)
    assert features.float().mean(dim=(1, 2)).tolist() == pytest.approx(EXPECTED["features"], abs=1e-3)
    assert listed(empty_cache / "features") == before


def test_cached_pictures_are_made_again_which_is_said_once(tmp_path, caplog):
    """Their files were of another format. What they are made of is there still."""
    shutil.copytree(OLD / "cache" / "pictures", tmp_path / "pictures")
    before = (tmp_path / "pictures" / "v1_pad_32" / "pixels.u8").read_bytes()
    for _ in range(2):
        square = PictureCache(32, "pad", folder=tmp_path / "pictures").load(OLD / "picture.png")
        assert np.array_equal(square, to_square(load_grey(OLD / "picture.png"), 32, "pad"))
        assert square.tobytes() == before
    (said,) = caplog.messages
    assert "decoded once more" in said and "v1_pad_32, of an earlier version," in said
    assert (tmp_path / "pictures" / "v1_pad_32" / "pixels.u8").read_bytes() == before  # the user's to remove
