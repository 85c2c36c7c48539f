"""Many pictures at once: the disk cache of a study's simulated views, and rendering on every core."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from r2gen_lib.files import atomic_write, cache_dir
from r2gen_lib.simulation.findings import Finding
from r2gen_lib.simulation.simulate import VERSION, simulate


def cached_picture(
    study_id: str,
    findings: Sequence[Finding],
    view: str = "frontal",
    seed: int = 0,
    folder: Path | None = None,
) -> np.ndarray:
    """A study's simulated view, uint8 (224, 224): read from the cache, or drawn and put there.

    A file that is damaged or not a picture is drawn again.
    """
    path = picture_path(study_id, view, seed, folder)
    try:
        return _read_png(path)
    except (OSError, SyntaxError, ValueError):
        picture = simulate(study_id, findings, view, seed, truth=False).picture
        _write_png(path, picture)
        return picture


def picture_path(study_id: str, view: str, seed: int = 0, folder: Path | None = None) -> Path:
    """Where the cache keeps a view; another version of the simulator is another folder."""
    folder = folder or cache_dir("simulated", f"v{VERSION}", f"seed{seed}")
    return folder / f"{study_id}_{view}.png"


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
        Image.fromarray(picture).save(temporary, format="PNG")


def parallel(function: Callable, jobs: Iterable, workers: int | None = None, chunk: int = 8) -> Iterator:
    """``map`` over jobs in order, on ``workers`` processes with one torch thread each; in this process for one."""
    workers = min(workers or os.cpu_count() or 1, 8)
    if workers == 1:
        yield from map(function, jobs)
        return
    with multiprocessing.get_context("spawn").Pool(workers, initializer=_one_thread) as pool:
        yield from pool.imap(function, jobs, chunksize=chunk)


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def render_pictures(studies: Sequence, view: str = "frontal", workers: int | None = None, progress: bool = True) -> int:
    """Draw the view of every study that the cache lacks; returns how many were drawn.

    What is there is kept, so an interrupted call goes on where it stopped.

    Args:
        studies: ``Study`` objects of a simulated source.
        view: "frontal" or "lateral".
        workers: processes; by default one a core.
        progress: show a progress bar.
    """
    from tqdm import tqdm

    missing = [study for study in studies if not picture_path(study.id, view).exists()]
    jobs = [(study.id, study.findings, view) for study in missing]
    if not jobs:
        return 0
    workers = workers if len(jobs) > 16 else 1  # a pool takes longer to start than a few pictures to draw
    results = parallel(_render_job, jobs, workers)
    for _ in tqdm(
        results, total=len(jobs), desc=f"simulating {view} radiographs", disable=not progress, unit="picture"
    ):
        pass
    return len(jobs)


def _render_job(job: tuple) -> None:
    cached_picture(*job)
