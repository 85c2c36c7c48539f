"""``r2gen site``: the executed notebooks as pages that need no server and nothing from outside: ``site/index.html``.

Sphinx with MyST-NB makes them (extra ``site``); search, side bar and dark mode are the theme's (Furo). Formulas become
MathML, which browsers draw themselves. Notebooks are shown with the outputs they hold; nothing is executed.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from r2gen_lib import __version__
from r2gen_lib.course.colab import BOOTSTRAP, without_badges
from r2gen_lib.errors import R2GenError

if TYPE_CHECKING:
    import nbformat

TITLE = "R2GenGPT, a course"
_PAGES = tuple(f"{name}.md" for name in (
    "README", "data/README", "notebooks/README", "notebooks/GLOSSARY", "notebooks/exercises/README",
))  # fmt: skip
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
"""
_STYLE = """\
div.cell_output { overflow-x: auto; }
div.cell_output table { font-size: 0.8rem; }
div.cell_output img, article img { max-width: 100%; height: auto; }
math[display="block"] { overflow-x: auto; max-width: 100%; }
td, th { overflow-wrap: anywhere; }
"""


def build(root: Path, out: Path, source: Path | None = None) -> Path:
    """Make the pages; returns the first one.

    Args:
        root: the repository.
        out: the folder that is filled; what an earlier call put there is replaced.
        source: folder of the notebooks to show; None: ``root / "notebooks"``.

    Raises:
        R2GenError: no notebooks, Sphinx failed, or ``out`` is a folder that no earlier call made.
        PrivacyError: a notebook shows credentialed studies.
    """
    if out.exists() and any(out.iterdir()) and not (out / "objects.inv").is_file():
        raise R2GenError(f"--out {out}: not empty, and not made by r2gen site. Give another folder.")
    with tempfile.TemporaryDirectory() as folder:
        pages = Path(folder) / "pages"
        gather(root, source or root / "notebooks", pages)
        fresh = Path(folder) / "site"
        _sphinx(pages, fresh, Path(folder) / "doctrees")
        if out.exists():
            shutil.rmtree(out)
        shutil.copytree(fresh, out, ignore=shutil.ignore_patterns(".buildinfo", "_sources"))
    return out / "index.html"


def gather(root: Path, source: Path, pages: Path) -> None:
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
    found = [page for page in _PAGES if (root / page).is_file()]
    for page in found:
        (pages / page).parent.mkdir(parents=True, exist_ok=True)
        text = without_badges((root / page).read_text(encoding="utf-8"))
        (pages / page).write_text(text, encoding="utf-8")
    for extra in ("LICENSE", "data/assets.txt"):
        shutil.copy(root / extra, pages / extra)
    if (root / "notebooks" / "images").is_dir():
        shutil.copytree(root / "notebooks" / "images", pages / "notebooks" / "images")
    (pages / "_static").mkdir()
    (pages / "_static" / "course.css").write_text(_STYLE, encoding="utf-8")
    names = "\n".join(f"notebooks/{path.stem}" for path in notebooks)
    others = "\n".join(page.removesuffix(".md") for page in found)
    (pages / "index.md").write_text(_INDEX.format(title=TITLE, notebooks=names, pages=others), encoding="utf-8")


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
        "extensions": ["myst_nb", "r2gen_lib.course.site"],
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
        "suppress_warnings": ["myst.xref_missing", "mystnb.unknown_mime_type", "myst.header"],
    }
    try:
        app = Sphinx(str(pages), None, str(out), str(doctrees), "html", settings, status=None, freshenv=True)
        app.build()
    except SphinxError as error:
        raise R2GenError(f"the site could not be made: {error}") from error
    if app.statuscode:
        raise R2GenError("the site could not be made: Sphinx says why above.")


def setup(app: Any) -> dict[str, bool]:
    """What Sphinx calls: formulas as MathML, so that no script from elsewhere has to draw them."""
    app.add_html_math_renderer("r2gen_mathml", (_inline_math, None), (_block_math, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _inline_math(writer: Any, node: Any) -> None:
    _put_math(writer, node, "inline")


def _block_math(writer: Any, node: Any) -> None:
    _put_math(writer, node, "block")


def _put_math(writer: Any, node: Any, display: str) -> None:
    from docutils.nodes import SkipNode
    from latex2mathml.converter import convert

    writer.body.append(convert(node.astext(), display=display))
    raise SkipNode
