"""The pages of docs/recipes, followed: each page's own blocks are run, in a copy of the library or in an empty folder.

A block that begins with ``# the file NAME`` is a new file; ``# in NAME``: what stands before and after the line marked
``# there already`` is put before and after it there; ``# at the end of NAME``: it is appended. Other Python blocks are
typed in, one after the other, in one session; blocks of ``sh`` are commands. (``add_a_metric.md`` is followed by
``metrics/test_registry.py``.)
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RECIPES = ROOT / "docs" / "recipes"
THERE = "  # there already"
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PLACE = re.compile(r"# (the file|in|at the end of) (\S+)\n(.*)", re.DOTALL)


def blocks(page: str) -> list[tuple[str, str, str, str]]:
    """(language, where it belongs, file, text) of each block; where and file are "" for what is typed in."""
    found = []
    for language, text in _BLOCK.findall((RECIPES / page).read_text(encoding="utf-8")):
        place = _PLACE.fullmatch(text)
        found.append((language, *(place.groups() if place else ("", "", text))))
    return found


def put(where: str, path: Path, text: str) -> None:
    """Write a block to where its page says it belongs."""
    if where == "the file":
        assert not path.exists(), path
        path.write_text(text, encoding="utf-8")
        return
    before = path.read_text(encoding="utf-8")
    if where == "at the end of":
        path.write_text(f"{before}\n\n{text}", encoding="utf-8")
        return
    (anchor,) = [line for line in text.splitlines() if line.endswith(THERE)]
    line = anchor.removesuffix(THERE)
    assert f"\n{before}".count(f"\n{line}\n") == 1, f"{path.name} has no such line, or several: {line}"
    after = f"\n{before}".replace(f"\n{line}\n", "\n" + text.replace(anchor, line))
    path.write_text(after.removeprefix("\n"), encoding="utf-8")


def typed(page: str) -> str:
    """What a reader types into one Python session."""
    return "\n".join(text for language, where, _, text in blocks(page) if language == "python" and not where)


def commands(page: str) -> list[str]:
    return [line for language, _, _, text in blocks(page) if language == "sh" for line in text.splitlines()]


class Copy:
    """A copy of what a recipe changes, in which commands and Python run as in a checkout."""

    def __init__(self, folder: Path, *parts: str) -> None:
        self.folder = folder
        for part in ("r2gen_lib", "pyproject.toml", *parts):
            source, target = ROOT / part, folder / part
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)
        (folder / "data").symlink_to(ROOT / "data")
        paths = [str(folder), os.environ.get("PYTHONPATH", "")]
        self.env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "MPLBACKEND": "Agg"}

    def follow(self, page: str) -> Copy:
        for _, where, name, text in blocks(page):
            if where:
                put(where, self.folder / name, text)
        return self

    def run(self, command: str, returns: int = 0) -> str:
        """What a command line of a page prints."""
        program, rest = command.split(" ", 1)
        module = {"r2gen": "-m r2gen_lib.cli ", "python": ""}[program]
        return self._call(f"{sys.executable} {module}{rest}", returns, shell=True)

    def python(self, code: str) -> str:
        return self._call([sys.executable, "-c", code], 0, shell=False)

    def _call(self, line: str | list[str], returns: int, shell: bool) -> str:
        done = subprocess.run(
            line,
            cwd=self.folder,
            env=self.env,
            shell=shell,
            text=True,
            capture_output=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=540,
        )
        assert done.returncode == returns, done.stdout + done.stderr
        return done.stdout + done.stderr


@pytest.fixture
def session(tmp_path, monkeypatch):
    """Types a page into a fresh session, in an empty folder; returns its names."""

    def type_in(page: str) -> dict:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setitem(sys.modules, "reader", type(sys)("reader"))
        names = sys.modules["reader"].__dict__
        exec(compile(typed(page), page, "exec"), names)
        return names

    return type_in


def learnt(result) -> bool:
    """Whether the training loss of a short run has fallen; eight studies and random weights say nothing of others."""
    loss = result.history["train_loss"].dropna().to_numpy()
    return loss[-5:].mean() < loss[:5].mean() - 0.2


def test_every_recipe_is_followed_and_short():
    followed = {"add_a_metric.md", *re.findall(r'"(add_\w+\.md)"', Path(__file__).read_text(encoding="utf-8"))}
    assert {page.name for page in RECIPES.glob("*.md")} == followed
    for page in RECIPES.glob("*.md"):
        lines = page.read_text(encoding="utf-8").splitlines()
        assert len(lines) <= 100 and max(map(len, lines)) <= 130, page.name


@pytest.mark.slow
def test_an_encoder_of_timms_and_one_of_your_own(session):
    names = session("add_an_encoder.md")
    assert learnt(names["convnext"]) and learnt(names["dinov2"])
    model = names["model"]
    assert type(model.vision.swin).__name__ == "Dinov2" and model.vision.width == 24
    trained = [name for name in model.trainable_parameters() if name.startswith("vision.")]
    assert trained and all("lora_" in name and ("q_proj" in name or "v_proj" in name) for name in trained)
    picture = names["studies"][0]
    assert names["describe_studies"](model, [picture], progress=False)[picture.id]


@pytest.mark.slow
def test_a_language_model_of_your_own(session):
    names = session("add_a_language_model.md")
    assert learnt(names["result"])
    assert type(names["model"].language).__name__ == "Qwen2ForCausalLM"
    assert len(names["reports"]) == 2 and all(names["reports"].values())
    before = names["model"].tokenizer.decode(names["model"].prompt[0])
    assert before.startswith("<|im_start|>") and before.endswith("Here is a chest radiograph: ")
    again = names["describe_studies"](names["again"], names["studies"][:2], progress=False, num_beams=2)
    assert again == names["reports"]


@pytest.mark.slow
def test_a_data_set_of_another_layout(tmp_path):
    copy = Copy(tmp_path).follow("add_a_data_set.md")
    copy.python(typed("add_a_data_set.md"))
    (command,) = commands("add_a_data_set.md")
    page = copy.run(command)
    counts = {
        row.split()[0]: [int(n) for n in row.split()[1:5]]
        for row in page.splitlines()
        if row[:8] in ("studies ", "patients")
    }
    assert counts["studies"][3] == 40 and counts["patients"][3] == 20 and all(counts["patients"])
    assert counts["studies"] == [2 * n for n in counts["patients"]]  # two studies a patient, both in one split
    with open(tmp_path / "mine" / "studies.jsonl", "a") as table:
        table.write('{"study": "S99", "patient": "P1", "report": "Clear.", "frontal": "../0.png"}\n{"study": 3\n')
    said = copy.run(command, returns=1)
    assert "line 41" in said and "climbs with '..'" in said
    assert "line 42: expected an object with study, patient, report, frontal" in said
    (tmp_path / "mine" / "studies.jsonl").rename(tmp_path / "mine" / "other.jsonl")
    assert "JSON lines (studies.jsonl, or a folder with one), an R2Gen annotation" in copy.run(command, returns=1)


@pytest.mark.slow
def test_a_finding(tmp_path):
    copy = Copy(tmp_path, "tests").follow("add_a_finding.md")
    measure = """
import numpy as np
from r2gen_lib.findings.report_labeler import label_reports, State
from r2gen_lib.findings.report_phrases import OBSERVATIONS
from r2gen_lib.findings.finding import FINDING_NAMES
assert FINDING_NAMES[-1] == truth.finding.name == "Fungus Ball"
assert (truth.finding.side, truth.finding.zone, truth.finding.severity) == ("left", "upper lobe", 1.0)
change = ill.picture.astype(int) - well.picture
assert inside.sum() > 50 and change[inside].mean() > 15 and abs(change[truth.mask == 0]).mean() < 1
y, x = np.argwhere(inside).mean(0)
assert y < 112 and x > 112  # above, and on the patient's left
assert ill.token_labels()[-1].any()
texts = ["Aspergilloma in the left lung.", "No fungus ball.", "The heart is large."]
lesion = label_reports(texts)[:, OBSERVATIONS.index("Lung Lesion")]
assert list(lesion) == [State.PRESENT, State.ABSENT, State.NOT_MENTIONED]
"""
    said = copy.python(typed("add_a_finding.md") + measure)
    assert "left upper lobe fungus ball brighter by" in said and (tmp_path / "fungus_ball.png").is_file()
    labels, tests = commands("add_a_finding.md")
    assert re.search(r"Lung Lesion\s+present", copy.run(labels), re.IGNORECASE)
    passed = int(re.search(r"(\d+) passed", copy.run(tests))[1])
    assert passed >= 8


@pytest.mark.slow
def test_an_exercise(tmp_path):
    nbformat = pytest.importorskip("nbformat")
    copy = Copy(tmp_path, "notebooks", "tests").follow("add_an_exercise.md")
    assert "06_paper_scale.ipynb is not what its master" in copy.run("r2gen exercises --check", returns=1)
    write, check, tests = commands("add_an_exercise.md")
    copy.run(write)
    copy.run(check)
    assert int(re.search(r"(\d+) passed", copy.run(tests))[1]) >= 6
    cells = {cell.id: cell for cell in nbformat.read(tmp_path / "notebooks" / "06_paper_scale.ipynb", 4).cells}
    assert cells["exercise-5-text"].source.startswith("**5. How much of it is picture?** (difficulty 1, 5 minutes)")
    assert "Not yet: picture_share(49, 20, 31) gave 1.581, expected 0.490" in cells["exercise-5-check"].outputs[0].text
    solved = nbformat.read(tmp_path / "notebooks" / "solutions" / "06_paper_scale_solutions.ipynb", 4).cells
    (output,) = next(cell for cell in solved if cell.id == "exercise-5-check").outputs
    assert output.text.startswith("Right: three sequences")
