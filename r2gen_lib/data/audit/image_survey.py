"""Whether the pictures of a data set are there, open, show anything, and are all different."""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from multiprocessing.pool import ThreadPool
from pathlib import Path

import numpy as np
from tqdm import tqdm

from r2gen_lib.data.audit.image_content import problem_in
from r2gen_lib.data.images.decode import load_grey
from r2gen_lib.data.study import Picture, Study
from r2gen_lib.errors import DataError
from r2gen_lib.files import atomic_write

THREADS = 2


@dataclass(frozen=True)
class BadPicture:
    """A picture that cannot be learnt from, or not as it stands.

    ``problem`` is "missing", "unreadable", one of ``image_content.problem_in``'s ("blank", "faint", "noise",
    "odd_shape"), or "fallback": how it is shown is not said clearly in its file. ``detail`` says it in words.
    """

    study: str
    split: str
    view: str
    path: str
    problem: str
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
        bad: the pictures with problems, in the order of the studies; one with several problems is there several times.
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
    for (i, picture), look in zip(real, _looks(real, open_files, progress), strict=True):
        for problem, detail in look.problems:
            bad.append(BadPicture(studies[i].id, studies[i].split, picture.view, _printable(picture), problem, detail))
        if look.digest:
            places.setdefault(look.digest, []).append(i)
    copies = tuple(tuple(found) for found in places.values() if len(found) > 1)
    return Survey(len(real), len(pictures) - len(real), open_files, tuple(bad), copies)


def write_bad_pictures(bad: Iterable[BadPicture], path: str | Path) -> None:
    """The pictures with problems as a CSV with the columns study, split, view, path, problem, detail.

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


@dataclass(frozen=True)
class _Look:
    """What one picture gave: the digest of its pixels, if it shows anything, and its problems with their details."""

    digest: str = ""
    problems: tuple[tuple[str, str], ...] = ()


def _printable(picture: Picture) -> str:
    """The picture's path, ``""`` if it has none; bytes of a file name that are not UTF-8 become question marks."""
    return os.fsencode(picture.path).decode("utf-8", "replace") if picture.path else ""


def _looks(real: Sequence[tuple[int, Picture]], open_files: bool, progress: bool) -> Iterable[_Look]:
    """What each picture gave, in order."""
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


def _presence(picture: Picture) -> _Look:
    if picture.loader is not None:
        return _Look()
    if picture.path is None:
        return _Look(problems=(("missing", "no file is named"),))
    if not os.path.isfile(picture.path):
        return _Look(problems=(("missing", "a folder" if os.path.isdir(picture.path) else "no such file"),))
    return _Look()


def _look(picture: Picture) -> _Look:
    absent = _presence(picture)
    if absent.problems:
        return absent
    notes: list[str] = []
    try:
        grey = load_grey(picture.path, notes) if picture.loader is None else picture.load()
    except Exception as error:  # a loader is anybody's; what it raises would stop training as well
        kind = "" if isinstance(error, DataError) else f"{type(error).__name__}: "
        return _Look(problems=(("unreadable", " ".join(f"{kind}{error}".split())),))
    if grey.dtype != np.uint8 or grey.ndim != 2:
        return _Look(problems=(("unreadable", f"found {grey.dtype} {grey.shape}, expected uint8 (H, W)"),))
    found = problem_in(grey)
    problems = ([found] if found else []) + [("fallback", " ".join(note.split())) for note in dict.fromkeys(notes)]
    pixels = grey.tobytes() + str(grey.shape).encode()
    blank = found is not None and found[0] == "blank"  # copies of each other by chance
    return _Look("" if blank else hashlib.blake2b(pixels, digest_size=16).hexdigest(), tuple(problems))
