"""The first ten minutes on a GPU: 200 steps, cut off once; tokens a second, memory beside its estimate, controls.

    python benchmarks/gpu.py [--presets laptop colab] [--mode shallow] [--steps 200] [--out runs/gpu]
    python benchmarks/gpu.py --tiny

Each preset trains on 400 of the real reports with simulated radiographs, loses its machine at three fifths of the
steps, and goes on from what is on the disk. The table says what `r2gen_lib.training.trial` measured. `colab` fetches
SmolLM2-1.7B (3.4 GB) and Swin-B from their hubs the first time. --tiny: the toy of random weights, 12 steps on a CPU;
tests run this form. **The other form has not been run on a GPU yet**: the ten minutes are a plan.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd
import torch

from r2gen_lib import R2GenGPT, load_studies
from r2gen_lib.config import MODES, PRESETS, Profile
from r2gen_lib.model.llm import load_language
from r2gen_lib.model.toy import toy_model
from r2gen_lib.training.trial import Trial, trial


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presets", nargs="+", choices=PRESETS, default=["laptop", "colab"])
    parser.add_argument("--mode", choices=MODES, default="shallow")
    parser.add_argument("--steps", type=int, default=200, help="default 200")
    parser.add_argument("--out", type=Path, default=Path("runs/gpu"))
    parser.add_argument("--tiny", action="store_true", help="the toy on a CPU")
    args = parser.parse_args()
    if args.tiny:
        print("tiny form on a CPU: not yet run on a GPU")
        profile = Profile("tiny", 24, 8, 8, train_steps=12, eval_every=6, checkpoint_every=4)
        tried = {"toy": trial(lambda: toy_model(args.mode), load_studies("openi_sim"), profile, args.out, cut_after=6)}
    elif not torch.cuda.is_available():
        parser.error("no GPU was found. --tiny runs the toy on a CPU.")
    else:
        tried = {name: on_gpu(name, args.mode, args.steps, args.out / name) for name in args.presets}
    print(pd.DataFrame({name: one.table() for name, one in tried.items()}).to_string())


def on_gpu(name: str, mode: str, steps: int, out: Path) -> Trial:
    """A preset's run; both of its models share one language model."""
    every = max(steps // 8, 1)
    profile = Profile("gpu", 400, 32, 32, train_steps=steps, eval_every=steps // 2, checkpoint_every=every)
    language = load_language(PRESETS[name].language, "cuda")

    def make() -> R2GenGPT:
        return R2GenGPT.from_preset(name, mode, language=language, device="cuda")

    return trial(make, load_studies("openi_sim"), profile, out, cut_after=steps * 3 // 5)


if __name__ == "__main__":
    main()
