"""Radiographs inside a page: pictures as data addresses, masks of findings as outlines that need no colour."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from r2gen_lib.errors import DataError

if TYPE_CHECKING:
    from r2gen_lib.data.study import Study

LONGEST = 512  # pixels of the longer side; radiographs of archives have thousands
_SOFT = 1.5  # pixels by which a mask is smoothed before its outline is drawn
#: Strokes of outlines: a colour that shows on grey, and dashes that tell them apart without it.
STROKES = (
    ("#ffb000", "none"), ("#4fc3ff", "6 3"), ("#ff7ad9", "2 3"), ("#7dff8a", "8 3 2 3"), ("#ff6b5e", "1 2"),
    ("#d9c2ff", "12 4"),
)  # fmt: skip


@dataclass(frozen=True)
class Outline:
    """One finding of a simulated radiograph as closed lines in the picture's pixels.

    Attributes:
        number: as written beside the picture.
        words: the finding in words, such as "left pleural effusion".
        path: an SVG path; empty where the finding's shadow is too thin to have an outline.
        colour, dashes: the stroke.
    """

    number: int
    words: str
    path: str
    colour: str
    dashes: str


def picture_address(picture: np.ndarray, longest: int = LONGEST) -> str:
    """A picture as a ``data:`` address (JPEG), made smaller if it is larger than ``longest``.

    Args:
        picture: uint8 grey ``(H, W)`` or colour ``(H, W, 3)``.

    Raises:
        DataError: another shape or type.
    """
    from PIL import Image

    array = np.asarray(picture)
    if array.dtype != np.uint8 or not array.size or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)):
        raise DataError(
            f"picture of a page: found {array.dtype} {array.shape}, expected uint8 (H, W) or (H, W, 3). Convert it."
        )
    image = Image.fromarray(array)
    image.thumbnail((longest, longest))
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=85, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def outlines_of(study: Study, view: str) -> tuple[list[Outline], int]:
    """What the simulator drew into a study's view, and the side of the square the outlines are in.

    An outline goes around what lies behind at least a third of the finding's thickest shadow, as the visual tokens'
    labels have it (``simulation.simulate.token_labels``). The chest is edited anew for it, a second or two.
    """
    from r2gen_lib.simulation.simulate import SIZE, simulate

    truth = simulate(study, view=view).truth if study.findings else ()
    outlines = []
    for number, one in enumerate(truth, 1):
        colour, dashes = STROKES[(number - 1) % len(STROKES)]
        path = outline(one.mask, max(float(one.mask.max()) / 3, 0.5))
        outlines.append(Outline(number, str(one.finding), path, colour, dashes))
    return outlines, SIZE


def outline(mask: np.ndarray, level: float) -> str:
    """An SVG path around where ``mask`` (H, W) exceeds ``level``; empty if it does nowhere."""
    from matplotlib.figure import Figure
    from scipy.ndimage import gaussian_filter

    if not np.any(mask > level):
        return ""
    soft = gaussian_filter(np.asarray(mask, float), _SOFT)  # thin shadows have ragged edges
    padded = np.pad(soft if np.any(soft > level) else mask, 1)  # so that what touches the edge is closed
    lines: Sequence[np.ndarray] = Figure().add_subplot().contour(padded, levels=[level]).allsegs[0]
    return "".join("M" + "L".join(f"{x - 0.5:.1f} {y - 0.5:.1f}" for x, y in line) + "Z" for line in lines)
