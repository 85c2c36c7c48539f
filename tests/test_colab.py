from __future__ import annotations

import ast
import copy
import re
import shutil
import sys
import types

import nbformat
import pytest

from r2gen_lib.assets import checkout
from r2gen_lib.course import colab, notebook_files
from r2gen_lib.errors import R2GenError

NOTEBOOK = checkout() / "notebooks" / "00_start_here.ipynb"
NEW_CELLS = {colab.BADGE, colab.BOOTSTRAP}


@pytest.fixture
def root(tmp_path):
    """A small repository: pyproject.toml, README.md and one real notebook."""
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(checkout() / name, tmp_path)
    (tmp_path / "notebooks" / "solutions").mkdir(parents=True)
    for folder in ("notebooks", "notebooks/solutions"):
        shutil.copy(NOTEBOOK, tmp_path / folder)
    return tmp_path


def test_one_address_reaches_every_badge_and_bootstrap(root):
    colab.set_repository(root, "someone/course")
    solution = (root / "notebooks" / "solutions" / NOTEBOOK.name).read_bytes()
    assert len(colab.write_cells(root, colab.repository_name(root))) == 2
    cells = notebook_files.read_notebook(root / "notebooks" / NOTEBOOK.name).cells
    badge, bootstrap = (next(c.source for c in cells if c.id == name) for name in (colab.BADGE, colab.BOOTSTRAP))
    assert "(images/open_in_colab.svg)" in badge and "owner" not in badge
    assert f"/github/someone/course/blob/main/notebooks/{NOTEBOOK.name})" in badge
    assert "someone/course@main" in bootstrap
    assert [cell.id for cell in cells][:2] == ["title", "badge"]
    assert [cell.id for cell in cells].index("setup") == [cell.id for cell in cells].index("bootstrap") + 1
    assert (root / "notebooks" / "solutions" / NOTEBOOK.name).read_bytes() == solution  # `r2gen exercises` writes it
    assert "someone/course/actions" in (root / "README.md").read_text()
    before = {path: path.read_bytes() for path in root.rglob("*.*")}
    assert colab.write_cells(root, "someone/course") == []
    assert {path: path.read_bytes() for path in root.rglob("*.*")} == before


def test_only_its_own_cells_change(root):
    path = root / "notebooks" / NOTEBOOK.name
    bare = notebook_files.read_notebook(path)
    bare.cells = [cell for cell in bare.cells if cell.id not in NEW_CELLS]
    nbformat.write(bare, path)
    kept = copy.deepcopy(bare.cells)
    colab.write_cells(root, "someone/course")
    cells = notebook_files.read_notebook(path).cells
    assert {cell.id for cell in cells} - {cell.id for cell in kept} == NEW_CELLS
    assert [cell for cell in cells if cell.id not in NEW_CELLS] == kept


def test_what_is_committed_is_what_the_address_gives():
    repository = colab.repository_name(checkout())
    for path in sorted((checkout() / "notebooks").glob("*.ipynb")):
        notebook = notebook_files.read_notebook(path)
        badge = colab.badge(repository, path.relative_to(checkout()))
        assert not colab.put_cells(notebook, badge, colab.bootstrap(repository)), f"{path.name}: run `make colab`"


def test_the_pip_lines_are_quoted_and_leave_torch_and_numpy_alone():
    code = colab.bootstrap("someone/course")
    lines = [line.strip() for line in code.splitlines() if line.strip().startswith("%pip install")]
    assert len(lines) == 2 and lines[0].startswith("%pip install --quiet --constraint kept.txt ")
    for line in lines:
        assert not re.search(r"torch|numpy|[<>]|upgrade", line)
        assert re.search(r' "[^"]+"$', line), "what is installed must be quoted"
    assert 'course = "r2gen-course[' in code
    kept = ast.literal_eval(re.search(r"for name in (\(.*?\)) if", code)[1])
    assert {"torch", "torchvision", "numpy"} <= set(kept)


def test_elsewhere_the_bootstrap_does_nothing(tmp_path, monkeypatch):
    _run(colab.bootstrap("someone/course"), tmp_path, monkeypatch)
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    _run(colab.bootstrap("someone/course"), tmp_path, monkeypatch)  # r2gen_lib is there


def _run(code, folder, monkeypatch):
    monkeypatch.chdir(folder)
    exec(re.sub(r"^ +%pip.*$", "    raise AssertionError('pip was called')", code, flags=re.MULTILINE), {})
    assert list(folder.iterdir()) == []


def test_an_unset_address_says_so(root):
    assert "`make colab REPO=owner/name`" in colab.badge(f"{colab.UNSET}/course", NOTEBOOK.relative_to(checkout()))
    for name in ("no-slash", "a/b/c", "../x"):
        with pytest.raises(R2GenError, match="expected OWNER/NAME"):
            colab.set_repository(root, name)
    (root / "pyproject.toml").write_text('[project]\n[project.urls]\nRepository = "elsewhere"\n')
    with pytest.raises(R2GenError, match="found Repository 'elsewhere'"):
        colab.repository_name(root)
