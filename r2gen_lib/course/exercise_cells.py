"""From a master of exercises to cells: the section "Exercises" of its notebook, and the notebook of solutions.

Cells outside the section are never touched. A cell whose id and source stay as they are keeps its output; where one
changed, section and solutions are executed anew, in a kernel that has run the master's ``setup`` and not the whole
notebook, so that it takes seconds.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from r2gen_lib.course import notebook_files
from r2gen_lib.course.exercise_masters import Exercise, Master
from r2gen_lib.errors import ExerciseError

INTRO = (
    "Each check says what is right, or what came out, what was expected and the likeliest slip. It never stops the "
    "notebook.\nSolutions: `solutions/{stem}_solutions.ipynb`."
)
SETUP = "from r2gen_lib.notebook import setup\n\nrun = setup()"
REPORT = 'checks.report()  # for whoever grades: checks.save_json("answers.json", student="...")'
TIMEOUT = 600  # seconds a cell


def find_notebook(master: Master, folder: Path) -> Path | None:
    """The notebook of a master's number; None while there is none.

    Raises:
        ExerciseError: there are several.
    """
    found = sorted(folder.glob(f"{master.number}_*.ipynb"))
    if len(found) > 1:
        raise ExerciseError(
            f"{folder}: found {', '.join(p.name for p in found)}, expected one notebook {master.number}."
        )
    return found[0] if found else None


def solutions_path(master: Master, folder: Path) -> Path:
    """Where a master's solutions are written."""
    return folder / "solutions" / f"{master.notebook}_solutions.ipynb"


def section_cells(master: Master) -> list[Any]:
    """The section as it should be, not executed."""
    cells = [new_markdown_cell("## Exercises\n\n" + INTRO.format(stem=master.notebook), id="exercises")]
    cells.append(new_code_cell("from r2gen_lib import checks", id="exercises-checks"))
    for number, one in enumerate(master.exercises, 1):
        cells.append(new_markdown_cell(_question(number, one, hints=True), id=f"exercise-{number}-text"))
        if one.guess:
            code = f'checks.guess("{master.number}.{number}", "")  # your guess, before you begin'
            cells.append(new_code_cell(code, id=f"exercise-{number}-guess"))
        cells += _given(number, one)
        cells.append(new_code_cell(one.stub.code, id=f"exercise-{number}"))
        cells.append(new_code_cell(one.check, id=f"exercise-{number}-check"))
        if one.why:
            cells.append(new_markdown_cell(one.why, id=f"exercise-{number}-why-text"))
            code = f'checks.why("{master.number}.{number}", "")  # your answer, in one or two sentences'
            cells.append(new_code_cell(code, id=f"exercise-{number}-why"))
    return [*cells, new_code_cell(REPORT, id="exercises-report")]


def solution_cells(master: Master) -> list[Any]:
    """The notebook of solutions as it should be, not executed."""
    title = (
        f"# {master.number} · Exercises, solved\n\nTry first, look afterwards. Written by `r2gen exercises` from "
        f"`notebooks/exercises/{master.path.name}`: change it there.\nThis notebook stands by itself; where "
        "exercises need what the other notebook made, the first cells make it."
    )
    cells = [new_markdown_cell(title, id="title"), new_code_cell(SETUP, id="setup")]
    cells += [new_code_cell(code, id=f"setup-{n}") for n, code in enumerate(master.setup, 2)]
    cells.append(new_code_cell("from r2gen_lib import checks", id="exercises-checks"))
    for number, one in enumerate(master.exercises, 1):
        cells.append(new_markdown_cell(_question(number, one, hints=False), id=f"exercise-{number}-text"))
        cells += _given(number, one)
        cells.append(new_code_cell(one.solution, id=f"exercise-{number}-solution"))
        cells.append(new_code_cell(one.check, id=f"exercise-{number}-check"))
        if one.why or one.explanation:
            answer = "\n\n".join(text for text in (one.why, one.explanation) if text)
            cells.append(new_markdown_cell(answer, id=f"exercise-{number}-explanation"))
    return [*cells, new_code_cell("checks.report()", id="exercises-report")]


def _question(number: int, one: Exercise, hints: bool) -> str:
    importance = f"importance {one.importance}, " if one.importance else ""
    text = f"**{number}. {one.title}** (difficulty {one.difficulty}, {importance}{one.minutes} minutes). {one.question}"
    if one.guess:
        text += f"\n\n*Guess first.* {one.guess}"
    if hints:
        count = len(one.hints)
        for n, hint in enumerate(one.hints, 1):
            name = f"Hint {n}" if count > 1 else "Hint"
            text += f"\n\n<details><summary>{name}</summary>\n\n{hint}\n\n</details>"
    return text


def _given(number: int, one: Exercise) -> list[Any]:
    return [new_code_cell(one.given, id=f"exercise-{number}-given")] if one.given else []


def section_range(notebook: Any) -> tuple[int, int]:
    """First cell of the section and the one after its last; both the place for it where it is lacking."""
    heads = [(i, c.source.split("\n")[0].strip()) for i, c in enumerate(notebook.cells) if c.cell_type == "markdown"]
    heads = [(i, line) for i, line in heads if line.startswith("## ")]
    for place, (start, line) in enumerate(heads):
        if re.match(r"## (\d+ ?[.·] )?Exercises\b", line):
            return start, heads[place + 1][0] if place + 1 < len(heads) else len(notebook.cells)
    summary = next((i for i, line in heads if line.startswith("## Summary")), len(notebook.cells))
    return summary, summary


def with_section(notebook: Any, cells: list[Any]) -> list[Any]:
    """All cells of ``notebook`` with ``cells`` as its section; equal cells keep their outputs.

    Raises:
        ExerciseError: an id is taken by a cell outside the section.
    """
    start, end = section_range(notebook)
    outside = {cell.id for cell in [*notebook.cells[:start], *notebook.cells[end:]]}
    taken = sorted(outside & {cell.id for cell in cells})
    if taken:
        raise ExerciseError(
            f"cell id {', '.join(taken)}: taken outside the section Exercises. Give that cell another id."
        )
    _keep_outputs(notebook.cells[start:end], cells)
    return [*notebook.cells[:start], *cells, *notebook.cells[end:]]


def _keep_outputs(old: list[Any], new: list[Any]) -> None:
    known = {cell.id: cell for cell in old}
    for cell in new:
        before = known.get(cell.id)
        if before is not None and cell.cell_type == before.cell_type == "code" and cell.source == before.source:
            cell.outputs, cell.execution_count = before.outputs, before.execution_count


def same(old: list[Any], new: list[Any]) -> bool:
    """Whether two lists of cells agree in ids, kinds and sources."""
    return [(c.id, c.cell_type, c.source) for c in old] == [(c.id, c.cell_type, c.source) for c in new]


def drift(master: Master, folder: Path) -> list[Path]:
    """The notebooks that are not what the master says; one that is not there yet counts only for solutions."""
    stale = []
    path = find_notebook(master, folder)
    if path:
        notebook = notebook_files.read_notebook(path)
        start, end = section_range(notebook)
        if not same(notebook.cells[start:end], section_cells(master)):
            stale.append(path)
    solved = solutions_path(master, folder)
    if not solved.exists() or not same(notebook_files.read_notebook(solved).cells, solution_cells(master)):
        stale.append(solved)
    return stale


def write(master: Master, folder: Path, run: bool = True, fresh: bool = False) -> list[Path]:
    """Bring section and solutions up to date, executed where something changed or ``fresh``; what was written.

    Raises:
        ExerciseError: a solution or a stub cannot be executed, or a solution fails its check.
    """
    path, solved_path = find_notebook(master, folder), solutions_path(master, folder)
    section, solved = section_cells(master), new_notebook(cells=solution_cells(master))
    if solved_path.exists():
        _keep_outputs(notebook_files.read_notebook(solved_path).cells, solved.cells)
    notebook = notebook_files.read_notebook(path) if path else None
    if notebook:
        notebook.cells = with_section(notebook, section)
    if run and (fresh or not all(_executed(cell) for cell in [*solved.cells, *(section if notebook else [])])):
        _execute(master, folder, solved.cells, section if notebook else [])
    if notebook:
        _count_on(notebook.cells, section)
    written = [(solved_path, notebook_files.clean(solved))] + ([(path, notebook)] if notebook else [])
    for target, content in written:
        target.parent.mkdir(exist_ok=True)
        notebook_files.write_notebook(content, target)
    return [target for target, _ in written]


def _executed(cell: Any) -> bool:
    return cell.cell_type != "code" or cell.execution_count is not None


def _count_on(cells: list[Any], section: list[Any]) -> None:
    """Number the executed cells of the section, and those after it, on from the cell before it."""
    ids = {cell.id for cell in section}
    first = next(i for i, cell in enumerate(cells) if cell.id in ids)
    count = max([cell.execution_count or 0 for cell in cells[:first] if cell.cell_type == "code"], default=0)
    for cell in cells[first:]:
        if cell.cell_type == "code" and cell.execution_count is not None:
            count += 1
            cell.execution_count = count


def _execute(master: Master, folder: Path, solved: list[Any], section: list[Any]) -> None:
    """Execute the solutions, then the section, in one kernel, and put the outputs into these cells."""
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    from r2gen_lib.course import jupyter_kernel as kernel

    copies = [new_code_cell(c.source) if c.cell_type == "code" else None for c in [*solved, *section]]
    both = new_notebook(cells=[copy for copy in copies if copy])
    client = kernel.client(both, timeout=TIMEOUT, resources={"metadata": {"path": str(folder)}})
    try:
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        kernel.execute(client, env={"HF_HUB_OFFLINE": "1", **os.environ}, **quiet)
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        last = str(error).strip().splitlines()[-1]
        raise ExerciseError(f"{master.path}: a cell of notebook {master.number} cannot be executed: {last}") from error
    notebook_files.clean(both)
    for count, (cell, copy) in enumerate(zip([*solved, *section], copies, strict=True), 1):
        if copy:
            cell.outputs, cell.execution_count = copy.outputs, count
    for count, cell in enumerate([c for c in solved if c.cell_type == "code"], 1):
        cell.execution_count = count
    said = "".join(o.get("text", "") for cell in solved if cell.cell_type == "code" for o in cell.outputs)
    if "Not yet:" in said:
        message = said.partition("Not yet:")[2].splitlines()[0]
        raise ExerciseError(f"{master.path}: a solution fails its check:{message}")
