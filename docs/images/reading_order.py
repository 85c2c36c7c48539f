"""Draws docs/images/reading_order.svg from the table in notebooks/START.md: ``python docs/images/reading_order.py``."""

import re
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from r2gen_lib.plots.style import DATA, EDGE, FROZEN, LINE, TRAINED

ROOT = Path(__file__).parents[2]
COLOURS = {"prompt": DATA, "splice": TRAINED, "loss": FROZEN, "generation": DATA}
ROW = re.compile(r"^\| (\d) \| (\w+) \| \[`r2gen_lib/([\w/.]+)`\]\(.*?\): `(.+?)` \|", re.M)


def main() -> None:
    """Four columns, a stage each; in them the files in their order, with the function to read."""
    rows = ROW.findall((ROOT / "notebooks" / "START.md").read_text(encoding="utf-8"))
    plt.rcParams["svg.hashsalt"] = "r2gen"  # the same file each time
    figure, ax = plt.subplots(figsize=(11, 3.4), layout="constrained")
    ax.set(xlim=(0, 112), ylim=(0, 34))
    ax.axis("off")
    for column, (stage, colour) in enumerate(COLOURS.items()):
        left = 1 + 28 * column
        look = {"facecolor": colour, "edgecolor": EDGE, "boxstyle": "round,pad=0,rounding_size=1.2"}
        ax.add_patch(FancyBboxPatch((left, 1), 23, 32, **look))
        ax.text(left + 11.5, 29.5, stage, ha="center", va="center", fontsize=12, fontweight="bold")
        for place, (number, _, file, what) in enumerate(row for row in rows if row[1] == stage):
            ax.text(left + 1.2, 24.5 - 8.5 * place, f"{number}  {file}", va="center", fontsize=9, fontweight="bold")
            ax.text(left + 3.4, 21.7 - 8.5 * place, what, va="center", fontsize=9, family="monospace")
        if column:
            arrow = {"arrowstyle": "-|>", "mutation_scale": 12, "color": LINE, "linewidth": 1.4}
            ax.add_patch(FancyArrowPatch((left - 5, 17), (left, 17), **arrow))
    figure.savefig(Path(__file__).with_suffix(".svg"), facecolor="white", metadata={"Date": None})


if __name__ == "__main__":
    main()
