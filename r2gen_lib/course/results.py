"""What a run of the course gives: a result a notebook, and the folder they fill."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path


@dataclass
class NotebookResult:
    """What became of one notebook."""

    notebook: str
    status: str = "stopped"  # then "ok" or "failed"
    seconds: float = 0.0
    peak_memory_mb: int = 0
    failed_cell: int | None = None  # where it failed or was stopped, counted from 1 over the code cells
    error: str = ""

    def outcome(self) -> str:
        """What became of it, where and why."""
        where = f" in code cell {self.failed_cell}" if self.failed_cell else ""
        return f"{self.status}{where}" + (f": {self.error}" if self.error else "")

    def line(self) -> str:
        """One line for the terminal."""
        return f"{self.notebook:<26} {self.seconds:7.1f} s   peak {self.peak_memory_mb:6,} MB   {self.outcome()}"


@dataclass
class Course:
    """One run of the course and the folder it fills."""

    folder: Path
    profile: str
    started: str = field(default_factory=lambda: datetime.now().astimezone().isoformat(timespec="seconds"))
    results: list[NotebookResult] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0 if every notebook ended well, else 1."""
        return int(not all(result.status == "ok" for result in self.results))
