from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from r2gen_lib.data.images import cache as picture_cache
from r2gen_lib.data.images.cache import PictureCache
from r2gen_lib.data.images.decode import load_grey
from r2gen_lib.data.images.preprocess import to_square
from r2gen_lib.errors import CacheError, ImageError

SIDE = 16


def write(path, seed: int, old: bool = True):
    """A PNG file of noise; ``old``: written an hour ago, as a data set's files were."""
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (30, 20), dtype=np.uint8)).save(path)
    if old:
        os.utime(path, (time.time() - 3600, time.time() - 3600))
    return path


@pytest.fixture
def cache(tmp_path) -> PictureCache:
    return PictureCache(SIDE, folder=tmp_path / "cache")


@pytest.fixture
def decoded(monkeypatch) -> list[str]:
    """The names of the files that were decoded."""
    names = []

    def counted(content, path):
        names.append(os.path.basename(path))
        return original(content, path)

    original = picture_cache.decode_grey
    monkeypatch.setattr(picture_cache, "decode_grey", counted)
    return names


@pytest.fixture
def read(monkeypatch) -> list[str]:
    """The names of the files whose bytes were read."""
    names = []

    def counted(path):
        names.append(os.path.basename(path))
        return original(path)

    original = picture_cache.read_picture_file
    monkeypatch.setattr(picture_cache, "read_picture_file", counted)
    return names


def expected(path, fit: str = "pad") -> np.ndarray:
    return to_square(load_grey(path), SIDE, fit)


def files(cache):
    """The cache's files, each once, whatever names it has."""
    found = {path.stat().st_ino: path for path in sorted(cache.folder.rglob("*")) if path.is_file()}
    return sorted(found.values())


def size(cache) -> int:
    return sum(file.stat().st_size for file in files(cache))


def test_pictures_come_back_to_the_bit_and_are_decoded_and_read_once(tmp_path, cache, decoded, read):
    paths = [write(tmp_path / f"{n}.png", n) for n in range(5)]
    for _ in range(3):
        for path in paths:
            square = cache.load(path)
            assert square.dtype == np.uint8 and square.flags.writeable
            np.testing.assert_array_equal(square, expected(path))
    assert decoded == read == [path.name for path in paths]
    again = PictureCache(SIDE, folder=tmp_path / "cache")  # another run
    for path in reversed(paths):
        np.testing.assert_array_equal(again.load(str(path)), expected(path))
    assert len(decoded) == len(read) == 5


def test_the_same_content_elsewhere_is_not_decoded_again(tmp_path, cache, decoded):
    path = write(tmp_path / "a.png", 0)
    cache.load(path)
    kept = size(cache)
    path.rename(tmp_path / "b.png")
    for _ in range(2):
        np.testing.assert_array_equal(cache.load(tmp_path / "b.png"), expected(tmp_path / "b.png"))
    assert decoded == ["a.png"] and size(cache) == kept


@pytest.mark.parametrize("old", [True, False])
def test_a_changed_file_is_decoded_again(tmp_path, cache, old):
    path = tmp_path / "a.png"
    for seed in range(4):  # of the same name and size; if new, perhaps of the same time
        write(path, seed, old)
        np.testing.assert_array_equal(cache.load(path), expected(path))


def test_a_file_that_was_just_written_is_read_again_but_not_decoded(tmp_path, cache, decoded, read):
    path = write(tmp_path / "a.png", 0, old=False)
    cache.load(path), cache.load(path)
    assert decoded == ["a.png"] and read == ["a.png", "a.png"]


def test_each_preprocessing_has_its_own_entries(tmp_path, cache):
    path = write(tmp_path / "a.png", 0)
    cropped, larger = PictureCache(SIDE, "crop", tmp_path / "cache"), PictureCache(20, folder=tmp_path / "cache")
    for _ in range(2):
        np.testing.assert_array_equal(cache.load(path), expected(path))
        np.testing.assert_array_equal(cropped.load(path), expected(path, "crop"))
        assert larger.load(path).shape == (20, 20)
    with pytest.raises(ImageError, match="fit: found 'squeeze'"):
        PictureCache(SIDE, "squeeze", tmp_path)


def test_the_default_place_is_the_cache(empty_cache):
    assert empty_cache in PictureCache().folder.parents


def damage_a_pixel(cache):
    content = bytearray(files(cache)[1].read_bytes())
    content[3] ^= 1
    files(cache)[1].write_bytes(content)


def damage_the_checksums(cache):
    for file in files(cache):
        file.write_bytes(file.read_bytes()[:-1] + b"?")


def cut_the_pixels(cache):
    os.truncate(files(cache)[1], SIDE * SIDE - 5)


def lengthen(cache):
    for file in files(cache):
        file.write_bytes(file.read_bytes() + b"x")


def empty_all(cache):
    for file in files(cache):
        file.write_bytes(b"")


def spoil_one(cache):
    files(cache)[1].write_bytes(b"no picture at all" * 100)


def remove_one(cache):
    files(cache)[1].unlink()


def remove_all(cache):
    shutil.rmtree(cache.folder)


@pytest.mark.parametrize(
    "damage",
    [
        damage_a_pixel,
        damage_the_checksums,
        cut_the_pixels,
        lengthen,
        empty_all,
        spoil_one,
        remove_one,
        remove_all,
    ],
)
@pytest.mark.parametrize("same_run", [True, False])
def test_what_is_damaged_is_made_again(tmp_path, cache, decoded, damage, same_run):
    paths = [write(tmp_path / f"{n}.png", n) for n in range(3)]
    for path in paths:
        cache.load(path)
    damage(cache)
    if not same_run:
        cache = PictureCache(SIDE, folder=tmp_path / "cache")
    for _ in range(3):
        for path in paths:
            np.testing.assert_array_equal(cache.load(path), expected(path))
    assert len(decoded) <= 6  # repaired once, not at every use
    assert damage is remove_one or len(decoded) > 3


def test_threads_share_it(tmp_path, cache, decoded):
    paths = [write(tmp_path / f"{n}.png", n) for n in range(12)]
    with ThreadPoolExecutor(3) as pool:
        for _ in range(2):
            for path, square in zip(paths, pool.map(cache.load, paths), strict=True):
                np.testing.assert_array_equal(square, expected(path))
    assert len(decoded) == 12


def test_a_bad_picture_is_an_error_each_time_and_is_not_kept(tmp_path, cache):
    path = tmp_path / "bad.png"
    path.write_bytes(b"not a picture")
    for _ in range(2):
        with pytest.raises(ImageError, match="bad.png: found 13 bytes"):
            cache.load(path)
    with pytest.raises(ImageError, match="none.png: found no file"):
        cache.load(tmp_path / "none.png")
    write(path, 0)
    np.testing.assert_array_equal(cache.load(path), expected(path))


def test_a_place_that_cannot_be_written_is_one_error(tmp_path, cache, monkeypatch):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(CacheError, match="cannot be written .*R2GEN_CACHE"):
        PictureCache(SIDE, folder=tmp_path / "file")
    cache.folder.rmdir()
    cache.folder.write_bytes(b"")
    with pytest.raises(CacheError, match="cannot be written .*Make room"):
        cache.load(write(tmp_path / "a.png", 0))


def test_a_full_disk_leaves_nothing_half_entered(tmp_path, cache, decoded, monkeypatch):
    path = write(tmp_path / "a.png", 0)
    real = Path.write_bytes

    def full(file, content):
        real(file, content[:7])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(CacheError, match="No space left"):
        cache.load(path)
    monkeypatch.undo()
    assert files(cache) == []
    for _ in range(2):
        np.testing.assert_array_equal(cache.load(path), expected(path))


_WORKER = """
import sys
from pathlib import Path
from r2gen_lib.data.images.cache import PictureCache

folder, order = Path(sys.argv[1]), int(sys.argv[2])
cache = PictureCache(16, folder=folder / "cache")
for _ in range(2):
    for path in sorted(folder.glob("*.png"))[::order]:
        cache.load(path)
"""


def test_two_processes_fill_one_cache(tmp_path, cache, decoded):
    paths = [write(tmp_path / f"{n}.png", n) for n in range(40)]
    command = [sys.executable, "-c", _WORKER, str(tmp_path)]
    workers = [subprocess.Popen([*command, order], stderr=subprocess.PIPE, text=True) for order in ("1", "-1")]
    for worker in workers:
        assert worker.communicate(timeout=120)[1] == "" and worker.returncode == 0
    for path in paths:
        np.testing.assert_array_equal(cache.load(path), expected(path))
    assert not decoded
    names = [name for name in cache.folder.rglob("*") if name.is_file()]
    assert len(names) == 80 and size(cache) == 40 * (SIDE * SIDE + 4)  # by content and by file, kept once


def test_a_disk_without_second_names_for_a_file(tmp_path, cache, decoded, read, monkeypatch):
    def refuse(*names):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    path = write(tmp_path / "a.png", 0)
    for _ in range(2):
        np.testing.assert_array_equal(cache.load(path), expected(path))
    assert decoded == read == ["a.png"] and len(files(cache)) == 2


def test_it_can_be_sent_to_another_process(tmp_path, cache):
    path = write(tmp_path / "a.png", 0)
    cache.load(path)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(cache)).load(path), expected(path))
