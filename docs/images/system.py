"""Draws docs/images/system.svg: ``python docs/images/system.py`` in the repository, with the course installed."""

from pathlib import Path

import matplotlib.pyplot as plt

from r2gen_lib import load_studies
from r2gen_lib.data.study import by_split
from r2gen_lib.plots import system_drawing

plt.rcParams["svg.hashsalt"] = "r2gen"  # the same file each time
test_studies = by_split(load_studies("openi_sim"), "test")
study = next(s for s in test_studies if {"Cardiomegaly", "Pleural Effusion"} <= {f.name for f in s.findings})
figure = system_drawing(picture=study.picture().load(), vision="Swin behind a\nconvolutional stem", tokens=49)
figure.axes[0].text(8.5, 6.2, "simulated radiograph", ha="center", va="center", fontsize=9)
figure.savefig(Path(__file__).with_suffix(".svg"), facecolor="white", metadata={"Date": None})
