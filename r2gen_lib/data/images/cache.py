"""Pictures decoded and made square once: later epochs read uint8 from one memory-mapped file.

A folder for each preprocessing holds ``pixels.u8``, to which squares are appended, and ``index.sqlite``, which says
where each one begins. An entry is found by its file's content (SHA-256), or, so that the file need not be read again,
by its path, size and times. Entries have a checksum: a damaged one is made again, and so is one whose file changed.
SQLite's write lock lets one process append at a time, so workers and runs may share a cache.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import threading
import time
import zlib
from collections.abc import Sequence
from mmap import ACCESS_READ, mmap
from pathlib import Path

import numpy as np

from r2gen_lib.data.images.decode import decode_grey, read_picture_file
from r2gen_lib.data.images.preprocess import check_fit, to_square
from r2gen_lib.errors import CacheError
from r2gen_lib.files import cache_dir

_VERSION = 2  # raise it when decoding or resizing gives other values
_TABLE = (
    "CREATE TABLE IF NOT EXISTS pictures "
    "(key BLOB PRIMARY KEY, start INTEGER NOT NULL, crc INTEGER NOT NULL) WITHOUT ROWID"
)
_SETTLED_S = 2.0  # a file younger than this may change again without its time changing (FAT counts in 2 s)


class PictureCache:
    """Picture files as uint8 ``(S, S)`` squares, each decoded once. ``S * S`` bytes a picture, 50 kB at 224.

    It may be passed to worker processes, however they are started, and used by several threads.

    Args:
        image_size: side ``S`` in pixels.
        fit: ``"pad"`` or ``"crop"``, as ``images.to_square``.
        folder: where to keep it; by default a folder of this preprocessing in the cache (``R2GEN_CACHE``).

    Raises:
        ImageError: an unknown ``fit``.
        CacheError: the folder cannot be written.
    """

    def __init__(self, image_size: int = 224, fit: str = "pad", folder: str | Path | None = None) -> None:
        self._connections: dict[tuple[int, int], sqlite3.Connection] = {}
        check_fit(fit)
        self.image_size, self.fit = image_size, fit
        name = f"v{_VERSION}_{fit}_{image_size}"
        self.folder = cache_dir("pictures", name) if folder is None else Path(folder) / name
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unusable(error) from error
        self._pixels, self._index = self.folder / "pixels.u8", self.folder / "index.sqlite"

    def load(self, path: str | Path) -> np.ndarray:
        """A picture file as ``to_square(load_grey(path), image_size, fit)`` gives it, uint8 ``(S, S)``.

        Raises:
            ImageError: the file cannot be read (and is not in the cache); it is tried again the next time.
            CacheError: the cache cannot be written.
        """
        stamp = _stamp(path)
        if stamp and (found := self._find(stamp)):
            return found[0]
        content = read_picture_file(path)
        key = hashlib.sha256(content).digest()
        if found := self._find(key):
            square, place = found
            if stamp:
                self._enter([stamp], square, place)  # the same picture under another name, or touched
            return square
        square = to_square(decode_grey(content, path), self.image_size, self.fit)
        self._enter([key, stamp] if stamp else [key], square)
        return square

    def _find(self, key: bytes) -> tuple[np.ndarray, int] | None:
        """A square and where it begins; None if it isn't there or is damaged."""
        try:
            rows = self._connection().execute("SELECT start, crc FROM pictures WHERE key = ?", (key,)).fetchall()
        except sqlite3.OperationalError:  # no table yet, or locked for long
            return None
        except sqlite3.DatabaseError:
            self._start_anew()
            return None
        for start, crc in rows:
            content = self._read(start)
            if zlib.crc32(content) == crc:
                return np.frombuffer(content, np.uint8).reshape(self.image_size, self.image_size).copy(), start
        return None

    def _read(self, start: int) -> bytes:
        """The bytes of a square; of a file that is gone or too short, what there is of them."""
        try:
            with open(self._pixels, "rb") as pixels, mmap(pixels.fileno(), 0, access=ACCESS_READ) as mapped:
                return mapped[start : start + self.image_size**2]
        except (OSError, ValueError):  # mmap raises ValueError for an empty file
            return b""

    def _enter(self, keys: Sequence[bytes], square: np.ndarray, start: int | None = None) -> None:
        """Note where a square is, for each of its keys; without ``start`` it is appended first."""
        try:
            with self._connection() as index:  # commits at the end, or takes all of it back
                index.execute("BEGIN IMMEDIATE")
                index.execute(_TABLE)
                if start is None:
                    with open(self._pixels, "ab") as pixels:
                        start = pixels.tell()
                        pixels.write(square.tobytes())
                rows = [(key, start, zlib.crc32(square)) for key in keys]
                index.executemany("INSERT OR REPLACE INTO pictures VALUES (?, ?, ?)", rows)
        except (OSError, sqlite3.OperationalError) as error:
            raise self._unusable(error) from error
        except sqlite3.DatabaseError:
            self._start_anew()

    def _connection(self) -> sqlite3.Connection:
        """The index, opened by this process and thread: SQLite's connections must not be carried over a fork."""
        owner = os.getpid(), threading.get_ident()
        if owner not in self._connections:
            # autocommit: transactions are begun by hand
            index = sqlite3.connect(self._index, timeout=60, isolation_level=None, check_same_thread=False)
            index.execute("PRAGMA synchronous = OFF")  # what a power cut spoils is recognised and made again
            self._connections[owner] = index
        return self._connections[owner]

    def _close(self) -> None:
        for pid, thread in list(self._connections):
            if pid == os.getpid():
                self._connections.pop((pid, thread)).close()

    __del__ = _close

    def __getstate__(self) -> dict:
        return vars(self) | {"_connections": {}}

    def _start_anew(self) -> None:
        """Remove a damaged index, and the pixels that nothing knows the places of any more."""
        self._close()
        try:
            for path in (self._index, Path(f"{self._index}-journal"), self._pixels):
                path.unlink(missing_ok=True)
        except OSError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> CacheError:
        return CacheError(
            f"picture cache {self.folder}: cannot be written ({error}). Make room there, remove the folder, "
            "or set R2GEN_CACHE to a folder you may write to."
        )


def _stamp(path: str | Path) -> bytes | None:
    """A digest of a file's path, size and times, without reading it; None if it is missing or was just written."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    if time.time() - status.st_mtime < _SETTLED_S:
        return None
    parts = (os.path.abspath(path), status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return hashlib.sha256(repr(parts).encode()).digest()
