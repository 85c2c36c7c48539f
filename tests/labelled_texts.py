"""The texts that the labeller is tested on, and what they should get; ``benchmarks/labeller_engines.py`` reads them."""

from __future__ import annotations

import csv
from pathlib import Path

from r2gen_lib import assets
from r2gen_lib.data.readers.openi import read_openi_archive
from r2gen_lib.data.reports import choose_section
from r2gen_lib.findings.report_labeler import State

HERE = Path(__file__).parent
STATES = {"P": State.PRESENT, "U": State.UNCERTAIN, "A": State.ABSENT}


def cases(name: str) -> list[tuple[str, dict[str, State]]]:
    """(text, what is said of some observations) of a file of ``tests/cases``, such as ``labels.txt``."""
    found = []
    for line in (HERE / "cases" / name).read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            text, labels = line.rsplit("=>", 1)
            pairs = (label.strip().rsplit(" ", 1) for label in labels.split(","))
            found.append((text.strip().replace("\\n", "\n"), {name: STATES[letter] for name, letter in pairs}))
    return found


def real_sentences() -> list[tuple[str, dict[str, State]]]:
    """(sentence, all that is said in it) of ``findings/labelled_sentences.csv``; the text comes from the wheel."""
    records = read_openi_archive(assets.asset("openi_reports"))
    found = []
    with open(HERE / "findings" / "labelled_sentences.csv", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            report = " ".join(choose_section(records[row["study"]][0], "both", row["study"]).split())
            pairs = (label.split("=") for label in row["labels"].split(";") if label)
            labels = {name: STATES[letter] for name, letter in pairs}
            found.append((report[int(row["start"]) : int(row["end"])], labels))
    return found
