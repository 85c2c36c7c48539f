"""How the laptop recipe was found: short runs that differ in one setting, and what each reaches on validation studies.

    python benchmarks/convergence.py [--rows laptop "rate 1e-3" ...] [--steps 120] [--out runs/convergence]

Every row trains the shallow mapper from nothing with the trainer of the course, on the same studies in the same order
(960 of the train split, as in the profile `laptop`; one row has another seed), and is looked at four times on 48
held-out studies: with their own pictures, and with shuffled ones (the control). A row that is stopped goes on from its
folder in --out. The table is kept in data/convergence.csv, which notebook 03 draws; rows that were not asked for stay
in it as they are.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from r2gen_lib import R2GenGPT, load_studies, train
from r2gen_lib.config import PRESETS, Preset, Profile
from r2gen_lib.files import atomic_write
from r2gen_lib.model.llm import LanguageModel, load_language

#: With 16 tokens of rank 128, as the preset was when its table was made.
LAPTOP = replace(PRESETS["laptop"], mapper=replace(PRESETS["laptop"].mapper, pool=4, rank=128))


@dataclass(frozen=True)
class Row:
    """What differs from the laptop preset, and why it was tried."""

    why: str
    optim: dict[str, Any] = field(default_factory=dict)
    mapper: dict[str, Any] = field(default_factory=dict)
    times: float = 1.0  # steps, relative to the other rows: batches of 8 see as many studies in half of them
    seed: int = 0  # of the choice of studies, their order, and dropout


ROWS = {
    "laptop": Row("the recipe"),
    "another seed": Row("the recipe with other studies: what chance moves", seed=1),
    "rate 1e-3": Row("a usual rate for a small layer", dict(learning_rate=1e-3)),
    "rate 2e-2": Row("three times the recipe's", dict(learning_rate=2e-2)),
    "gain 1": Row("LayerNorm as the paper starts it: seven times the norm of a word", mapper=dict(start_gain="one")),
    "gain 1, rate 1e-4": Row(
        "the paper's rate and gain, made for Llama-2-7b", dict(learning_rate=1e-4), mapper=dict(start_gain="one")
    ),
    "no warm-up": Row("whether the first ten steps matter", dict(warmup_steps=0)),
    "batch 8": Row("half as many steps of twice the size: as many studies", dict(batch_size=8), times=0.5),
    "no clipping": Row("whether the gradient's norm must be held", dict(clip_norm=None)),
    "rank 32": Row("a thinner projection of each token's own, unscaled", mapper=dict(rank=32, scale=1.0)),
    "rank 0": Row("one projection for all tokens, a bias each", mapper=dict(rank=0)),
    "the paper's mapper": Row("one projection and one bias for all tokens", mapper=dict(rank=0, bias=False)),
    "49 tokens": Row("every token of the encoder, as the preset has it today", mapper=dict(pool=None)),
}


def preset_of(row: Row) -> Preset:
    """The laptop preset with the row's changes."""
    optim, mapper = replace(LAPTOP.optim, **row.optim), replace(LAPTOP.mapper, **row.mapper)
    return replace(LAPTOP, optim=optim, mapper=mapper)


def curve(name: str, steps: int, out: Path, studies: list, language: LanguageModel) -> pd.DataFrame:
    """Train one row; its validation losses by studies seen."""
    row, preset = ROWS[name], preset_of(ROWS[name])
    steps = round(steps * row.times)
    profile = Profile("convergence", 960, 48, None, steps, eval_every=max(1, steps // 4), checkpoint_every=steps)
    model = R2GenGPT.from_preset(preset, language=language)
    folder = out / name.replace(" ", "_").replace(",", "")
    history = train(model, studies, profile=profile, out_dir=folder, seed=row.seed).history
    seen = history.dropna(subset="val_loss")[["step", "val_loss", "val_loss_shuffled"]]
    return seen.assign(row=name, studies=seen["step"] * preset.optim.batch_size, why=row.why)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS), metavar="ROW", help=", ".join(ROWS))
    parser.add_argument("--steps", type=int, default=120, help="steps of batches of four (default 120)")
    parser.add_argument("--out", type=Path, default=Path("runs/convergence"))
    args = parser.parse_args()
    kept = Path(__file__).resolve().parent.parent / "data" / "convergence.csv"
    studies, language = load_studies("openi_sim"), load_language(LAPTOP.language, "cpu")
    for name in args.rows:
        table = curve(name, args.steps, args.out, studies, language)
        if kept.is_file():
            table = pd.concat([pd.read_csv(kept).query("row != @name"), table])
        order = {row: place for place, row in enumerate(ROWS)}
        table = table.sort_values(["row", "step"], key=lambda c: c.map(order) if c.name == "row" else c)
        with atomic_write(kept) as path:
            columns = ["row", "step", "studies", "val_loss", "val_loss_shuffled", "why"]
            table[columns].round(4).to_csv(path, index=False)
    last = pd.read_csv(kept).groupby("row", sort=False).last()
    print(last[["studies", "val_loss", "val_loss_shuffled", "why"]].to_string())


if __name__ == "__main__":
    main()
