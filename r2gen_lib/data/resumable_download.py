"""A downloader for pooch that goes on where the last one stopped."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path
from typing import Any

from tqdm import tqdm

#: Attempts without a single new byte, after which it is given up.
ATTEMPTS = 4
PAUSE = 1.0  # seconds after the first of them, twice as many after the second, and so on

_CHUNK = 1 << 18
_TIMEOUT = 30  # seconds without a byte
_AS_IT_IS = {"Accept-Encoding": "identity"}


class ResumingDownloader:
    """What ``pooch.retrieve`` takes as its ``downloader``.

    Bytes go to a hidden file beside ``path``, whose name says which version of the server's file they are of (ETag,
    date, length). They stay there when the connection breaks, and only the rest is asked for next time.

    Args:
        path: the file that is downloaded.
        progress: whether to show a progress bar.
    """

    def __init__(self, path: Path, progress: bool) -> None:
        self.path, self.progress = path, progress

    def received(self) -> int:
        """Bytes kept of an unfinished download."""
        return sum(part.stat().st_size for part in self._parts())

    def __call__(self, url: str, output_file: str, pooch: Any = None, check_only: bool = False) -> None:
        import requests
        import urllib3

        failures = 0
        while True:
            before = self.received()
            try:
                part = self._receive(url)
                break
            except requests.HTTPError:
                raise
            except (requests.RequestException, urllib3.exceptions.HTTPError):
                failures = failures + 1 if self.received() <= before else 0
                if failures >= ATTEMPTS:
                    raise
                time.sleep(PAUSE * failures)
        os.replace(part, output_file)

    def _parts(self) -> list[Path]:
        return list(self.path.parent.glob(f".{self.path.name}.*.part"))

    def _receive(self, url: str) -> Path:
        """The whole file, as the hidden one."""
        with _ask(url) as answer:
            part, total = self._part(answer), _length(answer)
            have = part.stat().st_size if part.exists() else 0
            if have and have == total:
                return part
            if not have or total is None or have > total:
                return self._write(answer, part, 0, total)
        with _ask(url, {"Range": f"bytes={have}-", **_same_version(answer)}) as rest:
            resumed = rest.status_code == 206 and rest.headers.get("Content-Range", "").startswith(f"bytes {have}-")
            return self._write(rest, part, have if resumed else 0, total)

    def _part(self, answer: Any) -> Path:
        """The hidden file for this version; those of other versions are removed."""
        version = "|".join(answer.headers.get(name, "") for name in ("ETag", "Last-Modified", "Content-Length"))
        tag = hashlib.sha256(version.encode()).hexdigest()[:12]
        part = self.path.with_name(f".{self.path.name}.{tag}.part")
        for other in self._parts():
            if other != part:
                other.unlink()
        return part

    def _write(self, answer: Any, part: Path, have: int, total: int | None) -> Path:
        import requests

        bar = tqdm(total=total, initial=have, desc=self.path.name, unit="B", unit_scale=True, disable=not self.progress)
        with bar, open(part, "ab" if have else "wb") as stream:
            # bytes as sent: some servers call a .tgz gzip-encoded text, which requests would unzip
            for chunk in answer.raw.stream(_CHUNK, decode_content=False):
                stream.write(chunk)
                bar.update(len(chunk))
        size = part.stat().st_size
        if total is not None and size != total:
            if size > total:
                part.unlink()
            raise requests.ConnectionError(f"{size:,} bytes received, {total:,} announced")
        return part


def _ask(url: str, headers: dict[str, str] | None = None) -> Any:
    import requests

    answer = requests.get(url, stream=True, timeout=_TIMEOUT, headers={**_AS_IT_IS, **(headers or {})})
    answer.raise_for_status()
    return answer


def _length(answer: Any) -> int | None:
    length = answer.headers.get("Content-Length", "")
    return int(length) if length.isdigit() else None


def _same_version(answer: Any) -> dict[str, str]:
    """The condition that the rest is of the same file, if the server gives a word for that."""
    tag, date = answer.headers.get("ETag", ""), answer.headers.get("Last-Modified", "")
    word = tag if tag and not tag.startswith("W/") else date
    return {"If-Range": word} if word else {}
