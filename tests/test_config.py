from __future__ import annotations

import json

import pytest

from r2gen_lib.config import PRESETS, PROFILES, get_preset, get_profile
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
    with pytest.raises(R2GenError, match="Preset: unknown.*speed"):
        preset_from_dict(values | {"speed": 9})
    values["vision"].pop("model_name")
    with pytest.raises(R2GenError, match="VisionConfig.*model_name"):
        preset_from_dict(values)
