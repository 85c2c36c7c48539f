"""How the course's figures look: matplotlib's settings and one palette."""

from __future__ import annotations

#: matplotlib settings that ``notebook.setup`` applies.
STYLE = {
    "figure.dpi": 90,
    "savefig.dpi": 90,
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "image.cmap": "gray",
    "legend.frameon": False,
}

BLUE, RED, GREEN, VIOLET, GREY = "#2a6f97", "#c8553d", "#5a9367", "#7b5ea7", "#8d99a6"
#: For groups, in this order. RED also stands for the model and what matters most, GREY for what it is compared with.
COLOURS = (BLUE, RED, GREEN, VIOLET, GREY)

#: Grounds: of what is frozen (and of a prompt), of what trains (and of a picture), of what neither does.
FROZEN, TRAINED, DATA = "#cfe3f2", "#f6c9a8", "#ececec"
#: Words and lines, from dark to light: text, arrows, borders, remarks.
INK, LINE, EDGE, REMARK = "#333333", "#444444", "#555555", "#52606d"
#: Drawn onto a radiograph: an outline, and a grid.
OUTLINE, GRID = "#ffb000", "#f2b84b"
