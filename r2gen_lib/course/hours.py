"""How long the notebooks take a student: words to read, the machine's minutes, the exercises' minutes.

The first is an estimate from a count, the second was measured (``measured.json``), the third is what each exercise says
of itself. What is not in it: reading code, writing down guesses, talking. So of a session ``SHARE`` is planned at most.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from r2gen_lib.course import notebook_files
from r2gen_lib.course.exercise_cells import section_range
from r2gen_lib.course.exercise_masters import number_of, read_masters
from r2gen_lib.course.run import find_notebooks
from r2gen_lib.course.summary import read_summary
from r2gen_lib.errors import R2GenError

WORDS_A_MINUTE = 200  # of a text, read carefully
SHARE = 2 / 3  # of a session; the rest is for code, guesses and talk
AROUND = 0  # where the words outside numbered sections are counted: title, goals, summary
_HEADING = re.compile(r"## (\d+) ?[.·] ")


@dataclass(frozen=True)
class Hours:
    """Minutes of one notebook.

    Attributes:
        notebook: its name; ``number`` is what it begins with.
        words: of prose, by section; ``AROUND`` for what belongs to none.
        machine: measured minutes.
        exercises: number, such as "05.2", -> minutes.
    """

    notebook: str
    words: Mapping[int, int]
    machine: float
    exercises: Mapping[str, int]

    @property
    def number(self) -> str:
        """As ``number_of`` it."""
        return number_of(self.notebook)

    @property
    def reading(self) -> float:
        """Minutes for all its prose."""
        return sum(self.words.values()) / WORDS_A_MINUTE

    @property
    def total(self) -> float:
        """Reading, machine and all exercises."""
        return self.reading + self.machine + sum(self.exercises.values())


def course_hours(folder: Path | None = None) -> dict[str, Hours]:
    """Number -> minutes of each notebook.

    Args:
        folder: the notebooks'; by default the checkout's.

    Raises:
        R2GenError: there are no notebooks, or one was not measured.
    """
    paths = find_notebooks(folder=folder)
    rows = read_summary(paths[0].parent / "measured.json")["notebooks"]
    measured = {row["notebook"]: row["seconds"] / 60 for row in rows}
    masters = {master.notebook: master for master in read_masters(paths[0].parent / "exercises")}
    hours = []
    for path in paths:
        if path.stem not in measured:
            raise R2GenError(
                f"{path.parent / 'measured.json'}: found no row of {path.stem}, expected one of every notebook. Run "
                "`r2gen course`, then `r2gen course --table runs/FOLDER --update`."
            )
        master = masters.get(path.stem)
        exercises = {f"{master.number}.{n}": one.minutes for n, one in enumerate(master.exercises, 1)} if master else {}
        hours.append(Hours(path.stem, _words(path), measured[path.stem], exercises))
    return {each.number: each for each in hours}


def _words(path: Path) -> dict[int, int]:
    """Words of prose by section. Left out: exercises (their minutes count), references, Colab's badge."""
    notebook = notebook_files.read_notebook(path)
    first, last = section_range(notebook)
    words, section = {AROUND: 0}, AROUND
    for i, cell in enumerate(notebook.cells):
        if cell.cell_type != "markdown" or first <= i < last or cell.id in ("badge", "references"):
            continue
        for part in re.split(r"(?m)^(?=## )", cell.source):
            heading = _HEADING.match(part)
            section = int(heading[1]) if heading else AROUND if part.startswith("## ") else section
            words[section] = words.get(section, 0) + len(part.split())
    return words


def session_minutes(hours: Mapping[str, Hours], notebooks: str, exercises: str = "") -> float:
    """Minutes of a session of a syllabus.

    Args:
        hours: of ``course_hours``.
        notebooks: what is done, such as "00; 01: 1, 4-6; 02": notebooks, and of some only these sections.
        exercises: such as "00.1, 02.2".

    Raises:
        R2GenError: a notebook, a section or an exercise that is not there.
    """
    minutes = 0.0
    for each in filter(None, map(str.strip, notebooks.split(";"))):
        number, _, sections = each.partition(":")
        one = _found(hours, number.strip(), "notebook")
        chosen = _sections(sections) if sections else one.words.keys()
        words = sum(_found(one.words, section, f"section of {number}") for section in {AROUND, *chosen})
        minutes += words / WORDS_A_MINUTE + one.machine
    known = {name: time for one in hours.values() for name, time in one.exercises.items()}
    return minutes + sum(_found(known, name, "exercise") for name in filter(None, map(str.strip, exercises.split(","))))


def _sections(text: str) -> set[int]:
    found: set[int] = set()
    for part in text.split(","):
        low, _, high = part.strip().partition("-")
        found |= set(range(int(low), int(high or low) + 1))
    return found


def _found(known: Mapping, name: str | int, what: str):
    if name not in known:
        raise R2GenError(f"{what} {name}: found none such, expected one of {', '.join(map(str, known))}.")
    return known[name]


def hours_table(hours: Mapping[str, Hours]) -> str:
    """The minutes for a terminal: a line a notebook."""
    lines = [f"{'minutes':28s}{'reading':>9s}{'machine':>9s}{'exercises':>11s}{'all':>7s}"]
    for one in hours.values():
        work = sum(one.exercises.values())
        lines.append(f"{one.notebook:28s}{one.reading:9.0f}{one.machine:9.1f}{work:11d}{one.total:7.0f}")
    lines.append(f"{'all':28s}{'':29s}{sum(one.total for one in hours.values()):7.0f}")
    lines.append(f"reading: words / {WORDS_A_MINUTE}. Not in it: code, guesses, talk; plan {SHARE:.0%} of a session.")
    return "\n".join(lines)
