"""A run's history as TensorBoard's event files, to be watched while it trains: ``tensorboard --logdir OUT_DIR``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from r2gen_lib.errors import AssetError

FOLDER = "tensorboard"


class EventFiles:
    """Writes what a run's history has and its event files lack: every column but ``step`` is a curve of that name.

    What is written is looked up in the files themselves. So a run that goes on writes no step twice, and one that began
    without them gets its whole curves.

    Args:
        folder: where the event files lie; made with the first row.

    Raises:
        AssetError: the package tensorboard is not installed.
    """

    def __init__(self, folder: str | Path) -> None:
        _require_tensorboard()
        self.folder = Path(folder)
        self._writer = None
        self._written: dict[str, set[int]] = {}

    def write(self, history: Sequence[Mapping[str, Any]]) -> None:
        """Add the rows (each with its ``step``) that are not in the files yet; on return they are on disk."""
        if self._writer is None:
            self._open()
        for row in history:
            for name in row.keys() - {"step"}:
                steps = self._written.setdefault(name, set())
                if row["step"] not in steps:
                    self._writer.add_scalar(name, row[name], row["step"])
                    steps.add(row["step"])
        self._writer.flush()

    def close(self) -> None:
        """End the writer's thread; nothing is lost without it."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _open(self) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._written = {name: {point.step for point in points} for name, points in read_curves(self.folder).items()}
        self._writer = SummaryWriter(str(self.folder))


def remove_event_files(folder: str | Path) -> None:
    """Remove another run's event files, if there are any; the package tensorboard need not be there."""
    for file in Path(folder).glob("events.out.tfevents.*"):
        file.unlink()


def read_curves(folder: str | Path) -> dict[str, list]:
    """Every curve of the event files in ``folder``, as TensorBoard reads them: points with ``step`` and ``value``."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    if not Path(folder).is_dir():
        return {}
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()  # 0: keep all
    return {name: events.Scalars(name) for name in events.Tags()["scalars"]}


def _require_tensorboard() -> None:
    try:
        import tensorboard  # noqa: F401
    except ImportError as error:
        raise AssetError(
            f"tensorboard: the Python package cannot be imported ({error}). Install it with: "
            'pip install "r2gen-course[tensorboard]" (in a checkout: -e ".[tensorboard]"), or train without it: '
            "history.csv and loss.png hold the same."
        ) from error
