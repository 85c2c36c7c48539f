"""Pictures decoded and made square once: later epochs read uint8 from a small file a picture.

A folder for each preprocessing holds a file for each content (by its SHA-256). So that a picture file need not be read
again, the same is found by its path, size and times as well: a second name of one file, where the disk can do that. A
file ends with its pixels' checksum: one that is damaged is made again, and so is one whose picture file changed. Files
appear whole, so workers and runs may share a cache.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
import zlib
from pathlib import Path

import numpy as np

from r2gen_lib.data.images.decode import decode_grey, read_picture_file
from r2gen_lib.data.images.preprocess import check_fit, to_square
from r2gen_lib.errors import CacheError
from r2gen_lib.files import atomic_write, cache_dir

_LOG = logging.getLogger("r2gen_lib")
_VERSION = 3  # raise it when decoding, resizing or the files' format change
_CRC = 4  # bytes of the checksum
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
        check_fit(fit)
        self.image_size, self.fit = image_size, fit
        parent = cache_dir("pictures") if folder is None else Path(folder)
        self.folder = parent / f"v{_VERSION}_{fit}_{image_size}"
        if not self.folder.exists():
            self._tell_of_earlier(parent)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unusable(error) from error

    def load(self, path: str | Path) -> np.ndarray:
        """A picture file as ``to_square(load_grey(path), image_size, fit)`` gives it, uint8 ``(S, S)``.

        Raises:
            ImageError: the file cannot be read (and is not in the cache); it is tried again the next time.
            CacheError: the cache cannot be written.
        """
        stamp = _stamp(path)
        if stamp and (square := self._read(stamp)) is not None:
            return square
        content = read_picture_file(path)
        key = hashlib.sha256(content).hexdigest()
        square = self._read(key)
        if square is None:
            square = to_square(decode_grey(content, path), self.image_size, self.fit)
            self._write(key, square)
        if stamp:
            self._write(stamp, square, same_as=key)
        return square

    def _file(self, key: str) -> Path:
        return self.folder / key[:2] / key[2:]  # file systems are slow with a hundred thousand names in one folder

    def _read(self, key: str) -> np.ndarray | None:
        """A square; None if it isn't there or is damaged."""
        try:
            with open(self._file(key), "rb") as stream:
                content = stream.read()
        except OSError:
            return None
        pixels, checksum = content[:-_CRC], content[-_CRC:]
        if len(pixels) != self.image_size**2 or zlib.crc32(pixels).to_bytes(_CRC, "little") != checksum:
            return None
        return np.frombuffer(pixels, np.uint8).reshape(self.image_size, self.image_size).copy()

    def _write(self, key: str, square: np.ndarray, same_as: str = "") -> None:
        """Keep a square; ``same_as``: another key that it has, whose file gets this name too, to be kept once."""
        try:
            with atomic_write(self._file(key)) as temporary:
                if not (same_as and _linked(self._file(same_as), temporary)):
                    temporary.write_bytes(square.tobytes() + zlib.crc32(square).to_bytes(_CRC, "little"))
        except OSError as error:
            if self._read(key) is None:  # else another process was first: Windows replaces no file while it is read
                raise self._unusable(error) from error

    def _tell_of_earlier(self, parent: Path) -> None:
        """Say that pictures of an earlier format are decoded anew: once, as the new folder is there the next time."""
        for earlier in sorted(parent.glob(f"v*_{self.fit}_{self.image_size}")):
            _LOG.warning(
                "picture cache: pictures are decoded once more, into %s; %s, of an earlier version, is not read any "
                "more and may be removed.", self.folder, earlier,
            )  # fmt: skip

    def _unusable(self, error: Exception) -> CacheError:
        return CacheError(
            f"picture cache {self.folder}: cannot be written ({error}). Make room there, remove the folder, "
            "or set R2GEN_CACHE to a folder you may write to."
        )


def _linked(file: Path, name: Path) -> bool:
    """Give a file a second name, in place of what is there; False where the disk cannot (FAT, some network disks)."""
    try:
        name.unlink()
        os.link(file, name)
    except OSError:
        return False
    return True


def _stamp(path: str | Path) -> str:
    """A digest of a file's path, size and times, without reading it; "" if it is missing or was just written."""
    try:
        status = os.stat(path)
    except OSError:
        return ""
    if time.time() - status.st_mtime < _SETTLED_S:
        return ""
    parts = (os.path.abspath(path), status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return hashlib.sha256(repr(parts).encode()).hexdigest()
