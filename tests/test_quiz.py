"""The questions that students answer for themselves: the files, and what is printed."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from r2gen_lib import checks, cli
from r2gen_lib.assets import checkout
from r2gen_lib.checks.self_check import FOLDER, LETTERS, read_quiz
from r2gen_lib.course.notebook_files import read_notebook
from r2gen_lib.errors import ExerciseError

FILES = sorted(FOLDER.glob("*.toml"))
#: Numbers that a run or another day may change: decimals, shares, thousands. A question asks for reasons.
MEASURED = re.compile(r"\d[.,]\d|\d ?%|\bper cent\b")


def texts(question):
    return [question.ask, *(text for choice in question.choices for text in (choice.text, choice.why))]


def test_each_notebook_has_questions():
    assert [path.stem for path in FILES] == ["00", "01", "02", "03", "04", "05", "05b", "06", "07"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_questions_are_whole_and_not_to_be_guessed(path):
    questions = read_quiz(path)  # one right choice, each explained
    assert 5 <= len(questions) <= 8
    for question in questions:
        assert 3 <= len(question.choices) <= len(LETTERS)
        assert len({text for choice in question.choices for text in (choice.text, choice.why)}) == 2 * len(
            question.choices
        )
        assert not [text for text in texts(question) if MEASURED.search(text)], question.ask
        assert not [choice.why for choice in question.choices if re.search(r"\b[a-d]\)", choice.why)]
        longest = max(question.choices, key=lambda choice: len(choice.text))
        assert len(longest.text) < 160
    letters = Counter(question.letter for question in questions)
    assert len(letters) >= 3 and max(letters.values()) <= len(questions) / 2


def test_measured_numbers_are_seen():
    assert all(MEASURED.search(text) for text in ("BLEU-4 0.137", "37% of them", "2,069 studies", "52 % normal"))
    assert not MEASURED.search("notebook 03, 16 × 16 patches, 448 / 16 = 28, BLEU-4 and -100")


def test_questions_are_shown_and_answers_explained(capsys):
    first, second = read_quiz(FOLDER / "03.toml")[:2]
    checks.quiz("03")
    shown = capsys.readouterr().out
    assert shown.startswith("1. ") and "   a) " in shown and "checks.quiz(" in shown
    assert first.choices[0].why not in " ".join(shown.split())
    assert max(map(len, shown.splitlines())) <= 100

    wrong = next(letter for letter in LETTERS if letter != second.letter)
    checks.quiz("03", f"{first.letter.upper()}, {wrong} . z")
    told = " ".join(capsys.readouterr().out.split())
    assert f"1. {first.letter}) Right: " in told and f"2. {wrong}) No: " in told and "3. left out: " in told
    assert "4. found 'z', expected one of a, b, c, d" in told and "1 of 8 are right." in told
    right = first.choices[LETTERS.index(first.letter)]
    assert right.why in told and second.choices[LETTERS.index(wrong)].why in told
    assert second.choices[LETTERS.index(second.letter)].why not in told


def test_all_right(capsys):
    checks.quiz("00", "".join(question.letter for question in read_quiz(FOLDER / "00.toml")))
    assert "7 of 7 are right." in capsys.readouterr().out


def test_nothing_of_a_quiz_is_kept(tmp_path):
    checks.forget()
    checks.quiz("00", "a")
    assert checks.results() == []


def test_what_cannot_be_is_said(tmp_path, capsys):
    with pytest.raises(ExerciseError, match="no questions for '12', expected one of 00, 01"):
        checks.quiz("12")
    with pytest.raises(ExerciseError, match="found 9 answers, expected at most 8"):
        checks.quiz("03", "aaaaaaaaa")
    file = tmp_path / "00.toml"
    bad = {
        "[[question": "cannot be read as TOML",
        "[[question]]\nask = 'Why?'": "question 1: found 0 right choices of 0 to 'Why?'",
        "[[question]]\nask = 'Why?'\n[[question.choice]]\ntext = 'So.'": "question 1, choice a: why missing",
    }
    for text, said in bad.items():
        file.write_text(text)
        with pytest.raises(ExerciseError, match=re.escape(said)):
            read_quiz(file)


def test_the_command(capsys):
    assert cli.main(["quiz", "00", "a.b"]) == 0
    assert "2. left out" in capsys.readouterr().out
    assert cli.main(["quiz", "0"]) == 2


@pytest.mark.parametrize("number", [path.stem for path in FILES])
def test_the_notebook_asks_them_before_its_exercises(number, capsys):
    (path,) = (checkout() / "notebooks").glob(f"{number}_*.ipynb")
    cells = read_notebook(path).cells
    place = [cell.id for cell in cells].index("quiz")
    assert cells[place + 1].source.startswith("## Exercises")
    checks.quiz(number)
    assert f'checks.quiz("{number}")' in cells[place].source
    shown = "".join(output.text for output in cells[place].outputs)
    assert shown == capsys.readouterr().out, "the questions have changed: r2gen course --update"
