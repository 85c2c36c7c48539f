from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from r2gen_lib import errors, files


def test_cache_dir_is_made_where_the_environment_says(empty_cache):
    assert files.cache_dir("pictures", "frontal") == empty_cache / "pictures" / "frontal"
    assert (empty_cache / "pictures" / "frontal").is_dir()
    assert not list((empty_cache / "pictures" / "frontal").iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="the platform's own place differs")
def test_cache_root_without_the_variable(tmp_path, monkeypatch):
    monkeypatch.delenv("R2GEN_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert files.cache_root() == tmp_path / "r2gen"


def test_cache_that_cannot_be_written_is_one_clear_error(tmp_path, monkeypatch):
    blocker = tmp_path / "file"
    blocker.write_text("not a folder")
    monkeypatch.setenv("R2GEN_CACHE", str(blocker / "cache"))
    with pytest.raises(errors.CacheError, match=r"file.cache.*cannot be written.*Set R2GEN_CACHE"):
        files.cache_dir("x")
    assert blocker.read_text() == "not a folder"


def test_atomic_write_replaces_on_success(tmp_path):
    target = tmp_path / "deep" / "report.txt"
    for text in ("first", "second"):
        with files.atomic_write(target) as temporary:
            assert temporary.parent == target.parent and temporary.suffix == target.suffix
            temporary.write_text(text)
        assert target.read_text() == text
    assert list(target.parent.iterdir()) == [target]


def test_atomic_write_leaves_nothing_half_written(tmp_path):
    target = tmp_path / "report.txt"
    target.write_text("whole")
    with pytest.raises(RuntimeError), files.atomic_write(target) as temporary:
        temporary.write_text("ha")
        raise RuntimeError
    assert target.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX modes")
def test_atomic_write_gives_ordinary_permissions(tmp_path):
    with files.atomic_write(tmp_path / "a") as temporary:
        temporary.write_text("")
    umask = os.umask(0)
    os.umask(umask)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o666 & ~umask


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX modes")
def test_a_file_that_is_replaced_keeps_its_permissions(tmp_path):
    target = tmp_path / "private.txt"
    target.write_text("old")
    target.chmod(0o600)
    with files.atomic_write(target) as temporary:
        assert temporary.stat().st_mode & 0o077 == 0  # not even while it is written
        temporary.write_text("new")
    assert target.stat().st_mode & 0o777 == 0o600 and target.read_text() == "new"


def test_the_processes_umask_is_never_touched(tmp_path, monkeypatch):
    """It is everyone's: another thread's file would come out open to all."""

    def refuse(mask):
        raise AssertionError("umask was set")

    monkeypatch.setattr(os, "umask", refuse)
    with files.atomic_write(tmp_path / "a") as temporary:
        temporary.write_text("x")
    plain = tmp_path / "plain"
    plain.write_text("x")
    assert (tmp_path / "a").stat().st_mode == plain.stat().st_mode


def test_a_writer_may_put_a_file_of_its_own_in_place(tmp_path):
    with files.atomic_write(tmp_path / "a") as temporary:
        other = tmp_path / "other"
        other.write_text("x")
        if sys.platform != "win32":
            other.chmod(0o600)
        os.replace(other, temporary)
    (tmp_path / "plain").write_text("x")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.fixture(params=[0o022, 0o077], ids=["022", "077"])
def umask(request):
    earlier = os.umask(request.param)
    yield request.param
    os.umask(earlier)


def permissions(path):
    return path.stat().st_mode & 0o777


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX modes")
def test_a_new_folder_and_its_files_are_as_private_as_the_umask_asks(tmp_path, umask):
    folder = files.new_folder(tmp_path / "whole")
    (folder / "inner").mkdir()
    for name in ("closed", "open", "inner/closed"):
        (folder / name).write_text("x")
        (folder / name).chmod(0o666 if name == "open" else 0o600)
    files.usual_permissions(folder)
    assert permissions(folder) == 0o777 & ~umask
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert found == {"closed", "open", "inner/closed"}
    assert {permissions(folder / name) for name in found} == {0o666 & ~umask}


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX modes")
def test_a_folder_that_will_replace_another_has_its_permissions(tmp_path):
    (tmp_path / "whole").mkdir()
    (tmp_path / "whole").chmod(0o700)
    assert permissions(files.new_folder(tmp_path / "whole")) == 0o700
    (tmp_path / "whole").chmod(0o555)
    assert permissions(files.new_folder(tmp_path / "whole")) == 0o755  # or nothing could be written to it


def test_sha256(tmp_path):
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    assert files.sha256_of(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_the_first_of_a_long_list_are_shown_and_that_there_are_more():
    ids = [f"CXR{n}" for n in range(7)]
    assert errors.shown(ids[:5]) == "CXR0, CXR1, CXR2, CXR3, CXR4"
    assert errors.shown(ids) == "CXR0, CXR1, CXR2, CXR3, CXR4, ..."
    assert errors.shown(ids, 2, " and {more} of {all}", errors.BRACKETS) == " (CXR0, CXR1 and 5 of 7)"
    assert errors.shown([], frame=errors.BRACKETS) == "" and errors.shown({3: "a"}) == "3"


def test_every_error_is_an_r2gen_error():
    named = [value for value in vars(errors).values() if isinstance(value, type)]
    assert len(named) >= 8 and all(issubclass(error, errors.R2GenError) for error in named)
    assert issubclass(errors.ImageError, errors.DataError)


def test_no_module_writes_beside_the_code():
    root = Path(files.__file__).parent
    assert not list(root.rglob("*.tmp"))
