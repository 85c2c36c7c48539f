"""Seconds of three commands, each in a fresh process: from the prompt to the prompt, with a warm cache.

    python benchmarks/cold_start.py --baseline FOLDER [--rounds 5] [--only COMMAND]

FOLDER is a checkout of an earlier version, such as one that ``git worktree add FOLDER COMMIT`` made. Both sides take
turns. The picture and the annotation that they are given are made here: grey waves, no radiographs.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

HERE = Path(__file__).resolve().parents[1]
STUDIES = 20


def small_annotation(folder: Path) -> Path:
    """A data set of ``STUDIES`` pictures in R2Gen's layout; the path of its first picture."""
    y, x = np.mgrid[0:320, 0:320]
    noise = np.random.default_rng(0)
    splits: dict[str, list[dict]] = {"train": [], "val": [], "test": []}
    for n in range(STUDIES):
        grey = 120 + 60 * np.sin(x / 40 + n) + 50 * np.cos(y / 55) + noise.normal(0, 4, x.shape)
        picture = folder / "images" / f"s{n}" / "0.png"
        picture.parent.mkdir(parents=True)
        Image.fromarray(grey.clip(0, 255).astype(np.uint8)).save(picture)
        split = ("train", "train", "train", "val", "test")[n % 5]
        report = f"The heart is normal in size. No effusion in study {n}."
        splits[split].append({"id": f"s{n}", "report": report, "image_path": [f"s{n}/0.png"], "split": split})
    (folder / "annotation.json").write_text(json.dumps(splits), encoding="utf-8")
    return folder / "images" / "s0" / "0.png"


def seconds(checkout: Path, arguments: list[str], folder: Path) -> float:
    """Of one command of a checkout, in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(checkout), "HF_HUB_OFFLINE": "1"}
    start = time.perf_counter()
    command = [sys.executable, "-m", "r2gen_lib.cli", *arguments]
    subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=True)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--baseline", type=Path, required=True, metavar="FOLDER", help="checkout of an earlier version")
    parser.add_argument("--rounds", type=int, default=5, help="of which the median is taken (default 5)")
    parser.add_argument("--only", metavar="COMMAND", help="one of the three")
    args = parser.parse_args()
    sides = {"baseline": args.baseline.resolve(), "ours": HERE}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        picture = small_annotation(folder / "small")
        commands = {
            "labels": ["labels", "No effusion. The heart is enlarged."],
            "doctor": ["doctor", str(folder / "small")],
            "generate": ["generate", str(picture)],
        }
        print(f"{'command':10s}{'baseline s':>12s}{'ours s':>9s}{'ratio':>8s}")
        for command, arguments in commands.items():
            if args.only not in (None, command):
                continue
            times: dict[str, list[float]] = {side: [] for side in sides}
            for n in range(args.rounds + 1):
                for side, checkout in sides.items():
                    took = seconds(checkout, arguments, folder)
                    if n:  # the first round fills the caches
                        times[side].append(took)
            before, after = median(times["baseline"]), median(times["ours"])
            print(f"{command:10s}{before:12.2f}{after:9.2f}{after / before:8.2f}", flush=True)


if __name__ == "__main__":
    main()
