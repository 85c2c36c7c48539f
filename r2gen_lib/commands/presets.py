"""``r2gen presets``: every setting of the presets and where it comes from."""

from __future__ import annotations

import argparse
import textwrap

from r2gen_lib.config import PRESETS, Preset

NAME = "presets"
HELP = "print every setting of the presets and where it comes from"


def options(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(PRESETS)} (default: all)")


def run(args: argparse.Namespace) -> int:
    """Print every setting of the presets, its value, and where it comes from."""
    from r2gen_lib.config import get_preset
    from r2gen_lib.config.provenance import settings, source_of

    for preset in [get_preset(name) for name in args.names or PRESETS]:
        print(f"preset {preset.name}")
        for setting, value in settings(preset):
            print(f"  {setting} = {value!r}")
            print(
                textwrap.fill(source_of(preset.name, setting), 110, initial_indent="      ", subsequent_indent="      ")
            )
        print(f"  reports are written by {writer(preset)}")
        print()
    return 0


def writer(preset: Preset) -> str:
    """What writes this preset's reports; ``model.llama_decoder.why_not`` decides it when the model is there."""
    language = preset.language
    kind = language.shape.get("model_type", "llama")
    reasons = {
        f"{kind} is another architecture than llama": kind != "llama",
        "its weights are quantised": language.quantization,
        "it is sharded": language.shard,
        "it has a LoRA": preset.language_lora,
    }
    found = [reason for reason, holds in reasons.items() if holds]
    if found:
        return f"transformers' generate ({', '.join(found)}): the same reports in fp32, slower"
    return "r2gen_lib.model.search, the quick way for a plain Llama (docs/performance.md)"
