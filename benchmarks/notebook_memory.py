"""Where a notebook's memory goes: the peak of each code cell, in the kernel and in what it starts.

    python benchmarks/notebook_memory.py 03 05 06 [--profile laptop] [--cells 6]

Linux alone. Five times a second /proc/PID/smaps_rollup is read of the kernel and of every process that it started
(Java, processes of a launcher). In the table, in megabytes: "in all", what the processes share counted once, as
`r2gen course` does; "summed", what they share counted in each; "anonymous", what of the kernel is in no file; "files",
its libraries and mapped weights, which Linux may drop and read again; and what the others take, without the files that
they share with each other. Cells are counted from 1 over the code cells.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import tempfile
import threading
from pathlib import Path
from typing import Any

import pandas as pd
import psutil

from r2gen_lib.course import jupyter_kernel as kernel
from r2gen_lib.course.notebook_files import read_notebook
from r2gen_lib.course.run import find_notebooks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebooks", nargs="*", help="how their names start; default: all")
    parser.add_argument("--profile", default="laptop")
    parser.add_argument("--cells", type=int, default=6, help="how many cells to show of each, the largest")
    args = parser.parse_args()
    for path in find_notebooks(args.notebooks):
        table = cell_peaks(path, args.profile)
        print(f"\n{path.stem}, profile {args.profile}: MB at the peak of each cell; the largest {args.cells}")
        print(table.sort_values("in all", ascending=False).head(args.cells).to_string(), flush=True)


def cell_peaks(path: Path, profile: str) -> pd.DataFrame:
    """A row a code cell: what was resident when the sum over all processes was largest in it."""
    peaks: dict[int, dict[str, Any]] = {}
    cell, done = 0, threading.Event()

    def on_cell_execute(**_: Any) -> None:
        nonlocal cell
        cell += 1

    def watch() -> None:
        while not done.wait(0.2):
            now = memory_now(client)
            if now and now["in all"] > peaks.get(cell, {"in all": -1})["in all"]:
                peaks[cell] = now

    notebook = read_notebook(path)
    folder = {"metadata": {"path": str(path.parent)}}
    client = kernel.client(notebook, timeout=3600, resources=folder, on_cell_execute=on_cell_execute)
    watcher = threading.Thread(target=watch, daemon=True)
    with tempfile.TemporaryDirectory() as files:
        watcher.start()
        try:
            here = {"HF_HUB_OFFLINE": "1", **os.environ, "R2GEN_PROFILE": profile, "R2GEN_RUN_DIR": files}
            kernel.execute(client, env=here)
        finally:
            done.set()
            watcher.join()
    return pd.DataFrame.from_dict(peaks, orient="index").rename_axis("cell")


def memory_now(client: Any) -> dict[str, Any]:
    """Megabytes of the kernel and the processes it started; nothing while there is no kernel."""
    running, found = kernel.processes(client), []
    for process in running:
        with contextlib.suppress(psutil.Error, OSError):
            found.append((process.name(), kernel.rollup(process.pid)))
    if not found:
        return {}
    (_, own), *others = found
    return {
        "in all": kernel.shared_once(running) >> 20,
        "summed": sum(part["Rss"] for _, part in found) >> 20,
        "anonymous": own["Anonymous"] >> 20,
        "files": (own["Rss"] - own["Anonymous"]) >> 20,
        "others": ", ".join(f"{name} {part['Pss_Anon'] >> 20}" for name, part in others),
    }


if __name__ == "__main__":
    main()
