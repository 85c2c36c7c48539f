"""Kernels for `r2gen course`: always this very interpreter, and watched for the memory they take."""

from __future__ import annotations

import atexit
import contextlib
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
from ipykernel.kernelspec import RESOURCES, get_kernel_dict
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from traitlets import default

#: Seconds that a kernel and what it started have to end by themselves when the course is stopped. ``docker stop``
#: allows ten for everything.
GRACE = 2.0


class _OwnSpec(KernelSpecManager):
    """Whatever kernels the user has registered under the name python3, ours is the interpreter we run in."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        return self.kernel_spec_class(resource_dir=RESOURCES, **get_kernel_dict())


class OwnKernelManager(AsyncKernelManager):
    """Starts kernels of this interpreter, and still knows a kernel's process when it has ended."""

    process: subprocess.Popen | None = None

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        #: The kernel and what it was seen to start; a psutil.Process knows its own from a later one of that number.
        self.family: dict[int, psutil.Process] = {}

    @default("kernel_spec_manager")
    def _own_spec(self) -> KernelSpecManager:
        return _OwnSpec(parent=self)

    async def start_kernel(self, **options: Any) -> None:
        """Start the kernel's process."""
        await super().start_kernel(**options)
        self.process = self.provisioner.process
        with contextlib.suppress(psutil.Error):
            self.family[self.process.pid] = psutil.Process(self.process.pid)


class _Client(NotebookClient):
    """An nbclient that still knows its kernel's manager when it has let go of it."""

    manager: OwnKernelManager | None = None

    def create_kernel_manager(self) -> OwnKernelManager:
        self.manager = super().create_kernel_manager()
        return self.manager


def client(notebook: Any, **options: Any) -> NotebookClient:
    """An nbclient whose kernel is this interpreter; a progress bar leaves one line in it, not a hundred."""
    return _Client(
        notebook,
        kernel_name="python3",
        kernel_manager_class=OwnKernelManager,
        coalesce_streams=True,
        store_widget_state=False,
        record_timing=False,
        **options,
    )


def execute(notebook_client: NotebookClient, **kernel_options: Any) -> None:
    """Run the notebook in place; ``kernel_options`` (env, stdout, ...) go to the kernel's process.

    nbclient runs in a thread of its own: in the main thread it would take signals for itself, end the kernel, and trip
    over that. So Ctrl-C, and what ``stopping.as_ctrl_c`` makes of other signals, comes out of here as it is, after the
    kernel and all that it started have ended.

    Raises:
        KeyboardInterrupt: Ctrl-C, or another signal that does the same (``stopping.Stopped``).
        nbclient.exceptions: CellExecutionError, CellTimeoutError; DeadKernelError if the kernel did not start or died,
            which says what is known of that.
    """
    before, failed = oom_kills(), []

    def run() -> None:
        try:
            notebook_client.execute(**kernel_options)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, name="nbclient", daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(0.2)  # Windows gives signals between waits alone
    except BaseException:
        _end(notebook_client, thread)
        raise
    finally:
        # a kernel that did not start leaves it there
        atexit.unregister(getattr(notebook_client, "_cleanup_kernel", None))
    if not failed:
        return
    (error,) = failed
    manager = getattr(notebook_client, "manager", None)
    process = getattr(manager, "process", None)
    if isinstance(error, DeadKernelError) or (isinstance(error, RuntimeError) and "Kernel died" in str(error)):
        why = how_it_ended(process and process.poll(), before, oom_kills())
        _tell(getattr(manager, "family", {}), kill=True)  # what it started is nobody's now
        raise DeadKernelError(why) from error
    starting = not notebook_client.code_cells_executed and not isinstance(error, CellTimeoutError)
    if starting and isinstance(error, (RuntimeError, OSError)):
        raise DeadKernelError(f"the kernel did not start: {error}") from error
    raise error


def processes(notebook_client: NotebookClient) -> list[psutil.Process]:
    """The kernel's process and every one that it was seen to start, as far as they run; none before it has started."""
    family = getattr(getattr(notebook_client, "manager", None), "family", {})
    for process in list(family.values())[:1]:
        with contextlib.suppress(psutil.Error):
            for child in process.children(recursive=True):
                family.setdefault(child.pid, child)
    return [process for process in list(family.values()) if _runs(process)]


def memory_mb(notebook_client: NotebookClient, more_than: int = 0) -> int:
    """Resident memory of the kernel and every process it started, in MB; 0 while there is none.

    Where several run, a page that some of them share is in memory once, and counts once as far as the system tells. On
    Linux what forked processes share counts once, and of the files that processes of one program have mapped (torch's
    libraries, weights) the most that one of them has. Elsewhere, and on Linux before 5.9, all counts in each of them.

    Args:
        more_than: MB that are of no interest: what is surely no more than that is not worked out, and 0.
    """
    running, total = processes(notebook_client), 0
    for process in running:
        with contextlib.suppress(psutil.Error):
            total += process.memory_info().rss
    if total // 2**20 <= more_than:
        return 0
    return (total if len(running) == 1 else shared_once(running) or total) // 2**20


def shared_once(running: Sequence[psutil.Process]) -> int:
    """Resident bytes of processes, with what they share counted once (see ``memory_mb``); 0 where that is not told."""
    own, mapped = 0, {}
    for process in running:
        with contextlib.suppress(psutil.Error, OSError):
            program, kinds = process.exe(), rollup(process.pid)
            if "Pss_Anon" not in kinds:
                return 0
            own += kinds["Pss_Anon"] + kinds["Pss_Shmem"]
            mapped[program] = max(mapped.get(program, 0), kinds["Rss"] - kinds["Anonymous"])
    return own + sum(mapped.values())


def rollup(pid: int) -> dict[str, int]:
    """Linux's sums over what a process has mapped, by kind, in bytes; working them out takes 10 ms a GB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii", errors="replace").splitlines()[1:]
    return {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}


def _runs(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _tell(family: Mapping[int, psutil.Process], kill: bool) -> bool:
    """Ask these processes to end, or end them; whether one of them still ran."""
    left = [process for process in list(family.values()) if _runs(process)]
    for process in left:
        with contextlib.suppress(psutil.Error):
            process.kill() if kill else process.terminate()
    return bool(left)


def _end(notebook_client: NotebookClient, thread: threading.Thread) -> None:
    """End the kernel and what it started: they are asked to go, and killed after ``GRACE`` seconds."""
    began = time.monotonic()
    family: dict[int, psutil.Process] = {}
    try:
        while time.monotonic() - began < 5 * GRACE:
            family |= {process.pid: process for process in processes(notebook_client)}  # it may only just have started
            left = _tell(family, kill=time.monotonic() - began > GRACE)
            if not left and not thread.is_alive():
                return
            thread.join(0.1)
    finally:
        _tell(family, kill=True)  # also where a second Ctrl-C asks for haste


def oom_kills() -> dict[str, int]:
    """How many processes Linux has killed for lack of memory, as far as it tells.

    Returns:
        "machine": of the whole machine, since it started. "group": of the cgroup (a container, a scheduler's job) that
        this process and its kernels are in. What cannot be read is left out, on other systems all of it.
    """
    counts = {"machine": _count(Path("/proc/vmstat"))}
    try:
        groups = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        groups = []
    root = Path("/sys/fs/cgroup")
    for line in groups:
        _, controllers, path = line.split(":", 2)
        if not controllers:  # version 2
            places = [root / path.lstrip("/") / "memory.events"]
        elif "memory" in controllers.split(","):
            places = [root / "memory" / path.lstrip("/") / "memory.oom_control", root / "memory" / "memory.oom_control"]
        else:
            continue
        found = (_count(place) for place in places)
        counts.setdefault("group", next((count for count in found if count is not None), None))
        if counts["group"] is None:
            del counts["group"]
    return {name: count for name, count in counts.items() if count is not None}


def _count(file: Path) -> int | None:
    """The number beside ``oom_kill`` in one of Linux's tables."""
    with contextlib.suppress(OSError, ValueError):
        for line in file.read_text(encoding="utf-8").splitlines():
            name, _, number = line.partition(" ")
            if name == "oom_kill":
                return int(number)
    return None


def how_it_ended(status: int | None, before: Mapping[str, int], after: Mapping[str, int]) -> str:
    """What is known of a kernel that is no more: "the kernel ...".

    Args:
        status: of its process, as ``subprocess`` has it: less than 0, a signal ended it; None, not known.
        before: ``oom_kills`` when it was started.
        after: ``oom_kills`` when it had ended.
    """
    if status is None:
        return "the kernel died; its exit status is not known"
    if status >= 0:
        said = f"{status:#010x}" if status > 255 else f"{status}"  # Windows' own statuses are known by their hex
        return f"the kernel ended by itself, with exit status {said}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    if name in ("SIGSEGV", "SIGBUS", "SIGABRT", "SIGILL", "SIGFPE", "SIGSYS", "SIGTRAP"):
        return f"the kernel crashed ({name})"
    if name == "SIGXCPU":
        return "the kernel used up the processor time it is allowed (SIGXCPU; ulimit -t)"
    if name != "SIGKILL":
        return f"the kernel was ended by {name}, which another program or a cell sent it"
    risen = {place: after[place] - before[place] for place in before if place in after}
    if risen.get("group", 0) > 0:
        return "the kernel was killed because memory ran out (SIGKILL, and Linux counted a kill for lack of memory)"
    if "group" not in risen and risen.get("machine", 0) > 0:
        return (
            f"the kernel was killed, most likely because memory ran out (SIGKILL, and meanwhile Linux killed "
            f"{risen['machine']} process(es) for lack of memory)"
        )
    if risen:
        return (
            "the kernel was killed by SIGKILL, which another program or a cell sent it: Linux counted no kill of its "
            "own for lack of memory"
        )
    return "the kernel was killed by SIGKILL; whether memory ran out or a program sent it, this system does not tell"
