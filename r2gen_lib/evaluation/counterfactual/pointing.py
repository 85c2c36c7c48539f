"""The pointing game (Zhang et al., arXiv 1608.00507): does a map's highest point lie where the finding was drawn?

Beside the hit rate stand two controls. *Chance*: the share of the body that counts as a hit. *Without it*: the map of
the same chest without the finding, judged by the same place: a map that points there too does not show the finding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy import ndimage

from r2gen_lib.errors import DataError
from r2gen_lib.evaluation.counterfactual.pairs import BESIDE, NORMAL, Pair
from r2gen_lib.evaluation.counterfactual.saliency import method_names, saliency_maps
from r2gen_lib.evaluation.counterfactual.tables import share
from r2gen_lib.files import atomic_write

if TYPE_CHECKING:
    from r2gen_lib.model.r2gengpt import R2GenGPT

#: Pixels of 224 by which a point may miss, as in the pointing game's paper (15 pixels).
TOLERANCE = 15
_DARK = 12  # grey levels: what is darker at the picture's edge is air or the collimator


@dataclass(frozen=True)
class Pointing:
    """What ``pointing_game`` found.

    Attributes:
        rows: a row a pair and method: finding, patient, method, hit, hit without, chance.
        examples: a few pairs with the map of each method for the picture with the finding.
    """

    rows: pd.DataFrame
    examples: tuple[tuple[Pair, dict[str, np.ndarray]], ...]


def pointing_game(
    model: R2GenGPT, pairs: Sequence[Pair], methods: Sequence[str] = (), pairs_each: int = 8, keep: int = 2
) -> Pointing:
    """Play it with pairs in which a finding was put in.

    Args:
        model: any mode; it is given the frontal view.
        pairs: of ``pairs.make_pairs``; others than those with a finding put in are left out.
        methods: of ``saliency.METHODS``; by default the quick ones.
        pairs_each: at most so many for each finding, those in normal chests first.
        keep: examples for each finding.

    Raises:
        DataError: no pair has a finding put in.
    """
    put = [pair for kind in (NORMAL, BESIDE) for pair in pairs if pair.kind == kind]
    if not put:
        raise DataError(f"pointing_game: found no pair with a finding put in among {len(pairs)}. Make some.")
    rows, examples = [], []
    for case in dict.fromkeys(pair.case for pair in put):
        some = [pair for pair in put if pair.case == case][:pairs_each]
        drawn = [(pair.with_.draw(truth=True), pair.without.draw()) for pair in some]
        targets = [target_of(with_, case.finding) for with_, _ in drawn]
        bodies = [body_of(with_.picture) for with_, _ in drawn]
        kept: list[dict[str, np.ndarray]] = [{} for _ in some]
        for method in methods or method_names(model, case):
            pictures = [picture.picture for picture, _ in drawn] + [picture.picture for _, picture in drawn]
            maps = [_fitted(one, len(pictures[0])) for one in saliency_maps(model, pictures, case, method)]
            for i, (pair, target, body) in enumerate(zip(some, targets, bodies, strict=True)):
                kept[i][method] = maps[i]
                hits = [bool(target[point_of(one, body)]) for one in (maps[i], maps[i + len(some)])]
                row = {"finding": case.finding, "patient": pair.without.patient, "method": method}
                rows.append(row | {"hit": hits[0], "hit without": hits[1], "chance": target[body].mean()})
        examples += list(zip(some, kept, strict=True))[:keep]
    return Pointing(pd.DataFrame(rows), tuple(examples))


def target_of(drawn, finding: str) -> np.ndarray:
    """Bool (S, S): the finding's edited voxels on the picture (a third of their thickest shadow and more), widened by
    ``TOLERANCE``."""
    mask = np.max([one.mask for one in drawn.truth if one.finding.name == finding], axis=0)
    distance = ndimage.distance_transform_edt(mask <= max(mask.max() / 3, 1e-6))
    return distance <= TOLERANCE * len(mask) / 224


def body_of(picture: np.ndarray) -> np.ndarray:
    """Bool (S, S): the largest region that is not black, its holes (dark lungs) filled."""
    regions, count = ndimage.label(ndimage.binary_fill_holes(picture > _DARK))
    if count == 0:
        return np.ones(picture.shape, bool)
    return regions == 1 + np.argmax(ndimage.sum_labels(np.ones_like(regions), regions, np.arange(1, count + 1)))


def point_of(saliency: np.ndarray, body: np.ndarray) -> tuple[int, int]:
    """Row and column of the map's highest point on the body."""
    return np.unravel_index(np.where(body, saliency, -np.inf).argmax(), saliency.shape)


def _fitted(saliency: np.ndarray, side: int) -> np.ndarray:
    """A map over the picture as the encoder saw it, over the picture as it was drawn (both are square)."""
    return saliency if len(saliency) == side else ndimage.zoom(saliency, side / len(saliency), order=1)


def pointing_table(played: Pointing) -> pd.DataFrame:
    """A row a finding and method: pairs, hits, rate with Wilson's low and high, chance, and the rate without it."""
    rows = []
    for (finding, method), some in played.rows.groupby(["finding", "method"], sort=False):
        row = {"finding": finding, "method": method, "pairs": len(some), "hits": int(some.hit.sum())}
        row |= dict(zip(("rate", "rate low", "rate high"), share(row["hits"], len(some)), strict=True))
        row |= {"chance": some.chance.mean(), "rate without it": some["hit without"].mean()}
        rows.append(row)
    return pd.DataFrame(rows).set_index(["finding", "method"])


def format_pointing(played: Pointing) -> str:
    """The table for a terminal."""
    lines = [f"{'points at':20s}{'by':12s}{'pairs':>6s}  {'hits':22s}{'chance':>7s}{'without it':>12s}"]
    for (finding, method), row in pointing_table(played).iterrows():
        rate = f"{row.rate:.2f} [{row['rate low']:.2f}, {row['rate high']:.2f}]"
        where = f"{row.chance:7.2f}{row['rate without it']:12.2f}"
        lines.append(f"{finding:20s}{method:12s}{int(row.pairs):6d}  {rate:22s}{where}")
    lines.append("hits: the map's highest point is on the finding. without it: the same chest without the finding.")
    return "\n".join(lines)


def pointing_figure(played: Pointing, title: str = "") -> Figure:
    """Examples, one a row: the picture with the finding outlined, then each method's map with its highest point."""
    from r2gen_lib.plots.overlay import lay_over
    from r2gen_lib.plots.style import OUTLINE

    methods = list(played.examples[0][1])
    size = (2.3 * (1 + len(methods)), 2.45 * len(played.examples) + 0.4)
    figure, axes = plt.subplots(
        len(played.examples), 1 + len(methods), figsize=size, squeeze=False, layout="constrained"
    )
    for row, (pair, maps) in zip(axes, played.examples, strict=True):
        drawn = pair.with_.draw(truth=True)
        target, body = target_of(drawn, pair.finding), body_of(drawn.picture)
        for ax, method in zip(row, ["", *methods], strict=True):
            ax.imshow(drawn.picture, cmap="gray")
            ax.contour(target, levels=[0.5], colors=OUTLINE, linewidths=1)
            ax.axis("off")
            ax.set_title(method or f"{pair.finding}, {pair.without.patient}", fontsize=9)
            if method:
                one = maps[method]
                lay_over(ax, np.clip(one - np.median(one), 1e-9, None), drawn.picture.shape)
                down, across = point_of(one, body)
                ax.plot(across, down, "x", color="#00d0ff", markersize=9, markeredgewidth=2.5)
    title = title or "Simulated radiographs; outline: where a hit is, cross: the map's highest point"
    figure.suptitle(title, fontsize=9)
    return figure


def save_pointing(played: Pointing, folder: Path) -> None:
    """Write ``pointing.csv`` and ``pointing.png`` into ``folder``."""
    with atomic_write(folder / "pointing.csv") as temporary:
        pointing_table(played).to_csv(temporary)
    with atomic_write(folder / "pointing.png") as temporary:
        pointing_figure(played).savefig(temporary, dpi=110)
