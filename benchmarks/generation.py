"""Reports a second: ours, a batch at a time, against transformers' own ``generate`` on the same embeddings, one by one.

    python benchmarks/generation.py [--batch 8] [--beams 3] [--tokens 60] [--rounds 3] [--threads N]

The laptop preset in front of its real SmolLM2, random encoder outputs, and every report as long as asked, so that both
do the same work. Rounds are interleaved (a batch by one way, the same studies by the other), so that other work on the
machine meets both alike. Then the seconds it takes to load the laptop model from the cache, in a process of its own,
after its imports. The exit status is 1 if ours is not 1.5 times as fast, or loading takes 3 seconds.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch

from r2gen_lib.model.alignment import splice
from r2gen_lib.model.encoder import token_count
from r2gen_lib.model.r2gengpt import R2GenGPT

EXPECTED_RATIO = 1.5
EXPECTED_LOADING = 3.0  # seconds
LOAD = """
import time
from transformers import AutoModelForCausalLM, LlamaForCausalLM
from r2gen_lib.model.r2gengpt import R2GenGPT
start = time.perf_counter()
R2GenGPT.from_preset("laptop", device="cpu")
print(time.perf_counter() - start)
"""


def one_by_one(model: R2GenGPT, features: torch.Tensor, beams: int, tokens: int) -> list[list[int]]:
    """The straightforward route: each study's prompt by itself through transformers' ``generate``."""
    reports = []
    with torch.no_grad():
        for study in features:
            prompt = splice(model.embed, model.visual_tokens(features=study.unsqueeze(0)), model.prompt)
            ids = model.language.generate(
                inputs_embeds=prompt.inputs_embeds,
                attention_mask=prompt.attention_mask,
                do_sample=False,
                num_beams=beams,
                min_new_tokens=tokens,
                max_new_tokens=tokens,
                eos_token_id=model.ends,
                pad_token_id=model.tokenizer.pad_token_id,
            )
            reports.append(ids[0].tolist())
    return reports


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def loading_seconds(rounds: int) -> float:
    """Median over fresh processes; the first, which fetches the files, is not counted."""
    runs = [subprocess.run([sys.executable, "-c", LOAD], check=True, capture_output=True) for _ in range(rounds + 1)]
    return statistics.median(float(run.stdout.split()[-1]) for run in runs[1:])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=8, help="studies a round (default 8)")
    parser.add_argument("--beams", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=60, help="new tokens of every report (default 60)")
    parser.add_argument("--rounds", type=int, default=3, help="measured rounds of each way (default 3)")
    parser.add_argument("--threads", type=int, help="torch threads (default: torch's own)")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    model = R2GenGPT.from_preset("laptop", device="cpu")
    places, width = token_count(model.vision), model.vision.width
    settings = dict(num_beams=args.beams, min_new_tokens=args.tokens, max_new_tokens=args.tokens)
    plain = dict(repetition_penalty=1.0, no_repeat_ngram_size=0)  # what transformers does by default
    times: dict[str, list[float]] = {"one by one, transformers": [], "ours, a batch at a time": []}
    for n in range(args.rounds + 1):
        features = torch.randn(args.batch, places, width)
        ours = seconds(lambda batch=features: model.generate(features=batch, **settings, **plain))
        theirs = seconds(lambda batch=features: one_by_one(model, batch, args.beams, args.tokens))
        print(f"round {n}{' (warm-up)' if not n else ''}: ours {ours:.2f} s, one by one {theirs:.2f} s", flush=True)
        if n:
            times["one by one, transformers"].append(theirs)
            times["ours, a batch at a time"].append(ours)
    rates = {way: args.batch / statistics.median(each) for way, each in times.items()}
    ratio = rates["ours, a batch at a time"] / rates["one by one, transformers"]
    loading = loading_seconds(args.rounds)
    print(f"\n{args.batch} studies, {args.beams} beams, {args.tokens} new tokens, {model.embed.weight.dtype}, ", end="")
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}")
    for way, rate in rates.items():
        print(f"{way:26s}{rate:8.3f} reports/s")
    print(f"ratio {ratio:.2f} (expected {EXPECTED_RATIO}); loading {loading:.2f} s (expected under {EXPECTED_LOADING})")
    return 0 if ratio >= EXPECTED_RATIO and loading < EXPECTED_LOADING else 1


if __name__ == "__main__":
    sys.exit(main())
