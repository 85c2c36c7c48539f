"""Other libraries load sooner, without what nobody here calls (measured: docs/performance.md)."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quick_imports() -> Iterator[None]:
    """In the block nothing is looked through for garbage: torch and transformers make a million objects as they load,
    all of them to stay, and Python would look through them again and again."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


@contextmanager
def hidden(name: str) -> Iterator[None]:
    """In the block, a package that is not loaded yet counts as not installed.

    For programs of our own alone: a library that looks for the package in the block believes so to its end.
    """
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # the import system's own sign: what asks gets a ModuleNotFoundError
    try:
        yield
    finally:
        if sys.modules.get(name) is None:
            sys.modules.pop(name, None)
