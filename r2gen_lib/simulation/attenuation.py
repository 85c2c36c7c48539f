"""Hounsfield units to attenuation."""

from __future__ import annotations

import numpy as np


def attenuation(hu: np.ndarray) -> np.ndarray:
    """Linear attenuation relative to water; bone absorbs more than its Hounsfield units say at 70 keV."""
    relative = np.maximum(hu, np.float32(-1000))
    relative *= np.float32(0.001)
    relative += np.float32(1)
    relative += np.float32(0.35) * np.maximum(relative - np.float32(1.1), 0)
    return relative
