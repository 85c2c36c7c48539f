"""Questions about a notebook, every choice explained: ``checks.quiz("03")``.

They are kept in ``quizzes/NN.toml``. A quiz is for the student alone: nothing of it goes into ``checks.save_json``.
"""

from __future__ import annotations

import textwrap
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from r2gen_lib.errors import ExerciseError

FOLDER = Path(__file__).parent / "quizzes"
LETTERS = "abcdef"
_WIDTH = 100


@dataclass(frozen=True)
class Choice:
    """One answer that can be chosen: its text, whether it is right, and why it is right or wrong."""

    text: str
    why: str
    right: bool = False


@dataclass(frozen=True)
class Question:
    """A question and its choices, of which one is right."""

    ask: str
    choices: tuple[Choice, ...]

    @property
    def letter(self) -> str:
        """The letter of the right choice."""
        return LETTERS[[choice.right for choice in self.choices].index(True)]


def quiz(notebook: str, answers: str = "") -> None:
    """Print the questions of a notebook, or what is right of some answers.

    Args:
        notebook: its number, such as "03".
        answers: a letter a question, such as "bad.c": "." leaves a question out, and what is missing at the end is left
            out too. Each answer is explained; the letter of the right one is not given away.

    Raises:
        ExerciseError: there are no questions for that notebook, or there are more answers than questions.
    """
    questions = read_quiz(FOLDER / f"{notebook}.toml")
    given = "".join(answers.replace(",", " ").split()).lower()
    if len(given) > len(questions):
        raise ExerciseError(
            f"quiz({notebook!r}): found {len(given)} answers, expected at most {len(questions)}, a letter a question."
        )
    if not given:
        for number, question in enumerate(questions, 1):
            _print_question(number, question)
        blank = "." * len(questions)
        print(f'Answer with a letter each, "." for those you leave out: checks.quiz("{notebook}", "{blank}")')
        return
    for number, (letter, question) in enumerate(zip(given, questions, strict=False), 1):
        _print_verdict(number, letter, question)
    right = sum(letter == question.letter for letter, question in zip(given, questions, strict=False))
    print(f"{right} of {len(questions)} are right.")


def read_quiz(path: Path) -> list[Question]:
    """The questions of a file.

    Raises:
        ExerciseError: there is no such file, or it is not made as a quiz is; the message says where.
    """
    if not path.is_file():
        known = ", ".join(file.stem for file in sorted(path.parent.glob("*.toml")))
        raise ExerciseError(f"quiz: found no questions for {path.stem!r}, expected one of {known}.")
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8")).get("question", [])
    except tomllib.TOMLDecodeError as error:
        raise ExerciseError(f"{path.name}: cannot be read as TOML ({error}).") from error
    return [_question(entry, f"{path.name}, question {number}") for number, entry in enumerate(found, 1)]


def _question(entry: dict[str, Any], where: str) -> Question:
    choices = []
    for letter, one in zip(LETTERS, entry.get("choice", []), strict=False):
        if missing := [field for field in ("text", "why") if not one.get(field, "").strip()]:
            raise ExerciseError(f"{where}, choice {letter}: {' and '.join(missing)} missing. Explain every choice.")
        choices.append(Choice(_one_line(one["text"]), _one_line(one["why"]), one.get("right", False)))
    if not entry.get("ask", "").strip() or sum(choice.right for choice in choices) != 1:
        raise ExerciseError(
            f"{where}: found {sum(choice.right for choice in choices)} right choices of {len(choices)} to "
            f"{entry.get('ask', '')[:40]!r}, expected a question (ask) with one right choice."
        )
    return Question(_one_line(entry["ask"]), tuple(choices))


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _print_question(number: int, question: Question) -> None:
    print(textwrap.fill(f"{number}. {question.ask}", _WIDTH, subsequent_indent="   "))
    for letter, choice in zip(LETTERS, question.choices, strict=False):
        print(textwrap.fill(f"   {letter}) {choice.text}", _WIDTH, subsequent_indent="      "))
    print()


def _print_verdict(number: int, letter: str, question: Question) -> None:
    known = dict(zip(LETTERS, question.choices, strict=False))
    if letter in known:
        choice = known[letter]
        text = f"{letter}) {'Right' if choice.right else 'No'}: {choice.text} {choice.why}"
    elif letter == ".":
        text = f"left out: {question.ask}"
    else:
        text = f"found {letter!r}, expected one of {', '.join(known)}, or . to leave it out."
    print(textwrap.fill(f"{number}. {text}", _WIDTH, subsequent_indent="   "), end="\n\n")
