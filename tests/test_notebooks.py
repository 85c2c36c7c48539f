"""What is committed under notebooks/: clean, small, thin. That they run is nbval's part."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest

from r2gen_lib import notebook_files
from r2gen_lib.assets import checkout
from r2gen_lib.privacy import check_notebooks

NOTEBOOKS = sorted((checkout() / "notebooks").rglob("*.ipynb"))
MACHINE_PATH = re.compile(r"/(home|root|Users|work|tmp)/|[A-Z]:\\\\?Users")
CREDENTIALED = re.compile(r"physionet\.org/files|mimic-cxr-\d", re.IGNORECASE)


def test_the_seven_are_there():
    names = {path.name[:2] for path in NOTEBOOKS}
    assert {"00", "01", "02", "03", "04", "05", "06"} <= names


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
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not [o for cell in cells for o in cell.outputs if o.output_type == "error"]


def test_thin_cells(path):
    cells = [c for c in notebook_files.read_notebook(path).cells if c.cell_type == "code"]
    long = [i for i, cell in enumerate(cells) if len(cell.source.splitlines()) > 25]
    assert not long, f"code cells {long} have more than 25 lines"
