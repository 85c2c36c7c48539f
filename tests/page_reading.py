"""What tests look for in a page: it is well made, fetches nothing, and a browser shows it without cutting it off."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

_VOID = {"meta", "img", "input", "br", "path"}


class Page(HTMLParser):
    """A page's text, tags and attributes; fails where a tag closes another than the one that is open."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(self.source)
        self.close()
        assert not self._open, f"not closed: {self._open}"

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        if tag not in _VOID:
            assert self._open.pop() == tag, f"</{tag}> at line {self.getpos()[0]} closes another tag"

    def handle_data(self, data):
        if self._open and self._open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def check_page(page: Page) -> None:
    """Headings go down by one, pictures have words and are inside, ids are unique, links lead within, no scripts."""
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in zip(levels, levels[1:], strict=False))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert all(link["href"].removeprefix("#") in ids for link in page.all("a"))
    assert all(image["alt"] and image["src"].startswith("data:image/") for image in page.all("img"))
    assert not page.all("script") and not page.all("link") and not page.all("iframe")
    assert not re.search(r"https?:|url\(|@import|srcset", page.source)
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert "default-src 'none'" in page.source and "Not for clinical use" in page.text


def browser() -> str:
    """A headless Chromium's path; the test is skipped where there is none."""
    known = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
    found = next(filter(None, map(shutil.which, known)), None)
    if found is None or sys.platform == "win32":
        pytest.skip("no Chromium or Chrome on the PATH")
    return found


def run_browser(page: Path, folder: Path, *options: str) -> str:
    command = [
        browser(), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
        f"--user-data-dir={folder / 'profile'}", *options, page.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, cwd=folder)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def overflow(page: Path, folder: Path, width: int) -> tuple[int, int]:
    """(width that the page takes, width it has) in a frame of ``width`` pixels, as a browser lays it out."""
    copy, frame = folder / f"copy_{width}.html", folder / f"frame_{width}.html"
    source = page.read_text(encoding="utf-8")
    policy = re.search(r'<meta http-equiv="Content-Security-Policy"[^>]*>', source).group()
    measure = (
        "<script>addEventListener('load', () => parent.postMessage("
        "[document.documentElement.scrollWidth, document.documentElement.clientWidth].join(' '), '*'))</script>"
    )
    copy.write_text(source.replace(policy, measure), encoding="utf-8")  # a frame, as windows have a least width
    frame.write_text(
        "<script>addEventListener('message', event => document.title = event.data)</script>"
        f"<iframe src='{copy.name}' style='width: {width}px; height: 600px; border: 0'></iframe>",
        encoding="utf-8",
    )
    shown = run_browser(frame, folder, "--virtual-time-budget=20000", "--dump-dom")
    found = re.search(r"<title>(\d+) (\d+)</title>", shown)
    assert found, shown[:500]
    return int(found[1]), int(found[2])
