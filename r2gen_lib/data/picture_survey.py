"""Whether the pictures of a data set are there, open, show anything, and are all different."""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from multiprocessing.pool import ThreadPool
from pathlib import Path

from tqdm import tqdm

from r2gen_lib.data.study import Picture, Study
from r2gen_lib.errors import DataError
from r2gen_lib.files import atomic_write

THREADS = 2


@dataclass(frozen=True)
class BadPicture:
    """A picture that cannot be learnt from. ``fault`` is "missing", "unreadable" or "blank"."""

    study: str
    split: str
    view: str
    path: str
    fault: str
    detail: str

    def __str__(self) -> str:
        return f"{self.study} {self.view} ({self.path or self.detail})"


@dataclass(frozen=True)
class Survey:
    """What was seen.

    Attributes:
        files: pictures that come from files (or loaders of real pictures), the missing ones included.
        simulated: pictures that the simulator draws; they are not looked at.
        opened: whether the files were opened, or only seen to be there.
        bad: the pictures at fault, in the order of the studies.
        copies: the studies of each picture that occurs more than once, as their places in the list of studies.
    """

    files: int
    simulated: int
    opened: bool
    bad: tuple[BadPicture, ...]
    copies: tuple[tuple[int, ...], ...]


def survey_pictures(studies: Sequence[Study], open_files: bool = True, progress: bool = True) -> Survey:
    """Look at every picture of the studies.

    Pictures count as copies when their decoded pixels are the same, whatever the file is called or holds besides.

    Args:
        studies: in any order.
        open_files: decode every file (on two threads); else only see that it is there.
        progress: show a progress bar, on terminals.
    """
    pictures = [(i, picture) for i, study in enumerate(studies) for picture in study.pictures]
    real = [(i, picture) for i, picture in pictures if not picture.simulated]
    bad, places = [], {}
    for (i, picture), (digest, fault, detail) in zip(real, _looks(real, open_files, progress), strict=True):
        if fault:
            path = str(picture.path or "")
            bad.append(BadPicture(studies[i].id, studies[i].split, picture.view, path, fault, detail))
        elif digest:
            places.setdefault(digest, []).append(i)
    copies = tuple(tuple(found) for found in places.values() if len(found) > 1)
    return Survey(len(real), len(pictures) - len(real), open_files, tuple(bad), copies)


def write_bad_pictures(bad: Iterable[BadPicture], path: str | Path) -> None:
    """The pictures at fault as a CSV with the columns study, split, view, path, fault, detail.

    Raises:
        DataError: the file cannot be written.
    """
    try:
        with atomic_write(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(field.name for field in fields(BadPicture))
            writer.writerows(map(astuple, bad))
    except OSError as error:
        raise DataError(f"{path}: the list of bad pictures cannot be written ({error}). Give another path.") from error


def _looks(real: Sequence[tuple[int, Picture]], open_files: bool, progress: bool) -> Iterable[tuple[str, str, str]]:
    """(digest, fault, detail) of each picture, in order."""
    if not open_files:
        yield from (_presence(picture) for _, picture in real)
        return
    with (
        ThreadPool(min(THREADS, os.cpu_count() or 1)) as pool,
        tqdm(
            total=len(real),
            desc="opening pictures",
            unit="picture",
            ncols=100,
            mininterval=1,
            disable=None if progress and real else True,
        ) as bar,
    ):
        for look in pool.imap(_look, (picture for _, picture in real), chunksize=8):
            bar.update()
            yield look


def _presence(picture: Picture) -> tuple[str, str, str]:
    if picture.loader is not None:
        return "", "", ""
    if picture.path is None:
        return "", "missing", "no file is named"
    if not os.path.isfile(picture.path):
        return "", "missing", "a folder" if os.path.isdir(picture.path) else "no such file"
    return "", "", ""


def _look(picture: Picture) -> tuple[str, str, str]:
    absent = _presence(picture)
    if absent[1]:
        return absent
    try:
        grey = picture.load()
    except (DataError, OSError) as error:
        return "", "unreadable", " ".join(str(error).split())
    if grey.min() == grey.max():
        return "", "blank", f"every pixel is {grey.min()}"
    return hashlib.blake2b(grey.tobytes() + str(grey.shape).encode(), digest_size=16).hexdigest(), "", ""
