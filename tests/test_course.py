from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from r2gen_lib.course import jupyter_kernel as kernel
from r2gen_lib.course import notebook_files
from r2gen_lib.course.run import find_notebooks, run_course
from r2gen_lib.errors import R2GenError

GOOD = ("import os, sys; print(os.environ['R2GEN_PROFILE'], sys.prefix)", "x = bytearray(150_000_000); 6 * 7")
BAD = ("1", "raise ValueError('no such\\nstudy')", "print('never')")


def write(folder: Path, name: str, *cells: str) -> Path:
    folder.mkdir(exist_ok=True)
    notebook = new_notebook(cells=[new_markdown_cell(f"# {name}"), *map(new_code_cell, cells)])
    nbformat.write(notebook, folder / f"{name}.ipynb")
    return folder / f"{name}.ipynb"


@pytest.fixture(scope="module", autouse=True)
def _quiet_machine():
    """What the course says does not depend on what else runs here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("psutil.getloadavg", lambda: (0.0, 0.0, 0.0))
        yield


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A course of three notebooks, of which the second fails and the third takes too long."""
    root = tmp_path_factory.mktemp("course")
    notebooks = root / "notebooks"
    write(notebooks, "00_good", *GOOD)
    (notebooks / "badge.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    good = notebook_files.read_notebook(notebooks / "00_good.ipynb")
    good.cells[0].source += "\n\n[![A badge](badge.svg)](https://example.org)"
    notebook_files.write_notebook(good, notebooks / "00_good.ipynb")
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


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell which pages processes share")
def test_memory_that_processes_share_counts_once(tmp_path):
    fork = "import os, time\nif os.fork() == 0:\n    time.sleep(4)\n    os._exit(0)\n_ = os.wait()"
    write(tmp_path / "n", "00_forks", "big = b'x' * 600_000_000", fork)
    (result,) = run_course(find_notebooks(folder=tmp_path / "n"), tmp_path / "r", "ci", say=str).results
    assert result.status == "ok" and 570 < result.peak_memory_mb < 1000


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


def test_the_page_holds_the_pictures_of_its_text(run):
    page = (run[0].folder / "00_good.html").read_text(encoding="utf-8")
    assert 'src="data:image/svg+xml;base64,' in page and "badge.svg" not in page


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
        "from pathlib import Path; from r2gen_lib.course.run import *\n"
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


# A cell that starts a process in a session of its own, says who it is, and sleeps.
BUSY = """
import os, subprocess, time
child = subprocess.Popen(["sleep", "300"], start_new_session=True)
print("half done", flush=True)
open({started!r} + ".part", "w").write(f"{{os.getpid()}} {{child.pid}}")
os.replace({started!r} + ".part", {started!r})
time.sleep(300)
"""
COMMAND = """
import sys
from pathlib import Path
from r2gen_lib import cli
from r2gen_lib.course import run as course
notebooks = sorted(Path("n").glob("0*.ipynb"))
course.find_notebooks = lambda only=(), folder=None: notebooks
raise SystemExit(cli.main(["course", "--profile", "ci", "--out", "runs", "--name", "r"]))
"""


def wait_for(path: Path, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} never came"
        time.sleep(0.1)


def runs(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("name, code", [("SIGTERM", 143), ("SIGHUP", 129), ("SIGINT", 130)])
def test_a_signal_stops_the_course_keeps_what_was_done_and_leaves_nothing_running(tmp_path, name, code):
    started = tmp_path / "started"
    write(tmp_path / "n", "00_a", "6 * 7")
    write(tmp_path / "n", "01_b", "1", BUSY.format(started=str(started)))
    write(tmp_path / "n", "02_c", "2")
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        wait_for(started)
        process.send_signal(signal.Signals[name])
        if name == "SIGTERM":
            process.send_signal(signal.SIGTERM)  # schedulers tell a process and its group: it is one wish
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == code, err
    assert not any(map(runs, map(int, started.read_text().split())))
    said = "Ctrl-C" if name == "SIGINT" else name
    assert f"stopped by {said} in 01_b, code cell 2; run before: 00_a; not run: 02_c" in out and "summary.md" in out
    assert "what was finished is kept" in err and "Traceback" not in out + err
    folder = tmp_path / "runs" / "r"
    summary = json.loads((folder / "summary.json").read_text())
    assert [(n["notebook"], n["status"]) for n in summary["notebooks"]] == [("00_a", "ok"), ("01_b", "stopped")]
    assert f"stopped in code cell 2: {said}" in (folder / "summary.md").read_text()
    assert (folder / "00_a.html").exists() and not (folder / "02_c.ipynb").exists()
    cells = notebook_files.read_notebook(folder / "01_b.ipynb").cells
    assert cells[1].outputs[0].data["text/plain"] == "1" and cells[2].outputs[0].text == "half done\n"


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_killed_kernel_is_told_from_one_without_memory_and_the_next_notebook_runs(tmp_path):
    child = "import subprocess; print(subprocess.Popen(['sleep', '300'], start_new_session=True).pid, flush=True); "
    wait = "import time; time.sleep(2); "
    write(tmp_path / "n", "00_killed", child + wait + "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    write(tmp_path / "n", "01_exits", "1", "import os; os._exit(3)")
    write(tmp_path / "n", "02_good", "2")
    lines: list[str] = []
    course = run_course(find_notebooks(folder=tmp_path / "n"), tmp_path / "r", "ci", say=lines.append)
    assert [result.status for result in course.results] == ["failed", "failed", "ok"]
    killed, exits, _ = course.results
    assert "SIGKILL" in killed.error and killed.failed_cell == 1 and killed.error in lines[1]
    if kernel.oom_kills():
        assert "another program or a cell sent it" in killed.error and "lack of memory" in killed.error
    assert "ended by itself, with exit status 3" in exits.error and exits.failed_cell == 2
    cell = notebook_files.read_notebook(tmp_path / "r" / "00_killed.ipynb").cells[1]
    assert not runs(int(cell.outputs[0].text))


@pytest.mark.parametrize(
    "status, before, after, said",
    [
        (-9, {"machine": 3, "group": 0}, {"machine": 4, "group": 1}, "because memory ran out (SIGKILL"),
        (-9, {"machine": 3, "group": 0}, {"machine": 4, "group": 0}, "which another program or a cell sent it"),
        (-9, {"machine": 3}, {"machine": 5}, "most likely because memory ran out"),
        (-9, {"machine": 3}, {"machine": 3}, "no kill of its own for lack of memory"),
        (-9, {}, {}, "this system does not tell"),
        (-15, {"group": 0}, {"group": 0}, "ended by SIGTERM, which another program"),
        (-11, {}, {}, "crashed (SIGSEGV)"),
        (0xC0000005, {}, {}, "exit status 0xc0000005"),
        (1, {}, {}, "exit status 1"),
        (None, {}, {}, "not known"),
    ],
)
def test_what_is_known_of_a_kernels_end_is_said_and_no_more(status, before, after, said):
    if status is not None and status < 0 and sys.platform == "win32":
        pytest.skip("POSIX signals")
    assert said in kernel.how_it_ended(status, before, after)


def test_a_kernel_that_does_not_start_fails_its_notebook_alone(tmp_path, monkeypatch):
    write(tmp_path / "n", "00_a", "1")
    write(tmp_path / "n", "01_b", "2")
    start, calls = kernel.OwnKernelManager.start_kernel, []

    async def first_fails(manager, **options):
        calls.append(1)
        if len(calls) == 1:
            raise OSError("Cannot allocate memory")
        await start(manager, **options)

    monkeypatch.setattr(kernel.OwnKernelManager, "start_kernel", first_fails)
    lines: list[str] = []
    course = run_course(find_notebooks(folder=tmp_path / "n"), tmp_path / "r", "ci", say=lines.append)
    assert [result.status for result in course.results] == ["failed", "ok"]
    assert "failed: the kernel did not start: Cannot allocate memory" in lines[1]


def test_an_assertion_inside_nbclient_is_no_ctrl_c(tmp_path, monkeypatch):
    write(tmp_path / "n", "00_a", "1")
    write(tmp_path / "n", "01_b", "2")

    def fail(*_, **__):
        raise AssertionError("no kernel client")

    with monkeypatch.context() as patched:
        patched.setattr(NotebookClient, "execute", fail)
        with pytest.raises(AssertionError, match="no kernel client"):
            kernel.execute(kernel.client(new_notebook()))
        course = run_course(find_notebooks(folder=tmp_path / "n")[:1], tmp_path / "r", "ci", say=str)
    assert [result.status for result in course.results] == ["failed"]
    assert "AssertionError: no kernel client; nbclient failed, not the cell" in course.results[0].error
    assert "Traceback" in (tmp_path / "r" / "00_a.log").read_text()


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


def test_a_busy_machine_is_said_at_the_start(monkeypatch, tmp_path):
    lines: list[str] = []
    monkeypatch.setattr("psutil.getloadavg", lambda: (3.0, 0.0, 0.0))
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    run_course([], tmp_path / "busy", "ci", say=lines.append)
    assert "this machine is busy: 3.0 processes want its 2 cores. Expect about 2.5 times" in lines[1]
    monkeypatch.setattr("psutil.getloadavg", lambda: (2.0, 0.0, 0.0))
    lines.clear()
    run_course([], tmp_path / "quiet", "ci", say=lines.append)
    assert not any("machine is busy" in line for line in lines)
