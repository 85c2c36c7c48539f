"""Many pictures at once: the disk cache of a study's simulated views, and rendering on every core."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import astuple
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from r2gen_lib.data.study import Picture
from r2gen_lib.errors import SimulationError
from r2gen_lib.files import atomic_write, cache_dir
from r2gen_lib.findings.finding import Finding
from r2gen_lib.simulation.projection import VIEWS
from r2gen_lib.simulation.simulate import VERSION, Patient, simulate

FEW = 32  # studies that are drawn sooner by one process than by several, which must start


def cached_picture(
    study_id: str,
    findings: Sequence[Finding],
    view: str = "frontal",
    seed: int = 0,
    folder: Path | None = None,
) -> np.ndarray:
    """A study's simulated view, uint8 (224, 224): read from the cache, or drawn and put there.

    Other findings are another picture, also of the same study. A file that is damaged or not a picture is drawn again.
    """
    path = picture_path(study_id, findings, view, seed, folder)
    try:
        return _read_png(path)
    except (OSError, SyntaxError, ValueError):
        picture = simulate(study_id, findings, view, seed, truth=False).picture
        _write_png(path, picture)
        return picture


def simulated_pictures(study_id: str, findings: tuple[Finding, ...]) -> tuple[Picture, ...]:
    """Both views of the patient that a study's id names, with these findings, drawn when first loaded."""
    return tuple(
        Picture(view, simulated=True, loader=partial(cached_picture, study_id, findings, view)) for view in VIEWS
    )


def picture_path(
    study_id: str, findings: Sequence[Finding], view: str = "frontal", seed: int = 0, folder: Path | None = None
) -> Path:
    """Where the cache keeps a view: a name made of all that the picture depends on, so that no other is read there."""
    return (folder or picture_folder(seed)) / f"{key_of(study_id, findings, view, seed)}.png"


def picture_folder(seed: int = 0) -> Path:
    """The cache's folder of pictures; another version of the simulator has another."""
    return cache_dir("simulated", f"v{VERSION}", f"seed{seed}")


def key_of(*what: Any) -> str:
    """32 hexadecimal digits that name what is drawn from these values and findings by this version of the simulator."""
    text = json.dumps([VERSION, *what], default=lambda x: astuple(x) if isinstance(x, Finding) else float(x))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _read_png(path: Path) -> np.ndarray:
    from PIL import Image

    with Image.open(path) as image:
        image.load()
        if image.mode != "L":
            raise ValueError(f"{path}: mode {image.mode}, expected L")
        return np.asarray(image).copy()


def _write_png(path: Path, picture: np.ndarray) -> None:
    from PIL import Image

    with atomic_write(path) as temporary:
        Image.fromarray(picture).save(temporary, format="PNG", compress_level=1)  # 6 takes five times as long


class Workers:
    """Processes that draw, with one torch thread each. They start, and import what they need, as soon as this is made.

    Make them before what they are to draw is read, and end them with ``close`` (or a ``with``), which waits for nobody.

    Args:
        count: how many, at most 8; by default one a core.
    """

    def __init__(self, count: int | None = None) -> None:
        self.count = min(count or os.cpu_count() or 1, 8)
        self._others = set(multiprocessing.active_children())
        self.pool = ProcessPoolExecutor(self.count, multiprocessing.get_context("spawn"), initializer=_one_thread)
        for _ in range(self.count):  # the pool starts one process a call while none is idle
            self.pool.submit(os.getpid)

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End them, also in the middle of a picture."""
        self.pool.shutdown(wait=False, cancel_futures=True)
        left = set(multiprocessing.active_children()) - self._others
        for process in left:
            process.terminate()
        for process in left:
            _wait_for(process)


def parallel(function: Callable, jobs: Iterable, workers: int | Workers | None = None, chunk: int = 8) -> Iterator:
    """``map`` over jobs in order, on ``workers`` processes with one torch thread each; in this process for one.

    Args:
        workers: how many, by default one a core; or ``Workers`` that run already. They are ended with the last job.

    Raises:
        SimulationError: one of the processes was ended from outside.
    """
    if not isinstance(workers, Workers):
        if min(workers or os.cpu_count() or 1, 8) == 1:
            yield from map(function, jobs)
            return
        workers = Workers(workers)
    try:
        yield from workers.pool.map(function, jobs, chunksize=chunk)
        workers.pool.shutdown()
    except BrokenProcessPool as error:
        raise SimulationError(
            f"simulating: one of {workers.count} processes was ended from outside, by another program or for lack of "
            "memory. What it and the others had drawn is kept: call again, with fewer workers if memory is short."
        ) from error
    finally:  # after an error or Ctrl-C nobody waits for what they are drawing
        workers.close()


def _wait_for(process: multiprocessing.process.BaseProcess, seconds: float = 10) -> None:
    """Until it has ended. One ``join`` is not enough: where the pool's own thread has asked the system first, it comes
    back at once, a moment before that thread has noted the end."""
    last = time.monotonic() + seconds
    while process.exitcode is None and time.monotonic() < last:
        process.join(0.1)
        time.sleep(0.01)


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal tells Ctrl-C to all; the main process ends this one


def render_pictures(
    studies: Sequence, view: str | None = "frontal", workers: int | Workers | None = None, progress: bool = True
) -> int:
    """Draw the views of every study that the cache lacks; returns how many pictures were drawn.

    What is there is kept, so an interrupted call goes on where it stopped.

    Args:
        studies: ``Study`` objects of a simulated source.
        view: "frontal", "lateral", or None for both, which share one edited volume.
        workers: processes, by default one a core; or ``Workers`` that run already.
        progress: show a progress bar.

    Raises:
        SimulationError: one of the processes was ended from outside.
    """
    from tqdm import tqdm

    jobs, folder = [], picture_folder()
    for study in studies:
        views = [view] if view else VIEWS
        missing = [v for v in views if not picture_path(study.id, study.findings, v, folder=folder).exists()]
        if missing:
            jobs.append((study.id, study.findings, missing))
    count = sum(len(missing) for *_, missing in jobs)
    if not jobs:
        return 0
    if len(jobs) <= FEW and not isinstance(workers, Workers):
        workers = 1  # a pool takes longer to start than a few pictures to draw
    with tqdm(
        total=count, desc="simulating radiographs", unit="picture", ncols=100, mininterval=1, disable=not progress
    ) as bar:
        for drawn in parallel(_render_job, jobs, workers, chunk=2):
            bar.update(drawn)
    return count


def draw_simulated(studies: Sequence, views: Sequence[str]) -> bool:
    """Draw what the cache lacks of these studies' simulated pictures.

    Args:
        studies: ``Study`` objects of any source; those without a simulated picture are left alone, and those that ask
            a question: their pictures are those of the study that it is about.
        views: some of ``VIEWS``; these alone are drawn.

    Returns:
        Whether any of the studies has a simulated picture.

    Raises:
        SimulationError: one of the processes was ended from outside.
    """
    simulated = [
        study for study in studies if not study.question and any(picture.simulated for picture in study.pictures)
    ]
    for view in views if simulated else ():
        render_pictures(simulated, view)
    return bool(simulated)


def _render_job(job: tuple) -> int:
    study_id, findings, views = job
    patient = Patient(study_id, findings)
    for view in views:
        _write_png(picture_path(study_id, findings, view), patient.radiograph(view, truth=False).picture)
    return len(views)
