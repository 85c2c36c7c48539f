from __future__ import annotations

import os
import pickle
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

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
    kept = (cache.folder / "pixels.u8").stat().st_size
    path.rename(tmp_path / "b.png")
    for _ in range(2):
        np.testing.assert_array_equal(cache.load(tmp_path / "b.png"), expected(tmp_path / "b.png"))
    assert decoded == ["a.png"] and (cache.folder / "pixels.u8").stat().st_size == kept


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
    content = bytearray((cache.folder / "pixels.u8").read_bytes())
    content[SIDE * SIDE + 3] ^= 1
    (cache.folder / "pixels.u8").write_bytes(content)


def cut_the_pixels(cache):
    os.truncate(cache.folder / "pixels.u8", SIDE * SIDE + 5)


def remove_the_pixels(cache):
    (cache.folder / "pixels.u8").unlink()


def remove_the_index(cache):
    (cache.folder / "index.sqlite").unlink()


def empty_the_index(cache):
    (cache.folder / "index.sqlite").write_bytes(b"")


def spoil_the_index(cache):
    (cache.folder / "index.sqlite").write_bytes(b"no database at all" * 100)


def cut_the_index(cache):
    os.truncate(cache.folder / "index.sqlite", 5000)


@pytest.mark.parametrize(
    "damage",
    [
        damage_a_pixel,
        cut_the_pixels,
        remove_the_pixels,
        remove_the_index,
        empty_the_index,
        spoil_the_index,
        cut_the_index,
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
    assert same_run or len(decoded) > 3


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
    (cache.folder / "pixels.u8").mkdir()
    with pytest.raises(CacheError, match="cannot be written .*Make room"):
        cache.load(write(tmp_path / "a.png", 0))


def test_a_full_disk_leaves_nothing_half_entered(tmp_path, cache, decoded, monkeypatch):
    path = write(tmp_path / "a.png", 0)
    real = open

    class Full:
        def __init__(self, stream):
            self.stream = stream

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.stream.close()

        def tell(self):
            return self.stream.tell()

        def write(self, content):
            self.stream.write(content[:7])
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(picture_cache, "open", lambda *a: Full(real(*a)), raising=False)
    with pytest.raises(CacheError, match="No space left"):
        cache.load(path)
    monkeypatch.undo()
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
    with sqlite3.connect(cache.folder / "index.sqlite") as index:
        assert index.execute("SELECT COUNT(*) FROM pictures").fetchone() == (80,)  # by content and by file


def test_it_can_be_sent_to_another_process(tmp_path, cache):
    path = write(tmp_path / "a.png", 0)
    cache.load(path)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(cache)).load(path), expected(path))
