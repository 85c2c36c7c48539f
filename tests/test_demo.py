from __future__ import annotations

import io
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))
from tiny_system import tiny_model

from r2gen_lib import cli
from r2gen_lib.demo import actions as demo
from r2gen_lib.errors import ImageError, R2GenError

GREY = np.random.default_rng(0).integers(0, 255, (40, 36), dtype=np.uint8)


@pytest.fixture(scope="module")
def model():
    return tiny_model()


def test_the_report_grows_and_ends_as_generate_gives_it(model):
    decoding = demo.decoding_of("greedy", max_new_tokens=8)
    texts = list(demo.written(model, GREY, **decoding))
    assert len(texts) > 2
    assert all(later.startswith(earlier) for earlier, later in zip(texts, texts[1:], strict=False))
    (beams,) = demo.written(model, GREY, **demo.decoding_of("beams", max_new_tokens=8))
    assert isinstance(beams, str)


def test_draws_depend_on_the_seed_alone(model):
    def text(seed):
        return [*demo.written(model, GREY, **demo.decoding_of("drawn", 8, temperature=2.0, seed=seed))][-1]

    assert text(1) == text(1)
    assert len({text(seed) for seed in range(6)}) > 1
    with pytest.raises(R2GenError, match="expected one of greedy, drawn, beams"):
        demo.decoding_of("guess")


def test_the_same_patient_with_and_without_a_finding():
    plain, again = demo.draw_chest("Ada"), demo.draw_chest("Ada")
    large = demo.draw_chest("Ada", ["Cardiomegaly"], 1.0, "left")  # midline: the side is left out
    assert plain.shape == (224, 224) and np.array_equal(plain, again)
    changed = np.abs(plain.astype(int) - large)
    assert changed.max() > 20 and changed[:20].max() < changed.max()
    for findings, severity in ((["Gout"], 0.5), ([], 1.5)):
        with pytest.raises(R2GenError, match="expected names of FINDING_NAMES and 0 to 1"):
            demo.draw_chest("Ada", findings, severity)


def test_uploads_are_pictures_or_refused():
    file = io.BytesIO()
    Image.fromarray(GREY).save(file, "PNG")
    assert np.array_equal(demo.read_upload("mine.png", file.getvalue()), GREY)
    with pytest.raises(ImageError, match="notes.png"):
        demo.read_upload("C:/somewhere/notes.png", b"no picture")


def test_what_changed_is_marked():
    assert demo.changes("", "Heart normal.") == ("", "Heart normal.")
    assert demo.changes("Heart normal.", "Heart large.") == ("Heart **normal.**", "Heart **large.**")


def test_shipped_and_own_models_can_be_chosen(tmp_path, monkeypatch, model):
    monkeypatch.setenv("R2GEN_RUNS", str(tmp_path))
    mine = model.save_trainable(tmp_path / "mine" / "best")
    (tmp_path / "broken" / "best").mkdir(parents=True)
    (tmp_path / "broken" / "best" / "config.json").write_text("{")
    found = demo.checkpoints()
    assert found["laptop-shallow"] == "laptop-shallow (shallow, preset laptop)"
    assert found["laptop-delta"] == "laptop-delta (delta, preset laptop)"
    assert found[str(mine)] == "mine/best (shallow, preset tiny)" and len(found) == 3
    with pytest.raises(R2GenError, match="nowhere"):
        demo.checkpoints(["nowhere"])


def test_saliency_is_offered_only_where_it_is_there(model, monkeypatch):
    monkeypatch.setattr(demo, "_SALIENCY", "r2gen_lib.no_such_module")
    assert demo.explained() == ()
    with pytest.raises(R2GenError, match="expected one of: none"):
        demo.overlay(model, GREY, "Cardiomegaly")
    heat = np.zeros((32, 32), np.float32)
    heat[5, 7], heat[0, 0] = 2.0, -3.0
    picture = demo.blend(model, GREY, heat)
    assert picture.shape == (32, 32, 3) and picture.dtype == np.uint8
    assert picture[5, 7, 0] > picture[5, 7, 2] + 100
    assert len(set(picture[0, 0].tolist())) == 1  # speaks against: left grey


def test_without_its_package_the_command_says_what_to_install(monkeypatch, capsys):
    if "nicegui" in sys.modules:
        pytest.skip("nicegui is loaded")
    monkeypatch.setattr(demo.importlib.util, "find_spec", lambda name: None)
    assert cli.main(["demo"]) == 2
    assert "`make demo` installs it" in capsys.readouterr().err


def test_the_page_says_what_it_is_not():
    pytest.importorskip("nicegui", reason="the extra `demo` is not installed (make demo does)")
    from r2gen_lib.demo import page as demo_page

    assert isinstance(demo_page, types.ModuleType)
    assert "not for clinical use" in demo.NOTICE and "simulated" in demo.NOTICE
