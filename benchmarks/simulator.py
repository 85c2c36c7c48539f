"""How fast radiographs are simulated.

    python benchmarks/simulator.py [--studies 120] [--workers 2] [--baseline FOLDER]

With --baseline, a checkout of another version (git worktree add FOLDER COMMIT), it prints (0) pictures a second of both
in turns, each in fresh processes from the start of Python to its end: of ``r2gen simulate`` and of ``render_pictures``
for as many studies, both views, no picture cached (the thorax and its noise are); and how many pictures differ.

Prints (1) pictures a second for real studies, both views, nothing cached, on all cores, with the time that follows for
the whole benchmark of 2,955 studies and the peak memory of a process; (2) our projection against DiffDRR's renderers
(diffdrr.renderers: Trilinear, Siddon) on the same volume with the same source and detector, one thread, interleaved.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import textwrap
import time
from collections import Counter
from pathlib import Path

import numpy as np
import torch

from r2gen_lib import load_studies
from r2gen_lib.data.images.decode import load_grey
from r2gen_lib.files import cache_dir
from r2gen_lib.simulation import projection as ours
from r2gen_lib.simulation.acquisition import Acquisition
from r2gen_lib.simulation.anatomy.thorax import VOXEL_MM, Thorax, load_thorax
from r2gen_lib.simulation.render import render_pictures
from r2gen_lib.simulation.simulate import SIZE, seed_of

#: What a fresh process runs, by name; ``{}`` is how many studies and processes.
_TASKS = {
    "r2gen simulate": """
from r2gen_lib.cli import main
main(["simulate", "--limit", "{studies}", "--workers", "{workers}"])
""",
    "render_pictures": """
import numpy as np
from r2gen_lib import load_studies
try:
    from r2gen_lib.simulation.render import render_pictures
except ImportError:  # its name until November 2026
    from r2gen_lib.simulation.batch import render_pictures
studies = load_studies("openi_sim")
render_pictures([studies[i] for i in np.random.default_rng(0).permutation(len(studies))[:{studies}]], None, {workers})
""",
}


def against_baseline(baseline: Path, count: int, workers: int, rounds: int) -> None:
    """Both versions in turns, each in fresh processes: pictures a second, the ratio, and how many pictures differ."""
    load_thorax()  # made once and kept; not part of what is measured
    sides = {"baseline": baseline.resolve(), "ours": Path(__file__).resolve().parents[1]}
    for task, source in _TASKS.items():
        seconds: dict[str, list[float]] = {side: [] for side in sides}
        drawn: dict[str, Counter] = {}
        for _ in range(rounds):
            for side, checkout in sides.items():
                with tempfile.TemporaryDirectory() as folder:
                    os.symlink(cache_dir("thorax"), os.path.join(folder, "thorax"))
                    script = Path(folder, "task.py")  # a file: processes that are spawned must not run it again
                    body = textwrap.indent(source.format(studies=count, workers=workers).strip(), "    ")
                    script.write_text(f"if __name__ == '__main__':\n{body}\n", encoding="utf-8")
                    environment = os.environ | {"R2GEN_CACHE": folder, "PYTHONPATH": str(checkout)}
                    start = time.perf_counter()
                    subprocess.run(
                        [sys.executable, script], env=environment, check=True, capture_output=True, cwd=checkout
                    )
                    seconds[side].append(time.perf_counter() - start)
                    drawn[side] = Counter(load_grey(path).tobytes() for path in Path(folder).rglob("*.png"))
        rates = {side: [sum(drawn[side].values()) / one for one in times] for side, times in seconds.items()}
        for side in sides:
            each = ", ".join(f"{rate:.1f}" for rate in rates[side])
            print(f"{task}, {side}: {np.median(rates[side]):.1f} simulated pictures a second ({each})")
        differ = sum((drawn["ours"] - drawn["baseline"]).values())
        ratio = np.median(rates["ours"]) / np.median(rates["baseline"])
        print(f"{task}: {ratio:.2f} x the baseline; {differ} of {sum(drawn['ours'].values())} pictures differ")


def throughput(count: int, workers: int) -> None:
    """Draw ``count`` studies' two views into an empty cache."""
    studies = load_studies("openi_sim")
    chosen = [studies[i] for i in np.random.default_rng(0).permutation(len(studies))[:count]]
    load_thorax()  # made once and kept; not part of what is measured
    thorax_cache = os.environ.get("R2GEN_CACHE")
    with tempfile.TemporaryDirectory() as folder:
        source = cache_dir("thorax")
        os.environ["R2GEN_CACHE"] = folder
        os.symlink(source, os.path.join(folder, "thorax"))
        start = time.perf_counter()
        drawn = render_pictures(chosen, None, workers)
        seconds = time.perf_counter() - start
        os.environ.pop("R2GEN_CACHE") if thorax_cache is None else os.environ.update(R2GEN_CACHE=thorax_cache)
    rate = drawn / seconds
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(f"{drawn} simulated pictures in {seconds:.1f} s on {workers} processes: {rate:.1f} a second")
    print(f"all {len(studies)} studies, both views, at that rate: {2 * len(studies) / rate / 60:.1f} min")
    print(f"peak memory of a process: {peak / 1e6:.2f} GB")


def straight(seed: int) -> Acquisition:
    """An acquisition without warp or rotation: straight rays, which DiffDRR can read too."""
    drawn = Acquisition.draw(np.random.default_rng(seed_of("straight", seed, "benchmark")))
    values = vars(drawn) | {"rotation_deg": np.zeros(3), "habitus": np.ones(3), "breath_mm": 0.0, "zoom": 1.0}
    return Acquisition(**values | {"warp_mm": np.zeros_like(drawn.warp_mm), "centre_mm": np.zeros(2)})


def source_and_targets(thorax: Thorax, size: int = SIZE) -> tuple[torch.Tensor, torch.Tensor]:
    """The same source and detector points in voxels (z, y, x), (1, 1, 3) and (1, size * size, 3)."""
    middle = torch.tensor([(p.start + p.stop) / 2 for p in thorax.lung_box("both")], dtype=torch.float32)
    depth = thorax.shape[1] * VOXEL_MM
    magnify = (ours.SOURCE_MM + depth) / ours.SOURCE_MM
    half = ours.FIELD_MM / 2 * magnify
    rows, columns = torch.meshgrid(torch.linspace(half, -half, size), torch.linspace(-half, half, size), indexing="ij")
    detector = torch.stack([rows, torch.full_like(rows, depth), columns], -1).reshape(1, -1, 3)
    return (
        torch.tensor([[[0.0, -ours.SOURCE_MM, 0.0]]]) / VOXEL_MM + middle,
        detector / VOXEL_MM + middle,
    )


def against_diffdrr(rounds: int) -> None:
    """Median seconds of a projection by each renderer, and how alike the pictures are."""
    from diffdrr.renderers import Siddon, Trilinear

    torch.set_num_threads(1)
    thorax = load_thorax()
    volume = torch.from_numpy(thorax.density)
    source, targets = source_and_targets(thorax)
    length = (targets - source).norm(dim=-1) * VOXEL_MM
    slabs_count = thorax.shape[1] // ours.SLAB
    pictures: dict[str, np.ndarray] = {}
    seconds: dict[str, list[float]] = {}

    def own() -> np.ndarray:
        slabs = ours.slabs_of(thorax.density, "frontal")
        return ours.project(slabs, ours.rays_of(thorax, straight(0), "frontal"), SIZE)

    def theirs(renderer: torch.nn.Module, **options) -> np.ndarray:
        with torch.no_grad():
            return renderer(volume, source, targets, length[:, None], **options).reshape(SIZE, SIZE).numpy()

    methods = {
        "ours": own,
        f"DiffDRR Trilinear, {slabs_count} points": lambda: theirs(Trilinear(), n_points=slabs_count),
        "DiffDRR Siddon": lambda: theirs(Siddon()),
    }
    for _ in range(rounds):
        for name, method in methods.items():
            start = time.perf_counter()
            pictures[name] = method()
            seconds.setdefault(name, []).append(time.perf_counter() - start)
    first = np.median(seconds["ours"])
    for name in methods:
        middle = np.s_[24:-24, 24:-24]  # at the picture's edges rays leave the CT, where ours repeats its last voxel
        alike = np.corrcoef(pictures[name][middle].ravel(), pictures["DiffDRR Siddon"][middle].ravel())[0, 1]
        median = np.median(seconds[name])
        print(f"{name:32s}{median:8.3f} s, {median / first:5.1f} x ours, correlation with Siddon {alike:.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=120)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--baseline", type=Path, metavar="FOLDER", help="a checkout of the version to compare with")
    arguments = parser.parse_args()
    if arguments.baseline:
        against_baseline(arguments.baseline, arguments.studies, arguments.workers, arguments.rounds)
    throughput(arguments.studies, arguments.workers)
    against_diffdrr(arguments.rounds)


if __name__ == "__main__":
    main()
