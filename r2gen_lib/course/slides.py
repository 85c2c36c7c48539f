"""``r2gen slides``: a notebook's slides, made of what stands in it. A page a notebook, which fetches nothing.

What goes on a slide is a rule, so that no copy has to be kept. Each heading begins a slide, with the first sentence
below it. List items, titles of exercises and questions ("What do you expect?") follow. An answer ("Were you right?",
with its first sentence) and each figure have a slide of their own. Code, tables and formulas stay in the notebook.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from r2gen_lib.errors import R2GenError

if TYPE_CHECKING:
    import nbformat

TEMPLATES = Path(__file__).parent / "templates"
#: Letters on a slide; lines that would be more go on to the next one, under the same heading.
LETTERS = 450
_HEADING = re.compile(r"^(#{1,3}) (.+)")
_ITEM = re.compile(r"^(?:[-*]|\d+\.) (.+)", re.S)
_EXERCISE = re.compile(r"^\*\*(\d+\. .+?)\*\* (\(difficulty.+?\))", re.S)
_QUESTION = re.compile(r"\*\*What do you expect.*\?(?:\*\*)?", re.S)
_ANSWER = "**Were you right?**"
_LEFT_OUT = ("|", "```", "$$", "<", ">", "!", "[", "(")  # how blocks begin that are for the page, not for a wall


@dataclass(frozen=True)
class Figure:
    """A picture as it stands in the notebook: ``data:`` address, and what it shows in words."""

    source: str
    alt: str


@dataclass
class Slide:
    """One slide.

    Attributes:
        heading: Markdown.
        level: 1 the notebook's title, 2 a section, 3 a part of one.
        lines: Markdown, a paragraph or a list item each.
        figure: a picture in the place of lines.
    """

    heading: str
    level: int
    lines: list[str] = field(default_factory=list)
    figure: Figure | None = None


def write_slides(notebook: Path, out: Path) -> Path:
    """Write the slides of a notebook into the folder ``out``, as ``NAME.html``; returns the file.

    Raises:
        R2GenError: the notebook has no headings.
        PrivacyError: it shows credentialed studies.
    """
    from r2gen_lib.course.notebook_files import read_notebook
    from r2gen_lib.evaluation.page.render import environment_of
    from r2gen_lib.files import atomic_write
    from r2gen_lib.privacy import refuse_credentialed_outputs

    found = read_notebook(notebook)
    refuse_credentialed_outputs(found, notebook.name)
    slides = make_slides(found)
    if not slides:
        raise R2GenError(f"{notebook}: found no heading, expected a notebook of the course.")
    environment = environment_of(TEMPLATES)
    environment.filters["markdown"] = _to_html
    page = environment.get_template("slides.html").render(slides=slides, title=slides[0].heading)
    out.mkdir(parents=True, exist_ok=True)
    with atomic_write(out / f"{notebook.stem}.html") as temporary:
        temporary.write_text(page, encoding="utf-8")
    return out / f"{notebook.stem}.html"


def make_slides(notebook: nbformat.NotebookNode) -> list[Slide]:
    """The slides of a notebook, by the rule above."""
    slides: list[Slide] = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            _read_text(cell.source, slides)
        elif slides:
            for figure in _figures(cell, slides[-1].heading):
                slides.append(Slide(slides[-1].heading, slides[-1].level, figure=figure))
    return [part for slide in slides for part in _cut(slide)]


def _read_text(source: str, slides: list[Slide]) -> None:
    """Put a cell's headings and lines on slides, in place."""
    begins = False  # whether a heading was read, and no sentence below it yet
    for block in re.split(r"\n\s*\n", source.strip()):
        if heading := _HEADING.match(block):
            slides.append(Slide(heading[2], len(heading[1])))
            block, begins = block.partition("\n")[2].strip(), True
        if not slides or not block or block.startswith(_LEFT_OUT):
            continue
        lines = _lines(block, begins)
        begins = False
        answers = [text for text in (block, *slides[-1].lines) if text.startswith(_ANSWER)]
        if lines and (slides[-1].figure or answers):  # the answer is not on its question's slide, nor on the next one's
            slides.append(Slide(slides[-1].heading, slides[-1].level))
        slides[-1].lines += lines


def _lines(block: str, begins: bool) -> list[str]:
    """What of a block of Markdown goes on a slide; ``begins``: it is the first below its heading."""
    if exercise := _EXERCISE.match(block):
        return [_one_line(f"{exercise[1]} {exercise[2]}")]
    if block.startswith(_ANSWER):
        return [f"{_ANSWER} {first_sentence(block.removeprefix(_ANSWER))}"]
    items = [_ITEM.match(item) for item in re.split(r"\n(?=(?:[-*]|\d+\.) )", block)]
    if all(items):
        return [_one_line(item[1]) for item in items]
    question = _QUESTION.search(block)
    asked = [_one_line(question[0])] if question else []
    return asked if not begins or question and question.start() == 0 else [first_sentence(block), *asked]


def first_sentence(text: str) -> str:
    """The first sentence of a paragraph of Markdown; it ends where no mark of Markdown is open."""
    words = _one_line(text)
    for end in re.finditer(r"[.?!]\**(?=\s|$)", words):
        sentence = words[: end.end()]
        if not any(sentence.count(mark) % 2 for mark in ("**", "`", "$")):
            return sentence
    return words


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _figures(cell: nbformat.NotebookNode, heading: str) -> Iterator[Figure]:
    for output in cell.get("outputs", ()):
        for kind, value in output.get("data", {}).items():
            if kind in ("image/png", "image/jpeg"):
                alt = output.metadata.get(kind, {}).get("alt") or f"Figure: {heading}"
                yield Figure(f"data:{kind};base64,{''.join(value.split())}", alt)


def _cut(slide: Slide) -> Iterator[Slide]:
    """The slide, or several where its lines are too long together."""
    part = Slide(slide.heading, slide.level, figure=slide.figure)
    for line in slide.lines:
        if part.lines and len(" ".join([*part.lines, line])) > LETTERS:
            yield part
            part = Slide(slide.heading, slide.level)
        part.lines.append(line)
    yield part


def _to_html(text: str) -> str:
    """A line of Markdown as HTML: links become their words, formulas MathML; HTML in it is shown as it is written."""
    from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

    formulas: list[str] = []

    def keep(formula: re.Match) -> str:
        formulas.append(_formula(formula[1]))
        return f"FORMULA{len(formulas) - 1}END"

    text = re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"\$([^$]+)\$", keep, text)
    page = (
        MarkdownWithMath(renderer=IPythonRenderer(escape=True))
        .render(text)
        .strip()
        .removeprefix("<p>")
        .removesuffix("</p>")
    )
    return re.sub(r"FORMULA(\d+)END", lambda found: formulas[int(found[1])], page)


def _formula(latex: str) -> str:
    from latex2mathml.converter import convert

    return convert(latex).replace(' xmlns="http://www.w3.org/1998/Math/MathML"', "")
