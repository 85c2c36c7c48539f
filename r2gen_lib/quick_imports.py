"""Other libraries load in half the time, without what they bring along and nobody here calls.

Two functions that transformers and torchvision import and that no report needs have whole compilers and solvers behind
them (2 s). Here they are fetched when they are first called. And while thousands of classes are made, nothing is
looked through for garbage. Measured: docs/performance.md.
"""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import ModuleType
from typing import Any

#: A module, and its functions that wait until they are called.
LATER = {
    "torch._dynamo.utils": ("is_compile_supported",),  # for torchvision's roi_align
    "scipy.optimize": ("linear_sum_assignment",),  # for transformers' losses of object detection
}


@contextmanager
def quick_imports() -> Iterator[None]:
    """What is imported in the block comes without the modules of ``LATER``; their functions work as ever.

    Whatever else is asked of such a module brings the whole module, at once. One that is loaded already stays.
    """
    waiting = {name: _Later(name) for name in LATER if name not in sys.modules}
    collecting = gc.isenabled()
    sys.modules.update(waiting)
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
        for module in waiting.values():
            _forget(module)


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


class _Later(ModuleType):
    """Stands for a module that is not loaded yet."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return partial(_call, self, name) if name in LATER[self.__name__] else getattr(_load(self), name)


def _call(module: _Later, name: str, /, *args: Any, **options: Any) -> Any:
    return getattr(_load(module), name)(*args, **options)


def _load(module: _Later) -> ModuleType:
    _forget(module)
    return importlib.import_module(module.__name__)


def _forget(module: _Later) -> None:
    if sys.modules.get(module.__name__) is module:
        del sys.modules[module.__name__]
