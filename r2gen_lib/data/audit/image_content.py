"""Whether a picture shows anything: one shade, noise, or a shape that no radiograph has.

The limits were measured on the 2,659 simulated radiographs of a full cache (224 x 224) and on pictures made to fail:

=================================================  ==============  ============  ============
picture                                            in one shade    alike, near   alike, far
=================================================  ==============  ============  ============
simulated radiographs, the worst of each           0.38 at most    0.97          0.82
the same, scaled to 32 to 128 pixels                               0.82          0.82
the same with noise of a standard deviation of 40                  0.69          0.88
photographs, CT and MR slices (pydicom, sklearn)   0.86 at most    0.72          0.73
white noise, of 32 x 32 pixels to 2,500 x 2,000    0.18            under 0.08    under 0.08
the same as JPEG of quality 5 to 95                0.2             under 0.05    under 0.04
noise scaled up 2, 4, 8 times                      0.2             0.51 to 0.98  under 0.48
12-bit DICOM whose bits were taken 4 too high      0.13            0.34          0.29
16-bit VOI LUT that ends at 12 bits                1.00            0.98          0.97
=================================================  ==============  ============  ============

*In one shade* is the share of pixels within 32 neighbouring grey levels of 256. *Alike, near* is one less the mean
squared difference of neighbouring pixels over twice the variance: 1 for a smooth picture, 0 for noise. *Alike, far* is
the same of the means of 32 x 32 cells: what stays where noise was scaled up, or a radiograph is a noisy one.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

_LEVELS = 32  # of 256
_IN_ONE_SHADE = 0.95
_ALIKE = 0.5
_JUDGED = 16  # pixels a side: below, too few neighbours to tell noise from a picture
_CELLS = 32
_LINES = 512  # rows or columns, at most, whose neighbours are compared
_SIDE, _ASPECT = 8, 10


def problem_in(grey: np.ndarray) -> tuple[str, str] | None:
    """What is wrong with a decoded picture, and in words; None: it may be a radiograph.

    ``"blank"``: one grey value throughout. ``"odd_shape"``: a side under 8 pixels, or ten times as long as the other.
    ``"faint"``: at least 95% of the pixels within 32 grey levels: nearly black, nearly white, or nearly one grey.
    ``"noise"``: neighbouring pixels have next to nothing in common. Pictures under 16 pixels a side are not judged by
    this; a margin of one grey value is not looked at.

    Args:
        grey: uint8 ``(H, W)``.
    """
    darkest, brightest = int(grey.min()), int(grey.max())
    if darkest == brightest:
        return "blank", f"every pixel is {darkest}"
    height, width = grey.shape
    if min(height, width) < _SIDE or max(height, width) >= _ASPECT * min(height, width):
        return "odd_shape", f"{width} x {height} pixels"
    lowest, share = _shade(grey)
    if share >= _IN_ONE_SHADE:
        highest = lowest + _LEVELS - 1
        what = "black" if lowest < _LEVELS else "white" if highest > 255 - _LEVELS else "one grey"
        return "faint", f"nearly {what}: {share:.0%} of its pixels are between {lowest} and {highest} of 255"
    alike = likeness(grey)
    if alike < _ALIKE:
        return "noise", f"noise: neighbouring pixels are alike by {max(alike, 0):.2f} of 1"
    return None


def likeness(grey: np.ndarray) -> float:
    """How much neighbours have in common, pixels or larger cells, whichever is less: about 0 for noise, 1 if smooth.

    Pictures that are too small to judge have 1.
    """
    picture = _without_margin(grey)
    if min(picture.shape) < _JUDGED:
        return 1.0
    return min(_alike(picture), _alike(_cells(picture)))


def _shade(grey: np.ndarray) -> tuple[int, float]:
    """The 32 neighbouring grey levels that most pixels have: the lowest of them, and the share of pixels."""
    counts = np.array(Image.fromarray(grey).histogram())
    below = np.concatenate([[0], np.cumsum(counts)])
    within = below[_LEVELS:] - below[:-_LEVELS]
    lowest = int(within.argmax())
    return lowest, float(within[lowest] / grey.size)


def _without_margin(grey: np.ndarray) -> np.ndarray:
    """The picture without the rows and columns around it that have the grey value of its corner throughout."""
    shown = grey != grey[0, 0]
    rows, columns = np.flatnonzero(shown.any(axis=1)), np.flatnonzero(shown.any(axis=0))
    return grey[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] if len(rows) else grey


def _alike(picture: np.ndarray) -> float:
    """One less the mean squared difference of neighbours, over twice the variance."""
    variance = float(picture.var(dtype=np.float64))
    if not variance:
        return 1.0
    height, width = picture.shape
    rows = picture[:: -(-height // _LINES)].astype(np.float32)
    columns = picture[:, :: -(-width // _LINES)].astype(np.float32)
    steps = np.square(np.diff(rows, axis=1)).mean() + np.square(np.diff(columns, axis=0)).mean()
    return 1 - float(steps) / 2 / (2 * variance)


def _cells(picture: np.ndarray) -> np.ndarray:
    """Means of ``(32, 32)`` cells, of all pixels each; fewer cells where there are fewer pixels."""
    starts = [np.arange(min(_CELLS, side)) * side // min(_CELLS, side) for side in picture.shape]
    sums = np.add.reduceat(picture, starts[0], axis=0, dtype=np.uint32)
    sums = np.add.reduceat(sums, starts[1], axis=1, dtype=np.uint32)
    heights, widths = (np.diff([*begin, side]) for begin, side in zip(starts, picture.shape, strict=True))
    return sums / np.outer(heights, widths)
