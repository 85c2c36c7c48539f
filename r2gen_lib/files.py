"""Where the cache lies, and writes that are whole or not there at all."""

from __future__ import annotations

import hashlib
import os
import secrets
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from r2gen_lib.errors import CacheError


def cache_root() -> Path:
    """The cache folder: ``R2GEN_CACHE`` if set, else the platform's own place for caches."""
    if os.environ.get("R2GEN_CACHE"):
        return Path(os.environ["R2GEN_CACHE"]).expanduser()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "r2gen"


def cache_dir(*parts: str) -> Path:
    """A folder in the cache, made if need be.

    Raises:
        CacheError: the folder cannot be made or written; nothing is left behind.
    """
    folder = cache_root().joinpath(*parts)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise CacheError(
            f"cache folder {folder}: cannot be written ({error.strerror or error}). "
            "Set R2GEN_CACHE to a folder you may write to."
        ) from error
    return folder


@contextmanager
def atomic_write(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; it takes ``path``'s place on success and is removed on any error.

    The file has the permissions that ``open(path, "w")`` would have left it with: those of a file that was there, else
    what the process's umask, or the folder's own default, leaves of read and write for all.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    earlier = _permissions(path)
    temporary = _new_file(path, 0o666 if earlier is None else earlier)
    try:
        fresh = _permissions(temporary)
        yield temporary
        kept = fresh if earlier is None else earlier
        if kept is not None and _permissions(temporary) != kept:  # a writer may have put a file of its own there
            temporary.chmod(kept)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _new_file(path: Path, permissions: int) -> Path:
    """A new, empty file beside ``path``, hidden.

    The system takes the umask off as it makes the file. Asking for the umask is no other way: Python can only set it,
    for the whole process, and a file that another thread makes in that moment is open to everyone.
    """
    while True:
        temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}{path.suffix}")
        with suppress(FileExistsError):
            os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR, permissions | 0o600))
            return temporary


def new_folder(folder: Path) -> Path:
    """A new, empty folder beside ``folder``, hidden, to be filled and then renamed to it.

    Its permissions are those of ``folder`` if that is there (and its owner may write), else what the process's umask
    leaves of all. ``mkdtemp`` is no other way: what it makes only its owner may read, and a ``chmod`` to what others
    may read goes past the umask.
    """
    while True:
        temporary = folder.with_name(f".{folder.name}-{secrets.token_hex(4)}")
        with suppress(FileExistsError):
            temporary.mkdir()
            break
    earlier = _permissions(folder)
    if earlier is not None and _permissions(temporary) != earlier | 0o700:
        temporary.chmod(earlier | 0o700)
    return temporary


def usual_permissions(folder: Path) -> None:
    """Give each file in ``folder`` the permissions that ``open(path, "w")`` would have left it with there.

    Some writers ask for others: safetensors makes files that only their owner may read.
    """
    plain = _new_file(folder / "plain", 0o666)
    usual = _permissions(plain)
    plain.unlink()
    for path in folder.rglob("*") if usual is not None else ():
        if path.is_file() and _permissions(path) != usual:
            path.chmod(usual)


def _permissions(path: Path) -> int | None:
    """A file's permissions; None if it is not there, or the system has none (Windows)."""
    if sys.platform == "win32":
        return None
    try:
        return path.stat().st_mode & 0o777
    except FileNotFoundError:
        return None


def sha256_of(path: str | os.PathLike) -> str:
    """SHA-256 of a file, as hexadecimal."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
