"""What every picture file has to keep to, and quiet for the libraries that read it."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from r2gen_lib.errors import ImageError

#: A radiograph has up to 20 million pixels; far beyond that a file is refused before memory is spent on it.
MAX_PIXELS = 80_000_000
MAX_BYTES = 1 << 30
EXPECTED = "expected a PNG, JPEG or DICOM picture"
_ONE_AT_A_TIME = threading.Lock()


def check_size(width: int, height: int, path: Path) -> None:
    """Raise ImageError unless a picture has 1 to ``MAX_PIXELS`` pixels."""
    if not 0 < width * height <= MAX_PIXELS:
        raise ImageError(
            f"{path}: found {width:,} x {height:,} pixels, {EXPECTED} of at most {MAX_PIXELS:,} pixels. "
            "Scale it down first."
        )


@contextmanager
def quiet() -> Iterator[None]:
    """Without warnings, of which libraries have many for damaged files; one thread at a time, as filters are shared."""
    with _ONE_AT_A_TIME, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
