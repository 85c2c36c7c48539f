"""The summary of a course run: one table as JSON, as Markdown and as the page that links the notebooks."""

from __future__ import annotations

import html
import importlib.metadata
import json
import os
import platform
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from r2gen_lib import __version__
from r2gen_lib.files import atomic_write

if TYPE_CHECKING:
    from r2gen_lib.course import Course

_HEADER = ("notebook", "seconds", "peak memory MB", "status")


def machine() -> dict[str, Any]:
    """What the times depend on: cores, memory, operating system, versions."""
    versions = {}
    for package in ("torch", "transformers", "timm", "numpy"):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "-"
    return {
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30),
        "system": platform.system(),
        "python": platform.python_version(),
        "r2gen-course": __version__,
        **versions,
    }


def write_summary(course: Course) -> None:
    """Write ``summary.json``, ``summary.md`` and ``index.html`` into the run's folder."""
    facts = {"started": course.started, "profile": course.profile, "machine": machine()}
    results = [asdict(result) for result in course.results]
    _write(course.folder / "summary.json", json.dumps({**facts, "notebooks": results}, indent=2) + "\n")
    _write(course.folder / "summary.md", _markdown(course, facts))
    _write(course.folder / "index.html", _page(course, facts))


def _rows(course: Course) -> list[tuple[str, str, str, str]]:
    rows = []
    for result in course.results:
        where = f" in code cell {result.failed_cell}: {result.error}" if result.failed_cell else ""
        rows.append((result.notebook, f"{result.seconds:.1f}", str(result.peak_memory_mb), result.status + where))
    total = sum(result.seconds for result in course.results)
    peak = max((result.peak_memory_mb for result in course.results), default=0)
    return [*rows, ("all", f"{total:.1f}", str(peak), "failed" if course.exit_code else "ok")]


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
