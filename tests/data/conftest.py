"""Lets the tests in this folder import ``tests/dicom_files.py``, whatever pytest's import mode."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
