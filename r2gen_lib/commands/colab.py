"""``r2gen colab``: the two cells that open a notebook in Colab, written into every notebook."""

from __future__ import annotations

import argparse

from r2gen_lib.errors import R2GenError

NAME = "colab"
HELP = "write the badge and the bootstrap cell of every notebook"


def options(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    words = "the repository's public name, such as OWNER/NAME, put into pyproject.toml first (default: what is there)"
    parser.add_argument("--repo", metavar="OWNER/NAME", help=words)


def run(args: argparse.Namespace) -> int:
    """Write badges and bootstraps; print what changed."""
    from r2gen_lib.assets import checkout
    from r2gen_lib.course.colab import CODE_HOST, UNSET, repository_name, set_repository, write_cells

    root = checkout()
    if root is None:
        raise R2GenError("r2gen colab: this package runs outside a checkout, expected the repository's own notebooks.")
    if args.repo:
        set_repository(root, args.repo)
    repository = repository_name(root)
    changed = write_cells(root, repository)
    print(f"{CODE_HOST}{repository}: {len(changed)} file(s) changed")
    for path in changed:
        print(f"  {path.relative_to(root).as_posix()}")
    if repository.startswith(UNSET):
        print("The public address is not set: r2gen colab --repo OWNER/NAME sets it.")
    return 0
