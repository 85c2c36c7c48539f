"""notebooks/START.md: the files that it says to read hold what it names, and the picture shows the same."""

from __future__ import annotations

import ast
import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "notebooks" / "START.md").read_text(encoding="utf-8")
PICTURE = ROOT / "docs" / "images" / "reading_order.svg"


@pytest.fixture(scope="module")
def drawing():
    spec = importlib.util.spec_from_file_location("reading_order", PICTURE.with_suffix(".py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reading_order_names_what_is_there(drawing):
    rows = drawing.ROW.findall(PAGE)
    assert [int(number) for number, *_ in rows] == list(range(1, len(rows) + 1)) and len(rows) >= 6
    assert list(dict.fromkeys(stage for _, stage, *_ in rows)) == list(drawing.COLOURS)
    for _, _, file, name in rows:
        tree = ast.walk(ast.parse((ROOT / "r2gen_lib" / file).read_text(encoding="utf-8")))
        assert name in {node.name for node in tree if isinstance(node, ast.FunctionDef | ast.ClassDef)}, (file, name)


def test_the_picture_is_of_the_table(drawing):
    shown = re.findall(r"<!-- (.*?) -->", PICTURE.read_text(encoding="utf-8"))  # matplotlib writes each text beside it
    told = []
    for stage in drawing.COLOURS:
        told.append(stage)
        for number, _, file, name in (row for row in drawing.ROW.findall(PAGE) if row[1] == stage):
            told += [f"{number}  {file}", name]
    assert shown == told, "run: python docs/images/reading_order.py"


def test_the_picture_says_in_words_what_it_shows(drawing):
    alt = re.search(r"!\[([^\]]+)\]\(../docs/images/reading_order.svg\)", PAGE)[1]
    assert all(stage in alt.lower() for stage in drawing.COLOURS)
    names = {Path(file).name for _, _, file, _ in drawing.ROW.findall(PAGE)} - {"r2gengpt.py"}
    assert all(name in alt for name in names)


def test_no_minutes_are_copied():
    assert "README.md#minutes-and-memory" in PAGE and not re.search(r"\d[\d.]* ?(minutes|GB)", PAGE)
