"""What the doctor found, and the one page that says so."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType

from r2gen_lib.data.audit.image_survey import BadPicture, write_bad_pictures
from r2gen_lib.data.study import SPLITS
from r2gen_lib.errors import DataError

#: What stops training: the check's name -> what to do.
PROBLEMS: Mapping[str, str] = MappingProxyType(
    {
        "empty_splits": "Training learns from train and chooses by val: name both in the split table.",
        "repeated_ids": "An id is one study's: keep one of each, or rename.",
        "study_in_two_splits": "A study belongs to one split: remove it from the others, or its test score is memory.",
        "patient_in_two_splits": "A patient belongs to one split: move all of a patient's studies together.",
        "empty_reports": "There is nothing to learn from: leave these studies out, or choose another section.",
        "missing_views": "Leave these studies out, or choose a policy for missing views and skip this check.",
        "missing_pictures": "Check the picture folder (--pictures), or leave these studies out.",
        "unreadable_pictures": "Copy or convert them again, or leave these studies out.",
        "pictures_in_two_splits": "The test is on pictures that were learnt: keep each picture in one split.",
    }
)
#: What is worth knowing before training.
WARNINGS: Mapping[str, str] = MappingProxyType(
    {
        "no_test_studies": "Nothing is left to score the trained model on.",
        "duplicate_reports": "Few words to learn from: look at the scores beside those of a constant report.",
        "reports_in_two_splits": "A model that repeats training reports scores well on these.",
        "nan_in_reports": "An empty cell became a word: take it out, or the model learns to write it.",
        "long_reports": "Their ends are never learnt nor generated: raise target.max_tokens, or accept it.",
        "blank_pictures": "They show nothing: look at how they were converted.",
        "faint_pictures": "They show next to nothing: look at the bits and the window they were converted with.",
        "noise_pictures": "They show nothing: see whether their bytes were read in a wrong format; convert them again.",
        "odd_shapes": "No radiograph is so small or so narrow: look at what these files are.",
        "fallback_pictures": "Their files do not say clearly how to show them: look at some before you train on them.",
        "duplicate_pictures": "One picture with several reports, or twice in a study: keep one if it is a mistake.",
    }
)
#: The checks that have to open the picture files.
PICTURE_CHECKS = (
    *("unreadable_pictures", "blank_pictures", "faint_pictures", "noise_pictures", "odd_shapes", "fallback_pictures"),
    *("duplicate_pictures", "pictures_in_two_splits"),
)
_SHOWN = 5


@dataclass(frozen=True)
class Check:
    """A check that found something: how many, in words, and the first few of them."""

    name: str
    count: int
    found: str
    examples: tuple[str, ...] = ()

    @property
    def is_problem(self) -> bool:
        """Whether training stops here; else it is a warning."""
        return self.name in PROBLEMS

    @property
    def advice(self) -> str:
        """What to do."""
        return PROBLEMS.get(self.name) or WARNINGS[self.name]

    def __str__(self) -> str:
        examples = f", such as {', '.join(self.examples)}" if self.examples else ""
        return f"{self.name}: {self.found}{examples}. {self.advice}"


@dataclass(frozen=True)
class Health:
    """The state of a data set before training.

    Attributes:
        title: what was examined, in words.
        counts: a row of the page -> split (and "all") -> number.
        notes: lines of the page about what was left out in reading, report length, codes, pictures, the use agreement.
        findings: every check that found something, whether skipped or not.
        skipped: names of the checks whose findings do not count.
        bad_pictures: the pictures with problems, an entry each.
    """

    title: str
    counts: Mapping[str, Mapping[str, int]]
    notes: tuple[str, ...]
    findings: tuple[Check, ...]
    skipped: tuple[str, ...] = ()
    bad_pictures: tuple[BadPicture, ...] = ()

    @property
    def problems(self) -> list[Check]:
        """What stops training."""
        return [check for check in self.findings if check.is_problem and check.name not in self.skipped]

    @property
    def warnings(self) -> list[Check]:
        """What is worth knowing before training."""
        return [check for check in self.findings if not check.is_problem and check.name not in self.skipped]

    def text(self) -> str:
        """One page, of at most 60 lines. It holds ids and paths, and no word of a report."""
        lines = [self.title, "", f"{'':28}" + "".join(f"{name:>10}" for name in (*SPLITS, "all"))]
        for row, numbers in self.counts.items():
            lines.append(f"{row:28}" + "".join(f"{numbers[name]:>10,}" for name in (*SPLITS, "all")))
        lines += ["", *self.notes]
        for name, checks in (("problems", self.problems), ("warnings", self.warnings)):
            lines += ["", f"{name}: {len(checks) or 'none'}", *(f"  {check}" for check in checks)]
        if self.skipped:
            lines += ["", f"skipped by name: {', '.join(self.skipped)}"]
        return "\n".join([*lines, "", self._verdict()])

    def _verdict(self) -> str:
        if not self.problems:
            return "Healthy: nothing here stops training."
        names = " ".join(f"--skip {check.name}" for check in self.problems)
        return f"Not healthy: mend what is named above, or take responsibility for it by name ({names})."

    def to_json(self) -> str:
        """The same as JSON: healthy, title, counts, problems, warnings, skipped, notes."""
        shown = {
            "healthy": not self.problems,
            "title": self.title,
            "counts": {row: dict(numbers) for row, numbers in self.counts.items()},
            "problems": [asdict(check) | {"advice": check.advice} for check in self.problems],
            "warnings": [asdict(check) | {"advice": check.advice} for check in self.warnings],
            "skipped": list(self.skipped),
            "notes": list(self.notes),
        }
        return json.dumps(shown, indent=2)

    def write_bad_pictures(self, path: str | Path) -> None:
        """List the pictures with problems in a CSV, a row for each problem, however many they are."""
        write_bad_pictures(self.bad_pictures, path)


def check(name: str, items: Collection, one: str, many: str, found: str) -> list[Check]:
    """``[Check]`` with the first few of ``items`` as examples, or ``[]`` if there are none.

    ``one`` or ``many`` follows the number, then comes ``found``: ``"report is"``, ``"reports are"``, ``"empty"``.
    """
    examples = tuple(str(item) for item, _ in zip(items, range(_SHOWN), strict=False))
    subject = one if len(items) == 1 else many
    return [Check(name, len(items), f"{len(items):,} {subject} {found}", examples)] if items else []


def known_checks(names: Collection[str]) -> tuple[str, ...]:
    """The names, once each, if all of them are checks.

    Raises:
        DataError: an unknown name.
    """
    unknown = [name for name in names if name not in PROBLEMS and name not in WARNINGS]
    if isinstance(names, str) or unknown:
        found = repr(names) if isinstance(names, str) else ", ".join(map(repr, unknown))
        raise DataError(f"skip: found {found}, expected names among {', '.join((*PROBLEMS, *WARNINGS))}.")
    return tuple(dict.fromkeys(names))
