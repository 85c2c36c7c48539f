"""Makes tests/tiny_system.py and tests/model/tiny_languages.py importable, whatever pytest's import mode."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
