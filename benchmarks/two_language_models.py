"""The same mapper in front of two frozen language models: SmolLM2-135M-Instruct, and Gemma 3 270M (optional).

    r2gen assets --install gemma3        # once; shows the terms that the model is used under
    python benchmarks/two_language_models.py [--steps 240] [--out runs/two_language_models]

Each preset (``laptop``, ``laptop-gemma3``) trains its mapper from nothing, side by side, each in a process of its own:
the same real reports and simulated pictures, the same seed, as many steps of as many studies. Their tokenizers cut
reports differently, so losses are nats a character: the loss of whole validation reports, the end included, over the
characters of these reports. Reports that are longer than what a preset trains on, by either tokenizer, are left out of
the validation. Seconds are the process's own (CPU time), which other work on the machine changes least.

A run that is stopped goes on from its folder in --out. One seed; the recipe was found in front of SmolLM2.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from memory import resident  # benchmarks/memory.py, beside this file

from r2gen_lib import PRESETS, R2GenGPT, load_studies, score_reports, train
from r2gen_lib.config import Preset, Profile
from r2gen_lib.data.audit.token_counts import token_counter
from r2gen_lib.data.selection import chosen_studies
from r2gen_lib.data.study import Study
from r2gen_lib.inference.feature_cache import encode_studies
from r2gen_lib.inference.generate_reports import describe_studies
from r2gen_lib.metrics.chexpert_f1 import clinical_scores

SYSTEMS = {"laptop": "SmolLM2-135M-Instruct", "laptop-gemma3": "Gemma 3 270M"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=240, help="of batches of four (default 240)")
    parser.add_argument("--train-studies", type=int, default=960)
    parser.add_argument("--val-studies", type=int, default=128, help="for the losses (default 128)")
    parser.add_argument("--written", type=int, default=64, help="of these, so many get a report (default 64)")
    parser.add_argument("--out", type=Path, default=Path("runs/two_language_models"))
    parser.add_argument("--in-this-process", choices=SYSTEMS, metavar="PRESET", help="one of the two, printed as JSON")
    args = parser.parse_args()
    if args.in_this_process:
        print(json.dumps(measure(PRESETS[args.in_this_process], args)))
        return
    running = {}
    for name, words in SYSTEMS.items():
        command = [sys.executable, __file__, *sys.argv[1:], "--in-this-process", name]
        running[words] = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    table = {}
    for words, process in running.items():
        printed, _ = process.communicate()
        if process.returncode:
            raise SystemExit(f"{words}: stopped with {process.returncode}; its error stands above.")
        table[words] = json.loads(printed.splitlines()[-1])
    print(f"{args.steps} steps, torch {torch.__version__}, {torch.get_num_threads()} thread(s)")
    print(pd.DataFrame(table, dtype=object).to_string())


def measure(preset: Preset, args: argparse.Namespace) -> dict[str, str]:
    """A column of the table."""
    profile = Profile("two language models", args.train_studies, args.val_studies, None, args.steps, args.steps)
    preset = replace(preset, optim=replace(preset.optim, select_by="last"))
    studies = comparable(load_studies())
    model = R2GenGPT.from_preset(preset, device="cpu")
    history = train(model, studies, profile=profile, out_dir=args.out / preset.name, resume=True).history
    memory = resident("VmHWM")
    _, validation = chosen_studies(studies, profile)
    reports = [study.report for study in validation]
    tokens = sum(len(ids) for ids in model.report_ids(reports))
    letters = sum(map(len, reports))
    losses = history.dropna(subset="val_loss")[["val_loss", "val_loss_shuffled"]] * tokens / letters
    return {
        "parameters of the language model": f"{sum(p.numel() for p in model.language.parameters()):,}",
        "trained parameters": f"{sum(p.numel() for p in model.trainable_parameters().values()):,}",
        "dtype": str(model.embed.weight.dtype),
        "characters a token": f"{letters / tokens:.2f}",
        "nats a character, untrained": f"{losses['val_loss'].iloc[0]:.3f}",
        "nats a character": f"{losses['val_loss'].iloc[-1]:.3f}",
        "the same, shuffled pictures": f"{losses['val_loss_shuffled'].iloc[-1]:.3f}",
        "CPU seconds a step": f"{step_seconds(model, validation):.2f}",
        "peak memory of training, GB": f"{memory / 1e9:.2f}",
    } | scores(model, validation[: args.written])


def comparable(studies: list[Study]) -> list[Study]:
    """The studies without validation reports that one of the presets would cut."""
    reports = [study.report for study in studies]
    fits = np.ones(len(studies), dtype=bool)
    for preset in (PRESETS[name] for name in SYSTEMS):
        fits &= np.array(token_counter(preset.language).count(reports)) < preset.target.max_tokens  # the end takes one
    return [study for study, whole in zip(studies, fits, strict=True) if study.split != "val" or whole]


def step_seconds(model: R2GenGPT, studies: list[Study], steps: int = 8) -> float:
    """CPU seconds of a step's forward and backward pass, the median of a few."""
    size, seconds = model.preset.optim.batch_size, []
    features = encode_studies(model, studies[: size * steps], progress=False)
    for start in range(0, len(features), size):
        reports = [study.report for study in studies[start : start + size]]
        before = time.process_time()
        model(features=features[start : start + size], reports=reports).loss.backward()
        seconds.append(time.process_time() - before)
    return statistics.median(seconds)


def scores(model: R2GenGPT, studies: list[Study]) -> dict[str, str]:
    """Of the reports that it writes with the preset's decoding."""
    truth = {study.id: study.report for study in studies}
    written = describe_studies(model, studies)
    language, clinical = score_reports(truth, written), clinical_scores(written, truth)["F1"].droplevel([0, 1, 2])
    return {
        "CIDEr": f"{language['CIDEr']:.3f}",
        "BLEU-4": f"{language['Bleu_4']:.3f}",
        "clinical macro F1": f"{clinical['macro']:.3f}",
        "clinical micro F1": f"{clinical['micro']:.3f}",
        "words a report": f"{sum(len(text.split()) for text in written.values()) / len(written):.1f}",
        "distinct reports": f"{len(set(written.values())) / len(written):.2f}",
    }


if __name__ == "__main__":
    main()
