"""``r2gen site``: notebooks and documents as pages that need no server and nothing from outside: ``site/index.html``.

Sphinx with MyST-NB makes them (extra ``site``); search, side bar and dark mode are the theme's (Furo). Formulas become
MathML, which browsers draw themselves. Notebooks are shown with the outputs they hold; nothing is executed. A reference
is made of the library's docstrings and of the command's help.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from r2gen_lib import __version__
from r2gen_lib.course.colab import BOOTSTRAP, without_badges
from r2gen_lib.errors import R2GenError

if TYPE_CHECKING:
    import nbformat

TITLE = "R2GenGPT, a course"
#: The Markdown pages, in the order in which the side bar has them.
_PAGES = (
    "README.md", "docs/install.md", "notebooks/START.md", "notebooks/SYMPTOMS.md", "notebooks/README.md",
    "notebooks/GLOSSARY.md", "notebooks/ERRATA.md", "notebooks/exercises/README.md", "docs/*.md", "docs/*/*.md",
    "data/*.md", "data/weights/*/README.md", "findings/README.md", "CONTRIBUTING.md", "CHANGELOG.md",
)  # fmt: skip
#: Rooms of the library whose docstrings make no reference: they are there for the course, or need an extra to be read.
_NO_REFERENCE = {"checks", "commands", "course", "demo"}
_LINK = re.compile(r"\]\(([^()\s#]+)")
_FRONT_MATTER = re.compile(r"\A---\n.*?^---\n+", flags=re.M | re.S)
#: Asks the command for its help. Another process does, because the command imports this module, never the reverse.
_ASK_HELP = """
import argparse
from r2gen_lib.cli import parser
top = parser()
for action in [one for one in top._actions if isinstance(one, argparse._SubParsersAction)]:
    for name, sub in action.choices.items():
        print(f"## {top.prog} {name}\\n\\n```text\\n{sub.format_help()}```\\n")
"""
_INDEX = """# {title}

A radiograph goes through a vision encoder; a small trained layer turns what comes out into vectors that stand where
words would; a frozen language model writes the report. The notebooks below take such a system apart, on a laptop.

**For research and teaching, not for clinical use. Every radiograph here is simulated.**

```{{toctree}}
:caption: Notebooks
:maxdepth: 1

{notebooks}
```

```{{toctree}}
:caption: Beside them
:maxdepth: 1

{pages}
```

```{{toctree}}
:caption: Reference
:maxdepth: 1

{reference}
```
"""
_STYLE = """\
div.cell_output { overflow-x: auto; }
div.cell_output table { font-size: 0.8rem; }
div.cell_output img, article img { max-width: 100%; height: auto; }
math[display="block"] { overflow-x: auto; max-width: 100%; }
td, th { overflow-wrap: anywhere; }
"""


def build(root: Path, out: Path, source: Path | None = None, reference: bool = True) -> Path:
    """Make the pages; returns the first one.

    Args:
        root: the repository.
        out: the folder that is filled; what an earlier call put there is replaced.
        source: folder of the notebooks to show; None: ``root / "notebooks"``.
        reference: with pages of the library's docstrings and of the command's help.

    Raises:
        R2GenError: no notebooks, Sphinx failed, or ``out`` is a folder that no earlier call made.
        PrivacyError: a notebook shows credentialed studies.
    """
    if out.exists() and any(out.iterdir()) and not (out / "objects.inv").is_file():
        raise R2GenError(f"--out {out}: not empty, and not made by r2gen site. Give another folder.")
    with tempfile.TemporaryDirectory() as folder:
        pages = Path(folder) / "pages"
        gather(root, source or root / "notebooks", pages, reference)
        fresh = Path(folder) / "site"
        _sphinx(pages, fresh, Path(folder) / "doctrees")
        if out.exists():
            shutil.rmtree(out)
        shutil.copytree(fresh, out, ignore=shutil.ignore_patterns(".buildinfo", "_sources"))
    return out / "index.html"


def gather(root: Path, source: Path, pages: Path, reference: bool = True) -> None:
    """Lay the notebooks, the Markdown pages and what they show into ``pages``, with an index.

    Raises:
        R2GenError: there are no notebooks in ``source``.
    """
    import nbformat

    from r2gen_lib.course import notebook_files
    from r2gen_lib.privacy import refuse_credentialed_outputs

    notebooks = sorted(source.glob("0*.ipynb"))
    if not notebooks:
        raise R2GenError(f"{source}: found no notebooks, expected 00_start_here.ipynb and its followers.")
    (pages / "notebooks").mkdir(parents=True)
    for path in notebooks:
        notebook = notebook_files.read_notebook(path)
        refuse_credentialed_outputs(notebook, path.name)
        notebook.cells = [cell for cell in notebook.cells if cell.id != BOOTSTRAP]
        nbformat.write(with_alt_texts(notebook), pages / "notebooks" / path.name)
    found = dict.fromkeys(path.relative_to(root) for pattern in _PAGES for path in sorted(root.glob(pattern)))
    library = [Path("r2gen_lib/README.md")]
    for page in (*found, *library):
        _copy_page(root, page, pages)
    if reference:
        library += [*_write_reference(root, pages), _write_help(pages)]
    if (root / "notebooks" / "images").is_dir():
        shutil.copytree(root / "notebooks" / "images", pages / "notebooks" / "images")
    (pages / "_static").mkdir()
    (pages / "_static" / "course.css").write_text(_STYLE, encoding="utf-8")
    names = "\n".join(f"notebooks/{path.stem}" for path in notebooks)
    lists = ["\n".join(page.with_suffix("").as_posix() for page in some) for some in (found, library)]
    text = _INDEX.format(title=TITLE, notebooks=names, pages=lists[0], reference=lists[1])
    (pages / "index.md").write_text(text, encoding="utf-8")


def _copy_page(root: Path, page: Path, pages: Path) -> None:
    """Copy a page without its badges and its front matter (the hub's), and the files that it links to or shows."""
    text = without_badges((root / page).read_text(encoding="utf-8"))
    text = _FRONT_MATTER.sub("", text)
    (pages / page).parent.mkdir(parents=True, exist_ok=True)
    (pages / page).write_text(text, encoding="utf-8")
    for link in _LINK.findall(text):
        file = (root / page).parent / link
        if ":" not in link and file.is_file() and file.suffix not in (".md", ".ipynb"):
            target = pages / file.resolve().relative_to(root.resolve())
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)


def _write_reference(root: Path, pages: Path) -> list[Path]:
    """A page a room of the library, for Sphinx to fill with docstrings; returns them."""
    rooms: dict[str, list[str]] = {}
    for path in sorted((root / "r2gen_lib").rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        room = parts[1] if len(parts) > 2 or path.name == "__init__.py" and len(parts) > 1 else "r2gen_lib"
        if room not in _NO_REFERENCE and not {*parts} & {"cli"}:
            rooms.setdefault(room, []).append(".".join(parts))
    (pages / "reference").mkdir()
    written = []
    for room, modules in rooms.items():
        text = f"# {room}\n"
        for module in modules:
            text += f"\n## {module}\n\n```{{eval-rst}}\n.. automodule:: {module}\n   :members:\n```\n"
        written.append(Path("reference") / f"{room}.md")
        (pages / written[-1]).write_text(text, encoding="utf-8")
    return written


def _write_help(pages: Path) -> Path:
    """A page with the help of every command, as the terminal shows it; returns it."""
    environment = {**os.environ, "COLUMNS": "100", "PYTHONIOENCODING": "utf-8"}
    asked = subprocess.run([sys.executable, "-c", _ASK_HELP], env=environment, capture_output=True, encoding="utf-8")
    if asked.returncode:
        raise R2GenError(f"the site could not be made: the command's help failed: {asked.stderr.strip()[-300:]}")
    page = Path("reference/commands.md")
    (pages / page).write_text(f"# The command r2gen\n\n{asked.stdout}", encoding="utf-8")
    return page


def with_alt_texts(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Each figure's alt text put where MyST-NB looks for it, in place; one without takes the heading above it."""
    heading = "Figure"
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            heading = next((s.lstrip("# ") for s in reversed(cell.source.splitlines()) if s.startswith("#")), heading)
            continue
        texts = [
            output.get("metadata", {}).get(kind, {}).get("alt") or f"Figure: {heading}"
            for output in cell.outputs
            for kind in output.get("data", {})
            if kind.startswith("image/")
        ]
        if texts:
            cell.metadata["mystnb"] = {"image": {"alt": "; ".join(dict.fromkeys(texts))}}
    return notebook


def _sphinx(pages: Path, out: Path, doctrees: Path) -> None:
    from sphinx.application import Sphinx
    from sphinx.errors import SphinxError

    settings = {
        "project": TITLE,
        "html_title": f"{TITLE} ({__version__})",
        "extensions": ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "r2gen_lib.course.site"],
        "autodoc_member_order": "bysource",
        "autodoc_typehints": "none",  # the docstrings say it in words, and the pages stay narrow
        "html_theme": "furo",
        "html_static_path": [str(pages / "_static")],
        "html_css_files": ["course.css"],
        "html_copy_source": False,
        "html_show_sphinx": False,
        "html_show_search_summary": False,  # it fetches pages, which browsers refuse where there is no server
        "html_math_renderer": "r2gen_mathml",
        "language": "en",
        "nb_execution_mode": "off",
        "nb_merge_streams": True,
        "nb_ipywidgets_js": {},
        "myst_enable_extensions": ["dollarmath", "amsmath"],
        "myst_heading_anchors": 4,
        "suppress_warnings": ["myst.xref_missing", "mystnb.unknown_mime_type", "myst.header", "ref.python"],
    }
    try:
        app = Sphinx(str(pages), None, str(out), str(doctrees), "html", settings, status=None, freshenv=True)
        app.build()
    except SphinxError as error:
        raise R2GenError(f"the site could not be made: {error}") from error
    if app.statuscode:
        raise R2GenError("the site could not be made: Sphinx says why above.")


def setup(app: Any) -> dict[str, bool]:
    """What Sphinx calls: formulas as MathML, so that no script from elsewhere has to draw them; code in docstrings."""
    app.add_html_math_renderer("r2gen_mathml", (_inline_math, None), (_block_math, None))
    app.connect("autodoc-process-docstring", _code_in_docstrings, priority=400)  # before napoleon
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _code_in_docstrings(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """A block that stands four spaces in behind an empty line is code, as in Markdown: in place."""
    for n in range(len(lines) - 1, 1, -1):
        before, here = lines[n - 2], lines[n]
        inside = len(here) - len(here.lstrip()) - (len(before) - len(before.lstrip()))
        if here.strip() and not lines[n - 1].strip() and before.strip() and inside == 4 and not before.endswith("::"):
            lines[n - 1 : n] = ["", " " * (len(before) - len(before.lstrip())) + "::", ""]


def _inline_math(writer: Any, node: Any) -> None:
    _put_math(writer, node, "inline")


def _block_math(writer: Any, node: Any) -> None:
    _put_math(writer, node, "block")


def _put_math(writer: Any, node: Any, display: str) -> None:
    from docutils.nodes import SkipNode
    from latex2mathml.converter import convert

    writer.body.append(convert(node.astext(), display=display))
    raise SkipNode
