"""Do the sentences that notebooks assert hold on other machines? In fp32 and bf16, with one thread and with two.

Each notebook is executed once a setting, in a kernel of its own, and every `assert` in it has to hold. Which dtype a
machine takes by itself is read from its processor; here it is set. 00, 05 and 05b in all four settings take about 15
minutes on two cores, too long for the tests, so the weekly workflow runs it (`.github/workflows/newest.yml`).

    python benchmarks/same_verdicts.py --notebooks 00 05 --profile ci
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import tempfile
from pathlib import Path

from nbclient.exceptions import CellExecutionError

from r2gen_lib.course import jupyter_kernel as kernel
from r2gen_lib.course import notebook_files
from r2gen_lib.course.run import find_notebooks

#: What goes before a notebook's first cell: the course takes this dtype as if the processor had asked for it.
FORCED = """\
from r2gen_lib.model import llm  # before torch, whose threads it calms

import torch

torch.set_num_threads({threads})
llm.bf16_instructions = lambda: ("set here",) * {bf16}
"""


def main() -> int:
    """Execute, print a line a notebook and setting; 1 if a cell failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--notebooks", nargs="+", default=["00", "05"], help="names that begin so (05: 05b too)")
    parser.add_argument("--profile", default="ci", choices=("ci", "laptop"))
    args = parser.parse_args()
    failed = 0
    for path in find_notebooks(args.notebooks):
        for bf16, threads in itertools.product((False, True), (1, 2)):
            said = _run(path, bf16, threads, args.profile)
            failed += bool(said)
            print(f"{path.stem:24s}{'bf16' if bf16 else 'fp32'}, {threads} threads: {said or 'all hold'}", flush=True)
    return int(failed > 0)


def _run(path: Path, bf16: bool, threads: int, profile: str) -> str:
    """What failed, in a line; "" where every cell went through."""
    notebook = notebook_files.read_notebook(path)
    first = next(cell for cell in notebook.cells if cell.id == "setup")
    first.source = FORCED.format(threads=threads, bf16=bf16) + "\n" + first.source
    client = kernel.client(notebook, timeout=1800, resources={"metadata": {"path": str(path.parent)}})
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "R2GEN_PROFILE": profile, "R2GEN_RUN_DIR": folder, "OMP_NUM_THREADS": str(threads)}
        with (Path(folder) / "log").open("w") as log:
            try:
                kernel.execute(client, env=environment, stdout=log, stderr=log)
            except CellExecutionError as error:
                return f"{error.ename}: {error.evalue or str(error).strip().splitlines()[-2]}"
    return ""


if __name__ == "__main__":
    sys.exit(main())
