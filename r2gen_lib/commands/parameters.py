"""``r2gen parameters``: what trains, what is frozen, and how much memory it takes."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from r2gen_lib.config import PRESETS, Preset

if TYPE_CHECKING:
    import pandas as pd

NAME = "parameters"
HELP = "count what trains and what is frozen; estimate memory"


def options(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--preset", choices=PRESETS, help="one preset (default: all)")
    words = "where it is to run: it decides dtype and attention (default: cpu for laptop, else cuda)"
    parser.add_argument("--device", choices=("cpu", "cuda"), help=words)
    words = "say which settings fit a device of that many gigabytes (a T4: 16); takes a minute or two"
    parser.add_argument("--device-memory", type=float, metavar="GB", help=words)


def run(args: argparse.Namespace) -> int:
    """Print the parameter and memory table of each preset, or which settings fit a device's memory."""
    from r2gen_lib.model.budget.fit import MARGIN, fitting_settings
    from r2gen_lib.model.budget.memory import memory_table

    for name in [args.preset] if args.preset else PRESETS:
        device = args.device or ("cpu" if name == "laptop" else "cuda")
        preset = PRESETS[name]
        print(f"preset {name}, counted without loading any weights; memory on {device} in GB (1e9 bytes)")
        print(_shown(memory_table(preset, device)))
        print(f"Peaks are estimates for batches of {preset.optim.batch_size}: {_lengths(preset)}.")
        if args.device_memory is not None:
            print(
                f"\nFits in {args.device_memory:g} GB, {MARGIN:.0%} left free (largest batch of each; 0: not even one):"
            )
            print(fitting_settings(preset, args.device_memory, device).to_string(index=False))
        print()
    return 0


def _lengths(preset: Preset) -> str:
    decoding = preset.decoding
    return (
        f"training on reports of {preset.target.max_tokens} tokens, "
        f"generation of {decoding.max_new_tokens} tokens with {decoding.num_beams} beams"
    )


def _shown(table: pd.DataFrame) -> str:
    """A column a mode; counts with thousands separators, percentages and gigabytes with the digits that matter."""
    digits = {name: "{:.4f}" if "percent" in name else "{:.3f}" if "GB" in name else "{:,.0f}" for name in table}
    rows = {name.replace("_", " "): [digits[name].format(value) for value in table[name]] for name in table}
    width = max(map(len, rows))
    lines = [("", table.index), *rows.items()]
    return "\n".join(f"{name:{width}}" + "".join(f"{value:>16}" for value in values) for name, values in lines)
