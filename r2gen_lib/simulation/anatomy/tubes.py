"""Strands and lines through the volume: vessels, wires, tubes."""

from __future__ import annotations

import numpy as np

from r2gen_lib.simulation.anatomy.geometry import Box
from r2gen_lib.simulation.anatomy.thorax import VOXEL_MM, Thorax


def tubes(thorax: Thorax, points: np.ndarray, radii_mm: np.ndarray, deep_mm: float = 0.0) -> tuple[Box, np.ndarray]:
    """Box and weight of round strands: balls of ``radii_mm`` (n,) at ``points`` (n, 3), set close together.

    ``deep_mm`` draws them out by that much to the front and the back: ribbons that the frontal view sees edge-on.
    """
    points = np.clip(points, 0, np.array(thorax.shape) - 1).astype(np.float32)
    radii = (np.asarray(radii_mm, np.float32) / VOXEL_MM)[:, None]
    flatter = radii / (radii + deep_mm / VOXEL_MM)
    reach = np.array([radii.max() + 1, radii.max() + deep_mm / VOXEL_MM + 1, radii.max() + 1]).astype(int)
    centres = np.round(points).astype(np.int64)
    low, high = centres.min(0) - reach, centres.max(0) + reach + 1
    weight = np.zeros(high - low, np.float32)
    steps = np.stack(np.meshgrid(*(np.arange(-r, r + 1) for r in reach), indexing="ij")).reshape(3, -1)
    z, y, x = ((centres - points).astype(np.float32).T[:, :, None] + steps[:, None]).astype(np.float32)
    y *= flatter
    covered = radii + np.float32(0.5) - np.sqrt(z * z + y * y + x * x)  # share of the voxel, (n, steps)
    strides = np.array([weight.shape[1] * weight.shape[2], weight.shape[2], 1])
    index = ((centres - low) @ strides)[:, None] + strides @ steps
    inside = covered > 0
    np.maximum.at(weight.reshape(-1), index[inside], np.minimum(covered[inside], 1))
    first, last = np.maximum(low, 0), np.minimum(high, thorax.shape)
    box = tuple(slice(int(a), int(b)) for a, b in zip(first, last, strict=True))
    return box, weight[tuple(slice(a, b) for a, b in zip(first - low, last - low, strict=True))]


def curves(starts: np.ndarray, middles: np.ndarray, ends: np.ndarray, step_mm: float = 2.0) -> tuple:
    """Points (n, 3) along bent lines (m, 3 each), and for each point which line it is on and how far along, 0 to 1."""
    lengths = np.linalg.norm(ends - starts, axis=1) * VOXEL_MM
    counts = np.maximum((lengths * 1.15 / step_mm).astype(int), 2)
    line = np.repeat(np.arange(len(starts)), counts)
    along = np.concatenate([np.linspace(0, 1, count, dtype=np.float32) for count in counts])
    t = along[:, None]
    points = (1 - t) ** 2 * starts[line] + 2 * t * (1 - t) * middles[line] + t**2 * ends[line]
    return points.astype(np.float32), line, along


def smooth_path(waypoints: np.ndarray, step_mm: float = 1.0) -> np.ndarray:
    """Points (n, 3) every ``step_mm`` along a smooth line through ``waypoints`` (m, 3): a Catmull-Rom spline."""
    knots = np.asarray(waypoints, np.float32)
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(knots, axis=0), axis=1))])
    count = max(2, int(along[-1] * VOXEL_MM / step_mm) + 1)
    place = np.interp(np.linspace(0, along[-1], count), along, np.arange(len(knots)))
    first = np.minimum(place.astype(int), len(knots) - 2)
    t = (place - first)[:, None].astype(np.float32)
    padded = np.concatenate([2 * knots[:1] - knots[1:2], knots, 2 * knots[-1:] - knots[-2:-1]])
    a, b, c, d = (padded[first + offset] for offset in range(4))
    return b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
