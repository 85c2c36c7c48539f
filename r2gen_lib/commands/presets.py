"""``r2gen presets``: every setting of the presets and where it comes from."""

from __future__ import annotations

import argparse
import textwrap

from r2gen_lib.config import PRESETS

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
        print()
    return 0
