"""R2GenGPT as a course and a library: a trainable mapper in front of a frozen language model writes reports.

The public names are loaded on first use, so that ``import r2gen_lib`` (and ``r2gen --help``) stays quick:

    from r2gen_lib import load_studies, R2GenGPT, PRESETS, PROFILES, train, score_reports
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

__version__ = "0.1.0"

# How long torch's threads (GNU's OpenMP) spin while they wait for each other, before they sleep; read when torch is
# loaded. By default they spin for milliseconds, and where other programs are busy they take the time from each other
# that they wait for (docs/performance.md has both measured).
_OPENMP = {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"}
if "torch" not in sys.modules and not _OPENMP & os.environ.keys():
    os.environ["GOMP_SPINCOUNT"] = "2000"
#: False where torch was loaded before this package, too early for that.
THREADS_WAIT_BRIEFLY = bool(_OPENMP & os.environ.keys())

_HOME = {
    "load_studies": "r2gen_lib.sources",
    "R2GenGPT": "r2gen_lib.model.r2gengpt",
    "train": "r2gen_lib.training.trainer",
    "score_reports": "r2gen_lib.metrics.nlg",
    "load_original_checkpoint": "r2gen_lib.model.original.load",
    "PRESETS": "r2gen_lib.config",
    "PROFILES": "r2gen_lib.config",
}
__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
