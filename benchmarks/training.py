"""A training step of the laptop preset, from the straightforward loop to ours: what each piece of work saved is worth.

    python benchmarks/training.py [--mode shallow] [--rounds 6] [--batch 8] [--threads N] [--rows ...] [--memory]

Each row does what the row above it does, and one thing less. Rows are interleaved (one step of each, then again), so
that other work on the machine meets all alike; the first round warms up. "times" is the wall time of the
straightforward loop over the row's, "of the row above" the gain of that one thing. "loss" is of one and the same batch:
it may only change where visual tokens are pooled (another model) or rounded to bf16. TFLOP are counted by torch, and
"of peak" is against a large product of matrices on this machine. Reports are real ones, pictures noise, weights of the
encoder random.
--memory gives each row a process of its own and prints the peak of its resident memory.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from dataclasses import dataclass, replace

import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from r2gen_lib.config import MODES, PRESETS
from r2gen_lib.data.readers.openi import load_openi_reports
from r2gen_lib.data.study import by_split
from r2gen_lib.model.alignment import IGNORE, Splice, splice
from r2gen_lib.model.llm import load_language
from r2gen_lib.model.r2gengpt import R2GenGPT
from r2gen_lib.model.report_logits import ReportReader
from r2gen_lib.training.schedule import cut, length_batches

LAPTOP = PRESETS["laptop"]


@dataclass(frozen=True)
class Row:
    """How a step is done."""

    features: bool = False  # the encoder's outputs are cached
    by_length: bool = False  # batches of reports of one length, padded to their longest
    report_logits: bool = False  # logits where a report token is predicted, and nowhere else
    prefix_once: bool = False  # keys and values of the words before the picture
    pool: int | None = None  # side of the token grid
    dtype: str = "float32"
    attention: str = "eager"


ROWS = {
    "straightforward": Row(),
    "features cached": Row(True),
    "batches by length": Row(True, True),
    "logits on reports only": Row(True, True, True),
    "words before the picture once": Row(True, True, True, True),
    "49 -> 16 visual tokens": Row(True, True, True, True, 4),
    "bf16": Row(True, True, True, True, 4, "bfloat16"),
    "bf16, sdpa": Row(True, True, True, True, 4, "bfloat16", "sdpa"),
}


class Loop:
    """A model with what a row needs for its steps."""

    def __init__(self, row: Row, mode: str, loaded: dict) -> None:
        key = (row.attention, row.dtype)
        if key not in loaded:
            language = replace(LAPTOP.language, attention=row.attention, dtype=row.dtype)
            loaded[key] = load_language(language, "cpu")
        preset = replace(LAPTOP, mapper=replace(LAPTOP.mapper, pool=row.pool))
        self.model = R2GenGPT.from_preset(preset, mode, vision_weights=None, language=loaded[key], device="cpu")
        self.row, self.cached = row, row.features and mode == "shallow"
        self.read = ReportReader(self.model.language, self.model.prompt[0], constant=row.prefix_once)
        self.features: Tensor | None = None

    def step(self, pixels: Tensor, reports: list[str]) -> float:
        """Forward and backward; returns the loss."""
        model = self.model.train()
        model.zero_grad()
        if self.cached and self.features is None:
            with torch.no_grad():
                self.features = model.encode(pixels)
        visual = model.visual_tokens(None, self.features) if self.cached else model.visual_tokens(pixels)
        limit = LAPTOP.target.max_tokens
        ids = model.report_ids(reports, limit)
        spliced = splice(model.embed, visual, model.prompt, ids)
        if not self.row.by_length:
            spliced = padded(spliced, limit - max(map(len, ids)))
        loss = self.loss(spliced)
        loss.backward()
        return loss.item()

    def loss(self, spliced: Splice) -> Tensor:
        labels = spliced.labels[:, 1:]
        if self.row.report_logits:
            return nn.functional.cross_entropy(self.read(spliced), labels[spliced.predicts_report])
        language = self.model.language
        logits = language(inputs_embeds=spliced.inputs_embeds, attention_mask=spliced.attention_mask).logits[:, :-1]
        return nn.functional.cross_entropy(logits.float().flatten(0, 1), labels.flatten(), ignore_index=IGNORE)


def padded(spliced: Splice, more: int) -> Splice:
    """The same batch with ``more`` padding on the right."""
    pad = nn.functional.pad
    return Splice(
        pad(spliced.inputs_embeds, (0, 0, 0, more)),
        pad(spliced.attention_mask, (0, more)),
        pad(spliced.labels, (0, more), value=IGNORE),
    )


def gemm_peak(dtype: torch.dtype, size: int = 2048, rounds: int = 5) -> float:
    """FLOP a second of the best of some products of two square matrices."""
    a, b = (torch.randn(size, size).to(dtype) for _ in range(2))
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        a @ b
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best


def measure(names: list[str], mode: str, rounds: int, size: int) -> pd.DataFrame:
    """One line a row of ``ROWS``: seconds, ratios, loss, FLOP."""
    reports = [study.report for study in by_split(load_openi_reports(), "train")]
    loaded: dict = {}
    loops = {name: Loop(ROWS[name], mode, loaded) for name in names}
    model = next(iter(loops.values())).model
    lengths = [len(ids) for ids in model.report_ids(reports, LAPTOP.target.max_tokens)]
    grouped, plain = length_batches(lengths, size, 0, 0), cut(range(len(reports)), size)
    pixels = torch.randn(size, len(LAPTOP.vision.views), 3, *[LAPTOP.vision.image_size] * 2)
    table = pd.DataFrame(0.0, index=names, columns=["s/step", "TFLOP", "loss"])
    for round_ in range(rounds + 1):
        for name, loop in loops.items():
            if round_ == 0:
                table.loc[name, "loss"] = loop.step(pixels, [reports[i] for i in plain[0]])
                continue
            batches = grouped if loop.row.by_length else plain
            chosen = [reports[i] for i in batches[round_ % len(batches)]]
            start = time.perf_counter()
            loop.step(pixels, chosen)
            table.loc[name, "s/step"] += (time.perf_counter() - start) / rounds
            with FlopCounterMode(display=False) as counter:
                loop.step(pixels, chosen)
            table.loc[name, "TFLOP"] += counter.get_total_flops() / rounds / 1e12
            print(f"round {round_}  {name}: {table.loc[name, 's/step'] * rounds / round_:.2f} s a step", flush=True)
    peaks = {dtype: gemm_peak(getattr(torch, dtype)) / 1e12 for dtype in ("float32", "bfloat16")}
    table["of peak"] = table["TFLOP"] / table["s/step"] / [peaks[ROWS[name].dtype] for name in names]
    table["times"] = table["s/step"].iloc[0] / table["s/step"]
    table["of the row above"] = table["s/step"].shift() / table["s/step"]
    print(f"\nproducts of matrices: fp32 {peaks['float32']:.3f}, bf16 {peaks['bfloat16']:.3f} TFLOP/s")
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mode", choices=MODES, default="shallow", help="in other modes no features are cached")
    parser.add_argument("--rounds", type=int, default=6, help="measured steps of each row (default 6)")
    parser.add_argument("--batch", type=int, default=8, help="reports a step (default 8)")
    parser.add_argument("--threads", type=int, help="torch threads (default: torch's own)")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS), metavar="ROW", help=", ".join(ROWS))
    parser.add_argument("--memory", action="store_true", help="peak memory in place of time")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    rows = [name for name in args.rows if args.mode == "shallow" or name != "features cached"]
    if args.memory and len(rows) > 1:
        options = ["--mode", args.mode, "--rounds", "1", "--batch", str(args.batch), "--memory"]
        for name in rows:
            subprocess.run([sys.executable, __file__, *options, "--rows", name], check=True)
        return
    table = measure(rows, args.mode, args.rounds, args.batch)
    if args.memory:
        print(f"{rows[0]}: peak of resident memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")
        return
    print(f"{args.mode}, batch {args.batch}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    print(table.round(3).to_string())


if __name__ == "__main__":
    main()
