"""This build against an earlier one, in one run: writing reports and training steps, alone and on a busy machine.

    git worktree add ../base 509b05e
    python benchmarks/two_builds.py ../base [--rows reports one steps] [--rounds 5] [--busy 2] [--studies 64]
                                            [--dtype float32] [--threads N]

Each build runs in a process of its own, with this Python and the shipped model laptop-shallow, and does a round when it
is asked; rounds are interleaved. Rows:

- ``reports``: reports a second of ``--studies`` test studies with the preset's decoding (3 beams), as many at once as
  ``describe_studies`` takes in that build. Says how many have the same token ids in both.
- ``one``: one study, greedy, streamed from its picture: seconds to the first word, and words a second after it.
- ``steps``: seconds of a shallow training step of 4 studies: the median, and the worst.

``--busy N`` keeps N other processes at work meanwhile (matrix products of NumPy, one thread each).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch

HERE = Path(__file__).resolve().parents[1]
BUSY = "import numpy; a = numpy.random.rand(400, 400)\nwhile True: a @ a"
#: What a worker runs, in either build: it reads a line, does a round, and writes what it measured as a line of JSON.
WORKER = """
import json, sys, time
from dataclasses import replace
from r2gen_lib import PRESETS, R2GenGPT
import torch
row, inputs, dtype, threads = sys.argv[1:]
if int(threads):
    torch.set_num_threads(int(threads))
given, language, at_once = torch.load(inputs), None, 8
if dtype != "auto":
    try:
        from r2gen_lib.model.llm import load_language
    except ImportError:
        from r2gen_lib.model.language import load_language
    language = load_language(replace(PRESETS["laptop"].language, dtype=dtype), torch.device("cpu"))
try:
    from r2gen_lib.model.generation import WRITE_AT_ONCE as at_once
except ImportError:
    pass
model = R2GenGPT.from_trained("laptop-shallow", language=language)
if row == "steps":
    model.train()
    optimizer = torch.optim.AdamW(model.trainable_parameters().values(), 1e-3)

def reports(number):
    ids, start = [], time.perf_counter()
    for part in given["features"].split(at_once):
        ids += [one.ids for one in model.generate_details(features=part)]
    return dict(seconds=time.perf_counter() - start, ids=ids)

def one(number):
    place, start, first, text = number % len(given["reports"]), time.perf_counter(), None, ""
    for piece in model.stream(given["pixels"][place : place + 1]):
        first = first or time.perf_counter() - start
        text += piece
    return dict(first=first, words=len(text.split()) / (time.perf_counter() - start - first))

def steps(number):
    seconds = []
    for n in range(6):
        rows = [(24 * number + 4 * n + i) % len(given["reports"]) for i in range(4)]
        start = time.perf_counter()
        model(features=given["features"][rows], reports=[given["reports"][i] for i in rows]).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.perf_counter() - start)
    return dict(seconds=seconds)

print(json.dumps(dict(dtype=str(model.embed.weight.dtype), threads=torch.get_num_threads())), flush=True)
for line in sys.stdin:
    print(json.dumps(dict(reports=reports, one=one, steps=steps)[row](int(line))), flush=True)
"""


@contextlib.contextmanager
def running(command: list[str], build: Path, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A process with that build on its path, ended afterwards."""
    clean = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    clean |= {"PYTHONPATH": str(build), "HF_HUB_OFFLINE": "1", **environment}
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=clean, cwd=build)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def asked(worker: subprocess.Popen[str], number: int) -> dict:
    worker.stdin.write(f"{number}\n")
    worker.stdin.flush()
    return json.loads(worker.stdout.readline())


def write_inputs(path: Path, count: int) -> None:
    """Encoder outputs, pictures and reports of the first test studies."""
    from r2gen_lib import R2GenGPT, load_studies
    from r2gen_lib.inference.feature_cache import encode_studies, study_pixels

    model = R2GenGPT.from_trained("laptop-shallow")
    studies = [study for study in load_studies() if study.split == "test"][:count]
    features = encode_studies(model, studies, progress=False).float()
    torch.save(
        dict(features=features, pixels=study_pixels(model, studies), reports=[study.report for study in studies]), path
    )


def measured(row: str, rounds: list[dict]) -> dict[str, float]:
    """What a row is judged by; seconds, or a number a second."""
    if row == "one":
        return {
            "s to the first word": statistics.median(each["first"] for each in rounds),
            "words a second": statistics.median(each["words"] for each in rounds),
        }
    if row == "reports":
        seconds = statistics.median(each["seconds"] for each in rounds)
        return {"reports a second": len(rounds[0]["ids"]) / seconds}
    seconds = [second for each in rounds for second in each["seconds"]]
    return {"s a step, median": statistics.median(seconds), "s a step, worst": max(seconds)}


def compare(row: str, args: argparse.Namespace, inputs: Path) -> None:
    builds = {"this build": HERE, "baseline": args.baseline.resolve()}
    command = [sys.executable, "-c", WORKER, row, str(inputs), args.dtype, str(args.threads or 0)]
    rounds: dict[str, list[dict]] = {name: [] for name in builds}
    with contextlib.ExitStack() as stack:
        workers = {}
        for name, build in builds.items():
            workers[name] = stack.enter_context(running(command, build))
        found = {name: json.loads(worker.stdout.readline()) for name, worker in workers.items()}
        for _ in range(args.busy):
            stack.enter_context(
                running([sys.executable, "-c", BUSY], HERE, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
            )
        for number in range(args.rounds + 1):
            for name, worker in workers.items():
                answer = asked(worker, number)
                if number:  # the first round warms up
                    rounds[name].append(answer)
    ours, theirs = (measured(row, rounds[name]) for name in builds)
    print(f"\n{row}: {found['this build']}, {args.busy} other busy processes, {args.rounds} rounds each")
    for what, value in ours.items():
        faster = theirs[what] / value if what.startswith("s ") else value / theirs[what]
        print(f"  {what:22s} this build {value:8.3f}   baseline {theirs[what]:8.3f}   {faster:5.2f} times as fast")
    if row == "reports":
        same = sum(a == b for a, b in zip(rounds["this build"][0]["ids"], rounds["baseline"][0]["ids"], strict=True))
        print(f"  the same token ids in {same} of {len(rounds['this build'][0]['ids'])}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("baseline", type=Path, help="folder of the earlier build, a git worktree")
    parser.add_argument("--rows", nargs="+", choices=("reports", "one", "steps"), default=["reports", "one", "steps"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--busy", type=int, default=0, help="other processes at work (default 0)")
    parser.add_argument("--studies", type=int, default=64)
    parser.add_argument("--dtype", default="auto", help="of the language model (default auto)")
    parser.add_argument("--threads", type=int, help="torch threads (default: torch's own)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        inputs = Path(folder) / "inputs.pt"
        write_inputs(inputs, args.studies)
        for row in args.rows:
            compare(row, args, inputs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
