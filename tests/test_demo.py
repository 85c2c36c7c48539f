from __future__ import annotations

import asyncio
import importlib.util
import io
import sys

import numpy as np
import pytest
from PIL import Image
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


def test_a_consistent_report_ends_without_what_contradicts_it(model, monkeypatch):
    """With a stand-in for the rule, which is in findings/test_consistent."""
    monkeypatch.setattr("r2gen_lib.findings.consistent.without_contradictions", lambda text: f"({text})")
    decoding = demo.decoding_of("greedy", max_new_tokens=8)
    *_, streamed, last = demo.written(model, GREY, **decoding, consistent=True)
    assert last == f"({streamed})" and streamed == [*demo.written(model, GREY, **decoding)][-1]


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
    assert found["laptop-ask"] == "laptop-ask (shallow, preset laptop)"
    assert found["laptop-delta"] == "laptop-delta (delta, preset laptop)"
    assert found[str(mine)] == "mine/best (shallow, preset tiny)" and len(found) == 4
    assert "laptop-oracle" not in found  # it reads labels and no picture
    with pytest.raises(R2GenError, match="nowhere"):
        demo.checkpoints(["nowhere"])


def test_saliency_is_laid_over_the_picture(model):
    picture = demo.overlay(model, GREY, demo.explained()[0])
    assert picture.shape == (32, 32, 3) and picture.dtype == np.uint8
    assert (picture[..., 0].astype(int) > picture[..., 2]).any()
    with pytest.raises(R2GenError, match="no saliency for 'Gout', expected one of: Cardiomegaly, "):
        demo.overlay(model, GREY, "Gout")
    heat = np.zeros((32, 32), np.float32)
    heat[5, 7], heat[0, 0] = 2.0, -3.0
    picture = demo.blend(model, GREY, heat)
    assert picture[5, 7, 0] > picture[5, 7, 2] + 100
    assert len(set(picture[0, 0].tolist())) == 1  # speaks against: left grey


def test_without_its_package_the_command_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert cli.main(["demo"]) == 2
    assert "`make demo` installs it" in capsys.readouterr().err


# The page, as NiceGUI's simulated visitor sees it: no browser, no port.

MAIN = """
from r2gen_lib.demo.page import serve

serve({"mine": "mine/best (shallow, preset tiny)"}, 8080, False)
"""


@pytest.fixture
def visit(tmp_path, monkeypatch, model):
    """``visit(steps)`` serves the page with the tiny model and lets ``await steps(user)`` act on it."""
    pytest.importorskip("nicegui", reason="the extra `demo` is not installed (make installs it)")
    from nicegui.testing.user_simulation import user_simulation

    from r2gen_lib.demo import page

    modules = dict(sys.modules)
    monkeypatch.setattr(page, "load", lambda name: {"mine": model}[name])
    (tmp_path / "main.py").write_text(MAIN)

    async def opened(steps):
        async with user_simulation(main_file=tmp_path / "main.py") as user:
            await user.open("/")
            await steps(user)

    yield lambda steps: asyncio.run(opened(steps))
    sys.modules.update(modules)  # on leaving, the simulation drops the page's module and the packages above it


def report_of(model, grey):
    return [*demo.written(model, grey, **demo.decoding_of("greedy"))][-1]


def texts(user):
    """What is written on the page: labels and Markdown."""
    from nicegui import ui

    shown = [*user.find(ui.label).elements, *user.find(ui.markdown).elements]
    return [getattr(element, "text", "") or getattr(element, "content", "") for element in shown]


async def until(true, what):
    """Wait for what a click set going in a thread."""
    for _ in range(600):
        if true():
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"{what} never came")


def test_a_chest_is_drawn_and_described(visit, model):
    first = report_of(model, demo.draw_chest("Ada", [], 1.0, ""))
    second = report_of(model, demo.draw_chest("Ada", ["Cardiomegaly"], 1.0, ""))

    async def steps(user):
        from nicegui import ui

        await user.should_see(demo.NOTICE)
        await user.should_see("No picture yet.")
        user.find("Draw and describe").click()
        await until(lambda: first in texts(user), "the report")
        await user.should_see("Simulated: Ada, no finding.")
        (image,) = user.find(ui.image).elements
        before = image.source
        assert before.size == (224, 224)
        (findings,) = (one for one in user.find(ui.select).elements if one.props["label"] == "Findings")
        findings.value = ["Cardiomegaly"]
        user.find("Draw and describe").click()
        old, new = demo.changes(first, second)
        await until(lambda: new in texts(user), "the second report")
        await until(lambda: f"**Before:** {old}" in texts(user), "what it was before")
        await user.should_see("Simulated: Ada, cardiomegaly.")
        assert image.source.tobytes() != before.tobytes()

    visit(steps)


def test_an_uploaded_picture_is_described_and_another_file_is_a_message(visit, model):
    file = io.BytesIO()
    Image.fromarray(GREY).save(file, "PNG")

    async def steps(user):
        from nicegui import ui
        from nicegui.elements.upload_files import SmallFileUpload

        (upload,) = user.find(ui.upload).elements
        with user:
            await upload.handle_uploads([SmallFileUpload("notes.png", "image/png", b"no picture")])
        await user.should_see("notes.png", retries=100)
        await user.should_see("No picture yet.")
        with user:
            await upload.handle_uploads([SmallFileUpload("mine.png", "image/png", file.getvalue())])
        await until(lambda: report_of(model, GREY) in texts(user), "the report")
        await user.should_see("mine.png, 36 x 40 pixels")

    visit(steps)


def test_what_speaks_for_a_finding_is_shown_over_the_picture(visit):
    async def steps(user):
        from nicegui import ui

        user.find("Show it over the picture").click()
        await user.should_see("Choose a finding, with a picture there.", retries=100)
        user.find("Describe again").click()
        await user.should_see("Draw a chest or drop a picture first.", retries=100)
        user.find("Draw and describe").click()
        (image,) = user.find(ui.image).elements
        await until(lambda: image.source, "the picture")
        (explain,) = (one for one in user.find(ui.select).elements if one.props["label"] == "What speaks for")
        explain.value = "Cardiomegaly"
        user.find("Show it over the picture").click()
        await until(lambda: image.source.mode == "RGB", "the overlay")
        assert image.source.size == (32, 32)

    visit(steps)
