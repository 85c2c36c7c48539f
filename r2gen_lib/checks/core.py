"""What every check shares: it prints in words, never stops a notebook, and keeps what came out for the report.

A check is a function of the student's answer that returns what is right about it, or raises :class:`Wrong` with what
came out, what was expected and the likeliest slip. ``exercise`` makes of it what students call.
"""

from __future__ import annotations

import functools
import linecache
import sys
import textwrap
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from r2gen_lib.errors import CheckFailed

LIBRARY = Path(__file__).parent.parent


class Wrong(Exception):
    """An answer that is not right; its words are for the student."""


@dataclass(frozen=True)
class Result:
    """The latest result of one exercise. ``exercise`` is notebook and number ("02.1"), ``time`` local, ISO 8601.

    ``guess`` and ``why`` are the student's own words, where the exercise asks for them; nobody checks them.
    """

    exercise: str
    title: str
    passed: bool
    message: str
    time: str
    guess: str = ""
    why: str = ""


#: Every check that was made with ``exercise``, by its name.
CHECKS: dict[str, Callable[..., bool]] = {}
_TITLES: dict[str, str] = {}
_RESULTS: dict[str, Result] = {}
_WORDS: dict[str, dict[str, str]] = {}


def exercise(number: str, title: str) -> Callable[[Callable[..., str]], Callable[..., bool]]:
    """Make a check of a function that returns a message or raises ``Wrong``.

    The check prints "Right: ..." or "Not yet: ...", records it, and returns whether the answer is right. An exception
    in the student's code is explained. ``strict=True`` raises CheckFailed where the answer is wrong, for graders.
    """

    def decorate(function: Callable[..., str]) -> Callable[..., bool]:
        _TITLES[number] = title

        @functools.wraps(function)
        def check(*answer: Any, strict: bool = False, **named: Any) -> bool:
            passed, message = _judge(function, answer, named)
            now = datetime.now().astimezone().isoformat(timespec="seconds")
            _RESULTS[number] = Result(number, title, passed, message, now)
            if strict and not passed:
                raise CheckFailed(f"exercise {number}, {title}: {message}")
            print(textwrap.fill(f"{'Right' if passed else 'Not yet'}: {message}", 110))
            return passed

        CHECKS[function.__name__] = check
        return check

    return decorate


def _judge(function: Callable[..., str], answer: tuple, named: dict) -> tuple[bool, str]:
    try:
        with torch.random.fork_rng(devices=[]):
            return True, " ".join(function(*answer, **named).split())
    except Wrong as wrong:
        return False, " ".join(str(wrong).split())
    except Exception as error:  # whatever the student's answer made of the check
        return False, f"the answer could not be checked: {explain(error)}. Compare its type with what the stub returns."


def ask(function: Callable, *arguments: Any, shown: str = "") -> Any:
    """What the student's function answers.

    Args:
        shown: the call in words; by default the arguments as they are written.

    Raises:
        Wrong: it is no function, it raised, or it returned nothing.
    """
    if not callable(function):
        raise Wrong(f"expected a function, found {described(function)}: hand over its name, without calling it.")
    name = getattr(function, "__name__", "your function")
    shown = shown or ", ".join(map(described, arguments))
    try:
        value = function(*arguments)
    except Exception as error:
        raise Wrong(f"{name}({shown}) raised an error: {explain(error)}.") from error
    if value is None:
        raise Wrong(f"{name}({shown}) returned None. Is the return statement missing?")
    return value


def explain(error: BaseException) -> str:
    """The last line of a traceback in one sentence, and the student's own line that led to it."""
    last = traceback.format_exception_only(type(error), error)[-1].strip().splitlines()[0]
    own = [f for f in traceback.extract_tb(error.__traceback__) if _students(f.filename)]
    if not own:
        return last
    line = (own[-1].line or linecache.getline(own[-1].filename, own[-1].lineno or 0)).strip()
    return f"{last} (line {own[-1].lineno} of the cell{f', `{line}`' if line else ''})"


def _students(filename: str) -> bool:
    return (
        not Path(filename).is_relative_to(LIBRARY)
        and not Path(filename).is_relative_to(sys.prefix)
        and ("site-packages" not in filename and f"python{sys.version_info.major}" not in filename)
    )


def described(value: Any, limit: int = 60) -> str:
    """A value in a few letters: tensors and arrays by their shape."""
    if isinstance(value, torch.Tensor | np.ndarray) and value.ndim:
        return f"{type(value).__name__.lower()} of shape {tuple(value.shape)}"
    if isinstance(value, float):
        return f"{value:.4g}"
    if callable(value):
        return getattr(value, "__name__", "a function")
    text = repr(value)
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def same_shape(found: Any, expected: Any, what: str, hint: str = "") -> None:
    """Raises Wrong where ``found`` is no tensor or array of the expected one's shape."""
    if not hasattr(found, "shape"):
        raise Wrong(f"{what} is {described(found)}, expected a {type(expected).__name__.lower()}.")
    if tuple(found.shape) != tuple(expected.shape):
        raise Wrong(f"{what} has the shape {tuple(found.shape)}, expected {tuple(expected.shape)}. {hint}")


def close(found: Any, expected: Any, tolerance: float = 1e-4) -> bool:
    """Whether two numbers, tensors or arrays of one shape agree."""
    found, expected = (torch.as_tensor(value).detach().double() for value in (found, expected))
    return found.shape == expected.shape and bool(torch.allclose(found, expected, atol=tolerance, rtol=tolerance))


def results() -> list[Result]:
    """The latest result of every exercise that was checked since Python started, in their order."""
    return [replace(_RESULTS[number], **_WORDS.get(number, {})) for number in sorted(_RESULTS)]


def guess(number: str, words: str | float) -> None:
    """Keep what a student expects, before the exercise is begun; it is saved with the exercise's result."""
    _keep(number, "guess", words)


def why(number: str, words: str) -> None:
    """Keep a student's reason, after the check; it is saved with the exercise's result and not checked."""
    _keep(number, "why", words)


def _keep(number: str, kind: str, words: str | float) -> None:
    if number not in _TITLES:
        raise CheckFailed(f"found no exercise {number!r}, expected one of {', '.join(sorted(_TITLES))}.")
    text = str(words).strip()
    if text:
        _WORDS.setdefault(number, {})[kind] = text
    print("Kept with your answers." if text else "Nothing is kept yet: write it between the quotes and run this again.")


def report() -> None:
    """Print a table: the exercises of every notebook that was begun, and what became of them."""
    begun = {number.split(".")[0] for number in _RESULTS}
    for number in sorted(_TITLES):
        if number.split(".")[0] in begun:
            result = _RESULTS.get(number)
            state = "not tried" if result is None else "right" if result.passed else "not yet"
            print(f"{number}  {_TITLES[number]:34s}{state}")
    if not begun:
        print("No exercise was checked yet.")


def save_json(path: str | Path, student: str = "") -> Path:
    """Write the latest results for whoever collects them; a file that is there is replaced.

    The JSON holds ``student``, ``version`` of this library, ``saved`` (time) and ``results``: a list of exercise,
    title, passed, message, time, guess, why.
    """
    import json

    from r2gen_lib import __version__
    from r2gen_lib.files import atomic_write

    saved = datetime.now().astimezone().isoformat(timespec="seconds")
    content = {"student": student, "version": __version__, "saved": saved, "results": [asdict(r) for r in results()]}
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return Path(path)


def forget() -> None:
    """Forget every result, guess and reason, as after starting Python anew."""
    _RESULTS.clear()
    _WORDS.clear()
