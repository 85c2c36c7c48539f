"""`r2gen course`: run the notebooks in order, keep the executed copies, their HTML and a summary.

Every notebook runs in a kernel of its own with this very interpreter. A notebook that fails is kept as far as
it came and the next one still runs; the summary says which cell failed, and the exit code is 1. Ctrl-C, SIGTERM
(``docker stop``, a scheduler) and SIGHUP (a closed terminal) stop the course: the notebook at hand is kept as far as it
came, its kernel is ended, and none is run after it.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from tqdm import tqdm

from r2gen_lib.assets import checkout
from r2gen_lib.course import jupyter_kernel as kernel
from r2gen_lib.course import notebook_files
from r2gen_lib.course.results import Course, NotebookResult
from r2gen_lib.course.summary import write_summary
from r2gen_lib.errors import PrivacyError, R2GenError
from r2gen_lib.files import atomic_write
from r2gen_lib.privacy import refuse_credentialed_outputs
from r2gen_lib.stopping import Stopped, as_ctrl_c, uninterrupted

CELL_TIMEOUT = 3600  # seconds


def find_notebooks(only: Sequence[str] = (), folder: Path | None = None) -> list[Path]:
    """The course's notebooks in order; ``only`` keeps those whose names start so (``["03"]``).

    Raises:
        R2GenError: no notebooks (the package runs outside a checkout), or a start that fits none of them.
    """
    if folder is None:
        folder = (checkout() or Path()) / "notebooks"
    found = sorted(folder.glob("0*.ipynb"))
    if not found:
        raise R2GenError(
            f"no notebooks in {folder.resolve()}. They are in the repository, not in the "
            "installed package: clone it and install it with `pip install -e .`."
        )
    for start in only:
        if not any(path.name.startswith(start) for path in found):
            names = ", ".join(path.stem for path in found)
            raise R2GenError(f"--only {start}: no notebook in {folder} starts so. Found: {names}.")
    return [path for path in found if not only or path.name.startswith(tuple(only))]


def run_course(
    notebooks: Sequence[Path],
    folder: Path,
    profile: str,
    update: bool = False,
    cell_timeout: int = CELL_TIMEOUT,
    say: Callable[[str], None] = print,
) -> Course:
    """Execute ``notebooks``; fill ``folder`` with executed copies, HTML, ``summary.json``, ``summary.md``.

    Args:
        notebooks: paths, in the order to run.
        folder: made if need be; what the notebooks write themselves goes to its ``files`` (R2GEN_RUN_DIR).
        profile: name of a profile, handed to the kernels as R2GEN_PROFILE.
        update: also write each notebook that ended well, with its outputs, back to where it came from.
        cell_timeout: seconds that one cell may take.
        say: where the lines about progress go.

    Raises:
        KeyboardInterrupt: it was stopped by Ctrl-C, or by a signal that does the same (``stopping.Stopped``). What is
            finished is in ``folder``, and ``say`` was told where it stopped.
    """
    course = Course(folder, profile)
    folder.mkdir(parents=True, exist_ok=True)
    say(f"r2gen course: {len(notebooks)} notebook(s), profile {profile}; results go to {folder}")
    busy = _busy_machine(psutil.getloadavg()[0], os.cpu_count() or 1)
    if busy:
        say(busy)
    sources = {path: notebook_files.read_notebook(path) for path in notebooks}
    total = sum(map(notebook_files.code_cells, sources.values()))
    summary = f"summary: {folder / 'summary.md'}; to read the notebooks open {folder / 'index.html'} in a browser"
    with as_ctrl_c(), tqdm(total=total, unit="cell", disable=None, file=sys.stderr, dynamic_ncols=True) as bar:
        try:
            for path, notebook in sources.items():
                _one_notebook(notebook, path, course, update, cell_timeout, bar)
                with tqdm.external_write_mode():
                    say(course.results[-1].line())
        except KeyboardInterrupt as stop:
            with suppress(OSError), tqdm.external_write_mode():  # a terminal that was closed hears nothing
                say(_where_it_stopped(course, notebooks, stop))
                say(summary)
            raise
    say(summary)
    return course


def _busy_machine(load: float, cores: int) -> str | None:
    """What to expect where other programs already want more than all cores; None where they don't.

    Args:
        load: processes that ran or waited for a core, mean of the last minute.
    """
    if load <= cores:
        return None
    return (
        f"this machine is busy: {load:.1f} processes want its {cores} cores. Expect about "
        f"{1 + load / cores:.1f} times the minutes that the table in notebooks/README.md gives, or close what you can."
    )


def _one_notebook(notebook: Any, path: Path, course: Course, update: bool, cell_timeout: int, bar: tqdm) -> None:
    """Execute one notebook, and keep what came of it, whatever that is."""
    result = NotebookResult(path.stem)
    course.results.append(result)
    try:
        _run_notebook(notebook, path, result, course, cell_timeout, bar)
    finally:  # also after Ctrl-C: what was done is kept
        with uninterrupted():
            write_summary(course)  # first: after docker stop there may be no time for the page
            _publish(notebook, path, result, course, update)
            write_summary(course)


def _where_it_stopped(course: Course, notebooks: Sequence[Path], stop: KeyboardInterrupt) -> str:
    """The last words of a course that was stopped."""
    by = stop.name if isinstance(stop, Stopped) else "Ctrl-C"
    halted = [result for result in course.results if result.status == "stopped"]
    done = [result.notebook for result in course.results if result.status != "stopped"]
    left = [path.stem for path in notebooks[len(course.results) :]]
    where = f" in {halted[-1].notebook}" if halted else ""
    where += f", code cell {halted[-1].failed_cell}" if halted and halted[-1].failed_cell else ""
    return f"stopped by {by}{where}; run before: {', '.join(done) or 'none'}; not run: {', '.join(left) or 'none'}"


def _run_notebook(
    notebook: Any, path: Path, result: NotebookResult, course: Course, cell_timeout: int, bar: tqdm
) -> None:
    """Execute one notebook in place and fill ``result``."""
    count = 0

    def on_cell_execute(**_: Any) -> None:
        nonlocal count
        count += 1
        bar.set_description(f"{path.stem} cell {count}")

    client = kernel.client(
        notebook,
        timeout=cell_timeout,
        resources={"metadata": {"path": str(path.parent)}},
        on_cell_execute=on_cell_execute,
        on_cell_executed=lambda **_: bar.update(),
    )
    files = (course.folder / "files" / path.stem).resolve()
    environment = {"HF_HUB_OFFLINE": "1", **os.environ}
    environment |= {"R2GEN_PROFILE": course.profile, "R2GEN_RUN_DIR": str(files)}
    log = course.folder / f"{path.stem}.log"  # what the kernel itself says; of use when it died
    started = time.perf_counter()
    try:
        with log.open("wb") as stream, _watched(client, result, bar):
            kernel.execute(client, env=environment, stdout=stream, stderr=stream)
        result.status = "ok"
        log.unlink()
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        result.status, result.failed_cell = "failed", count or None
        result.error = _one_line(error, cell_timeout)
        if isinstance(error, DeadKernelError) and log.stat().st_size:
            result.error += f"; its last words are in {log.name}"
    except Exception as error:  # no cell's error but one of nbclient's or ours: the next notebook can still run
        result.status, result.failed_cell = "failed", count or None
        result.error = f"{_first_line(type(error).__name__, error)}; nbclient failed, not the cell: see {log.name}"
        with log.open("a", encoding="utf-8") as stream:
            traceback.print_exc(file=stream)
    except KeyboardInterrupt as stop:
        result.failed_cell, result.error = count or None, stop.name if isinstance(stop, Stopped) else "Ctrl-C"
        raise
    finally:
        result.seconds = round(time.perf_counter() - started, 1)


@contextmanager
def _watched(client: Any, result: NotebookResult, bar: tqdm) -> Iterator[None]:
    """Twice a second note the memory of the kernel and what it starts (Java, workers); keep the bar alive."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.5):
            result.peak_memory_mb = max(result.peak_memory_mb, kernel.memory_mb(client, result.peak_memory_mb))
            bar.refresh()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def _one_line(error: Exception, cell_timeout: int) -> str:
    if isinstance(error, CellTimeoutError):
        return f"took longer than {cell_timeout} s (--cell-timeout)"
    if isinstance(error, DeadKernelError):
        return str(error)
    return _first_line(error.ename, error.evalue)


def _first_line(name: str, said: object) -> str:
    first = (str(said).strip().splitlines() or [""])[0]
    return notebook_files.without_machine_paths(f"{name}: {first}")


def _publish(notebook: Any, path: Path, result: NotebookResult, course: Course, update: bool) -> None:
    """Write the executed copy and its HTML into the run's folder, and with ``update`` the notebook itself.

    One whose outputs hold credentialed studies is not written and counts as failed; the course goes on.
    """
    notebook_files.clean(notebook)
    try:
        refuse_credentialed_outputs(notebook, path.name)
    except PrivacyError as error:
        result.status, result.error = "failed", str(error)
        return
    notebook_files.write_notebook(notebook, course.folder / path.name)
    with atomic_write(course.folder / f"{path.stem}.html") as temporary:
        temporary.write_text(notebook_files.to_html(notebook, path), encoding="utf-8")
    if update and result.status == "ok":
        notebook_files.write_notebook(notebook, path)
