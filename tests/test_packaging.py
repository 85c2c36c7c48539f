"""The files around the code: what is declared, pinned and kept agree with what is used."""

from __future__ import annotations

import ast
import importlib.metadata
import itertools
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import r2gen_lib

ROOT = Path(r2gen_lib.__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NAME = re.compile(r"[A-Za-z0-9._-]+")


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", NAME.match(name).group()).lower()


def _declared() -> dict[str, str]:
    lines = [*PROJECT["dependencies"], *itertools.chain(*PROJECT["optional-dependencies"].values())]
    return {_normal(line): line for line in lines}


def _imported() -> set[str]:
    """Top-level packages that r2gen_lib imports, less its own and Python's."""
    found = set()
    for path in (ROOT / "r2gen_lib").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names) - {"r2gen_lib"}


def test_every_import_is_declared():
    distributions = importlib.metadata.packages_distributions()
    needed = {package: {_normal(name) for name in distributions.get(package, [package])} for package in _imported()}
    undeclared = {package for package, names in needed.items() if not names & set(_declared())}
    assert not undeclared


def test_dependencies_have_lower_bounds_only():
    assert all(re.fullmatch(r"[A-Za-z0-9-]+>=[0-9.]+", line) for line in _declared().values())


def test_constraints_pin_every_dependency_exactly():
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+]+", line) for line in lines)
    assert set(_declared()) <= {_normal(line) for line in lines}


def test_a_wheel_carries_data(tmp_path):
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {"r2gen_lib/_data/openi_split.csv", "r2gen_lib/_data/assets.txt", "r2gen_lib/cli.py"} <= set(names)
    templates = {path.name for path in (ROOT / "r2gen_lib" / "evaluation" / "page" / "templates").iterdir()}
    assert templates and {f"r2gen_lib/evaluation/page/templates/{name}" for name in templates} <= set(names)
    carried = {name.split("/")[0] for name in names}
    assert carried == {"r2gen_lib", f"r2gen_course-{r2gen_lib.__version__}.dist-info"}


def test_public_names_are_lazy_and_complete():
    code = "import sys, r2gen_lib; print('torch' in sys.modules, sorted(dir(r2gen_lib)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("False")
    for name in ("load_studies", "R2GenGPT", "train", "score_reports", "PRESETS", "PROFILES"):
        assert f"'{name}'" in done.stdout
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = r2gen_lib.nothing


def test_public_names_lead_somewhere():
    for name in r2gen_lib.__all__:
        assert getattr(r2gen_lib, name) is not None


@pytest.mark.skipif(shutil.which("make") is None, reason="no make")
@pytest.mark.parametrize("python", ["no-such-python", "false"])
def test_make_says_when_there_is_no_python(tmp_path, python):
    shutil.copy(ROOT / "Makefile", tmp_path)
    done = subprocess.run(["make", f"PYTHON={python}", "run"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0
    assert f"error: no Python 3.11 or newer among: {python}" in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_the_weekly_job_takes_the_newest_and_gates_nothing():
    weekly = (ROOT / ".github" / "workflows" / "newest.yml").read_text()
    assert "schedule:" in weekly and "continue-on-error: true" in weekly
    assert not re.search(r"pull_request|push:|constraints\.txt", weekly)
    extras = re.search(r"\.\[([a-z,]+)\]", weekly)[1].split(",")
    assert set(extras) <= set(PROJECT["optional-dependencies"])


@pytest.mark.skipif(shutil.which("make") is None, reason="no make")
@pytest.mark.parametrize("goal", ["test", "site", "demo", "run"])
def test_make_installs_the_pages_packages_too_so_that_their_tests_run(goal):
    planned = subprocess.run(["make", "-n", "-B", goal], cwd=ROOT, capture_output=True, text=True).stdout
    (line,) = (line for line in planned.splitlines() if "install -c constraints.txt -e" in line)
    extras = re.search(r"-e '\.\[(.*)\]'", line)[1].split(",")
    assert {"notebooks", "test", "java", "dicom", "demo", "site"} == set(extras)
