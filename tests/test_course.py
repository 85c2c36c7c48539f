from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from r2gen_lib import notebook_files
from r2gen_lib.course import find_notebooks, run_course
from r2gen_lib.errors import R2GenError

GOOD = ("import os, sys; print(os.environ['R2GEN_PROFILE'], sys.prefix)", "x = bytearray(150_000_000); 6 * 7")
BAD = ("1", "raise ValueError('no such\\nstudy')", "print('never')")


def write(folder: Path, name: str, *cells: str) -> Path:
    folder.mkdir(exist_ok=True)
    notebook = new_notebook(cells=[new_markdown_cell(f"# {name}"), *map(new_code_cell, cells)])
    nbformat.write(notebook, folder / f"{name}.ipynb")
    return folder / f"{name}.ipynb"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A course of three notebooks, of which the second fails and the third takes too long."""
    root = tmp_path_factory.mktemp("course")
    notebooks = root / "notebooks"
    write(notebooks, "00_good", *GOOD)
    write(notebooks, "01_bad", *BAD)
    write(notebooks, "02_slow", "import time; time.sleep(60)")
    lines: list[str] = []
    before = (notebooks / "01_bad.ipynb").read_text()
    course = run_course(
        find_notebooks(folder=notebooks), root / "run", "ci", update=True, cell_timeout=3, say=lines.append
    )
    return course, lines, notebooks, before


def test_the_rest_still_runs_after_a_failure(run):
    course, lines, *_ = run
    assert [result.status for result in course.results] == ["ok", "failed", "failed"]
    assert course.exit_code == 1
    assert course.results[1].failed_cell == 2
    assert "failed in code cell 2: ValueError: no such" in lines[2]
    assert "took longer than 3 s" in lines[3]


def test_memory_and_time_are_measured(run):
    good = run[0].results[0]
    assert good.seconds > 0.1 and good.peak_memory_mb > 0


def test_folder_holds_copies_html_and_summary(run):
    course, _, notebooks, _ = run
    names = {path.name for path in course.folder.iterdir()}
    expected = {"00_good.ipynb", "00_good.html", "01_bad.html", "02_slow.ipynb", "index.html"}
    assert expected | {"summary.json", "summary.md"} <= names
    assert "00_good.log" not in names  # the kernel's own words are kept only where it failed
    summary = json.loads((course.folder / "summary.json").read_text())
    assert summary["profile"] == "ci" and summary["machine"]["cores"]
    assert [n["status"] for n in summary["notebooks"]] == ["ok", "failed", "failed"]
    assert "| 01_bad |" in (course.folder / "summary.md").read_text()
    assert '<a href="02_slow.html">' in (course.folder / "index.html").read_text()


def test_a_failed_notebook_keeps_what_was_done(run):
    executed = notebook_files.read_notebook(run[0].folder / "01_bad.ipynb")
    outputs = [cell.outputs for cell in executed.cells if cell.cell_type == "code"]
    assert outputs[0][0].data["text/plain"] == "1"
    assert outputs[1][0].ename == "ValueError"
    assert outputs[2] == []


def test_update_writes_back_only_what_ended_well(run):
    _, _, notebooks, before = run
    good = notebook_files.read_notebook(notebooks / "00_good.ipynb")
    assert good.cells[1].outputs[0].text == "ci <environment>\n"
    assert good.cells[2].outputs[0].data["text/plain"] == "42"
    assert (notebooks / "01_bad.ipynb").read_text() == before


def test_all_well_exits_with_zero(tmp_path):
    write(tmp_path / "n", "00_a", "1")
    assert run_course(find_notebooks(folder=tmp_path / "n"), tmp_path / "r", "ci", say=str).exit_code == 0


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_ctrl_c_keeps_what_was_done(tmp_path):
    started = tmp_path / "started"
    write(tmp_path / "n", "00_a", "1", f"open({str(started)!r}, 'w'); import time; time.sleep(60)")
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from pathlib import Path; from r2gen_lib.course import *\n"
        "try: run_course(find_notebooks(folder=Path('n')), Path('r'), 'ci')\n"
        "except KeyboardInterrupt: raise SystemExit(130)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path)
    try:
        deadline = time.monotonic() + 60
        while not started.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(30) == 130
    finally:
        process.kill()
    summary = json.loads((tmp_path / "r" / "summary.json").read_text())
    assert [n["status"] for n in summary["notebooks"]] == ["stopped"]
    assert notebook_files.read_notebook(tmp_path / "r" / "00_a.ipynb").cells[1].outputs


def test_find_notebooks_in_order_and_by_start(tmp_path):
    for name in ("05_e", "00_a", "03_c"):
        write(tmp_path, name)
    write(tmp_path, "notes")
    assert [path.stem for path in find_notebooks(folder=tmp_path)] == ["00_a", "03_c", "05_e"]
    assert [path.stem for path in find_notebooks(["03", "00"], tmp_path)] == ["00_a", "03_c"]
    with pytest.raises(R2GenError, match=r"--only 04: no notebook .*Found: 00_a, 03_c, 05_e"):
        find_notebooks(["04"], tmp_path)
    with pytest.raises(R2GenError, match=r"no notebooks in .*pip install -e"):
        find_notebooks(folder=tmp_path / "nowhere")


def test_clean_strips_widgets_timings_and_paths():
    home = str(Path.home())
    widget = new_output("display_data", {notebook_files.WIDGET: {"model_id": "a"}, "text/plain": "0%"})
    text = new_output("stream", text=f"saved to {home}/results, not {home}work\n")
    cell = new_code_cell("1", outputs=[widget, text], metadata={"execution": {"t": "1"}, "tags": ["slow"]})
    notebook = new_notebook(
        cells=[cell],
        metadata={"widgets": {"state": {}}, "kernelspec": {"name": "mine", "display_name": "mine"}},
    )
    cleaned = notebook_files.clean(notebook)
    nbformat.validate(cleaned)
    assert "widgets" not in cleaned.metadata and cleaned.metadata.kernelspec.name == "python3"
    assert cleaned.cells[0].metadata == {"tags": ["slow"]}
    assert [output.output_type for output in cleaned.cells[0].outputs] == ["stream"]
    assert cleaned.cells[0].outputs[0].text == f"saved to ~/results, not {home}work\n"


def test_write_notebook_refuses_what_is_no_notebook(tmp_path):
    broken = new_notebook(cells=[new_code_cell("1")])
    broken.cells[0].cell_type = "poem"
    with pytest.raises(nbformat.ValidationError):
        notebook_files.write_notebook(broken, tmp_path / "a.ipynb")
    assert not list(tmp_path.iterdir())
