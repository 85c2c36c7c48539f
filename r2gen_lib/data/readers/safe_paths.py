"""Paths written in data files, kept below the folder they belong to."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath

from r2gen_lib.data.readers.error_list import quoted
from r2gen_lib.errors import DataError

_DRIVE = re.compile(r"[A-Za-z]:")


def inside(root: str | Path, relative: str, where: str) -> Path:
    """The path that a data file gives relative to ``root``; never one outside it.

    Data files come from strangers: a path such as ``../../.ssh/id_rsa`` must not be opened, and a picture must not
    come from another machine's folders by chance. Backslashes count as separators, so tables written on Windows
    work everywhere. The file need not exist.

    Args:
        root: the folder; it may be a link itself.
        relative: as the file has it, such as ``"CXR1_IM-0001/0.png"``.
        where: the place in the file, which begins the error's message.

    Returns:
        ``root / relative``.

    Raises:
        DataError: the path is no text, is empty, absolute, holds ``..``, cannot be a file name, or is a link (or lies
            below one) that leaves ``root``.
    """
    text = relative.replace("\\", "/") if isinstance(relative, str) else ""
    parts = PurePosixPath(text.strip()).parts
    problem = _problem(relative, text, parts) or (
        _link_out(root, parts) and "is a link, or lies below one, that leaves it"
    )
    if problem:
        raise DataError(
            f"{where}: the path {quoted(relative)} {problem}; expected a path below {root}, such as 'study1/0.png'. "
            "Correct the path, or put the picture there and pass that folder as the picture folder."
        )
    return Path(root, *parts)


def _problem(relative: object, text: str, parts: tuple[str, ...]) -> str:
    if not isinstance(relative, str):
        return f"is of type {type(relative).__name__}, not a text"
    if not parts:
        return "is empty"
    if parts[0].startswith("/") or _DRIVE.match(parts[0]):
        return "is absolute"
    if ".." in parts:
        return "climbs with '..'"
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return "cannot be a file name"
    return "cannot be a file name" if "\0" in text else ""


def _link_out(root: str | Path, parts: tuple[str, ...]) -> bool:
    """Whether a link on the way leads out of ``root``. Without links nothing can, so nothing is resolved."""
    current, linked = os.fspath(root), os.name == "nt"  # Windows has junctions as well: resolve always
    for part in parts:
        current = os.path.join(current, part)
        linked = linked or os.path.islink(current)
    return linked and not Path(os.path.realpath(current)).is_relative_to(os.path.realpath(root))
