"""Many bad entries in one file, told in one error."""

from __future__ import annotations

import reprlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from r2gen_lib.errors import DataError

#: How many bad entries an error shows; the others are counted.
SHOWN = 5

_REPR = reprlib.Repr()
_REPR.maxstring = 100
#: ``repr`` for messages: of a text no more than 100 characters, escaped where they cannot be printed.
quoted = _REPR.repr


class ErrorList:
    """Collects what is wrong with the entries of one file, so that a reader reports all of it at once.

    Only the first few messages are kept, however many there are.

    Args:
        path: the file; every error begins with it.
    """

    def __init__(self, path: str | Path) -> None:
        self.path, self.count = path, 0
        self._first: list[str] = []

    def add(self, message: str) -> None:
        """One bad entry. The message begins with its place in the file, such as ``"line 7: "``."""
        self.count += 1
        if len(self._first) < SHOWN:
            self._first.append(message)

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """A block about one entry: a DataError that it raises is collected, and reading goes on."""
        try:
            yield
        except DataError as error:
            self.add(str(error))

    def check(self) -> None:
        """See that nothing was collected.

        Raises:
            DataError: the only bad entry, or the first five and how many there are.
        """
        if self.count == 1:
            raise DataError(f"{self.path}, {self._first[0]}")
        if self.count:
            more = f"\n  and {self.count - SHOWN:,} more" if self.count > SHOWN else ""
            listed = "".join(f"\n  {message}" for message in self._first)
            raise DataError(f"{self.path}: {self.count:,} entries are wrong:{listed}{more}")
