"""Notebook files: what is taken out before one is committed or published, and its HTML.

Committed outputs carry no widget state, no timings and no path of the machine that made them.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat

from r2gen_lib.assets import checkout
from r2gen_lib.files import atomic_write, cache_root
from r2gen_lib.privacy import refuse_credentialed_outputs

WIDGET = "application/vnd.jupyter.widget-view+json"
_KEPT_CELL_METADATA = {"tags", "jupyter", "collapsed"}


def read_notebook(path: str | Path) -> nbformat.NotebookNode:
    """A notebook in format 4."""
    return nbformat.read(path, as_version=4)


def write_notebook(notebook: nbformat.NotebookNode, path: str | Path) -> None:
    """Write it whole, or not at all.

    Raises:
        PrivacyError: its outputs show studies of a credentialed data set.
    """
    refuse_credentialed_outputs(notebook, path)
    nbformat.validate(notebook)
    with atomic_write(path) as temporary:
        temporary.write_text(nbformat.writes(notebook).rstrip("\n") + "\n", encoding="utf-8")


def clean(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Strip, in place, what belongs to one run on one machine: widgets, timings, kernel details, paths."""
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict(
            {key: value for key, value in cell.metadata.items() if key in _KEPT_CELL_METADATA}
        )
        if cell.cell_type == "code":
            cell.outputs = [_clean_output(output) for output in cell.outputs if not _is_widget(output)]
    return notebook


def code_cells(notebook: nbformat.NotebookNode) -> int:
    """Number of code cells that hold code."""
    return sum(cell.cell_type == "code" and bool(cell.source.strip()) for cell in notebook.cells)


def to_html(notebook: nbformat.NotebookNode, path: Path) -> str:
    """The notebook as one HTML page with its pictures inside, those too that its text takes from beside ``path``."""
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(embed_images=True)
    body, _ = exporter.from_notebook_node(
        notebook, resources={"metadata": {"name": path.stem, "path": str(path.parent)}}
    )
    return body


def without_machine_paths(text: str) -> str:
    """``text`` with the folders of this machine replaced by what they are."""
    for folder, name in _machine_folders():
        text = re.sub(re.escape(folder) + r"(?=$|[\\/\s'\":;,)\]])", name, text)
    return text


def _machine_folders() -> list[tuple[str, str]]:
    """(folder, its public name), the longest first, so that a folder goes before the one that holds it."""
    root = checkout()
    named = {
        str(cache_root()): "<cache>",
        sys.prefix: "<environment>",
        tempfile.gettempdir(): "<tmp>",
        str(Path.home()): "~",
    }
    if root:
        named[str(root)] = "."
    return sorted(((f, n) for f, n in named.items() if len(f) > 3), key=lambda pair: -len(pair[0]))


def _is_widget(output: Any) -> bool:
    return WIDGET in output.get("data", {})


def _clean_output(output: Any) -> Any:
    if "metadata" in output:
        output.metadata = nbformat.from_dict({k: v for k, v in output.metadata.items() if k != WIDGET})
    if "text" in output:
        output.text = without_machine_paths(output.text)
    if "traceback" in output:
        output.traceback = [without_machine_paths(line) for line in output.traceback]
    for kind, value in output.get("data", {}).items():
        if isinstance(value, str) and kind.startswith("text/"):
            output.data[kind] = without_machine_paths(value)
    return output
