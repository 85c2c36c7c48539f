"""What the doctor calls healthy, training takes: every layout, the handed cases, and whatever else is odd."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import layouts
import numpy as np
import pytest
from layouts import LAYOUTS, own_csv, picture, radiograph
from PIL import Image
from tiny_system import PROFILE, TINY, tiny_model

from r2gen_lib import load_studies
from r2gen_lib.data.audit.audit import examine
from r2gen_lib.errors import DataError
from r2gen_lib.training.trainer import train

pytestmark = pytest.mark.usefixtures("empty_cache")
CASES = Path(__file__).parents[1] / "cases"
SHORT = replace(PROFILE, train_steps=1, eval_every=1, checkpoint_every=1)
PAIRS = replace(TINY, vision=replace(TINY.vision, views=("frontal", "lateral")))


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


def problems(source, out_dir: Path, mode: str = "shallow", preset=TINY, **options) -> list[str]:
    """The names of the doctor's problems, ``["unread"]`` if the data cannot be read. Without one a step is trained."""
    try:
        studies = load_studies(source, **options)
    except DataError:
        return ["unread"]
    health = examine(studies, preset, progress=False)
    if not health.problems:
        model = tiny_model(mode, vision=preset.vision)
        assert train(model, studies, preset, SHORT, out_dir, progress=False).checkpoint.is_dir()
    return [check.name for check in health.problems]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_healthy_and_trains(layout, data, tmp_path):
    source = LAYOUTS[layout](data)
    assert problems(source, tmp_path / "run") == []
    health = examine(load_studies(source), TINY, progress=False)
    assert [check.name for check in health.warnings] == []


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("word", ["nan", "None", "-"])
def test_in_every_layout_a_report_that_says_nan_is_none(layout, word, data, caplog):
    source = LAYOUTS[layout](data, {0: word, 4: word})
    studies = load_studies(source)
    assert [study.report for study in studies] == [layouts.REPORTS[n] for n in (1, 2, 3, 5, 6)] or layout in (
        "indiana",
        "openi_xml",
        "openi_archive",  # in the benchmark's order
    )
    assert len(studies) == 5 and not {word, f"{word}."} & {study.report for study in studies}
    assert "2 of 7 studies left out: no findings text" in caplog.text
    with pytest.raises(DataError, match="nothing to read: none of the 7 studies has findings text"):
        load_studies(LAYOUTS[layout](data, dict.fromkeys(range(7), word)))


@pytest.mark.parametrize("mode", ["delta", "deep"])
def test_modes_that_read_the_pictures_themselves_train_too(mode, data, tmp_path):
    assert problems(own_csv(data), tmp_path / "run", mode) == []


def test_a_preset_of_two_views_trains_where_the_doctor_finds_both(data, tmp_path):
    assert problems(LAYOUTS["r2gen_iu_xray"](data), tmp_path / "run", preset=PAIRS) == []
    lacking = problems(LAYOUTS["own_csv_of_pairs"](tmp_path), tmp_path / "other", preset=PAIRS)
    assert lacking == ["missing_views"]


def test_the_handed_cases(tmp_path):
    assert problems(CASES / "csv_nan" / "mine.csv", tmp_path / "run") == ["empty_splits"]
    samples = CASES / "dicom_three_samples" / "mine.csv"
    assert problems(samples, tmp_path / "other") == []
    warnings = {check.name: check.examples for check in examine(load_studies(samples), TINY, progress=False).warnings}
    assert warnings["fallback_pictures"] == (f"A frontal ({samples.with_name('three_samples.dcm')})",)


def pictures_of(write: Callable[[Path], None]) -> Callable[[Path], Path]:
    """An own CSV whose first training picture is written by ``write``."""

    def make(folder: Path) -> Path:
        source = own_csv(folder)
        (folder / "0.png").unlink()
        write(folder / "0.png")
        return source

    return make


def saved(array: np.ndarray, mode: str = "", **options) -> Callable[[Path], Path]:
    image = Image.fromarray(array)
    return pictures_of(lambda path: (image.convert(mode) if mode else image).save(path, **options))


def reported(*texts: str) -> Callable[[Path], Path]:
    """An own CSV whose training reports begin with these."""
    return lambda folder: own_csv(folder, dict(enumerate(texts)))


def rows(keep: Callable[[list[str]], bool] = lambda row: True, change=lambda line: line) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        source = own_csv(folder)
        header, *lines = source.read_text().splitlines()
        source.write_text("\n".join([header, *(change(line) for line in lines if keep(line.split(",")))]) + "\n")
        return source

    return make


def latin_1_name(folder: Path) -> Path:
    source = LAYOUTS["one_path_annotation"](folder)
    name = "caf\udce9.png"
    try:
        picture(folder / name, 0)
    except (OSError, UnicodeError):
        pytest.skip("no such file names here")
    content = json.loads(source.read_text())
    content["train"][0]["image_path"] = name
    source.write_text(json.dumps(content))
    return source


def unread_view(folder: Path) -> Path:
    source = LAYOUTS["own_csv_of_pairs"](folder)
    (folder / "img" / "0l.jpg").write_bytes(b"not a picture")
    return source


GREY = radiograph(0)
DEEP = (GREY.astype(np.uint16) << 4).astype(np.uint16)
EXIF = Image.Exif()
EXIF[0x0112] = 6
ODD = {
    # pictures
    "16 bits": (saved(DEEP), []),
    "1 bit": (saved(GREY, "1"), []),
    "palette": (saved(GREY, "P"), []),
    "transparent": (saved(GREY, "LA"), []),
    "colour": (saved(GREY, "RGBA"), []),
    "CMYK": (saved(GREY, "CMYK", format="JPEG"), []),
    "turned": (saved(GREY, format="JPEG", exif=EXIF), []),
    "one pixel": (saved(GREY[:1, :1]), []),
    "one row": (saved(np.tile(GREY[:1], 90)), []),
    "one column": (saved(np.tile(GREY[:, :1], (90, 1))), []),
    "black": (saved(GREY * 0), []),
    "noise": (saved(np.random.default_rng(0).integers(0, 256, (50, 40), dtype=np.uint8)), []),
    "DICOM": (pictures_of(lambda path: layouts.dicom(path, GREY)), []),
    "no pixel data": (pictures_of(lambda path: layouts.dicom(path, GREY, PixelData=b"")), ["unreadable_pictures"]),
    "three samples": (
        pictures_of(lambda path: path.write_bytes((CASES / "dicom_three_samples" / "three_samples.dcm").read_bytes())),
        [],
    ),
    "cut": (pictures_of(lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(40))), ["unreadable_pictures"]),
    "empty": (pictures_of(lambda path: path.write_bytes(b"")), ["unreadable_pictures"]),
    "GIF": (saved(GREY, format="GIF"), ["unreadable_pictures"]),
    "web page": (pictures_of(lambda path: path.write_text("<html>")), ["unreadable_pictures"]),
    "folder": (pictures_of(Path.mkdir), ["missing_pictures"]),
    "gone": (pictures_of(lambda path: None), ["missing_pictures"]),
    "a view that is not read": (unread_view, ["unreadable_pictures"]),
    "a name that is not UTF-8": (latin_1_name, []),
    "only lateral": (rows(change=lambda line: line.replace(",PA,", ",LL,")), ["missing_views"]),
    # splits
    "one study each": (rows(lambda row: row[0] in ("s0", "s4")), []),
    "no training": (rows(lambda row: row[4] != "train"), ["empty_splits"]),
    "no validation": (rows(lambda row: row[4] != "val"), ["empty_splits"]),
    "one patient": (rows(change=lambda line: line[: line.rfind(",")] + ",p0"), ["patient_in_two_splits"]),
    "odd ids": (rows(change=lambda line: f" ../{line[:2]}/é\U0001fac1{'x' * 300}{line[2:]}"), []),
    # reports
    "one letter": (reported("A", "b", "2"), []),
    "the same": (reported(*["The lungs are clear."] * 4), []),
    "special tokens": (reported("</s>", "<s> <unk> </s>", "<|endoftext|>", "< Img > < / Img >"), []),
    "other scripts": (reported("肺部清晰", "Лёгкие чистые", "الرئتان", "\U0001fac1 a"), []),
    "ligatures": (reported("No eﬀusion, ½ ﬁlled", "e\u0301dema", "ＬＵＮＧ"), []),
    "long": (reported("lungs " * 20_000, "x" * 100_000), []),
    "joined": (reported("Lungs clear.\n\nHeart\tnormal."), []),
    "a lost value": (reported("Lungs clear. nan"), []),
    "nothing": (reported("\u200b", "...", "___", "-"), ["empty_splits"]),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_odd_data_train_or_have_a_problem_with_a_name(name, data, tmp_path):
    make, expected = ODD[name]
    source = make(data)
    assert problems(source, tmp_path / "run") == expected


@pytest.mark.parametrize(
    "name", ["16 bits", "one pixel", "one row", "a name that is not UTF-8", "special tokens", "long"]
)
def test_odd_data_train_in_the_mode_that_trains_the_encoder_too(name, data, tmp_path):
    assert problems(ODD[name][0](data), tmp_path / "run", "deep") == []


@pytest.mark.parametrize("clean", ["none", "r2gen_iu_xray", "r2gen_mimic_cxr", "r2gengpt_mimic_cxr"])
def test_a_cleaning_that_leaves_nothing_leaves_no_study(clean, data, tmp_path):
    assert problems(reported("***", "nan", "Clear lungs.")(data), tmp_path / "run", clean=clean) == []
    assert len(load_studies(data / "mine.csv", clean=clean)) == 5
