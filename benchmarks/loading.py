"""Pictures a second on the way to the model: ours, with the picture cache, against decoding each time with Pillow.

    python benchmarks/loading.py [--pictures 16] [--format png|jpeg] [--width 2000] [--height 2500] [--rounds 3]

Pictures are generated: smooth, with noise, as large as a radiograph. Every method reads the files in the same order
and gives float32 (3, 224, 224); the methods' epochs are interleaved, so that other work on the machine meets all
alike. Pillow decodes, resizes and normalises each time. Ours, first epoch: the cache is empty. Ours, later epochs: it
is full. One process, one thread. The exit status is 1 if later epochs are not 10 times as fast as Pillow's.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from r2gen_lib.data.dataset import ReportDataset
from r2gen_lib.data.images.cache import PictureCache
from r2gen_lib.data.study import Picture, Study

SIZE = 224
EXPECTED_RATIO = 10


def write_pictures(folder: Path, count: int, width: int, height: int, file_format: str) -> list[Study]:
    """Studies with a generated picture each."""
    rng = np.random.default_rng(0)
    studies = []
    for n in range(count):
        coarse = Image.fromarray(rng.integers(30, 226, (12, 10), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), dtype=np.float32)
        noisy = smooth + rng.normal(0, 3, (height, width)).astype(np.float32)
        path = folder / f"{n}.{file_format}"
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(path, compress_level=3, quality=95)
        an_hour_ago = time.time() - 3600  # a data set is older than the run that reads it
        os.utime(path, (an_hour_ago, an_hour_ago))
        studies.append(Study(f"S{n}", "train", "A report.", pictures=(Picture("frontal", path),)))
    return studies


def with_pillow(path: Path) -> np.ndarray:
    """Decode, resize with the aspect kept, normalise: float32 (3, S, S)."""
    with Image.open(path) as image:
        grey = image.convert("L")
    scale = SIZE / max(grey.size)
    scaled = grey.resize((round(grey.width * scale), round(grey.height * scale)), Image.Resampling.BICUBIC)
    square = Image.new("L", (SIZE, SIZE))
    square.paste(scaled, ((SIZE - scaled.width) // 2, (SIZE - scaled.height) // 2))
    values = (np.asarray(square, dtype=np.float32) / 255 - 0.5) / 0.5
    return np.repeat(values[None], 3, axis=0)


def seconds(epoch: Callable[[], None]) -> float:
    start = time.perf_counter()
    epoch()
    return time.perf_counter() - start


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=16)
    parser.add_argument("--format", choices=("png", "jpeg"), default="png")
    parser.add_argument("--width", type=int, default=2000)
    parser.add_argument("--height", type=int, default=2500)
    parser.add_argument("--rounds", type=int, default=3, help="measured epochs of each method (default 3)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    times: dict[str, list[float]] = {"Pillow each time": [], "ours, first epoch": [], "ours, later epochs": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        studies = write_pictures(folder, args.pictures, args.width, args.height, args.format)
        megabytes = sum(study.pictures[0].path.stat().st_size for study in studies) / 1e6
        uncached = ReportDataset(studies, SIZE)
        for i, study in enumerate(studies):  # also fetches the files into the operating system's memory
            apart = np.abs(with_pillow(study.pictures[0].path) - uncached[i]["pixel_values"][0].numpy()).max()
            assert apart < 1e-6, f"study {study.id}: the two ways differ by {apart}"
        for n in range(args.rounds):
            ours = ReportDataset(studies, SIZE, cache=PictureCache(SIZE, folder=folder / f"cache{n}"))
            times["Pillow each time"].append(seconds(lambda: [with_pillow(s.pictures[0].path) for s in studies]))
            times["ours, first epoch"].append(seconds(lambda data=ours: [data[i] for i in range(len(data))]))
            times["ours, later epochs"].append(seconds(lambda data=ours: [data[i] for i in range(len(data))]))
    print(f"{args.pictures} {args.format} files of {args.width} x {args.height}, {megabytes:.0f} MB")
    rates = {method: args.pictures / statistics.median(each) for method, each in times.items()}
    for method, rate in rates.items():
        print(f"{method:20s}{rate:10.1f} pictures/s {rate / rates['Pillow each time']:8.1f} x Pillow")
    return 0 if rates["ours, later epochs"] >= EXPECTED_RATIO * rates["Pillow each time"] else 1


if __name__ == "__main__":
    sys.exit(main())
