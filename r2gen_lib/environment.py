"""What a run depends on beside its settings: versions of packages, and the machine and its memory."""

from __future__ import annotations

import ctypes
import os
import platform
import re
import sys
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from r2gen_lib import __version__


@dataclass(frozen=True)
class Machine:
    """The computer and its Python.

    Attributes:
        cores: CPU cores.
        memory_gb: memory in GiB, rounded.
        system: operating system, such as "Linux".
        processor: its kind, such as "x86_64".
        python: Python's version.
    """

    cores: int | None
    memory_gb: int
    system: str
    processor: str
    python: str


def machine() -> Machine:
    """This computer."""
    import psutil

    memory = round(psutil.virtual_memory().total / 2**30)
    return Machine(os.cpu_count(), memory, platform.system(), platform.machine(), platform.python_version())


def cpu_model() -> str:
    """The CPU's name as Linux gives it; elsewhere, and where there is none, what Python calls the processor."""
    names = re.findall(r"^model name\s*:\s*(.+)$", _cpuinfo(), flags=re.MULTILINE)
    return names[0].strip() if names else platform.processor() or platform.machine()


def bf16_instructions() -> tuple[str, ...]:
    """The instructions by which the CPU multiplies bf16; empty on other systems than Linux, which do not say."""
    told = _cpuinfo()
    return tuple(name for name in ("amx_bf16", "avx512_bf16") if name in told)


def _cpuinfo() -> str:
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="ignore")
    except OSError:
        return ""


def give_back_memory() -> None:
    """Hand memory that this process has freed back to Linux. Elsewhere nothing is done.

    C's allocator keeps what is freed, in case it is wanted again: half a gigabyte after a step of training, which then
    lies there while reports are written or Java runs. To be called between large pieces of work: it takes 1 to 35 ms,
    and what is used again has to be fetched again (docs/performance.md has what it brings).
    """
    trim = _malloc_trim()
    if trim is not None:
        trim(0)


@lru_cache(maxsize=1)
def _malloc_trim() -> ctypes._NamedFuncPointer | None:
    """glibc's function for that; None where there is another C library."""
    return getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None


def versions(*packages: str) -> dict[str, str]:
    """Versions of this library and of some packages as they are installed; "not installed" where one is not."""
    return {"r2gen-course": __version__} | {package: _version(package) for package in packages}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def gpu() -> str:
    """The name of the GPU that torch uses; "" where it uses none."""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else ""
