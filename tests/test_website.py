from __future__ import annotations

import importlib.util
import re
from html.parser import HTMLParser

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from r2gen_lib.assets import checkout
from r2gen_lib.course import site as website
from r2gen_lib.errors import R2GenError

DOT = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAG7buVgAAAABJRU5ErkJggg=="
HAS_SPHINX = all(importlib.util.find_spec(name) for name in ("sphinx", "myst_nb", "furo", "latex2mathml"))


def lesson():
    picture = new_output("display_data", {"image/png": DOT}, metadata={"image/png": {"alt": "a grey dot"}})
    bare = new_output("display_data", {"image/png": DOT})
    cells = [
        new_markdown_cell("# 00 · A dot", id="title"),
        new_code_cell("1 + 1", id="bootstrap"),
        new_markdown_cell("## Look\n\nA pneumothorax, and $h = \\frac{1}{2} B A x$.", id="text"),
        new_code_cell("show()", id="with", outputs=[picture]),
        new_code_cell("show()", id="without", outputs=[bare]),
    ]
    return new_notebook(cells=cells)


def test_figures_keep_their_alt_text_or_take_the_heading():
    cells = {cell.id: cell for cell in website.with_alt_texts(lesson()).cells}
    assert cells["with"].metadata["mystnb"]["image"]["alt"] == "a grey dot"
    assert cells["without"].metadata["mystnb"]["image"]["alt"] == "Figure: Look"


def test_pages_are_gathered_without_badges_and_bootstrap(tmp_path):
    nbformat.write(lesson(), tmp_path / "00_dot.ipynb")
    website.gather(checkout(), tmp_path, tmp_path / "pages")
    (notebook,) = (tmp_path / "pages" / "notebooks").glob("*.ipynb")
    assert "bootstrap" not in [cell.id for cell in nbformat.read(notebook, 4).cells]
    readme = (tmp_path / "pages" / "README.md").read_text()
    assert readme.startswith("# R2GenGPT") and "badge.svg" not in readme
    assert (tmp_path / "pages" / "docs" / "images" / "system.svg").is_file()  # which the README shows
    assert (tmp_path / "pages" / "data" / "measured" / "laptop-delta_test.json").is_file()  # which a card links to
    assert (tmp_path / "pages" / "data" / "weights" / "laptop-delta" / "README.md").read_text().startswith("# laptop-")
    index = (tmp_path / "pages" / "index.md").read_text()
    assert all(f"\n{page}\n" in index for page in ("README", "docs/own_data", "data/LEDGER", "r2gen_lib/README"))
    assert index.count("\nREADME\n") == index.count("\ndocs/install\n") == 1
    assert "notebooks/00_dot\n" in index
    commands = (tmp_path / "pages" / "reference" / "commands.md").read_text()
    assert "## r2gen doctor\n" in commands and "--oracle" in commands and "--perfect-eye" not in commands
    model = (tmp_path / "pages" / "reference" / "model.md").read_text()
    assert "automodule:: r2gen_lib.model.alignment" in model and "reference/model\n" in index


def test_code_in_a_docstring_stays_code():
    lines = [
        "Before a commit if the hook has",
        "",
        "    git diff -- '*.ipynb' | xargs",
        "    echo",
        "",
        "What *it* does.",
    ]
    website._code_in_docstrings(None, "module", "name", None, None, lines)
    assert "::" in lines and lines.index("::") == lines.index("    git diff -- '*.ipynb' | xargs") - 2
    assert lines.count("::") == 1
    kept = ["Args:", "    a: one", "", "    b: two", "", "Example::", "", "    f(1)", "", "- point", "", "  more"]
    website._code_in_docstrings(None, "function", "name", None, None, changed := list(kept))
    assert changed == kept


def test_wrong_folders_are_refused(tmp_path):
    with pytest.raises(R2GenError, match="found no notebooks"):
        website.gather(checkout(), tmp_path, tmp_path / "pages")
    (tmp_path / "mine.txt").write_text("kept")
    with pytest.raises(R2GenError, match="not made by r2gen site"):
        website.build(checkout(), tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "kept"


class _Outside(HTMLParser):
    """Collects what a page would load from elsewhere."""

    def __init__(self):
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag, attrs):
        names = {"img": "src", "script": "src", "link": "href"}
        address = dict(attrs).get(names.get(tag, "")) or ""
        if "//" in address:
            self.found.append(address)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:'myst_parser", "ignore:The mapping interface for autodoc")  # among themselves
@pytest.mark.skipif(not HAS_SPHINX, reason="the extra `site` is not installed (make installs it)")
def test_the_pages_stand_alone(tmp_path):
    (tmp_path / "run").mkdir()
    nbformat.write(lesson(), tmp_path / "run" / "00_dot.ipynb")
    for reference in (False, True):  # the second call replaces what the first made
        index = website.build(checkout(), tmp_path / "site", tmp_path / "run", reference)
        assert (index.parent / "reference" / "commands.html").exists() == reference
    page = (index.parent / "notebooks" / "00_dot.html").read_text()
    assert "<mfrac>" in page and 'alt="a grey dot"' in page and 'alt="Figure: Look"' in page
    assert re.search(r'name="viewport"', page)
    alignment = (index.parent / "reference" / "model.html").read_text()
    assert "VisualMapper" in alignment and "Raises" in alignment
    assert "how-each-kind-lies-on-the-disk" in (index.parent / "docs" / "own_data.html").read_text()
    assert "pneumothorax" in (index.parent / "searchindex.js").read_text()
    for path in index.parent.rglob("*.html"):
        outside = _Outside()
        outside.feed(path.read_text())
        assert not outside.found, f"{path.name}: {outside.found}"
