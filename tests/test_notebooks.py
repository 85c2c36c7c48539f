"""What is committed under notebooks/: clean, small, thin. That they run is nbval's part."""

from __future__ import annotations

import json
import re
from itertools import groupby
from pathlib import Path

import nbformat
import pytest

from r2gen_lib.assets import checkout
from r2gen_lib.course import notebook_files
from r2gen_lib.course.summary import TABLE_BEGIN, TABLE_END, put_table, read_summary, time_table
from r2gen_lib.errors import R2GenError
from r2gen_lib.privacy import check_notebooks

NOTEBOOKS = sorted((checkout() / "notebooks").rglob("*.ipynb"))
MACHINE_PATH = re.compile(r"/(home|root|Users|work|tmp)/|[A-Z]:\\\\?Users")
CREDENTIALED = re.compile(r"physionet\.org/files|mimic-cxr-\d", re.IGNORECASE)


def test_the_nine_are_there():
    names = {path.name.partition("_")[0] for path in NOTEBOOKS}
    assert {"00", "01", "02", "03", "04", "05", "05b", "06", "07"} <= names


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def path(request) -> Path:
    return request.param


def test_valid_and_clean(path):
    notebook = notebook_files.read_notebook(path)
    nbformat.validate(notebook)
    assert "widgets" not in notebook.metadata
    assert notebook.metadata.kernelspec.name == "python3"
    before = nbformat.writes(notebook)
    assert nbformat.writes(notebook_files.clean(notebook)) == before, "run: r2gen course --update"


def test_small_and_without_machine_paths(path):
    text = path.read_text(encoding="utf-8")
    assert len(text) < 300_000
    shown = re.sub(r'"image/png": "[^"]*"', "", text)
    assert not MACHINE_PATH.search(shown), MACHINE_PATH.search(shown)
    assert not CREDENTIALED.search(shown)
    assert not check_notebooks([path])


def test_executed_in_order_without_errors(path):
    cells = [c for c in notebook_files.read_notebook(path).cells if c.cell_type == "code" and c.source.strip()]
    cells = [cell for cell in cells if cell.id != "bootstrap" or cell.execution_count]  # it may be new: `make colab`
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not [o for cell in cells for o in cell.outputs if o.output_type == "error"]


def test_thin_cells(path):
    cells = [c for c in notebook_files.read_notebook(path).cells if c.cell_type == "code"]
    long = [i for i, cell in enumerate(cells) if len(cell.source.splitlines()) > 25]
    assert not long, f"code cells {long} have more than 25 lines"


#: The sections of a notebook in their order, each with the ids of its cells. (All that begin so are exercises.)
SECTIONS = {
    "title": ("title", "badge"),
    "goals": ("goals",),
    "prerequisites, time and hardware": ("before", "prerequisites"),
    "setup": ("bootstrap", "setup"),
    "content": (),
    "exercises": ("exercise",),
    "summary": ("summary",),
    "references": ("references",),
}


def _section(cell) -> str:
    name = "exercise" if cell.id.startswith("exercise") else cell.id
    return next((section for section, ids in SECTIONS.items() if name in ids), "content")


@pytest.fixture(params=[p for p in NOTEBOOKS if p.parent.name == "notebooks"], ids=lambda path: path.stem)
def lesson(request) -> Path:
    """A notebook of the course itself, not one of its exercises or solutions."""
    return request.param


def test_sections_in_order(lesson):
    cells = notebook_files.read_notebook(lesson).cells
    assert [section for section, _ in groupby(cells, _section)] == list(SECTIONS)
    first = {section: next(group).source for section, group in groupby(cells, _section)}
    assert first["title"].startswith(f"# {lesson.stem.partition('_')[0]} ")
    for section, heading in (("exercises", "## Exercises"), ("summary", "## Summary"), ("references", "## References")):
        assert first[section].startswith(heading)
    words = "".join(cell.source for cell in cells if _section(cell).startswith("prerequisites")).lower()
    assert "time" in words and "hardware" in words and "gpu" in words


def test_pictures_in_prose_have_alt_text(path):
    for cell in notebook_files.read_notebook(path).cells:
        if cell.cell_type == "markdown":
            assert not re.findall(r"!\[\s*\]\(|<img(?![^>]*\balt=)", cell.source), cell.id


def test_figures_have_alt_text(lesson):
    cells = notebook_files.read_notebook(lesson).cells
    if any(cell.id == "bootstrap" and cell.execution_count is None for cell in cells):
        pytest.skip("not executed since `show` writes an alt text by itself")
    for cell in cells:
        for output in cell.get("outputs", ()):
            kinds = [kind for kind in output.get("data", {}) if kind.startswith("image/")]
            assert all(output.metadata.get(kind, {}).get("alt") for kind in kinds), cell.id


def test_no_widget_state(path):
    text = path.read_text(encoding="utf-8")
    assert "application/vnd.jupyter.widget" not in text


PAGES = sorted(path for folder in ("", "notebooks", "data") for path in (checkout() / folder).glob("*.md"))


@pytest.mark.parametrize("page", [*NOTEBOOKS, *PAGES], ids=lambda path: f"{path.parent.name}/{path.name}")
def test_links_lead_somewhere(page):
    for link in _links(_prose(page)):
        if re.match(r"[a-z]+:", link):
            assert re.fullmatch(r"https://[a-z0-9-]+(\.[a-z0-9-]+)+(/[^\s<>\"]*)?|mailto:\S+@\S+", link), link
            continue
        file, _, anchor = link.partition("#")
        target = page.parent / file if file else page
        assert target.exists(), f"{link}: {target} is not there"
        if anchor:
            assert anchor in _anchors(_prose(target)), f"{link}: no such heading"


def _prose(path: Path) -> str:
    """The Markdown of a page or a notebook, without code."""
    if path.suffix == ".ipynb":
        text = "\n\n".join(c.source for c in notebook_files.read_notebook(path).cells if c.cell_type == "markdown")
    else:
        text = path.read_text(encoding="utf-8")
    text = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    return re.sub(r"`([^`\n]*)`", r"\1", text)


def _links(text: str) -> list[str]:
    return re.findall(r"\]\(([^()\s]+)\)", text)


def _anchors(text: str) -> set[str]:
    """The headings as the code host makes anchors of them: small letters, no punctuation, dashes for blanks."""
    headings = re.findall(r"^#+ +(.*)$", text, flags=re.M)
    return {re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", heading.lower())) for heading in headings}


def test_the_guide_has_a_row_for_each_lesson():
    guide = (checkout() / "notebooks" / "README.md").read_text(encoding="utf-8")
    goals = guide.partition("## What each leaves a student able to do")[2].partition("## ")[0]
    lessons = [path.name for path in NOTEBOOKS if path.parent.name == "notebooks"]
    assert re.findall(r"\]\((\w+\.ipynb)\)", goals) == lessons


def test_the_guide_shows_what_was_measured(tmp_path):
    folder = checkout() / "notebooks"
    guide = (folder / "README.md").read_text(encoding="utf-8")
    shown = guide.partition(TABLE_BEGIN)[2].partition(TABLE_END)[0].strip()
    summary = read_summary(folder / "measured.json")
    assert shown == time_table(summary)
    assert {path.stem for path in NOTEBOOKS} >= {row["notebook"] for row in summary["notebooks"]}
    (tmp_path / "README.md").write_text(f"a\n{TABLE_BEGIN}\nold\n{TABLE_END}\nb\n")
    summary["notebooks"][0] |= {"seconds": 90.0, "peak_memory_mb": 2500}
    put_table(summary, tmp_path)
    assert "| 00_start_here | 1.5 | 2.5 GB |" in (tmp_path / "README.md").read_text()
    assert read_summary(tmp_path / "measured.json") == summary
    (tmp_path / "summary.json").write_text(json.dumps({"started": ""}))
    with pytest.raises(R2GenError, match="found no course summary"):
        read_summary(tmp_path)


def test_glossary():
    text = (checkout() / "notebooks" / "GLOSSARY.md").read_text(encoding="utf-8")
    for part in re.split(r"^## .*$", text, flags=re.M)[1:]:
        names = re.findall(r"^\*\*([^*]+)\*\* \(\d\d[a-z]?\): ", part, flags=re.M)
        assert names == sorted(names, key=str.lower) and len(names) == part.count("\n**")
    assert text.count("\n**") >= 40
