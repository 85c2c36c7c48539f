"""Does the notebooks' bootstrap leave torch and NumPy alone? The cell itself, run in an environment that has them.

    python benchmarks/colab_bootstrap.py [--numpy 2.2.6]

Makes a new environment in a temporary folder with this one's torch, torchvision and IPython (as links) and an older
NumPy, pretends to be Colab, and runs the bootstrap cell with this checkout's last commit in the place of the public
address. Prints the versions before and after; exit status 1 if one of them changed. Minutes, and half a GB of disk.

Measured on a busy core: 377 s, 49 -> 136 packages; torch 2.14.1, torchvision 0.29.1 and NumPy 2.2.6 stayed (setuptools
did not), the data wheels were intact, `load_studies` found its 2,955 studies.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from packaging.requirements import Requirement

from r2gen_lib.assets import checkout
from r2gen_lib.course.colab import KEPT, bootstrap

VERSIONS = """
import importlib.metadata, json
print(json.dumps({one.metadata["Name"]: one.version for one in importlib.metadata.distributions()}))
"""
RUN = """
import sys, types
sys.modules["google.colab"] = types.ModuleType("google.colab")
from IPython.core.interactiveshell import InteractiveShell
result = InteractiveShell.instance().run_cell(open("cell.py").read())
result.raise_error()
from r2gen_lib.assets import asset_table
print("data wheels:", {row["sha256"] for row in asset_table()})
"""


def needed(lines: list[str]) -> set[str]:
    """The distributions that these requirements need here, with the extras they ask for, themselves included."""
    found: set[str] = set()
    asked = [Requirement(line) for line in lines]
    seen: set[str] = set()
    while asked:
        one = asked.pop()
        if str(one) in seen:
            continue
        seen.add(str(one))
        found.add(re.sub(r"[-_.]+", "-", one.name).lower())
        for line in importlib.metadata.requires(one.name) or ():
            further = Requirement(line)
            if further.marker is None or any(further.marker.evaluate({"extra": e}) for e in {"", *one.extras}):
                asked.append(further)
    return found


def link(names: set[str], site: Path) -> None:
    """Link every file of the distributions into ``site``."""
    for name in names:
        for file in importlib.metadata.distribution(name).files or ():
            if file.parts[0] == ".." or "__pycache__" in file.parts:
                continue
            target = site / file
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists():
                target.symlink_to(Path(file.locate()).resolve())


def main() -> int:
    """Run it and say what happened."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--numpy", default="2.2.6", help="the NumPy that is there beforehand (default 2.2.6)")
    args = parser.parse_args()
    root = checkout()
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, check=True, capture_output=True, text=True)
    here = f"git+file://localhost{root}@{commit.stdout.strip()}"
    code = re.sub(r"git\+https://[^\"]*", here, bootstrap("owner/name"))
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        python = str(next(Path(folder).glob("bin/python")))
        site = next(Path(folder).glob("lib/python*/site-packages"))
        link(needed(["torch", "torchvision", "ipython", "pillow"]) - {"numpy", "setuptools"}, site)
        subprocess.run([python, "-m", "pip", "install", "--quiet", f"numpy=={args.numpy}"], check=True)
        alone = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        (Path(folder) / "cell.py").write_text(code, encoding="utf-8")

        def versions() -> dict[str, str]:
            done = subprocess.run([python, "-c", VERSIONS], check=True, capture_output=True, cwd=folder, env=alone)
            return json.loads(done.stdout)

        before, started = versions(), time.perf_counter()
        subprocess.run([python, "-c", RUN], check=True, cwd=folder, env=alone)
        after = versions()
        print(f"bootstrap: {time.perf_counter() - started:.0f} s, {len(before)} -> {len(after)} packages")
        for name in KEPT:
            if name in before:
                print(f"  {name}: {before[name]} -> {after.get(name)}")
        others = {name: (before[name], after.get(name)) for name in before if after.get(name) != before[name]}
        print("  changed:", others or "none of what was there")
        run = "import torch; from r2gen_lib import load_studies; print(len(load_studies('openi_sim')), 'studies')"
        subprocess.run([python, "-c", run], check=True, cwd=folder, env=alone)
    return int(any(before.get(name) != after.get(name) for name in KEPT))


if __name__ == "__main__":
    sys.exit(main())
