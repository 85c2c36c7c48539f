from __future__ import annotations

from dataclasses import replace

import pytest

from r2gen_lib import cli
from r2gen_lib.config import PRESETS
from r2gen_lib.config.provenance import KINDS, SOURCES, settings, source_of
from r2gen_lib.errors import R2GenError


@pytest.mark.parametrize("name", PRESETS)
def test_every_setting_has_a_source(name):
    for setting, _ in settings(name):
        source = source_of(name, setting)
        assert source.split(":")[0].split(",")[0] in KINDS, f"{setting}: {source}"


@pytest.mark.parametrize("name", PRESETS)
def test_no_source_is_of_a_setting_that_is_gone(name):
    known = {setting for setting, _ in settings(name)}
    for key in SOURCES[name]:
        assert key in known or (key.endswith(".") and any(one.startswith(key) for one in known)), key


def test_numbers_are_among_the_settings():
    found = dict(settings("iu_xray"))
    assert found["optim.learning_rate"] == 1e-4 and found["language.shape.num_hidden_layers"] == 32
    assert found["vision.mean"] == [0.485, 0.456, 0.406] and "name" not in found


def test_a_setting_without_source_is_an_error():
    with pytest.raises(R2GenError, match="preset laptop: no source for optim.speed.*provenance.py"):
        source_of("laptop", "optim.speed")


def test_the_papers_settings():
    """What the public scripts pass, for both data sets."""
    iu, mimic = (dict(settings(name)) for name in ("iu_xray", "mimic_cxr"))
    same = {
        "optim.learning_rate": 1e-4,
        "optim.batch_size": 8,
        "optim.clip_norm": None,
        "decoding.num_beams": 3,
        "decoding.repetition_penalty": 2.0,
        "decoding.length_penalty": 2.0,
        "lora.rank": 16,
        "lora.alpha": 16,
        "lora.dropout": 0.1,
    }
    for setting, value in same.items():
        assert iu[setting] == mimic[setting] == value, setting
    lengths = ["optim.epochs", "target.max_tokens", "decoding.min_new_tokens", "decoding.max_new_tokens"]
    assert [iu[one] for one in lengths] == [15, 60, 40, 100]
    assert [mimic[one] for one in lengths] == [5, 100, 80, 120]


def test_presets_command_prints_value_and_source(capsys):
    assert cli.main(["presets", "colab", "mimic_cxr"]) == 0
    out = capsys.readouterr().out
    assert "preset colab" in out and "preset mimic_cxr" in out and "preset laptop" not in out
    lines = [line.strip() for line in out.splitlines()]
    at = lines.index("decoding.max_new_tokens = 120")
    assert lines[at + 1] == "code: scripts/4-1.shallow_run.sh, --max_new_tokens 120"


def test_presets_command_names_what_there_is(capsys):
    assert cli.main(["presets", "desktop"]) == 2
    assert "'desktop', expected one of laptop, laptop-gemma3, colab, iu_xray, mimic_cxr" in capsys.readouterr().err


def test_colab_needs_no_gate_and_no_bf16():
    colab = PRESETS["colab"]
    assert colab.language.source.startswith("HuggingFaceTB/") and colab.language.dtype == "half"
    assert colab.vision == replace(PRESETS["mimic_cxr"].vision)
