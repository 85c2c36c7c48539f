"""Fetching Open-i: whole or not at all, checked, and from where it stopped. Nothing here runs unless it is called."""

from __future__ import annotations

import logging
import os
import re
import shutil
import tarfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from r2gen_lib.data.resumable_download import ResumingDownloader
from r2gen_lib.errors import DataError
from r2gen_lib.files import atomic_write, new_folder, sha256_of

#: Open-i's own address for whole collections.
OPENI_URL = "https://openi.nlm.nih.gov/imgs/collections/"

#: What can be asked for -> the archive that holds it. The DICOM files take many times the space of the PNG ones.
OPENI_ARCHIVES = {"reports": "NLMCXR_reports.tgz", "png": "NLMCXR_png.tgz", "dcm": "NLMCXR_dcm.tgz"}

_SHA256 = re.compile(r"[0-9a-f]{64}")


def download_openi(
    target: str | Path,
    what: Sequence[str] = ("reports", "png"),
    base_url: str = OPENI_URL,
    *,
    sha256: Mapping[str, str] | None = None,
    progress: bool = True,
) -> dict[str, Path]:
    """Download Open-i's archives and unpack them; then ``load_openi_files(target)`` reads them.

    Demner-Fushman et al., JAMIA 2016; CC BY-NC-ND 4.0. What is there already, whole, is not fetched again, and a
    download that was broken off goes on where it stopped. Open-i publishes no checksums: the first download is checked
    by its length and by the archive's own CRC, and its SHA-256 is written beside it and checked from then on.

    Args:
        target: a folder, made if need be.
        what: any of ``"reports"``, ``"png"``, ``"dcm"``.
        base_url: where the archives are; a mirror of your own, for instance.
        sha256: checksums you know, by the same names.
        progress: whether to show progress bars.

    Returns:
        The folder of each, by the same names: ``target/NLMCXR_png`` and so on.

    Raises:
        DataError: an unknown name, no connection, a file that isn't there, another checksum, a damaged archive, no
            space. What was received of an archive is kept for the next call, but for one that fails its check.
    """
    target, known = Path(target), dict(sha256 or {})
    unknown = [name for name in (*what, *known) if name not in OPENI_ARCHIVES]
    if unknown or isinstance(what, str) or not what:
        raise DataError(f"what={what!r}, sha256 for {list(known)}: expected some of {', '.join(OPENI_ARCHIVES)}.")
    folders = {}
    for name in what:
        archive = target / OPENI_ARCHIVES[name]
        fetch(f"{base_url.rstrip('/')}/{archive.name}", archive, sha256=known.get(name), progress=progress)
        folders[name] = extract_archive(archive, target / archive.stem, progress=progress)
    return folders


def fetch(url: str, path: str | Path, *, sha256: str | None = None, progress: bool = True) -> Path:
    """Download one file to ``path``, unless it is there and whole.

    The file appears only when it is complete and its checksum is right; until then what was received is kept beside it,
    and the next call asks for the rest alone, if the server's file is still the same one.

    Args:
        url: http or https.
        path: the file; ``path.sha256`` is written beside it, as ``sha256sum -c`` reads it.
        sha256: the checksum it must have; by default the one written by an earlier call, or none.
        progress: whether to show a progress bar.

    Returns:
        ``path``.

    Raises:
        DataError: no connection, an answer such as 404, a broken connection, another checksum, no space.
    """
    import pooch
    import requests
    import urllib3

    path = Path(path)
    known = _checked(sha256) or _recorded(path)
    pooch.get_logger().setLevel(logging.WARNING)  # it would tell users of this function to edit a call of its own
    downloader = ResumingDownloader(path, progress)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        pooch.retrieve(url, known and f"sha256:{known}", fname=path.name, path=path.parent, downloader=downloader)
        with atomic_write(_record_of(path)) as temporary:
            temporary.write_text(f"{known or sha256_of(path)}  {path.name}\n", encoding="utf-8")
    except requests.HTTPError as error:
        raise DataError(
            f"{url}: the server answered {error.response.status_code} {error.response.reason}, expected the file. "
            "Check the address, or download it by hand and put it where it belongs: " + str(path)
        ) from error
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise DataError(
            f"{url}: the download broke off ({error}); {downloader.received():,} bytes were received and are kept. "
            "Check the connection and run the same again: it goes on from there."
        ) from error
    except ValueError as error:  # pooch's word for another checksum
        raise DataError(
            f"{url}: the file has another SHA-256 than expected ({known}), so it was not kept. Run the same again; if "
            f"it happens again, the file on the server has changed: remove {_record_of(path)} or correct sha256."
        ) from error
    except OSError as error:
        why = error.strerror or error
        raise DataError(f"{path}: cannot be written ({why}). Free some space, or choose another folder.") from error
    return path


def _checked(sha256: str | None) -> str | None:
    if sha256 is not None and not _SHA256.fullmatch(sha256.lower()):
        raise DataError(f"sha256: found {sha256!r}, expected 64 hexadecimal digits.")
    return sha256 and sha256.lower()


def _record_of(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def _recorded(path: Path) -> str | None:
    """The checksum that an earlier call wrote; a damaged record is no record."""
    try:
        words = _record_of(path).read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError):
        return None
    return words[0] if words and _SHA256.fullmatch(words[0]) else None


def extract_archive(archive: str | Path, folder: str | Path, *, progress: bool = True) -> Path:
    """Unpack a tar archive into a folder that appears only once everything is in it; if it is there, nothing is done.

    Only files and folders inside the target are unpacked. One member that is a link or a device, or whose path is
    absolute or leads outside, and the archive is refused as a whole.

    Returns:
        ``folder``.

    Raises:
        DataError: the archive is damaged or refused, or there is no space. Nothing is left behind.
    """
    archive, folder = Path(archive), Path(folder)
    if folder.is_dir():
        return folder
    if not hasattr(tarfile, "data_filter"):
        raise DataError("extract_archive: this Python unpacks archives unsafely; update it to 3.11.4 or newer.")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        unfinished = new_folder(folder)
        try:
            _unpack(archive, unfinished, progress)
            os.replace(unfinished, folder)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    except (OSError, tarfile.TarError, EOFError, zlib.error) as error:
        raise DataError(
            f"{archive}: cannot be unpacked ({type(error).__name__}: {error}), expected a whole .tgz archive and space "
            f"for its content in {folder.parent}. If the archive is damaged, remove it and download it again."
        ) from error
    return folder


def _unpack(archive: Path, folder: Path, progress: bool) -> None:
    size, free = archive.stat().st_size, shutil.disk_usage(folder).free
    bar = tqdm(total=size, desc=archive.name, unit="B", unit_scale=True, disable=not progress)
    with bar, open(archive, "rb") as stream, tarfile.open(fileobj=stream, mode="r:*") as tar:
        for member in tar:
            _check_member(archive, member)
            free -= member.size
            if free < 0:
                raise OSError("the disk has no space for its content")
            tar.extract(member, folder, filter=_as_data)
            bar.update(stream.tell() - bar.n)
        while tar.fileobj.read(1 << 20):  # to the end, where the checksum of a gzip file is
            pass


def _as_data(member: tarfile.TarInfo, folder: str) -> tarfile.TarInfo:
    """The member by tarfile's safe filter, with the permissions that the process's umask leaves, not the archive's."""
    return tarfile.data_filter(member, folder).replace(mode=None, deep=False)


def _check_member(archive: Path, member: tarfile.TarInfo) -> None:
    path = PurePosixPath(member.name.replace("\\", "/"))
    if not (member.isfile() or member.isdir()):
        problem = "is a link or a device"
    elif path.is_absolute() or ".." in path.parts:
        problem = "has a path that leads outside the target folder"
    else:
        return
    raise DataError(f"{archive}: member {member.name!r} {problem}. Nothing was unpacked: get it from its source again.")
