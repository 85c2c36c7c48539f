"""Minutes of reading, machine and exercises, and the syllabus that is planned by them."""

from __future__ import annotations

import json
import re
import shutil

import pytest
from nbformat.v4 import new_markdown_cell, new_notebook

from r2gen_lib import cli
from r2gen_lib.assets import checkout
from r2gen_lib.course import notebook_files
from r2gen_lib.course.hours import SHARE, Hours, course_hours, session_minutes
from r2gen_lib.errors import R2GenError

NOTEBOOKS = checkout() / "notebooks"
MADE = {"09": Hours("09_more", {0: 100, 1: 200, 2: 400}, 1.5, {"09.1": 10, "09.2": 20})}


def syllabus() -> list[list[str]]:
    """Rows of the tables of sessions in notebooks/README.md: session, minutes, in class, exercises, homework."""
    text = (NOTEBOOKS / "README.md").read_text(encoding="utf-8").partition("## Syllabus")[2].partition("\n## ")[0]
    return [[cell.strip() for cell in row.split("|")[1:-1]] for row in re.findall(r"^\| \d+ \| .*$", text, flags=re.M)]


def test_every_session_fits_its_hours():
    hours = course_hours()
    rows = syllabus()
    assert len(rows) == 2 + 4 + 10
    for session, minutes, in_class, exercises, _ in rows:
        planned = session_minutes(hours, in_class, exercises)
        assert planned <= SHARE * int(minutes), f"session {session}: {in_class}, {exercises}: {planned:.0f} minutes"


def test_homework_names_exercises_that_are_there():
    known = {name for one in course_hours().values() for name in one.exercises}
    named = {name for row in syllabus() for cell in row[3:] for name in re.findall(r"\b\d\d[a-z]?\.\d\b", cell)}
    assert named and named <= known


def test_minutes_of_a_session():
    assert session_minutes(MADE, "09") == pytest.approx(700 / 200 + 1.5)
    assert session_minutes(MADE, "09: 1", "09.1, 09.2") == pytest.approx(300 / 200 + 1.5 + 30)
    for notebooks, exercises, what in (
        ("08", "", "notebook 08"),
        ("09: 1-3", "", "section of 09 3"),
        ("", "09.3", "09.3"),
    ):
        with pytest.raises(R2GenError, match=f"{what}: found none such"):
            session_minutes(MADE, notebooks, exercises)


def test_what_is_counted(tmp_path):
    cells = [
        new_markdown_cell("# 00 one two", id="title"),
        new_markdown_cell("[badge](https://x.y)", id="badge"),
        new_markdown_cell("## 1. A section\n\nthree words more", id="a"),
        new_markdown_cell("and two\n\n## 2 · Next\n\nword", id="b"),
        new_markdown_cell("## Exercises\n\nnot counted", id="exercises"),
        new_markdown_cell("## Summary\n\nend", id="summary"),
        new_markdown_cell("## References\n\nnot counted", id="references"),
    ]
    notebook_files.write_notebook(notebook_files.clean(new_notebook(cells=cells)), tmp_path / "00_start_here.ipynb")
    shutil.copytree(NOTEBOOKS / "exercises", tmp_path / "exercises")
    summary = {"started": "", "profile": "ci", "machine": {}, "notebooks": []}
    (tmp_path / "measured.json").write_text(json.dumps(summary))
    with pytest.raises(R2GenError, match="found no row of 00_start_here"):
        course_hours(tmp_path)
    summary["notebooks"] = [{"notebook": "00_start_here", "seconds": 30}]
    (tmp_path / "measured.json").write_text(json.dumps(summary))
    one = course_hours(tmp_path)["00"]
    assert dict(one.words) == {0: 4 + 3, 1: 4 + 3 + 2, 2: 4 + 1}
    assert one.machine == 0.5 and one.exercises["00.1"] >= 1


def test_the_command_prints_every_notebook(capsys):
    assert cli.main(["course", "--hours"]) == 0
    said = capsys.readouterr().out
    assert all(path.stem in said for path in NOTEBOOKS.glob("0*.ipynb"))
