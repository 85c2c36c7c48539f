"""The summary of a course run: one table as JSON, as Markdown and as the page that links the notebooks."""

from __future__ import annotations

import html
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from r2gen_lib import environment
from r2gen_lib.errors import R2GenError
from r2gen_lib.files import atomic_write

if TYPE_CHECKING:
    from r2gen_lib.course.results import Course

#: The lines in notebooks/README.md that the table of times stands between.
TABLE_BEGIN, TABLE_END = "<!-- times: r2gen course --table FOLDER --update -->", "<!-- end of times -->"
_HEADER = ("notebook", "seconds", "peak memory MB", "status")


def machine() -> dict[str, Any]:
    """What the times depend on: cores, memory, operating system, versions."""
    here = environment.machine()
    facts = {"cores": here.cores, "memory_gb": here.memory_gb, "system": here.system, "python": here.python}
    return facts | environment.versions("torch", "transformers", "timm", "numpy")


def write_summary(course: Course) -> None:
    """Write ``summary.json``, ``summary.md`` and ``index.html`` into the run's folder."""
    facts = {"started": course.started, "profile": course.profile, "machine": machine()}
    results = [asdict(result) for result in course.results]
    _write(course.folder / "summary.json", json.dumps({**facts, "notebooks": results}, indent=2) + "\n")
    _write(course.folder / "summary.md", _markdown(course, facts))
    _write(course.folder / "index.html", _page(course, facts))


def read_summary(path: Path) -> dict[str, Any]:
    """A run's ``summary.json``, or the one in a run's folder.

    Raises:
        R2GenError: there is none, or it is not a summary.
    """
    path = path / "summary.json" if path.is_dir() else path
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
        if not {"started", "profile", "machine", "notebooks"} <= set(summary):
            raise ValueError("it lacks fields")
    except (OSError, ValueError) as error:
        raise R2GenError(f"{path}: found no course summary ({error}). `r2gen course` writes one into runs/.") from error
    return summary


def time_table(summary: dict[str, Any]) -> str:
    """What a run measured, as Markdown for notebooks/README.md: minutes and peak memory of each notebook."""
    rows = summary["notebooks"]
    lines = ["| notebook | minutes | peak memory |", "|---|---:|---:|"]
    for row in rows:
        seconds = f"{row['seconds'] / 60:.1f}" if row["status"] == "ok" else row["status"]
        lines.append(f"| {row['notebook']} | {seconds} | {row['peak_memory_mb'] / 1000:.1f} GB |")
    total, peak = sum(row["seconds"] for row in rows), max(row["peak_memory_mb"] for row in rows)
    lines.append(f"| all | {total / 60:.1f} | {peak / 1000:.1f} GB |")
    machine_of = summary["machine"]
    where = f"profile {summary['profile']}, {machine_of['cores']} cores, torch {machine_of['torch']}"
    return "\n".join([f"Measured on {summary['started'][:10]}: {where}.", "", *lines])


def put_table(summary: dict[str, Any], folder: Path) -> None:
    """Keep the summary as ``measured.json`` in ``folder`` and write its table into the README.md there.

    Raises:
        R2GenError: README.md has no place for it.
    """
    readme = folder / "README.md"
    text = readme.read_text(encoding="utf-8")
    before, begin, rest = text.partition(TABLE_BEGIN)
    _, end, after = rest.partition(TABLE_END)
    if not end:
        raise R2GenError(f"{readme}: found no lines {TABLE_BEGIN} and {TABLE_END}, expected the table's place.")
    _write(folder / "measured.json", json.dumps(summary, indent=2) + "\n")
    _write(readme, f"{before}{begin}\n{time_table(summary)}\n{end}{after}")


def _rows(course: Course) -> list[tuple[str, str, str, str]]:
    rows = []
    for result in course.results:
        rows.append((result.notebook, f"{result.seconds:.1f}", str(result.peak_memory_mb), result.outcome()))
    total = sum(result.seconds for result in course.results)
    peak = max((result.peak_memory_mb for result in course.results), default=0)
    return [*rows, ("all", f"{total:.1f}", str(peak), _outcome(course))]


def _outcome(course: Course) -> str:
    if any(result.status == "stopped" for result in course.results):
        return "stopped"
    return "failed" if course.exit_code else "ok"


def _facts_line(facts: dict[str, Any]) -> str:
    computer = ", ".join(f"{key} {value}" for key, value in facts["machine"].items())
    return f"Started {facts['started']}, profile {facts['profile']}; {computer}."


def _markdown(course: Course, facts: dict[str, Any]) -> str:
    def line(cells: tuple[str, ...]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    table = [line(_HEADER), "|---|---:|---:|---|", *map(line, _rows(course))]
    return "\n".join(["# Course run", "", _facts_line(facts), "", *table, ""])


def _page(course: Course, facts: dict[str, Any]) -> str:
    def row(cells: tuple[str, ...]) -> str:
        name, *others = map(html.escape, cells)
        link = f'<a href="{name}.html">{name}</a>' if name != "all" else name
        return f"<tr><td>{link}</td>" + "".join(f"<td>{cell}</td>" for cell in others) + "</tr>"

    head = "".join(f"<th>{cell}</th>" for cell in _HEADER)
    style = "body{font-family:sans-serif;margin:2em}td,th{padding:.3em 1em;text-align:left}"
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Course run</title>'
        f"<style>{style}</style>"
        f"<h1>Course run</h1><p>{html.escape(_facts_line(facts))}</p>"
        f"<table><tr>{head}</tr>{''.join(map(row, _rows(course)))}</table></html>\n"
    )


def _write(path: Path, text: str) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
