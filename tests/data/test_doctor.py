from __future__ import annotations

import csv
import json
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import transformers
from PIL import Image

from r2gen_lib import load_studies
from r2gen_lib.assets import asset
from r2gen_lib.config import PRESETS, LanguageConfig
from r2gen_lib.data.audit import image_survey as picture_survey
from r2gen_lib.data.audit.audit import examine, require_healthy
from r2gen_lib.data.audit.audit_report import PROBLEMS, WARNINGS
from r2gen_lib.data.audit.image_content import problem_in
from r2gen_lib.data.audit.token_counts import estimated_tokens, token_counter
from r2gen_lib.data.study import Picture, Study
from r2gen_lib.errors import DataError

CASES = Path(__file__).parents[1] / "cases"
NOWHERE = LanguageConfig("no/such-language-model")
LAPTOP = PRESETS["laptop"]
PRESET = replace(LAPTOP, language=NOWHERE)


def words(texts, **_):
    """A tokenizer of one token a word."""
    return SimpleNamespace(input_ids=[text.split() for text in texts])


def write_picture(path: Path, seed: int, **options) -> Path:
    grey = np.random.default_rng(seed).integers(0, 256, (12, 10), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(grey).save(path, **options)
    return path


def study(key: int | str, split: str = "train", report: str | None = None, **more) -> Study:
    more.setdefault("pictures", (Picture("frontal", simulated=True, loader=never),))
    return Study(str(key), split, f"Report number {key}." if report is None else report, source="own", **more)


def never():
    raise AssertionError("a simulated picture was drawn")


def healthy() -> list[Study]:
    return [study(n, split) for n, split in enumerate(["train"] * 4 + ["val"] * 2 + ["test"] * 2)]


def with_file(key: int | str, path: Path, split: str = "train", **more) -> Study:
    return study(key, split, pictures=(Picture("frontal", path),), **more)


def look(studies, preset=PRESET, **options):
    return examine(studies, preset, tokenizer=words, progress=False, **options)


def names(checks) -> list[str]:
    return [check.name for check in checks]


def test_healthy_data_are_called_so_and_simulated_pictures_are_not_drawn():
    health = look(healthy())
    assert health.problems == [] and health.warnings == []
    page = health.text()
    assert page.splitlines()[-1].startswith("Healthy")
    assert "8 studies (own)" in page and "8 simulated" in page
    assert health.counts["studies"] == {"train": 4, "val": 2, "test": 2, "all": 8}
    assert require_healthy(healthy(), PRESET).problems == []


def test_a_study_or_a_patient_in_two_splits_and_ids_that_repeat():
    more = [study(0, "test"), study("p", "train", patient="7"), study("q", "val", patient="7"), study("p", "train")]
    health = look(healthy() + more)
    assert names(health.problems) == ["repeated_ids", "study_in_two_splits", "patient_in_two_splits"]
    page = health.text()
    assert "0 (train, test)" in page and "7 (train, val)" in page and "such as p." in page
    assert "1 patient is in more than one split" in page and "1 id appears" in page
    two = look([*healthy(), study(0, "test"), study(1, "test")]).text()
    assert "2 studies are in more than one split" in two
    assert health.counts["patients"] == {"train": 1, "val": 1, "test": 0, "all": 1}


def test_patients_of_two_sources_may_share_a_number():
    more = [study("p", patient="7"), replace(study("q", "val", patient="7"), source="other")]
    assert look(healthy() + more).problems == []


def test_splits_without_studies():
    health = look([study(1), study(2)])
    assert names(health.problems) == ["empty_splits"] and names(health.warnings) == ["no_test_studies"]
    assert "such as val" in str(health.problems[0])
    assert names(look([]).problems) == ["empty_splits"]


def test_empty_reports_stop_training_and_repeated_ones_are_counted():
    normal = "The lungs are clear."
    more = [study("e", report=" \n"), study("a", report=normal), study("b", report=normal), study("c", "test", normal)]
    health = look(healthy() + more)
    assert names(health.problems) == ["empty_reports"]
    assert [(check.name, check.count) for check in health.warnings] == [
        ("duplicate_reports", 2),
        ("reports_in_two_splits", 1),
    ]
    assert health.counts["reports that stand in train"] == {"train": 0, "val": 0, "test": 1, "all": 1}


def test_reports_over_the_presets_limit_are_those_that_lose_their_end():
    preset = replace(PRESET, target=replace(PRESET.target, max_tokens=5))
    fits, cut = study("fits", report="four words fit in"), study("cut", "test", "five words lose their end")
    health = look([*healthy(), fits, cut], preset)
    assert [(check.name, check.examples) for check in health.warnings] == [("long_reports", ("cut",))]
    assert health.counts["reports over 5 tokens"]["test"] == 1
    assert "longest 6 tokens, by the tokenizer of no/such-language-model" in health.text()


def test_without_a_tokenizer_the_length_is_an_estimate_and_says_so():
    health = examine(healthy(), PRESET)
    assert "an estimate, as the tokenizer of no/such-language-model is not on this machine" in health.text()
    assert estimated_tokens("The lungs are clear.") == 5
    assert estimated_tokens("") == 0 < estimated_tokens("pneumoperitoneum")


def test_the_laptops_tokenizer_counts_without_the_models_weights():
    counter = token_counter(LAPTOP.language)
    assert counter.how == "the tokenizer of asset:smollm2_gguf"
    assert counter.count(["The lungs are clear.", "Clear."]) == [5, 2] and counter.count([]) == []


@pytest.mark.parametrize("state", ["new", "kept", "damaged", "not to be written"])
def test_a_kept_tokenizer_counts_as_transformers_own_does(state, tmp_path, monkeypatch):
    monkeypatch.setenv("R2GEN_CACHE", str(tmp_path))
    texts = [
        "The lungs are clear.",
        "",
        "XXXX 2.5 cm  nodule,\nnew\u2014 caf\u00e9.",
        "<|im_start|>No effusion.<|im_end|>",
    ]
    if state == "not to be written":
        (tmp_path / "tokenizers").write_text("a file in the folder's place")
    elif state != "new":
        token_counter(LAPTOP.language)
        (kept,) = (tmp_path / "tokenizers").iterdir()
        if state == "damaged":
            kept.write_text("{")
        else:
            monkeypatch.setattr(transformers.AutoTokenizer, "from_pretrained", None)
    counter = token_counter(LAPTOP.language)
    monkeypatch.undo()
    gguf = asset("smollm2_gguf")
    own = transformers.AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    assert counter.how == "the tokenizer of asset:smollm2_gguf"
    assert counter.count(texts) == [len(ids) for ids in own(texts, add_special_tokens=False).input_ids]


def test_ten_thousand_missing_pictures_are_one_line_and_a_list(tmp_path):
    studies = healthy() + [with_file(f"m{n}", tmp_path / f"{n}.png") for n in range(10_000)]
    health = look(studies, check_pictures=False)
    assert names(health.problems) == ["missing_pictures"]
    page = health.text()
    assert len(page.splitlines()) <= 60 and len(page) < 6000
    assert "10,000 of 10,000 picture files are not there" in page and "5.png" not in page
    health.write_bad_pictures(tmp_path / "bad.csv")
    with open(tmp_path / "bad.csv", encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 10_000
    assert rows[1] == {
        "study": "m1", "split": "train", "view": "frontal", "path": str(tmp_path / "1.png"), "problem": "missing",
        "detail": "no such file",
    }  # fmt: skip


def test_pictures_that_cannot_be_read_or_show_nothing(tmp_path):
    whole = write_picture(tmp_path / "whole.png", 1)
    cut, empty, text, folder = (tmp_path / f"{name}.png" for name in ("cut", "empty", "text", "folder"))
    cut.write_bytes(whole.read_bytes()[:60])
    empty.write_bytes(b"")
    text.write_text("not a picture")
    folder.mkdir()
    Image.new("L", (8, 8), 3).save(tmp_path / "blank.png")
    files = [whole, cut, empty, text, folder, tmp_path / "blank.png"]
    health = look(healthy() + [with_file(path.stem, path) for path in files])
    assert [(check.name, check.count) for check in health.problems] == [
        ("missing_pictures", 1),
        ("unreadable_pictures", 3),
    ]
    assert [(check.name, check.count) for check in health.warnings] == [("blank_pictures", 1)]
    problems = {bad.study: bad.problem for bad in health.bad_pictures}
    assert problems == {**dict.fromkeys(("cut", "empty", "text"), "unreadable"), "folder": "missing", "blank": "blank"}
    assert all("\n" not in bad.detail and bad.detail for bad in health.bad_pictures)


def smooth(side: int = 64, low: int = 20, high: int = 230) -> np.ndarray:
    """A soft bright disc on a dark ground, uint8 (side, side)."""
    y, x = np.mgrid[:side, :side] / (side - 1) - 0.5
    return np.round(low + (high - low) * np.exp(-8 * (x**2 + y**2))).astype(np.uint8)


def noise(height: int = 64, width: int = 64, low: int = 0, high: int = 256) -> np.ndarray:
    return np.random.default_rng(0).integers(low, high, (height, width), dtype=np.uint8)


def scaled(grey: np.ndarray, side: int) -> np.ndarray:
    return np.asarray(Image.fromarray(grey).resize((side, side), Image.Resampling.BICUBIC))


def marked(grey: np.ndarray) -> np.ndarray:
    """With a bright letter in the corner."""
    grey = grey.copy()
    grey[2:12, 2:8] = 255
    return grey


SHOWING = {
    "radiograph": smooth(),
    "noisy radiograph": np.clip(smooth(128) + np.random.default_rng(1).normal(0, 25, (128, 128)), 0, 255).astype(
        np.uint8
    ),
    "dark ground": np.pad(smooth(), 40),
    "low contrast": smooth(low=100, high=190),
    "too small to judge": noise(12, 10),
    "wide": smooth(96)[:24],
}
FAULTY = {
    "faint": {
        "black but for a letter": marked(np.zeros((64, 64), np.uint8)),
        "black with noise": noise(high=12),
        "white with noise": noise(low=240),
        "one grey with noise": noise(low=120, high=130),
        "12 bits shown as 16": smooth() // 16,
        "the same as MONOCHROME1": 255 - smooth() // 16,
    },
    "noise": {
        "white noise": noise(),
        "dim noise": noise(low=60, high=140),
        "large": noise(700, 500),
        "wide": noise(32, 200),
        "twice as large": scaled(noise(), 128),
        "four times as large": scaled(noise(), 256),
        "in a black margin": np.pad(noise(), 30),
        "a radiograph shuffled": np.random.default_rng(2).permutation(smooth().ravel()).reshape(64, 64),
    },
    "odd_shape": {"dot": noise(2, 2), "column": noise(200, 6), "strip": noise(16, 200), "icon": noise(7, 9)},
    "blank": {"black": np.zeros((64, 64), np.uint8), "one pixel": np.full((1, 1), 9, np.uint8)},
}


@pytest.mark.parametrize(("problem", "name"), [(problem, name) for problem, named in FAULTY.items() for name in named])
def test_a_picture_that_shows_nothing_has_a_fault_with_a_name(problem, name):
    assert problem_in(FAULTY[problem][name])[0] == problem


@pytest.mark.parametrize("name", SHOWING)
def test_a_picture_that_shows_something_has_none(name):
    assert problem_in(SHOWING[name]) is None


def test_simulated_radiographs_have_no_fault_in_any_size():
    for study in load_studies(limit=2):
        for picture in study.pictures:
            grey = picture.load()
            for side in (32, 64, 224, 700):
                assert problem_in(scaled(grey, side)) is None, (study.id, picture.view, side)


def test_pictures_that_show_next_to_nothing_are_warnings_and_listed(tmp_path):
    studies = []
    for problem, named in FAULTY.items():
        for number, grey in enumerate(named.values()):
            Image.fromarray(grey).save(tmp_path / f"{problem}{number}.png")
            studies.append(with_file(f"{problem}{number}", tmp_path / f"{problem}{number}.png"))
    health = look(healthy() + studies)
    assert health.problems == []
    assert {check.name: check.count for check in health.warnings} == {
        "blank_pictures": 2, "faint_pictures": 6, "noise_pictures": 8, "odd_shapes": 4,
    }  # fmt: skip
    problems = {bad.study: (bad.problem, bad.detail) for bad in health.bad_pictures}
    assert problems["faint0"] == ("faint", "nearly black: 99% of its pixels are between 0 and 31 of 255")
    assert problems["faint4"][1].startswith("nearly black: 100%") and problems["faint5"][1].startswith(
        "nearly white: 100%"
    )
    assert problems["noise0"][1].startswith("noise: neighbouring pixels are alike by 0.0")
    assert problems["odd_shape2"][1] == "200 x 16 pixels"
    assert look(healthy() + studies, skip=list(WARNINGS)).warnings == []


def test_a_noise_picture_in_two_splits_is_still_a_leak(tmp_path):
    Image.fromarray(noise()).save(tmp_path / "a.png")
    studies = [with_file("a", tmp_path / "a.png"), with_file("b", tmp_path / "a.png", "test")]
    health = look(healthy() + studies)
    assert names(health.problems) == ["pictures_in_two_splits"] and names(health.warnings) == ["noise_pictures"]


def test_a_picture_that_does_not_come_as_grey_bytes_is_unreadable(tmp_path, monkeypatch):
    found = {"colours": np.zeros((8, 8, 3), np.uint8), "floats": np.zeros((8, 8)), "deep": np.zeros((8, 8), np.uint16)}
    monkeypatch.setattr(picture_survey, "load_grey", lambda path, notes: found[path.stem])
    for name in found:
        (tmp_path / f"{name}.png").write_bytes(b"x")
    health = look(healthy() + [with_file(name, tmp_path / f"{name}.png") for name in found])
    assert [(check.name, check.count) for check in health.problems] == [("unreadable_pictures", 3)]
    assert health.bad_pictures[0].detail == "found uint8 (8, 8, 3), expected uint8 (H, W)"


def test_whatever_a_loader_raises_is_told_and_not_raised():
    def broken():
        raise KeyError("no such slice")

    studies = [*healthy(), study("k", pictures=(Picture("frontal", loader=broken),))]
    health = look(studies)
    assert names(health.problems) == ["unreadable_pictures"]
    assert health.bad_pictures[0].detail == "KeyError: 'no such slice'"


def test_fall_backs_are_counted_by_kind_with_examples(tmp_path, monkeypatch):
    kinds = ["window width 0", "window width 0", "empty slope", "odd table", "comma", ""]

    def load(path, notes):
        kind = kinds[int(path.stem)]
        notes += [kind] if kind else []
        notes += ["empty slope", "empty slope"] if path.stem == "0" else []
        return smooth() + np.uint8(int(path.stem))

    monkeypatch.setattr(picture_survey, "load_grey", load)
    for number in range(6):
        (tmp_path / f"{number}.dcm").write_bytes(b"x")
    health = look(healthy() + [with_file(f"d{n}", tmp_path / f"{n}.dcm") for n in range(6)])
    (check,) = health.warnings
    assert (check.name, check.count, len(check.examples)) == ("fallback_pictures", 5, 5)
    assert (
        "5 of 6 picture files needed a fall-back: window width 0 (2); empty slope (2); odd table (1); and 1 other"
        in (health.text())
    )
    assert json.loads(health.to_json())["warnings"][0]["name"] == "fallback_pictures"
    assert [(bad.study, bad.detail) for bad in health.bad_pictures][:2] == [
        ("d0", "window width 0"),
        ("d0", "empty slope"),
    ]


def test_a_window_of_width_0_is_told(tmp_path):
    path = CASES / "dicom_empty_or_odd_display_elements" / "window_width_0.dcm"
    health = look([*healthy(), with_file("w", path)])
    assert names(health.warnings) == ["fallback_pictures"] and "window width 0" in str(health.warnings[0])


def test_names_that_are_not_utf_8_can_be_printed(tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png"))
    health = look([*healthy(), with_file("c", path)])
    assert "caf\ufffd.png" in health.text() and health.text().encode()
    health.write_bad_pictures(tmp_path / "bad.csv")


@pytest.mark.parametrize(
    "report", ["nan", "NaN", "None", "<NA>", "N/A", "-", ".", "Indication:nan", "nan nan", "\u200b", float("nan")]
)
def test_reports_that_say_nothing_are_empty(report):
    health = look([*healthy(), study("e", report=report), study("f", "test", report=report)])
    assert [(check.name, check.count) for check in health.problems] == [("empty_reports", 2)]
    assert health.warnings == []


def test_a_missing_value_within_a_report_is_a_warning():
    more = [
        study("a", report="Lungs clear. nan"),
        study("b", report="Indication:nan Clear."),
        study("c", report="Nan read."),
    ]
    health = look(healthy() + more)
    assert health.problems == []
    assert [(check.name, check.examples) for check in health.warnings] == [("nan_in_reports", ("a", "b"))]


def test_thousands_of_bad_files_are_one_line_a_fault(tmp_path, capfd, caplog):
    whole = write_picture(tmp_path / "whole.png", 1).read_bytes()
    contents = (b"", whole[:60], b"<html>log in</html>", b"not a picture")  # empty, cut short, mislabelled
    files = [tmp_path / f"bad{n}.png" for n in range(3000)]
    for n, path in enumerate(files):
        path.write_bytes(contents[n % 4])
    health = look(healthy() + [with_file(path.stem, path) for path in files])
    assert [(check.name, check.count) for check in health.problems] == [("unreadable_pictures", 3000)]
    page = health.text()
    assert page.count("such as") == 1 and len(page.splitlines()) < 40 and len(page) < 6000
    assert capfd.readouterr() == ("", "") and not caplog.records
    health.write_bad_pictures(tmp_path / "bad.csv")
    assert len((tmp_path / "bad.csv").read_text(encoding="utf-8").splitlines()) == 3001


def test_a_quick_look_finds_missing_files_and_opens_none(tmp_path):
    (tmp_path / "text.png").write_text("not a picture")
    studies = healthy() + [with_file("text", tmp_path / "text.png"), with_file("gone", tmp_path / "gone.png")]
    health = look(studies, check_pictures=False)
    assert [bad.study for bad in health.bad_pictures] == ["gone"]
    assert "2 files looked for, not opened" in health.text()
    assert names(look(studies, skip=["unreadable_pictures"]).problems) == ["missing_pictures"]


def test_one_picture_in_two_splits_is_a_problem_whatever_the_files_are_called(tmp_path):
    first = write_picture(tmp_path / "a.png", 1, compress_level=0)
    again = write_picture(tmp_path / "b" / "c.png", 1, compress_level=9)
    other = write_picture(tmp_path / "other.png", 2)
    assert first.read_bytes() != again.read_bytes()
    health = look(healthy() + [with_file("a", first), with_file("b", again, "test"), with_file("c", other)])
    assert names(health.problems) == ["pictures_in_two_splits"] and health.warnings == []
    assert "a (train) = b (test)" in health.text()


def test_a_picture_twice_in_a_split_or_in_a_study_is_a_warning(tmp_path):
    path, other = write_picture(tmp_path / "a.png", 1), write_picture(tmp_path / "b.png", 2)
    twice = study("t", pictures=(Picture("frontal", other), Picture("lateral", other)))
    health = look(healthy() + [with_file("a", path), with_file("b", path), twice])
    assert health.problems == [] and [(check.name, check.count) for check in health.warnings] == [
        ("duplicate_pictures", 2)
    ]
    assert health.counts["with a lateral picture"]["all"] == 1


def test_views_that_the_preset_reads_and_studies_lack():
    lateral = study("l", pictures=(Picture("lateral", simulated=True, loader=never),))
    health = look([*healthy(), lateral, study("n", pictures=())])
    assert names(health.problems) == ["missing_views"] and health.problems[0].examples == ("l", "n")
    assert health.counts["without any picture"]["train"] == 1


def test_class_balance_where_there_are_codes_and_where_there_are_none():
    assert "coded normal" not in look(healthy()).counts and "codes: none" in look(healthy()).text()
    opacity, mixed = study("o", mesh=("Opacity/lung/left", "Opacity/lung/right")), study("m", mesh=("Opacity", "Cyst"))
    health = look([*healthy(), opacity, mixed, study("u", mesh=("No Indexing",))])
    assert [health.counts[row]["all"] for row in ("coded normal", "coded with findings", "not coded")] == [8, 2, 1]
    assert "Opacity 2 (20%), Cyst 1 (10%)" in health.text()


def everything_wrong(folder: Path) -> list[Study]:
    blank = folder / "blank.png"
    Image.new("L", (8, 8), 3).save(blank)
    (folder / "empty.png").write_bytes(b"")
    same = write_picture(folder / "same.png", 1)
    more = [with_file(f"{kind}{n}", folder / f"{kind}.png") for kind in ("blank", "empty", "gone") for n in range(9)]
    more += [with_file("s", same), with_file("t", same, "val"), with_file("u", same), with_file("v", same, report="")]
    twice = write_picture(folder / "twice.png", 2)
    for problem in ("faint", "noise", "odd_shape"):
        Image.fromarray(next(iter(FAULTY[problem].values()))).save(folder / f"{problem}.png")
        more += [with_file(f"{problem}{n}", folder / f"{problem}.png") for n in range(9)]
    more += [with_file("z", CASES / "dicom_empty_or_odd_display_elements" / "window_width_0.dcm")]
    more += [study("lost", report="Report number nan")]
    more += [with_file("w", twice), with_file("w", twice), study("w", "val", patient="7"), study("x", patient="7")]
    more += [study(f"long{n}", report="word " * 200, pictures=(), credentialed=True) for n in range(9)]
    return [*more, study("y", "val", "word " * 200, mesh=("Opacity",))]


def test_the_page_holds_everything_at_once_and_no_word_of_a_report(tmp_path):
    health = look(everything_wrong(tmp_path))
    expected = {*PROBLEMS, *WARNINGS} - {"empty_splits"}
    assert {*names(health.problems), *names(health.warnings)} == expected
    page = health.text()
    assert len(page.splitlines()) <= 60
    assert page.count("blank0") == 1 and "blank7" not in page
    assert "Not healthy" in page and "--skip repeated_ids" in page
    assert "9 studies are under a data use agreement" in page
    assert "Report number" not in page + health.to_json() and "word word" not in page + health.to_json()


def test_json_says_the_same(tmp_path):
    health = look(everything_wrong(tmp_path), skip=["empty_reports"])
    said = json.loads(health.to_json())
    assert said["healthy"] is False and said["skipped"] == ["empty_reports"]
    assert [problem["name"] for problem in said["problems"]] == names(health.problems)
    missing = next(problem for problem in said["problems"] if problem["name"] == "missing_pictures")
    assert missing["count"] == 9 and len(missing["examples"]) == 5 and "--pictures" in missing["advice"]
    assert said["counts"]["studies"]["all"] == health.counts["studies"]["all"]
    assert json.loads(look(healthy()).to_json())["healthy"] is True


def test_checks_are_skipped_by_name_only(tmp_path):
    studies = [*healthy(), with_file("gone", tmp_path / "gone.png"), study("e", report="")]
    health = look(studies, skip=["missing_pictures"])
    assert names(health.problems) == ["empty_reports"]
    assert "skipped by name: missing_pictures" in health.text()
    assert look(studies, skip=["missing_pictures", "empty_reports"]).problems == []
    with pytest.raises(DataError, match="skip: found 'everything', expected names among empty_splits, "):
        look(studies, skip=["everything"])
    with pytest.raises(DataError, match="skip: found 'empty_reports', expected names"):
        look(studies, skip="empty_reports")


def test_training_is_refused_with_the_names_of_the_checks_that_failed(tmp_path):
    studies = [*healthy(), with_file("gone", tmp_path / "gone.png"), study("e", report="")]
    with pytest.raises(DataError) as refused:
        require_healthy(studies, PRESET)
    said = str(refused.value)
    assert "2 of the doctor's checks failed" in said and "1 report is empty, such as e. " in said
    assert said.endswith('by name: skip=["empty_reports", "missing_pictures"].')
    kept = require_healthy(studies, "laptop", ["empty_reports", "missing_pictures"], tokenizer=words)
    assert kept.problems == []


def test_training_opens_no_picture_unless_asked(tmp_path):
    (tmp_path / "text.png").write_text("not a picture")
    studies = [*healthy(), with_file("text", tmp_path / "text.png")]
    assert require_healthy(studies, PRESET).problems == []
    with pytest.raises(DataError, match="unreadable_pictures: 1 of 1 picture files cannot be read"):
        require_healthy(studies, PRESET, check_pictures=True)


def test_a_list_that_cannot_be_written_is_one_error(tmp_path):
    with pytest.raises(DataError, match="list of bad pictures cannot be written .* Give another path"):
        look(healthy()).write_bad_pictures(tmp_path)
