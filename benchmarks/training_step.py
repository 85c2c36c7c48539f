"""Seconds of a training step of the laptop preset, by visual tokens, attention and dtype.

    python benchmarks/training_step.py [--rounds 3] [--batch 8] [--threads N]

Variants are interleaved (one step of each, then again), so that other work on the machine meets all alike.
The first round warms up. CPU seconds are what the step costs however busy the machine is; wall seconds are
what you wait. Reports are real ones; the encoder's outputs are random: in shallow mode they are cached.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import replace

import pandas as pd
import torch

from r2gen_lib.config import PRESETS
from r2gen_lib.data.openi import load_openi_reports
from r2gen_lib.data.study import by_split
from r2gen_lib.model.language import load_language
from r2gen_lib.model.r2gengpt import R2GenGPT

LAPTOP = PRESETS["laptop"]
VARIANTS = {  # name: (side of the token grid, attention, dtype)
    "49 tokens, eager, fp32": (None, "eager", "float32"),
    "49 tokens, sdpa, fp32": (None, "sdpa", "float32"),
    "16 tokens, eager, fp32": (4, "eager", "float32"),
    "16 tokens, sdpa, fp32": (4, "sdpa", "float32"),
    "16 tokens, eager, bf16": (4, "eager", "bfloat16"),
}


def make(pool: int | None, attention: str, dtype: str, loaded: dict) -> R2GenGPT:
    """The laptop preset with these settings; language models are shared between variants."""
    if (attention, dtype) not in loaded:
        loaded[attention, dtype] = load_language(replace(LAPTOP.language, attention=attention, dtype=dtype), "cpu")
    preset = replace(LAPTOP, visual_token_pool=pool)
    return R2GenGPT.from_preset(preset, vision_weights=None, language=loaded[attention, dtype], device="cpu")


def step(model: R2GenGPT, features: torch.Tensor, reports: list[str]) -> tuple[float, float]:
    """(wall, CPU) seconds of one forward and backward."""
    model.zero_grad()
    wall, cpu = time.perf_counter(), time.process_time()
    model.train()(features=features, reports=reports).loss.backward()
    return time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="measured steps of each variant (default 3)")
    parser.add_argument("--batch", type=int, default=8, help="reports a step (default 8)")
    parser.add_argument("--threads", type=int, help="torch threads (default: torch's own)")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    reports = [study.report for study in by_split(load_openi_reports(), "train")]
    loaded: dict = {}
    models = {name: make(*VARIANTS[name], loaded) for name in args.variants}
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in models}
    for round_ in range(args.rounds + 1):
        start = (round_ * args.batch) % (len(reports) - args.batch)
        features = torch.randn(args.batch, 49, models[args.variants[0]].vision.width)
        for name, model in models.items():
            times[name].append(step(model, features, reports[start : start + args.batch]))
            print(f"round {round_}  {name}: {times[name][-1][0]:.2f} s", flush=True)
    rows = {
        name: {
            "wall s/step": statistics.median(wall for wall, _ in each[1:]),
            "CPU s/step": statistics.median(cpu for _, cpu in each[1:]),
        }
        for name, each in times.items()
    }
    print(f"\nbatch {args.batch}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    print(pd.DataFrame(rows).T.round(2).to_string())


if __name__ == "__main__":
    main()
