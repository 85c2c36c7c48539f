"""The tagged masters of the exercises, ``notebooks/exercises/NN.py`` (05b.py too): how they are read, what is wrong.

A master is a Python file of blocks, each begun by a line ``# %% kind words``; ``notebooks/exercises/README.md`` lists
the kinds. Text is written as comments, code as code. ``exercise_cells`` makes notebooks of what is read here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from r2gen_lib.errors import ExerciseError

TEXT = ("exercise", "guess", "hint", "why", "explanation")
CODE = ("setup", "given", "stub", "check", "solution", "wrong")
_MARKER = re.compile(r"# %% ?(\w*) ?(.*)")
_RATED = re.compile(r"(.+?) \| difficulty ([123])(?: \| importance ([123]))? \| (\d+) minutes")
_ONCE = ("guess", "given", "stub", "check", "solution", "why", "explanation")


def number_of(notebook: str) -> str:
    """What a notebook's name begins with: "05", or "05b" for the second half of a notebook that was parted."""
    return notebook.partition("_")[0]


@dataclass(frozen=True)
class Answer:
    """Code in the place of the stub, and a piece of the message that its check must give ("" for solutions)."""

    code: str
    message: str = ""


@dataclass
class Exercise:
    """One exercise.

    ``difficulty`` 1 to 3. ``importance`` 1 to 3, None where it is not rated. ``given`` is code before the answer,
    ``guess`` a question to answer before it, ``why`` one to answer after the check; all three may be empty.
    """

    title: str
    difficulty: int
    minutes: int
    question: str
    line: int
    importance: int | None = None
    hints: list[str] = field(default_factory=list)
    guess: str = ""
    given: str = ""
    stub: Answer | None = None
    check: str = ""
    solution: str = ""
    why: str = ""
    explanation: str = ""
    wrong: list[Answer] = field(default_factory=list)


@dataclass
class Master:
    """All exercises of a notebook. ``setup``: code cells that stand for what the notebook did before."""

    path: Path
    notebook: str
    setup: list[str] = field(default_factory=list)
    exercises: list[Exercise] = field(default_factory=list)

    @property
    def number(self) -> str:
        """As ``number_of`` its notebook."""
        return number_of(self.notebook)


@dataclass(frozen=True)
class _Block:
    kind: str
    words: str
    body: str
    line: int


def read_masters(folder: Path) -> list[Master]:
    """Every master of a folder, in order.

    Raises:
        ExerciseError: none is there, or one cannot be read.
    """
    paths = sorted(folder.glob("[0-9][0-9]*.py"))
    if not paths:
        raise ExerciseError(f"no masters of exercises (00.py, 01.py, ...) in {folder}. They are in the repository.")
    return [read_master(path) for path in paths]


def read_master(path: Path) -> Master:
    """One master.

    Raises:
        ExerciseError: naming file and line, what was found and what was expected.
    """
    blocks = _blocks(path)
    if not blocks or blocks[0].kind != "notebook" or not re.fullmatch(r"\d\d[a-z]?_\w+", blocks[0].words):
        raise _error(path, 1, "expected `# %% notebook 02_visual_alignment` as the first block")
    master = Master(path, blocks[0].words)
    if master.number != path.stem:
        raise _error(
            path, blocks[0].line, f"found notebook {master.notebook}, expected one whose name begins {path.stem}"
        )
    for block in blocks[1:]:
        if block.kind == "exercise":
            master.exercises.append(_begun(path, block))
        elif block.kind == "setup":
            if master.exercises:
                raise _error(path, block.line, "found setup after an exercise, expected before the first")
            master.setup.append(block.body)
        elif not master.exercises:
            raise _error(path, block.line, f"found {block.kind} before the first exercise")
        else:
            _add(path, master.exercises[-1], block)
    for one in master.exercises:
        _see_whole(path, one)
    return master


def _blocks(path: Path) -> list[_Block]:
    """The file in blocks, code compiled, text freed of its comment signs. Lines before the first are for authors."""
    found: list[_Block] = []
    lines = path.read_text(encoding="utf-8").splitlines()
    starts = [i for i, line in enumerate(lines) if line.startswith("# %%")]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        kind, words = _MARKER.fullmatch(lines[start]).groups()
        if kind not in ("notebook", *TEXT, *CODE):
            raise _error(path, start + 1, f"found a block {kind!r}, expected one of notebook, {', '.join(TEXT + CODE)}")
        body = lines[start + 1 : end]
        if kind in TEXT:
            body = _text(path, body, start + 2)
        elif kind in CODE:
            _compile(path, body, start + 2)
        block = _Block(kind, words.strip(), "\n".join(body).strip("\n"), start + 1)
        if kind != "notebook" and not block.body:
            raise _error(path, start + 1, f"the {kind} is empty")
        found.append(block)
    return found


def _text(path: Path, lines: list[str], first: int) -> list[str]:
    for number, line in enumerate(lines, first):
        if line and not (line == "#" or line.startswith("# ")):
            raise _error(path, number, f"found {line[:40]!r} in a text, expected a line that begins with '# '")
    return [line[2:] for line in lines]


def _compile(path: Path, lines: list[str], first: int) -> None:
    try:
        compile("\n" * (first - 1) + "\n".join(lines), str(path), "exec")
    except SyntaxError as error:
        raise _error(path, error.lineno or first, f"this is no Python ({error.msg})") from error


def _begun(path: Path, block: _Block) -> Exercise:
    rated = _RATED.fullmatch(block.words)
    if not rated:
        expected = "`Title | difficulty 1 | importance 2 | 5 minutes` (importance may be left out)"
        raise _error(path, block.line, f"found {block.words!r}, expected {expected}")
    title, difficulty, importance, minutes = rated.groups()
    rating = int(importance) if importance else None
    return Exercise(title, int(difficulty), int(minutes), block.body, block.line, rating)


def _add(path: Path, one: Exercise, block: _Block) -> None:
    if block.kind in _ONCE and getattr(one, block.kind):
        raise _error(path, block.line, f"exercise {one.title!r} has a second {block.kind}")
    if block.kind in ("stub", "wrong"):
        if not block.words:
            raise _error(path, block.line, f"expected a piece of the message behind `# %% {block.kind}`")
        answer = Answer(block.body, block.words)
        one.wrong.append(answer) if block.kind == "wrong" else setattr(one, "stub", answer)
    elif block.kind == "hint":
        one.hints.append(block.body)
    else:
        setattr(one, block.kind, block.body)


def _see_whole(path: Path, one: Exercise) -> None:
    missing = [kind for kind in ("hints", "stub", "check", "solution") if not getattr(one, kind)]
    if missing or len(one.wrong) < 3:
        lacks = ", ".join(missing) or f"wrong answers: it has {len(one.wrong)}, expected three"
        raise _error(path, one.line, f"exercise {one.title!r} lacks {lacks}")


def _error(path: Path, line: int, what: str) -> ExerciseError:
    return ExerciseError(f"{path}:{line}: {what}. See notebooks/exercises/README.md.")
