from __future__ import annotations

import json
import subprocess
import sys

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from r2gen_lib import load_studies, privacy
from r2gen_lib.assets import checkout
from r2gen_lib.course import jupyter_kernel as kernel
from r2gen_lib.course import notebook_files
from r2gen_lib.course.run import run_course
from r2gen_lib.data.audit.audit import examine
from r2gen_lib.data.study import Study
from r2gen_lib.errors import PrivacyError

SECRET = "A wholly invented widget projects over the seventh left rib"
REPORT = f"The heart is modestly large. {SECRET}. No effusion."
STOCK = "There is no pleural effusion or pneumothorax"


def study(key: int | str, report: str = REPORT, credentialed: bool = True) -> Study:
    return Study(str(key), "train", report, {"findings": report}, source="mimic_cxr", credentialed=credentialed)


@pytest.fixture
def marked(empty_cache, monkeypatch):
    """A process that has seen one credentialed study and four stock reports."""
    monkeypatch.setattr(privacy, "_marked_sources", set())
    assert privacy.mark([study(1), *(study(n, f"{STOCK}.") for n in range(2, 6))]) is True
    return empty_cache


def stream(text: str):
    return new_output("stream", text=text)


def data(kind: str, value):
    return new_output("display_data", data={kind: value})


def notebook(*outputs, source: str = "show()"):
    shown = new_code_cell(source, outputs=[*outputs])
    return new_notebook(cells=[new_markdown_cell("# Title"), new_code_cell("x = 1"), shown])


@pytest.mark.parametrize(
    "output",
    [
        stream(REPORT),
        stream(f"50414267  {SECRET.upper()}\n"),
        stream(SECRET.replace(" ", "\n")),
        stream(repr({"report": REPORT, "split": "train"})),
        data("text/plain", json.dumps([REPORT])),
        data("text/html", f"<table><tr><td>{SECRET}</td><td>7</td></tr></table>"),
        data("text/html", f"<b>{REPORT.replace(' ', '&#32;')}</b>"),
        data("image/svg+xml", f"<svg><text>{SECRET}.</text></svg>"),
        data("application/json", {"rows": [{"report": REPORT}]}),
        new_output("error", ename="ValueError", evalue="bad", traceback=["\x1b[31mValueError\x1b[0m", f": {SECRET}"]),
    ],
    ids=["print", "id and capitals", "wrapped", "repr", "json text", "table", "entities", "svg", "json", "traceback"],
)  # fmt: skip
def test_a_sentence_of_a_credentialed_report_is_refused_and_not_repeated(marked, output):
    with pytest.raises(PrivacyError) as refused:
        privacy.refuse_credentialed_outputs(notebook(output), "mine.ipynb")
    said = str(refused.value)
    assert said.startswith("mine.ipynb: the outputs of code cells 2 hold sentences of credentialed reports")
    assert "Clear all outputs" in said and "widget projects" not in said


@pytest.mark.parametrize(
    "output",
    [
        stream("The left lung holds a small nodule near the hilum."),
        stream(f"{STOCK}."),
        stream("No effusion."),
        data("image/png", "aGVsbG8="),
        stream(""),
    ],
    ids=["other words", "stock phrase", "short", "picture", "nothing"],
)
def test_other_outputs_are_let_through(marked, output):
    assert privacy.refuse_credentialed_outputs(notebook(output)) is None  # raises nothing


def test_sentences_in_saved_widgets_are_refused(marked):
    book = notebook(stream("fine"))
    book.metadata["widgets"] = {"state": {"a": {"outputs": [{"text": REPORT}]}}}
    with pytest.raises(PrivacyError, match="the saved widgets"):
        privacy.refuse_credentialed_outputs(book)


def test_the_cache_holds_no_words(marked):
    files = list((marked / "credentialed").iterdir())
    assert len(files) == 1 and b"widget" not in files[0].read_bytes()


def test_public_studies_leave_no_trace(empty_cache):
    assert privacy.mark([study(1, credentialed=False)]) is False
    assert not (empty_cache / "credentialed").exists()
    privacy.refuse_credentialed_outputs(notebook(stream(REPORT)))


def test_a_marked_output_is_refused_whatever_it_shows(empty_cache):
    marker = data(privacy.MARKER, {"sources": ["mimic_cxr"]})
    book = new_notebook(cells=[new_code_cell("p", outputs=[data("image/png", "aGVsbG8="), marker]) for _ in range(7)])
    with pytest.raises(PrivacyError, match=r"code cells 1, 2, 3, 4, 5 and 2 more ran with .* loaded \(mimic_cxr\)"):
        privacy.refuse_credentialed_outputs(notebook_files.clean(book))


IN_KERNEL = """
from r2gen_lib import privacy
from r2gen_lib.data.study import Study
privacy.mark([Study("1", "train", "Some words.", source="mimic_cxr", credentialed=True)])
"""


def test_in_a_kernel_every_cell_after_loading_is_marked(empty_cache):
    book = new_notebook(cells=[new_code_cell(text) for text in ("1 + 1", IN_KERNEL, "2 + 2", "1 / 0")])
    book.cells[-1].metadata["tags"] = ["raises-exception"]
    kernel.execute(kernel.client(book))
    with pytest.raises(PrivacyError, match=r"code cells 2, 3, 4 ran with credentialed studies loaded \(mimic_cxr\)"):
        privacy.refuse_credentialed_outputs(book)
    shown = [o.data["text/plain"] for o in book.cells[2].outputs]
    assert shown == ["4", ""]  # the marker shows nothing


@pytest.fixture
def jupyter(tmp_path):
    """Jupyter's own contents manager, set up as a user's configuration file does."""
    files = pytest.importorskip("jupyter_server.services.contents.filemanager")
    from traitlets.config import Config

    config = Config()
    config.FileContentsManager.pre_save_hook = "r2gen_lib.privacy.pre_save_check"
    return files.FileContentsManager(root_dir=str(tmp_path), config=config)


def test_jupyter_does_not_save_until_the_outputs_are_cleared(marked, jupyter, tmp_path):
    from tornado.web import HTTPError

    book = notebook(stream(REPORT), source="my_work()")
    with pytest.raises(HTTPError) as refused:
        jupyter.save({"type": "notebook", "content": json.loads(nbformat.writes(book))}, "mine.ipynb")
    assert refused.value.status_code == 403 and "mine.ipynb: the outputs of code cells 2" in refused.value.log_message
    assert not (tmp_path / "mine.ipynb").exists()
    book.cells[-1].outputs = []
    jupyter.save({"type": "notebook", "content": json.loads(nbformat.writes(book))}, "mine.ipynb")
    assert "my_work()" in (tmp_path / "mine.ipynb").read_text()
    jupyter.save({"type": "file", "format": "text", "content": "text"}, "notes.txt")


def test_jupyter_does_not_save_what_could_not_be_checked(jupyter, tmp_path, monkeypatch):
    from tornado.web import HTTPError

    def fail(*_):
        raise OSError("disk on fire")

    monkeypatch.setattr(privacy, "refuse_credentialed_outputs", fail)
    with pytest.raises(HTTPError, match="could not be checked .OSError: disk on fire"):
        jupyter.save({"type": "notebook", "content": json.loads(nbformat.writes(notebook()))}, "mine.ipynb")
    assert not (tmp_path / "mine.ipynb").exists()


def test_nbconvert_makes_no_page_of_them(marked):
    nbconvert = pytest.importorskip("nbconvert")
    from traitlets.config import Config

    config = Config({"Exporter": {"preprocessors": ["r2gen_lib.privacy.nbconvert_check"]}})
    names = {"metadata": {"name": "mine"}}
    for exporter in (nbconvert.HTMLExporter(config=config), nbconvert.NotebookExporter(config=config)):
        with pytest.raises(PrivacyError, match="mine: the outputs of code cells 2 hold sentences of credentialed"):
            exporter.from_notebook_node(notebook(stream(REPORT)), resources=names)
        with pytest.raises(PrivacyError, match="mine: code cells 2 ran with credentialed studies"):
            exporter.from_notebook_node(notebook(data(privacy.MARKER, {"sources": ["own"]})), resources=names)
        page, _ = exporter.from_notebook_node(notebook(stream("fine"), source="my_work()"), resources=names)
        assert "my_work" in page


def test_a_course_run_keeps_nothing_of_them(empty_cache, tmp_path):
    mine, other, folder = tmp_path / "00_mine.ipynb", tmp_path / "01_other.ipynb", tmp_path / "run"
    cells = [new_code_cell(IN_KERNEL), new_code_cell(f"raise ValueError({REPORT!r})")]
    nbformat.write(new_notebook(cells=cells), mine)
    nbformat.write(new_notebook(cells=[new_code_cell("print('fine')")]), other)
    course = run_course([mine, other], folder, "ci", say=lambda line: None)
    refused, written = course.results
    assert refused.status == "failed" and course.exit_code == 1
    assert refused.error.startswith("00_mine.ipynb: code cells 1, 2 ran with credentialed studies")
    kept = [file for file in folder.rglob("*") if file.is_file()]
    assert not any(SECRET.encode() in file.read_bytes() for file in kept)
    assert written.status == "ok" and not (folder / mine.name).exists() and (folder / "01_other.html").exists()


def test_nothing_is_sent_anywhere(empty_cache, tmp_path, monkeypatch):
    def refuse(*_):
        raise AssertionError("a connection was opened")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(f"socket.socket.{name}", refuse)
    entry = {"id": "a", "subject_id": 10000032, "report": REPORT, "image_path": ["p10/p10000032/s50414267/a.jpg"]}
    (tmp_path / "annotation.json").write_text(json.dumps({"train": [entry], "val": [entry | {"id": "b"}], "test": []}))
    studies = load_studies(tmp_path)
    assert all(study.credentialed for study in studies)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    examine(studies, "mimic_cxr", progress=False)  # its tokenizer is not on this machine, and is not fetched


def test_the_check_for_git(empty_cache, tmp_path):
    good, bad, broken = (tmp_path / f"{name}.ipynb" for name in ("good", "bad", "broken"))
    nbformat.write(notebook(stream("fine")), good)
    nbformat.write(notebook(data(privacy.MARKER, {"sources": ["mimic_cxr"]})), bad)
    broken.write_text("not json")
    assert privacy.main([]) == privacy.main([str(good)]) == 0
    command = [sys.executable, "-m", "r2gen_lib.privacy", *map(str, (good, bad, broken))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    first, second = done.stderr.strip().splitlines()
    assert first.startswith(f"{bad}: code cells 2 ran with") and second.startswith(f"{broken}: cannot be read")


def test_no_committed_notebook_shows_credentialed_data():
    assert privacy.check_notebooks(sorted((checkout() / "notebooks").rglob("*.ipynb"))) == []
