"""``r2gen download-openi FOLDER``: Open-i's real reports and radiographs."""

from __future__ import annotations

import argparse
from pathlib import Path

NAME = "download-openi"
HELP = "fetch Open-i's real reports and radiographs"


def options(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    words = "where to put it; a broken download goes on from there"
    parser.add_argument("target", type=Path, metavar="FOLDER", help=words)
    words = "reports, png or dcm (DICOM, many times as large as PNG); default reports and png"
    parser.add_argument("--what", nargs="+", default=["reports", "png"], metavar="PART", help=words)
    parser.add_argument("--from", dest="base_url", metavar="URL", help="a mirror (default: Open-i's own address)")


def run(args: argparse.Namespace) -> int:
    """Download the parts and print where each is."""
    from r2gen_lib.data.download import download_openi

    choices = {"base_url": args.base_url} if args.base_url else {}
    for name, folder in download_openi(args.target, args.what, **choices).items():
        print(f"{name}: {folder}")
    return 0
