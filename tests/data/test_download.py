"""Downloads from a server of the test's own on this machine, which can break off, lie and forget about ranges."""

from __future__ import annotations

import hashlib
import io
import os
import re
import sys
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from r2gen_lib.data import resumable_download as resume
from r2gen_lib.data.download import OPENI_ARCHIVES, download_openi, extract_archive, fetch
from r2gen_lib.data.readers.openi_files import load_openi_files
from r2gen_lib.errors import DataError

CONTENT = bytes(range(256)) * 4096  # 1 MiB


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Server:
    """Serves ``files``. ``cuts`` are the numbers of bytes after which the next answers break off."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.cuts: list[int] = []
        self.asked: list[tuple[str, str | None]] = []  # path and Range of each request
        self.ranges = True
        self.headers: dict[str, str] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.answer(self)

            def log_message(self, *args) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/"
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        asked = handler.headers.get("Range")
        self.asked.append((handler.path, asked))
        content = self.files.get(handler.path.lstrip("/"))
        if content is None:
            return handler.send_error(404)
        tag = f'"{sha256(content)[:8]}"'
        start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked else 0
        same = handler.headers.get("If-Range", tag) == tag
        partial = bool(asked) and self.ranges and same
        body = content[start:] if partial else content
        handler.send_response(206 if partial else 200)
        for name, value in {"ETag": tag, "Content-Length": str(len(body)), **self.headers}.items():
            handler.send_header(name, value)
        if partial:
            handler.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        handler.end_headers()
        try:
            handler.wfile.write(body[: self.cuts.pop(0)] if self.cuts else body)
        except OSError:  # the client closed after reading the headers
            pass

    def stop(self) -> None:
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(resume, "PAUSE", 0.0)
    server = Server()
    yield server
    server.stop()


def tgz(path, members: dict[str, bytes], **changes) -> bytes:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            for key, value in changes.items():
                setattr(member, key, value)
            tar.addfile(member, io.BytesIO(content))
    return path.read_bytes()


def left_in(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_fetched_once_and_its_checksum_is_written_beside_it(server, tmp_path):
    server.files["x.tgz"] = CONTENT
    path = fetch(server.url + "x.tgz", tmp_path / "new" / "x.tgz", progress=False)
    assert path.read_bytes() == CONTENT
    assert left_in(path.parent) == ["x.tgz", "x.tgz.sha256"]
    assert (path.parent / "x.tgz.sha256").read_text() == f"{sha256(CONTENT)}  x.tgz\n"
    asked = len(server.asked)
    fetch(server.url + "x.tgz", path, progress=False)
    assert len(server.asked) == asked


def test_a_broken_connection_goes_on_where_it_stopped(server, tmp_path):
    server.files["x.tgz"] = CONTENT
    server.cuts = [300_000]
    path = fetch(server.url + "x.tgz", tmp_path / "x.tgz", sha256=sha256(CONTENT), progress=False)
    assert path.read_bytes() == CONTENT
    ranges = [asked for _, asked in server.asked if asked]
    assert len(ranges) == 1 and 0 < int(ranges[0][6:-1]) <= 300_000


def test_an_interrupted_download_is_kept_for_the_next_call(server, tmp_path):
    server.files["x.tgz"] = CONTENT
    server.cuts = [400_000] + [0] * 20
    with pytest.raises(DataError, match=r"broke off .* 400,000 bytes were received and are kept"):
        fetch(server.url + "x.tgz", tmp_path / "x.tgz", progress=False)
    assert not (tmp_path / "x.tgz").exists()
    server.cuts, server.asked = [], []
    assert fetch(server.url + "x.tgz", tmp_path / "x.tgz", progress=False).read_bytes() == CONTENT
    assert ("/x.tgz", "bytes=400000-") in server.asked
    assert left_in(tmp_path) == ["x.tgz", "x.tgz.sha256"]


def test_another_version_on_the_server_is_not_glued_to_the_old_beginning(server, tmp_path):
    server.files["x.tgz"] = CONTENT
    server.cuts = [400_000] + [0] * 20
    with pytest.raises(DataError, match="broke off"):
        fetch(server.url + "x.tgz", tmp_path / "x.tgz", progress=False)
    server.cuts, server.files["x.tgz"] = [], CONTENT[::-1]
    assert fetch(server.url + "x.tgz", tmp_path / "x.tgz", progress=False).read_bytes() == CONTENT[::-1]


def test_a_server_without_ranges_is_asked_for_everything_again(server, tmp_path):
    server.files["x.tgz"], server.ranges = CONTENT, False
    server.cuts = [400_000]
    assert fetch(server.url + "x.tgz", tmp_path / "x.tgz", progress=False).read_bytes() == CONTENT


def test_an_archive_that_the_server_calls_gzip_encoded_is_kept_as_it_is(server, tmp_path):
    content = tgz(tmp_path / "made.tgz", {"a.txt": b"a"})
    server.files["x.tgz"], server.headers = content, {"Content-Encoding": "x-gzip"}
    assert fetch(server.url + "x.tgz", tmp_path / "x.tgz", progress=False).read_bytes() == content


def test_another_checksum_is_one_error_and_nothing_is_kept(server, tmp_path):
    server.files["x.tgz"] = CONTENT
    with pytest.raises(DataError, match="x.tgz: the file has another SHA-256 than expected") as caught:
        fetch(server.url + "x.tgz", tmp_path / "x.tgz", sha256=sha256(b"other"), progress=False)
    assert sha256(b"other") in str(caught.value)
    assert left_in(tmp_path) == []
    with pytest.raises(DataError, match="expected 64 hexadecimal digits"):
        fetch(server.url + "x.tgz", tmp_path / "x.tgz", sha256="abc", progress=False)


def test_a_file_that_was_damaged_since_is_fetched_again(server, tmp_path):
    server.files["x.tgz"] = CONTENT
    path = fetch(server.url + "x.tgz", tmp_path / "x.tgz", progress=False)
    path.write_bytes(CONTENT[:1000])
    assert fetch(server.url + "x.tgz", path, progress=False).read_bytes() == CONTENT


def test_an_answer_that_is_no_file_is_one_error_with_its_number(server, tmp_path):
    with pytest.raises(DataError, match="nothere.tgz: the server answered 404"):
        fetch(server.url + "nothere.tgz", tmp_path / "x.tgz", progress=False)
    assert left_in(tmp_path) == [] and len(server.asked) == 1


def test_no_connection_is_one_error(server, tmp_path):
    server.stop()
    with pytest.raises(DataError, match=r"the download broke off .* 0 bytes were received"):
        fetch(server.url + "x.tgz", tmp_path / "x.tgz", progress=False)


def test_a_folder_that_cannot_be_written_is_one_error(server, tmp_path):
    server.files["x.tgz"] = CONTENT
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        fetch(server.url + "x.tgz", tmp_path / "file" / "x.tgz", progress=False)


def test_progress_is_shown_unless_it_is_turned_off(server, tmp_path, capsys):
    server.files["x.tgz"] = CONTENT
    fetch(server.url + "x.tgz", tmp_path / "x.tgz")
    assert "x.tgz" in capsys.readouterr().err
    fetch(server.url + "x.tgz", tmp_path / "again.tgz", progress=False)
    assert capsys.readouterr().err == ""


def test_open_i_is_downloaded_unpacked_and_read(server, tmp_path):
    xml = (
        '<eCitation><uId id="CXR1"/><AbstractText Label="FINDINGS">The lungs are clear.</AbstractText>'
        '<parentImage id="CXR1_1_IM-0001-3001"/></eCitation>'
    )
    server.files = {
        "mirror/NLMCXR_reports.tgz": tgz(tmp_path / "r.tgz", {"ecgen-radiology/1.xml": xml.encode()}),
        "mirror/NLMCXR_png.tgz": tgz(tmp_path / "p.tgz", {"CXR1_1_IM-0001-3001.png": b"picture"}),
    }
    target = tmp_path / "openi"
    folders = download_openi(target, base_url=server.url + "mirror/", progress=False)
    assert folders == {"reports": target / "NLMCXR_reports", "png": target / "NLMCXR_png"}
    (study,) = load_openi_files(target)
    assert (study.id, study.report) == ("CXR1", "The lungs are clear.")
    assert study.picture("lateral").path == target / "NLMCXR_png" / "CXR1_1_IM-0001-3001.png"
    asked = len(server.asked)
    assert download_openi(target, base_url=server.url + "mirror", progress=False) == folders
    assert len(server.asked) == asked


def test_only_what_was_asked_for_is_downloaded(server, tmp_path):
    server.files["NLMCXR_reports.tgz"] = tgz(tmp_path / "r.tgz", {"1.xml": b"<x/>"})
    download_openi(tmp_path / "openi", ["reports"], server.url, progress=False)
    assert {path for path, _ in server.asked} == {"/NLMCXR_reports.tgz"}
    for what in (["jpg"], "reports", []):
        with pytest.raises(DataError, match="expected some of reports, png, dcm"):
            download_openi(tmp_path / "openi", what, server.url, progress=False)
    assert set(OPENI_ARCHIVES) == {"reports", "png", "dcm"}


@pytest.mark.parametrize(
    ("name", "changes", "problem"),
    [
        ("../outside.png", {}, "leads outside"),
        ("a/../../outside.png", {}, "leads outside"),
        ("/tmp/outside.png", {}, "leads outside"),
        ("..\\outside.png", {}, "leads outside"),
        ("link.png", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd", "size": 0}, "is a link"),
        ("link.png", {"type": tarfile.LNKTYPE, "linkname": "../x", "size": 0}, "is a link"),
        ("device", {"type": tarfile.CHRTYPE, "size": 0}, "a device"),
    ],
)
def test_an_archive_that_reaches_outside_is_refused_as_a_whole(tmp_path, name, changes, problem):
    folder = tmp_path / "here"
    folder.mkdir()
    with tarfile.open(folder / "x.tgz", "w:gz") as tar:
        good = tarfile.TarInfo("good.png")
        tar.addfile(good, io.BytesIO(b""))
        bad = tarfile.TarInfo(name)
        for key, value in changes.items():
            setattr(bad, key, value)
        tar.addfile(bad, io.BytesIO(b""))
    with pytest.raises(DataError, match=problem) as caught:
        extract_archive(folder / "x.tgz", folder / "x", progress=False)
    assert "Nothing was unpacked" in str(caught.value)
    assert left_in(folder) == ["x.tgz"] and left_in(tmp_path) == ["here"]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX modes")
@pytest.mark.parametrize("umask", [0o022, 0o077], ids=["022", "077"])
def test_who_may_read_what_was_unpacked_is_for_the_umask_to_say(tmp_path, umask):
    with tarfile.open(tmp_path / "x.tgz", "w:gz") as tar:
        for name, mode in (("open/a.png", 0o666), ("closed/b.png", 0o600)):
            member = tarfile.TarInfo(name)
            member.mode = mode
            tar.addfile(member, io.BytesIO(b""))
    earlier = os.umask(umask)
    try:
        folder = extract_archive(tmp_path / "x.tgz", tmp_path / "x", progress=False)
    finally:
        os.umask(earlier)
    modes = {path.relative_to(tmp_path).as_posix(): path.stat().st_mode & 0o777 for path in folder.rglob("*")}
    assert folder.stat().st_mode & 0o777 == modes["x/open"] == modes["x/closed"] == 0o777 & ~umask
    assert modes["x/open/a.png"] == modes["x/closed/b.png"] == 0o666 & ~umask


def test_a_damaged_archive_leaves_nothing_behind(tmp_path):
    whole = tgz(tmp_path / "x.tgz", {f"{number}.png": CONTENT[number : number + 5000] for number in range(200)})
    flipped = bytearray(whole)
    flipped[-20] ^= 1
    last_byte_of_checksum = bytearray(whole)
    last_byte_of_checksum[-5] ^= 1
    for content in (b"", b"no archive", whole[: len(whole) // 2], bytes(flipped), bytes(last_byte_of_checksum)):
        (tmp_path / "x.tgz").write_bytes(content)
        with pytest.raises(DataError, match="x.tgz: cannot be unpacked"):
            extract_archive(tmp_path / "x.tgz", tmp_path / "x", progress=False)
        assert left_in(tmp_path) == ["x.tgz"]


def test_an_archive_larger_than_the_disk_is_refused(tmp_path, monkeypatch):
    tgz(tmp_path / "x.tgz", {"a": b"12345", "b": b"12345"})
    monkeypatch.setattr("shutil.disk_usage", lambda folder: type("Usage", (), {"free": 8}))
    with pytest.raises(DataError, match="no space for its content"):
        extract_archive(tmp_path / "x.tgz", tmp_path / "x", progress=False)
    assert left_in(tmp_path) == ["x.tgz"]
