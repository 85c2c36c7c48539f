from __future__ import annotations

import pytest

from r2gen_lib.data.readers.safe_paths import inside
from r2gen_lib.errors import DataError


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "images"
    (folder / "CXR1").mkdir(parents=True)
    (folder / "CXR1" / "0.png").write_bytes(b"pixels")
    (tmp_path / "secret.png").write_bytes(b"not yours")
    return folder


def link(at, to):
    try:
        at.symlink_to(to)
    except OSError:
        pytest.skip("links cannot be made here")


@pytest.mark.parametrize("relative", ["CXR1/0.png", "CXR1\\0.png", "./CXR1//0.png"])
def test_a_path_below_the_folder_is_that_file(root, relative):
    assert inside(root, relative, "line 2").read_bytes() == b"pixels"


def test_the_file_need_not_exist_and_dots_in_names_are_no_parents(root):
    assert inside(root, "p10/s..1/a..png", "line 2") == root / "p10" / "s..1" / "a..png"
    assert inside(root / "not there", "a.png", "line 2") == root / "not there" / "a.png"


@pytest.mark.parametrize(
    ("relative", "why"),
    [
        ("", "is empty"),
        ("  ", "is empty"),
        (".", "is empty"),
        ("/etc/passwd", "is absolute"),
        ("\\\\server\\share\\a.png", "is absolute"),
        ("C:\\Users\\a.png", "is absolute"),
        ("c:a.png", "is absolute"),
        ("../secret.png", "climbs"),
        ("CXR1/../../secret.png", "climbs"),
        ("CXR1\\..\\..\\secret.png", "climbs"),
        ("CXR1/..", "climbs"),
        ("a\0.png", "cannot be a file name"),
        ("a\ud800.png", "cannot be a file name"),
        (None, "is of type NoneType, not a text"),
        (["a.png"], "is of type list, not a text"),
    ],
)
def test_other_paths_are_refused_with_place_path_and_advice(root, relative, why):
    with pytest.raises(DataError, match=why) as error:
        inside(root, relative, "train[3] (CXR1)")
    message = str(error.value)
    assert message.startswith("train[3] (CXR1): the path ") and f"expected a path below {root}" in message
    message.encode()


def test_a_link_to_a_file_outside_is_refused(root):
    link(root / "CXR1" / "1.png", root.parent / "secret.png")
    with pytest.raises(DataError, match="is a link, or lies below one, that leaves it"):
        inside(root, "CXR1/1.png", "line 2")


def test_a_file_below_a_folder_that_is_a_link_outside_is_refused(root):
    link(root / "CXR2", root.parent)
    with pytest.raises(DataError, match="is a link, or lies below one"):
        inside(root, "CXR2/secret.png", "line 2")


def test_links_within_the_folder_and_a_folder_that_is_a_link_are_fine(root):
    link(root / "CXR3", root / "CXR1")
    link(root.parent / "pictures", root)
    assert inside(root, "CXR3/0.png", "line 2").read_bytes() == b"pixels"
    assert inside(root.parent / "pictures", "CXR3/0.png", "line 2").read_bytes() == b"pixels"


def test_a_circle_of_links_is_no_crash(root):
    link(root / "a", root / "b")
    link(root / "b", root / "a")
    assert inside(root, "a/0.png", "line 2") == root / "a" / "0.png"


def test_a_relative_root_works(root, monkeypatch):
    monkeypatch.chdir(root.parent)
    assert inside("images", "CXR1/0.png", "line 2").read_bytes() == b"pixels"
    link(root / "out.png", root.parent / "secret.png")
    with pytest.raises(DataError, match="is a link"):
        inside("images", "out.png", "line 2")
