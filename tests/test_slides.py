"""Slides made of the notebooks: every section has one, figures have words, and a page fetches nothing."""

from __future__ import annotations

import re

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from page_reading import Page

from r2gen_lib import cli
from r2gen_lib.assets import checkout
from r2gen_lib.course.notebook_files import read_notebook
from r2gen_lib.course.slides import LETTERS, first_sentence, make_slides, write_slides

DOT = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAG7buVgAAAABJRU5ErkJggg=="
NOTEBOOKS = sorted((checkout() / "notebooks").glob("0*.ipynb"))


def lesson():
    dot = new_output("display_data", {"image/png": DOT}, metadata={"image/png": {"alt": "a grey dot"}})
    bare = new_output("display_data", {"image/png": DOT})
    cells = [
        new_markdown_cell("# 00 · A dot\n\nA dot is small. It is grey."),
        new_code_cell("1 + 1", outputs=[new_output("stream", text="2")]),
        new_markdown_cell("## Look\n\nThe mean is $\\frac{a}{2}$ of [it](x.md), `a.b`. More.\n\n| a |\n\n$$x$$"),
        new_markdown_cell("Aside. **What do you expect?** Is it\ndark? Run it."),
        new_code_cell("show()", outputs=[dot, bare]),
        new_markdown_cell("**Were you right?** It is *grey*. Nobody asked."),
        new_markdown_cell("Look again. **What do you expect** now: is it <b>?"),
        new_markdown_cell("## Exercises\n\nEach checks itself. Try."),
        new_markdown_cell(
            "**1. The dot** (difficulty 1, 5\nminutes). Write `dot`.\n\n<details>\n\nA hint.\n\n</details>"
        ),
        new_markdown_cell("## Summary\n\n" + "\n".join(f"* {letter * 200}\n  end" for letter in "abc")),
    ]
    return new_notebook(cells=cells)


def test_what_goes_on_a_slide():
    slides = [(s.heading, s.figure.alt if s.figure else s.lines) for s in make_slides(lesson())]
    assert slides == [
        ("00 · A dot", ["A dot is small."]),
        ("Look", ["The mean is $\\frac{a}{2}$ of [it](x.md), `a.b`.", "**What do you expect?** Is it dark?"]),
        ("Look", "a grey dot"),
        ("Look", "Figure: Look"),
        ("Look", ["**Were you right?** It is *grey*."]),
        ("Look", ["**What do you expect** now: is it <b>?"]),
        ("Exercises", ["Each checks itself.", "1. The dot (difficulty 1, 5 minutes)"]),
        ("Summary", ["a" * 200 + " end", "b" * 200 + " end"]),
        ("Summary", ["c" * 200 + " end"]),
    ]


def test_a_sentence_ends_where_nothing_is_open():
    assert first_sentence("**One. Two.** Three.") == "**One. Two.**"
    assert first_sentence("Is `a. b` it? Yes.") == "Is `a. b` it?"
    assert first_sentence("About 1.5 cm: so long. Well.") == "About 1.5 cm: so long."
    assert first_sentence("no end") == "no end"


def test_the_page_says_it_in_html(tmp_path):
    pytest.importorskip("latex2mathml")
    nbformat.write(lesson(), tmp_path / "00_dot.ipynb")
    page = Page(write_slides(tmp_path / "00_dot.ipynb", tmp_path / "out"))
    assert re.search(r"<mfrac>.*</mfrac>.*</math> of it, <code>a.b</code>\.", page.source)
    assert "<em>grey</em>" in page.source and "x.md" not in page.source and "is it &lt;b&gt;?" in page.source
    assert [image["alt"] for image in page.all("img")] == ["a grey dot", "Figure: Look"]
    assert "1 / 9" in page.text and page.all("html")[0]["lang"] == "en"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_section_of_a_notebook_has_a_slide_that_fetches_nothing(path, tmp_path):
    pytest.importorskip("latex2mathml")
    notebook = read_notebook(path)
    page = Page(write_slides(path, tmp_path))
    slides = make_slides(notebook)
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    sections = re.findall(r"^#{1,3} (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), flags=re.M)
    assert list(dict.fromkeys(slide.heading for slide in slides)) == list(dict.fromkeys(sections))
    assert all(len(" ".join(slide.lines)) <= LETTERS for slide in slides)
    pictures = page.all("img")
    kinds = [kind for c in notebook.cells for o in c.get("outputs", ()) for kind in o.get("data", {})]
    assert len(pictures) == sum(kind in ("image/png", "image/jpeg") for kind in kinds)
    assert all(image["alt"] and image["src"].startswith("data:image/") for image in pictures)
    assert not page.all("link") and not page.all("iframe") and not page.all("a")
    assert not re.search(r"""(?:src|href|action)=["']?(?:https?:)?//|url\(|@import|srcset|fetch\(""", page.source)
    assert "default-src 'none'" in page.source and "Not for clinical use" in page.text
    assert page.text.count("Radiographs are simulated.") == len(slides) == len(page.all("section"))


def test_the_command_names_what_it_lacks(tmp_path, capsys):
    assert cli.main(["slides", "03", "--out", str(tmp_path)]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["03_frozen_llm_training.html"]
    assert cli.main(["slides", "99", "--out", str(tmp_path)]) == 2
    assert "has no notebook 99. Found: 00, 01" in capsys.readouterr().err
    assert cli.main(["slides", "--from", str(tmp_path), "--out", str(tmp_path)]) == 2
