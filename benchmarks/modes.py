"""What do a few more trained parameters buy? Shallow, delta and deep from nothing, at equal steps and at equal time.

    OMP_NUM_THREADS=1 python benchmarks/modes.py [--steps 100] [--seeds 0 1 2] [--val 64] [--out data/modes.csv]

The laptop preset on real reports and simulated radiographs. Every seed has a start of its own (mapper, order of the
960 studies of the profile `laptop`), which its three modes share, as they share the language model. The turn is always
with the mode that has spent the least time. So steps are interleaved, a busy machine meets all alike, and at any moment
the three have had equal time. A seed ends when each mode has made --steps steps; the faster ones have made more then.
Each is looked at when it has made them ("equal steps"), and at the end ("equal time"): the loss a report token, in
nats, on the same held-out studies for all, with their own pictures and with shuffled ones (the control).

From nothing, and not from `laptop-shallow`: so the preset's own rates fit all three, and seeds differ in the start too.
(The other start is measured: `laptop-delta` began at `laptop-shallow`.) The rate warms up and then stays, as a cosine
would favour the mode whose end it was made for. Nothing was tuned for a mode.

Seconds are the process's CPU time: on one thread, the wall time of a step on a core that nobody else uses. Shallow
reads features from the cache. To fill it costs about what the other modes' encoder costs in the forward passes of one
epoch, and isn't counted. A seed's rows are written when it ends; a run that is stopped goes on with the seed that is
lacking. --tiny: the toy of random weights, on a few studies, in seconds.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import torch

from r2gen_lib import R2GenGPT, load_studies
from r2gen_lib.config import MODES, PRESETS, PROFILES, OptimConfig
from r2gen_lib.data.selection import chosen_studies
from r2gen_lib.data.study import Study
from r2gen_lib.errors import R2GenError
from r2gen_lib.files import atomic_write
from r2gen_lib.model.llm import LanguageModel, load_language
from r2gen_lib.model.toy import toy_model
from r2gen_lib.simulation.render import render_pictures
from r2gen_lib.training.examples import Examples, mean_loss
from r2gen_lib.training.processes import Processes
from r2gen_lib.training.schedule import length_batches, make_optimizer, set_rate
from r2gen_lib.training.step import take_step

COLUMNS = ["mode", "seed", "at", "steps", "seconds", "val_loss", "val_loss_shuffled", "val_studies"]
KEPT = Path(__file__).resolve().parent.parent / "data" / "modes.csv"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=100, help="steps that each mode makes at least (default 100)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="default: 0 1 2")
    parser.add_argument("--val", type=int, default=64, help="held-out studies (default 64)")
    parser.add_argument("--out", type=Path, default=KEPT, help="table; rows of other seeds stay in it")
    parser.add_argument("--tiny", action="store_true", help="the toy of random weights on 32 studies")
    args = parser.parse_args()
    torch.set_num_threads(1)
    profile = replace(PROFILES["laptop"], val_studies=args.val, **({"train_studies": 32} if args.tiny else {}))
    studies = load_studies("openi_sim")
    _, held_out = chosen_studies(studies, profile, seed=0)  # the same for every seed: what differs is training
    language = None if args.tiny else load_language(PRESETS["laptop"].language, "cpu")
    for seed in args.seeds:
        if seed in set(kept_rows(args.out, args.steps, args.val)["seed"]):
            print(f"seed {seed} is in {args.out}", flush=True)
            continue
        torch.manual_seed(seed)
        train_set, _ = chosen_studies(studies, profile, seed)
        render_pictures(train_set + held_out)
        models = [model_of(mode, seed, language) for mode in MODES]
        rows = compare([Learner.make(model, train_set, held_out, seed) for model in models], args.steps)
        table = pd.concat([kept_rows(args.out, args.steps, args.val), rows.assign(seed=seed)])[COLUMNS]
        with atomic_write(args.out) as path:
            table.round(4).to_csv(path, index=False)
    print(summary(kept_rows(args.out, args.steps, args.val)).to_string(float_format="{:.3f}".format))


def model_of(mode: str, seed: int, language: LanguageModel | None) -> R2GenGPT:
    """The laptop preset in front of this language model; without one, the toy."""
    if language is None:
        return toy_model(mode, seed)
    return R2GenGPT.from_preset("laptop", mode, language=language, device="cpu", seed=seed)


def kept_rows(file: Path, steps: int, val: int) -> pd.DataFrame:
    """The table as it is, or an empty one.

    Raises:
        R2GenError: the file is another table, or was made with other numbers of steps or held-out studies.
    """
    if not file.is_file():
        return pd.DataFrame(columns=COLUMNS)
    table = pd.read_csv(file)
    if list(table) != COLUMNS:
        raise R2GenError(f"{file}: found the columns {list(table)}, expected {COLUMNS}. Give another --out.")
    made = {(row.steps, row.val_studies) for row in table[table["at"] == "equal steps"].itertuples()}
    if made - {(steps, val)}:
        raise R2GenError(
            f"{file}: found rows of (steps, held-out studies) {sorted(made)}, expected {(steps, val)}, as --steps and "
            "--val say. Give these numbers, or another --out."
        )
    return table


@dataclass
class Learner:
    """A mode on its way: its model and data, the steps it has made and the seconds they took."""

    model: R2GenGPT
    optimizer: torch.optim.Optimizer
    train_set: Examples
    val_set: Examples
    batches: Iterator[list[int]]
    steps: int = 0
    seconds: float = 0.0

    @classmethod
    def make(cls, model: R2GenGPT, train_set: Sequence[Study], held_out: Sequence[Study], seed: int) -> Learner:
        examples = Examples(model, train_set, "train", progress=False)
        batches = endless(examples.lengths, model.preset.optim.batch_size, seed)
        optimizer = make_optimizer(model, model.preset.optim)
        return cls(model.train(), optimizer, examples, Examples(model, held_out, "val", progress=False), batches)

    def step(self) -> None:
        """A step of the trainer; its CPU seconds are added up."""
        optim, start = self.model.preset.optim, time.process_time()
        set_rate(self.optimizer, warm(self.steps, optim))
        take_step(self.model, self.optimizer, self.train_set, next(self.batches), optim, Processes.alone())
        self.steps += 1
        self.seconds += time.process_time() - start

    def look(self) -> dict[str, float]:
        """Where it stands, and its losses on held-out studies with their own and with shuffled pictures."""
        size = self.model.preset.optim.batch_size
        own, shuffled = (mean_loss(self.model, self.val_set, size, shuffled=how) for how in (False, True))
        place = {"mode": self.model.mode, "steps": self.steps, "seconds": self.seconds}
        return place | {"val_loss": own, "val_loss_shuffled": shuffled, "val_studies": len(self.val_set)}


def endless(lengths: Sequence[int], size: int, seed: int) -> Iterator[list[int]]:
    """The trainer's batches, epoch after epoch."""
    epoch = 0
    while True:
        yield from length_batches(lengths, size, seed, epoch)
        epoch += 1


def warm(step: int, optim: OptimConfig) -> float:
    """Share of the rate: the preset's warm-up, then 1."""
    return min(1.0, (step + 1) / (optim.warmup_steps + 1))


def compare(learners: Sequence[Learner], steps: int) -> pd.DataFrame:
    """Steps in turns until each mode has made ``steps``; two rows a mode, at equal steps and at equal time."""
    at_steps: dict[str, dict[str, float]] = {}
    while len(at_steps) < len(learners):
        learner = min(learners, key=lambda one: one.seconds)
        learner.step()
        if learner.steps == steps:
            at_steps[learner.model.mode] = learner.look()
            print(at_steps[learner.model.mode], flush=True)
    rows = []
    for learner in learners:
        first = at_steps[learner.model.mode]
        last = first if learner.steps == steps else learner.look()
        rows += [{"at": "equal steps"} | first, {"at": "equal time"} | last]
    return pd.DataFrame(rows)


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds, and the range of the loss between them."""
    table = table.assign(looking=table["val_loss_shuffled"] - table["val_loss"])
    groups = table.groupby(["at", "mode"])
    means = groups[["steps", "seconds", "val_loss", "looking"]].mean()
    return means.assign(lowest=groups["val_loss"].min(), highest=groups["val_loss"].max())


if __name__ == "__main__":
    main()
