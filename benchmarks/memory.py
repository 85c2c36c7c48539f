"""Peak memory of the laptop preset on the CPU: measured in a fresh process each, beside the estimate.

    python benchmarks/memory.py [--what shallow delta deep generate] [--batch N] [--checkpointing]

Measured is the peak of resident memory (VmHWM of /proc/self/status, Linux) over four training steps, or one generation,
less what the process holds beside the model's tensors once it is loaded: Python, libraries, tokenizer. The estimate is
that of ``r2gen_lib.model.budget.memory`` less its constant for the same. Pictures are noise; the longest reports are
as long as is allowed.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch

from r2gen_lib.config import MODES, PRESETS, Preset
from r2gen_lib.model.budget.memory import PROCESS_BYTES, generation_memory, training_memory
from r2gen_lib.model.r2gengpt import R2GenGPT
from r2gen_lib.training.schedule import make_optimizer

SENTENCE = "The heart is enlarged and there is a small left pleural effusion with basilar atelectasis. "


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--what", nargs="+", choices=[*MODES, "generate"], default=[*MODES, "generate"])
    parser.add_argument("--batch", type=int, default=PRESETS["laptop"].optim.batch_size, help="reports at a time")
    parser.add_argument("--checkpointing", action="store_true", help="with gradient checkpointing")
    parser.add_argument("--in-this-process", action="store_true", help="measure here, once, and print JSON")
    args = parser.parse_args()
    preset = laptop(args.batch, args.checkpointing)
    if args.in_this_process:
        print(json.dumps(measure(preset, args.what[0])))
        return
    rows = {what: compare(preset, what) for what in args.what}
    print(f"laptop preset, batch {args.batch}, megabytes, torch {torch.__version__}")
    print(pd.DataFrame(rows).T.to_string(float_format="{:.2f}".format))


def laptop(batch: int, checkpointing: bool = False) -> Preset:
    """The laptop preset with that batch."""
    preset = PRESETS["laptop"]
    language = replace(preset.language, gradient_checkpointing=checkpointing)
    return replace(preset, language=language, optim=replace(preset.optim, batch_size=batch))


def compare(preset: Preset, what: str) -> dict[str, float]:
    """Estimate and measurement in MB, and their ratio, for a mode's training step or "generate"."""
    estimate = generation_memory(preset, "cpu") if what == "generate" else training_memory(preset, what, "cpu")
    command = [sys.executable, __file__, "--in-this-process", "--what", what]
    command += ["--batch", str(preset.optim.batch_size)]
    command += ["--checkpointing"] * preset.language.gradient_checkpointing
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    measured = json.loads(done.stdout.splitlines()[-1])
    above_process = estimate.total - PROCESS_BYTES["cpu"]
    return {
        "estimate": above_process / 1e6,
        "measured": measured["above"] / 1e6,
        "estimate/measured": above_process / measured["above"],
        "process": measured["process"] / 1e6,
        "process estimate": PROCESS_BYTES["cpu"] / 1e6,
    }


def measure(preset: Preset, what: str) -> dict[str, int]:
    """Bytes the process holds beside the model's tensors once all is loaded, and how far it rises above that."""
    model = R2GenGPT.from_preset(preset, "shallow" if what == "generate" else what, device="cpu")
    pixels = torch.randn(preset.optim.batch_size, 1, 3, preset.vision.image_size, preset.vision.image_size)
    features = model.encode(pixels) if what == "shallow" else None
    model.eval()(pixels[:1], ["Clear."])  # brings every weight, library and table into memory
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # give back what loading took
    process = resident("VmRSS") - sum(t.nbytes for t in (*model.parameters(), *model.buffers()))
    Path("/proc/self/clear_refs").write_text("5")  # VmHWM starts again from here
    if what == "generate":
        model.generate(pixels, min_new_tokens=preset.decoding.max_new_tokens)
    else:
        train(model, pixels, features)
    return {"process": process, "above": resident("VmHWM") - process}


def train(model: R2GenGPT, pixels: torch.Tensor, features: torch.Tensor | None) -> None:
    """As the trainer does: features in shallow mode, else pictures; reports of other lengths at each of four steps."""
    optimizer = make_optimizer(model.train(), model.preset.optim)
    for sentences in (20, 3, 2, 20):
        loss = model(pixels if features is None else None, [SENTENCE * sentences] * len(pixels), features).loss
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.trainable_parameters().values(), 1.0)
        optimizer.step()


def resident(field: str) -> int:
    """Bytes of a field of the process's status: ``VmRSS``, what is resident now, ``VmHWM``, the most there was, ..."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise SystemExit(f"/proc/self/status has no {field}: this benchmark needs Linux.")


if __name__ == "__main__":
    main()
