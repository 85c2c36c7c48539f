"""How fast radiographs are simulated: ours against the same rays read by SciPy, and against reading the cache.

    python benchmarks/simulation.py [--pictures 6]

Prints seconds a picture and ratios, all measured in this one run, interleaved, on one thread.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage

from r2gen_lib.simulation.batch import cached_picture
from r2gen_lib.simulation.findings import Finding
from r2gen_lib.simulation.projection import SLABS, Acquisition, attenuation, project, ray_grid
from r2gen_lib.simulation.simulate import SIZE, simulate
from r2gen_lib.simulation.thorax import load_thorax

FINDINGS = (Finding("Cardiomegaly", severity=0.5), Finding("Pleural Effusion", "left", severity=0.5))


def with_scipy(density: np.ndarray, grid: torch.Tensor) -> np.ndarray:
    """The same sum along the same rays, every voxel slab read one by one (no averaging over slabs)."""
    z, y, x = (((grid[0, ..., 2 - axis].numpy() + 1) * density.shape[axis] - 1) / 2 for axis in range(3))
    total = np.zeros(grid.shape[2:4], np.float32)
    for offset in range(SLABS):
        total += ndimage.map_coordinates(density, [z, y + offset - 1, x], order=1, mode="nearest").sum(0)
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=6)
    count = parser.parse_args().pictures
    torch.set_num_threads(1)
    thorax = load_thorax()
    density = attenuation(thorax.hu.copy())
    seconds: dict[str, list[float]] = {}

    def measure(name: str, action) -> None:
        start = time.perf_counter()
        action()
        seconds.setdefault(name, []).append(time.perf_counter() - start)

    with tempfile.TemporaryDirectory() as folder:
        for i in range(count):
            acquisition = Acquisition.draw(np.random.default_rng(i))
            grid = ray_grid(thorax, acquisition, "frontal", SIZE)
            measure("projection, ours", lambda grid=grid: project(density, grid, "frontal"))
            measure("projection, SciPy", lambda grid=grid: with_scipy(density, grid))
            measure("whole picture", lambda i=i: simulate(f"bench-{i}", FINDINGS, truth=False))
            measure("with ground truth", lambda i=i: simulate(f"bench-{i}", FINDINGS))
            cached_picture(f"bench-{i}", FINDINGS, folder=Path(folder))
            measure("from the cache", lambda i=i: cached_picture(f"bench-{i}", FINDINGS, folder=Path(folder)))
    median = {name: float(np.median(times)) for name, times in seconds.items()}
    for name, value in median.items():
        print(f"{name:20s}{value:9.4f} s a picture")
    print(f"projection: {median['projection, SciPy'] / median['projection, ours']:.1f} x as fast as SciPy's")
    print(f"cache: {median['whole picture'] / median['from the cache']:.0f} x as fast as drawing")


if __name__ == "__main__":
    main()
