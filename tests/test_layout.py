"""The plan of the house: data flow down the list of rooms and never back up; no files import each other in a circle."""

from __future__ import annotations

import ast
import graphlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "r2gen_lib"
#: A folder, or a file beside them, may import what has a lower rank: lazily, for a type's sake, or at once.
RANK = {
    "__init__": 0, "errors": 0, "quick_imports": 0,
    "config": 1, "findings": 1, "files": 1, "stopping": 1, "environment": 1,
    "former_names": 0,
    "assets": 2,
    "metrics": 3, "data": 3,
    "model": 4, "simulation": 4,
    "privacy": 5, "inference": 5, "plots": 5,
    "sources": 6,
    "training": 7, "evaluation": 7, "checks": 7,
    "notebook": 8, "course": 8, "demo": 8,
    "commands": 9,
    "cli": 10,
}  # fmt: skip


@cache
def modules() -> dict[str, Path]:
    """Dotted name -> file."""
    names = {path: path.relative_to(PACKAGE.parent).with_suffix("").parts for path in PACKAGE.rglob("*.py")}
    return {".".join(parts).removesuffix(".__init__"): path for path, parts in names.items()}


def imported(path: Path) -> Iterator[str]:
    """The package's modules that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            full = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in modules() else node.module for name in full]
        else:
            continue
        yield from (name for name in names if name in modules())


def graph() -> dict[str, set[str]]:
    """Module -> the modules that it imports."""
    return {name: set(imported(path)) - {name} for name, path in modules().items()}


def room(module: str) -> str:
    """The folder, or the file of the root, that a module is in."""
    return (module.split(".") + ["__init__"])[1]


def test_every_room_has_a_rank():
    assert {room(name) for name in modules()} == set(RANK)


def test_nothing_imports_what_stands_above_or_beside_its_room():
    wrong = [
        f"{name} imports {other}"
        for name, others in graph().items()
        for other in others
        if room(name) != room(other) and RANK[room(other)] >= RANK[room(name)]
    ]
    # the package's own front door may name what it opens, lazily
    assert [line for line in wrong if not line.startswith("r2gen_lib imports")] == []


def test_no_files_import_each_other_in_a_circle():
    parents = {name: others - {"r2gen_lib"} for name, others in graph().items() if name != "r2gen_lib"}
    graphlib.TopologicalSorter(parents).prepare()


def test_the_map_for_readers_names_every_file():
    told = (PACKAGE / "README.md").read_text(encoding="utf-8")
    folders = {path.parent.name for path in PACKAGE.rglob("*.py")} - {"r2gen_lib"}
    files = {path.name for path in PACKAGE.rglob("*.py")} - {"__init__.py"}
    assert [name for name in sorted(folders) if f"{name}/" not in told] == []
    assert [name for name in sorted(files) if name not in told and name.removesuffix(".py") not in told] == []
