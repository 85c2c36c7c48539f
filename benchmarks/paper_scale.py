"""A training step and a short generation at the paper's scale, on the CPU: does it run, and is the estimate right?

    python benchmarks/paper_scale.py [--modes shallow delta deep] [--batch 1] [--out data/paper_scale.json]

The ``iu_xray`` preset as it is: Swin-B, two views, and a model of Llama-2-7b's shape in bf16, with random weights made
in place (nothing is downloaded). So seconds, bytes and where gradients arrive are real, and losses and texts mean
nothing. Pictures are noise, the report is a real one of Open-i, the tokenizer is SmolLM2's cut to Llama's 32,000 words.
Every mode has a process of its own, one at a time; --out keeps the modes that an earlier call put into the file.

The language model's 13.5 GB lie in a temporary file that is mapped into memory, as files of weights are when they are
loaded: a machine that runs short of memory reads them again in place of failing. Measured memory is that file's bytes
and the peak of everything else that is resident (Linux, looked at every 20 ms) over two training steps, and over one
generation: Python, libraries, encoder, activations. Beside it stands what ``r2gen parameters`` estimates for the same
batch. Seconds are the process's CPU time, which other work on the machine lengthens little; on one thread that is the
wall time of an idle machine. Gradients are looked at in the second step: in the first a LoRA's A has none, as its B is
zero.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pandas as pd
import torch
import transformers
from memory import resident  # benchmarks/memory.py, beside this file
from torch import nn
from transformers import GenerationConfig, PreTrainedTokenizerFast

from r2gen_lib.config import MODES, PRESETS, Preset
from r2gen_lib.data.readers.openi import load_openi_reports
from r2gen_lib.environment import cpu_model
from r2gen_lib.files import atomic_write
from r2gen_lib.model.budget.memory import Memory, generation_memory, training_memory
from r2gen_lib.model.llm import LanguageModel, freeze, language_skeleton, load_language
from r2gen_lib.model.memory_saving import choose_attention
from r2gen_lib.model.r2gengpt import R2GenGPT
from r2gen_lib.training.schedule import make_optimizer

WEIGHTS, TOKENIZER = "weights.bf16", "tokenizer.json"
START, END = "<|im_start|>", "<|im_end|>"
STEPS = 2
NEW_TOKENS = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument("--batch", type=int, default=1, help="reports at a time (default 1; the paper's: 8)")
    parser.add_argument("--threads", type=int, default=1, help="torch threads (default 1)")
    parser.add_argument("--out", type=Path, help="JSON file for the results")
    parser.add_argument("--folder", type=Path, help="where the temporary 13.5 GB go (default: the system's)")
    parser.add_argument("--measure-in", type=Path, help=argparse.SUPPRESS)  # a process of one mode, started from here
    args = parser.parse_args()
    if args.measure_in:
        torch.set_num_threads(args.threads)
        print(json.dumps(measure(args.modes[0], args.batch, args.measure_in)))
        return
    results = {"command": " ".join(["python", "benchmarks/paper_scale.py", *sys.argv[1:]]), **machine(args)}
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        write_weights(Path(folder) / WEIGHTS)
        write_tokenizer(Path(folder) / TOKENIZER)
        results["modes"] = {mode: in_its_own_process(args, mode, folder) for mode in args.modes}
    print(pd.DataFrame(results["modes"]).to_string(float_format="{:.3f}".format))
    if args.out:
        results["modes"] = kept_modes(args.out, results) | results["modes"]
        with atomic_write(args.out) as path:
            path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def kept_modes(file: Path, results: dict) -> dict[str, dict]:
    """The modes that an earlier call has measured in the same way on the same kind of machine."""
    known = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    same = ("processor", "threads", "batch", "torch", "transformers")
    return known.get("modes", {}) if all(known.get(one) == results[one] for one in same) else {}


def machine(args: argparse.Namespace) -> dict[str, object]:
    """What the numbers were measured on."""
    return {
        "date": datetime.now().date().isoformat(),
        "processor": cpu_model(),
        "threads": args.threads,
        "batch": args.batch,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def in_its_own_process(args: argparse.Namespace, mode: str, folder: str) -> dict[str, float]:
    """What ``measure`` finds in a fresh process, and the estimates beside it."""
    print(f"{mode} ...", file=sys.stderr, flush=True)
    command = [sys.executable, __file__, "--modes", mode, "--batch", str(args.batch), "--measure-in", folder]
    done = subprocess.run([*command, "--threads", str(args.threads)], stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    print(found, file=sys.stderr, flush=True)
    preset = shortened(args.batch, found["report tokens"])
    estimates = {"training": training_memory(preset, mode, "cpu"), "generation": generation_memory(preset, "cpu")}
    for what, estimate in estimates.items():
        found |= beside(what, found.pop(f"{what} peak"), estimate)
    return found


def beside(what: str, peak: int, estimate: Memory) -> dict[str, float]:
    """Measured and estimated GB, and their ratio: of all, and of what is not weights."""
    more = (estimate.total - estimate.weights) / (peak - estimate.weights)
    return {
        f"{what} peak GB": round(peak / 1e9, 3),
        f"{what} estimate GB": round(estimate.total / 1e9, 3),
        f"{what} estimate/peak": round(estimate.total / peak, 3),
        f"{what} estimate/peak, weights left out": round(more, 3),
    }


def shortened(batch: int, report_tokens: int) -> Preset:
    """The iu_xray preset with that batch, reports of that length and a short generation."""
    preset = PRESETS["iu_xray"]
    optim, target = replace(preset.optim, batch_size=batch), replace(preset.target, max_tokens=report_tokens)
    decoding = replace(preset.decoding, min_new_tokens=NEW_TOKENS, max_new_tokens=NEW_TOKENS)
    return replace(preset, optim=optim, target=target, decoding=decoding)


def measure(mode: str, batch: int, folder: Path) -> dict[str, float]:
    """Two steps and a generation in this process: counts, seconds, bytes at the peaks, gradients."""
    preset = shortened(batch, PRESETS["iu_xray"].target.max_tokens)
    report = next(study.report for study in load_openi_reports() if 250 < len(study.report) < 400)
    with Resident() as resident:
        model = R2GenGPT.from_preset(preset, mode, vision_weights=None, language=mapped_language(folder), device="cpu")
        side = preset.vision.image_size
        pixels = torch.randn(batch, len(preset.vision.views), 3, side, side, generator=torch.Generator().manual_seed(0))
        given = {"features": model.encode(pixels)} if model.mode == "shallow" else {"pixel_values": pixels}
        model(pixels[:1], ["Clear."])  # libraries and tables come into memory
        resident.forget()
        row = train(model, given, [report] * batch) | {"training peak": resident.peak + language_bytes(model)}
        model.zero_grad(set_to_none=True)
        resident.forget()
        start = time.process_time()
        texts = model.generate(pixels)
        seconds = round(time.process_time() - start, 1)
        row |= {"generation CPU seconds": seconds, "generation peak": resident.peak + language_bytes(model)}
    assert len(texts) == batch
    return row


def train(model: R2GenGPT, given: dict[str, torch.Tensor], reports: list[str]) -> dict[str, float]:
    """Two steps as the trainer makes them, with features in shallow mode; what is found in the second."""
    optimizer = make_optimizer(model.train(), model.preset.optim)
    for _ in range(STEPS):
        start = time.process_time()
        out = model(**given, reports=reports)
        optimizer.zero_grad(set_to_none=True)
        out.loss.backward()
        optimizer.step()
        seconds = time.process_time() - start
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "trainable": sum(p.numel() for p in model.trainable_parameters().values()),
        "step CPU seconds": round(seconds, 1),
        "loss": round(out.loss.item(), 3),
        "report tokens": len(out.labels) // len(reports),
        **gradients(model),
    }


def gradients(model: R2GenGPT) -> dict[str, int]:
    """How many tensors train, how many of these have a finite gradient that is not zero, and who else has one."""
    trained = model.trainable_parameters()
    good = [p for p in trained.values() if p.grad is not None and p.grad.isfinite().all() and p.grad.any()]
    others = [name for name, p in model.named_parameters() if name not in trained and p.grad is not None]
    return {
        "tensors that train": len(trained),
        "of these with a finite gradient, not zero": len(good),
        "other tensors with a gradient": len(others),
        "of these in the language model": sum(name.startswith("language.") for name in others),
    }


def write_weights(file: Path) -> None:
    """Random weights of the language model, bf16, one after the other; drawn once for every shape, as that is slow."""
    generator, drawn = torch.Generator().manual_seed(0), {}
    with file.open("wb") as stream:
        for parameter in language_skeleton(PRESETS["iu_xray"].language).parameters():
            if parameter.shape not in drawn:
                values = torch.empty(parameter.shape, dtype=torch.bfloat16)
                gain = len(parameter.shape) == 1
                drawn[parameter.shape] = values.fill_(1) if gain else values.normal_(0, 0.02, generator=generator)
            stream.write(drawn[parameter.shape].view(torch.uint8).numpy().data)


def mapped_language(folder: Path) -> LanguageModel:
    """The language model with the weights of ``write_weights``, mapped and not read."""
    config = PRESETS["iu_xray"].language
    model = language_skeleton(config)
    count = sum(parameter.numel() for parameter in model.parameters())
    values = torch.from_file(str(folder / WEIGHTS), shared=True, size=count, dtype=torch.bfloat16)
    place = 0
    for name, parameter in list(model.named_parameters()):
        module, _, key = name.rpartition(".")
        size = parameter.numel()
        model.get_submodule(module)._parameters[key] = nn.Parameter(values[place : place + size].view(parameter.shape))
        place += size
    model.model.rotary_emb = type(model.model.rotary_emb)(model.config)  # its tables are no parameters
    model.set_attn_implementation(choose_attention(config.attention, torch.bfloat16, "cpu"))
    model.generation_config = GenerationConfig()
    words = PreTrainedTokenizerFast(tokenizer_file=str(folder / TOKENIZER), bos_token=START, eos_token=END)
    return LanguageModel(freeze(model), words, "random")


def write_tokenizer(file: Path) -> None:
    """SmolLM2's tokenizer without the words that a vocabulary of Llama's size has no place for."""
    size = PRESETS["iu_xray"].language.shape["vocab_size"]
    whole = json.loads(load_language(PRESETS["laptop"].language).tokenizer.backend_tokenizer.to_str())
    model = whole["model"]
    model["vocab"] = {word: index for word, index in model["vocab"].items() if index < size}
    model["merges"] = [pair for pair in model["merges"] if "".join(pair) in model["vocab"]]
    file.write_text(json.dumps(whole), encoding="utf-8")


def language_bytes(model: R2GenGPT) -> int:
    """Bytes of the mapped file."""
    return sum(parameter.nbytes for parameter in model.language.parameters())


class Resident(threading.Thread):
    """The peak of what is resident in this process beside the mapped weights: its own pages, and the libraries'."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.libraries = resident("RssFile")  # before the weights are mapped
        self.done = threading.Event()
        self.forget()

    def forget(self) -> None:
        """Start again from what is resident now."""
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
        self.peak = 0

    def run(self) -> None:
        while not self.done.wait(0.02):
            self.peak = max(self.peak, resident("RssAnon") + self.libraries)

    def __enter__(self) -> Resident:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.done.set()
        self.join()


if __name__ == "__main__":
    main()
