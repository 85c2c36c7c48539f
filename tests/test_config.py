from __future__ import annotations

import copy
import json
import pickle
import re
from dataclasses import FrozenInstanceError, fields, replace
from types import MappingProxyType

import pytest

from r2gen_lib import config
from r2gen_lib.config import (
    PRESETS,
    PROFILES,
    DecodingConfig,
    LanguageConfig,
    LoraConfig,
    MapperConfig,
    OptimConfig,
    Preset,
    Profile,
    PromptConfig,
    TargetConfig,
    VisionConfig,
    get_preset,
    get_profile,
)
from r2gen_lib.config.serialization import preset_from_dict, preset_to_dict
from r2gen_lib.errors import R2GenError


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_json(name):
    assert preset_from_dict(json.loads(json.dumps(preset_to_dict(PRESETS[name])))) == PRESETS[name]


def test_names_are_looked_up(monkeypatch):
    assert get_preset("laptop") is PRESETS["laptop"] is get_preset(PRESETS["laptop"])
    monkeypatch.setenv("R2GEN_PROFILE", "ci")
    assert get_profile() is PROFILES["ci"] and get_profile("paper") is PROFILES["paper"]
    monkeypatch.delenv("R2GEN_PROFILE")
    assert get_profile() is PROFILES["laptop"]
    with pytest.raises(R2GenError, match="'desktop', expected one of laptop"):
        get_preset("desktop")
    monkeypatch.setenv("R2GEN_PROFILE", "fast")
    with pytest.raises(R2GenError, match="R2GEN_PROFILE.*'fast'"):
        get_profile()


def test_unknown_and_missing_fields_are_named():
    values = preset_to_dict(PRESETS["laptop"])
    with pytest.raises(R2GenError, match="^speed: unknown field"):
        preset_from_dict(values | {"speed": 9})
    values["vision"].pop("model_name")
    with pytest.raises(R2GenError, match="vision.model_name: found nothing"):
        preset_from_dict(values)


PARTS = [
    VisionConfig,
    LanguageConfig,
    PromptConfig,
    MapperConfig,
    TargetConfig,
    DecodingConfig,
    LoraConfig,
    OptimConfig,
    Preset,
    Profile,
]
LAPTOP = PRESETS["laptop"]
WRONG = [
    ("optim", dict(learning_rate="fast"), "optim.learning_rate: found 'fast', expected a valid number"),
    ("optim", dict(learning_rate=0.0), "optim.learning_rate: found 0.0, expected a number greater than 0"),
    ("optim", dict(batch_size="3"), "optim.batch_size: found '3', expected a valid integer"),
    ("optim", dict(batch_size=True), "optim.batch_size: found True, expected a valid integer"),
    ("optim", dict(select_by="luck"), "optim.select_by: found 'luck', expected 'val_loss', 'bleu4+cider' or 'last'"),
    ("optim", dict(final_rate=2.0), "optim.final_rate: found 2.0, expected a number less than or equal to 1"),
    ("optim", dict(clip_norm=float("nan")), "optim.clip_norm: found nan, expected a finite number"),
    ("vision", dict(fit="zoom"), "vision.fit: found 'zoom', expected 'pad', 'crop' or 'stretch'"),
    ("vision", dict(mean=(0.5, 0.5)), "vision.mean: found 2 numbers, expected one for each of three channels"),
    ("vision", dict(std=(0.5, 0.0, 0.5)), "vision.std.1: found 0.0, expected a number greater than 0"),
    ("vision", dict(image_size=448), "vision: found image_size=448, model_kwargs img_size=224"),
    ("language", dict(dtype="float8"), "language.dtype: found 'float8', expected 'auto', 'half'"),
    ("mapper", dict(start_gain="two"), "mapper.start_gain: found 'two', expected 'one' or 'embedding_std'"),
    ("target", dict(max_tokens=0), "target.max_tokens: found 0, expected a number greater than 0"),
    ("decoding", dict(min_new_tokens=101), "decoding: found min_new_tokens=101, max_new_tokens=100, expected min <="),
    ("decoding", dict(do_sample=True), "decoding: found do_sample=True, num_beams=3, expected one beam"),
    ("lora", dict(dropout=1.0), "lora.dropout: found 1.0, expected a number less than 1"),
    ("prompt", dict(chat="no"), "prompt.chat: found 'no', expected a valid boolean"),
]


@pytest.mark.parametrize("part, change, words", WRONG, ids=str)
def test_what_cannot_be_is_refused_when_it_is_made(part, change, words):
    """By the path of the field, with what was found and what is expected; the same from a file."""
    with pytest.raises(R2GenError, match="^" + re.escape(words)) as caught:
        replace(getattr(LAPTOP, part), **change)
    assert caught.value.__cause__ is None and "help(r2gen_lib.config." in str(caught.value)
    values = preset_to_dict(LAPTOP)
    values[part] |= change
    with pytest.raises(R2GenError, match=re.escape(words)):
        preset_from_dict(values)


def test_every_wrong_field_is_told_at_once():
    values = preset_to_dict(LAPTOP)
    values["optim"]["patience"] = 0
    values["language_lora"] = {"rank": -1}
    with pytest.raises(R2GenError, match="optim.patience: found 0.*; language_lora.rank: found -1"):
        preset_from_dict(values)


def test_arguments_by_place_are_named_too():
    with pytest.raises(R2GenError, match="^optim.weight_decay: found 'embedding_std', expected a valid number"):
        OptimConfig(1e-3, "embedding_std")
    with pytest.raises(R2GenError, match="^optim.learning_rate: found nothing"):
        OptimConfig()
    with pytest.raises(R2GenError, match="^vision: found 1, expected an instance of VisionConfig"):
        Preset("mine", 1, LAPTOP.language, LAPTOP.prompt, LAPTOP.optim)
    with pytest.raises(R2GenError, match="^profile.train_steps: found 0, expected a number greater than 0"):
        replace(PROFILES["ci"], train_steps=0)


def test_a_field_that_has_moved_says_where_it_is():
    with pytest.raises(R2GenError, match=r"optim.max_report_tokens: unknown field \(it is target.max_tokens now\)"):
        replace(LAPTOP.optim, max_report_tokens=5)
    with pytest.raises(R2GenError, match=r"visual_token_pool: unknown field \(it is mapper.pool now\)"):
        replace(LAPTOP, visual_token_pool=None)


def test_numbers_and_lists_as_one_writes_them():
    """A whole number is a number, a list will do for a tuple, and any mapping for a dict."""
    assert replace(LAPTOP.optim, learning_rate=1).learning_rate == 1.0
    vision = VisionConfig("swin", mean=[0.5], views=["frontal"], model_kwargs=MappingProxyType({"depths": [2, 2]}))
    assert (vision.mean, vision.views, vision.model_kwargs) == ((0.5,), ("frontal",), {"depths": (2, 2)})


def test_fields_for_transformers_are_lists_again_when_they_are_read():
    """transformers checks its config fields: ``layer_types`` must be a list."""
    preset = replace(LAPTOP, language=LanguageConfig("any", shape={"layer_types": ["full_attention"] * 2}))
    again = preset_from_dict(json.loads(json.dumps(preset_to_dict(preset))))
    assert again == preset and again.language.shape == {"layer_types": ["full_attention", "full_attention"]}


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_copied_pickled_and_never_changed(name):
    preset = PRESETS[name]
    assert copy.deepcopy(preset) == pickle.loads(pickle.dumps(preset)) == replace(preset) == preset
    with pytest.raises(FrozenInstanceError):
        preset.optim.learning_rate = 1.0
    assert hash(preset.optim) == hash(replace(preset.optim))


@pytest.mark.parametrize("kind", PARTS, ids=lambda kind: kind.__name__)
def test_every_field_is_explained_in_its_place(kind):
    text = kind.__doc__.split("Attributes:\n")[1]
    explained = re.findall(r"^        (\w+): \S", text, flags=re.MULTILINE)
    assert explained == [field.name for field in fields(kind)]


def test_a_later_format_is_refused():
    with pytest.raises(R2GenError, match="format 3, expected at most 2: a newer r2gen wrote it"):
        preset_from_dict(preset_to_dict(LAPTOP), format=3)


def test_all_that_is_named_can_be_imported():
    assert [name for name in config.__all__ if not hasattr(config, name)] == []
