"""What doctors left in the chest: devices, lines, tubes, clips, wires. Sizes in mm, Hounsfield units."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from r2gen_lib.findings.finding import Finding
from r2gen_lib.findings.kinds import LUNG_ZONES
from r2gen_lib.simulation.anatomy.geometry import METAL, Edit, ball_box, box_grid
from r2gen_lib.simulation.anatomy.landmarks import (
    aorta_line,
    at_lung,
    carina,
    heart_point,
    organ_middle,
    organ_part,
    ring,
    strands,
    way_to_the_heart,
)
from r2gen_lib.simulation.anatomy.lung_regions import lung_root, open_places
from r2gen_lib.simulation.anatomy.thorax import TRACHEA, VOXEL_MM, Thorax
from r2gen_lib.simulation.anatomy.tubes import smooth_path

PLASTIC = 5000.0  # barium in the wall of a line: less than metal, and still whiter than bone


def _operated(thorax: Thorax, side: str, zone: str, rng: np.random.Generator) -> np.ndarray:
    """(z, y, x): somewhere in a zone; the root of the lung for a zone that is not known here."""
    outward = 1 if side == "left" else -1
    if zone in LUNG_ZONES and zone != "hilum":
        places = open_places(thorax, side, zone)
        return places[rng.integers(len(places))]
    if zone == "breast":
        return at_lung(thorax, side, rng.uniform(0.3, 0.45), rng.uniform(0.5, 0.8)) - [0, 4, 0]
    if zone == "axilla":
        return at_lung(thorax, side, rng.uniform(0.68, 0.78), 1.15, front=0.45)
    if zone == "abdomen":
        return at_lung(thorax, side, rng.uniform(0.08, 0.13), rng.uniform(0.35, 0.5), front=0.74)
    if zone == "neck":
        return organ_middle(thorax, TRACHEA, 12)[-1] + [2, 0, 9 * outward]
    if zone in ("mediastinum", "paratracheal", "trachea", "aorta", "heart"):
        return at_lung(thorax, side, rng.uniform(0.45, 0.7), 0.28, front=0.74)
    return lung_root(thorax, side) + [0, 0, 2 * outward]


def device(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """A pacemaker: the generator under the skin below the collarbone and one or two leads to the heart."""
    if finding.zone == "heart":
        return heart_valve(thorax, finding, rng)
    side = finding.side
    centre = at_lung(thorax, side, rng.uniform(0.74, 0.82), rng.uniform(0.68, 0.82))
    box = ball_box(thorax, centre, 32)
    z, y, x = box_grid(box)
    turn = np.radians(rng.uniform(-20, 20))
    up = (z - centre[0]) * np.cos(turn) + (x - centre[2]) * np.sin(turn)
    across = (x - centre[2]) * np.cos(turn) - (z - centre[0]) * np.sin(turn)
    can = np.clip(11 - 11 * np.cbrt((np.abs(up + 1) / 10.5) ** 3 + (np.abs(across) / 12) ** 3), 0, 1)
    header = np.clip(3 - np.abs(up - 9), 0, 1) * np.clip(9 - np.abs(across), 0, 1)  # plastic, with the leads' sockets
    weight = np.maximum(can, 0.3 * header) * np.clip(2.5 - np.abs(y - centre[1]), 0, 1)
    edits = [Edit(finding, box, weight.astype(np.float32), METAL)]
    way = way_to_the_heart(thorax, side)
    loop = centre + [11, 0, 0]
    tips = [[heart_point(thorax, 0.4, 0.55, 0.2), heart_point(thorax, 0.16, 0.7, 0.42),
             heart_point(thorax, 0.1, 0.85, 0.74)]]  # fmt: skip
    if rng.random() < 0.6:  # a second lead, bent up into the right atrium's appendage
        tips.append([heart_point(thorax, 0.4, 0.5, 0.16), heart_point(thorax, 0.36, 0.7, 0.2),
                     heart_point(thorax, 0.56, 0.8, 0.26)])  # fmt: skip
    lines = [smooth_path(np.concatenate([[loop], way + [0, 0, 1.5 * i], tip])) for i, tip in enumerate(tips)]
    ends = [line[-8:] for line in lines]
    return edits + strands(thorax, finding, lines, 1.1) + strands(thorax, finding, ends, 2.0)


def heart_valve(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """A prosthetic valve: a metal ring seen at a slant, often with the wires that close the sternum."""
    finding = replace(finding, side="")
    mitral = rng.random() < 0.5
    centre = heart_point(thorax, *((0.45, 0.4, 0.55) if mitral else (0.68, 0.6, 0.36))) + rng.normal(0, 1, 3)
    radius = rng.uniform(12, 15)
    tilt = [rng.uniform(0.5, 1.1), 1.0, 0.0] if mitral else [1.0, rng.uniform(0.5, 1.1), 0.0]
    across = [-0.7, 0.3, 1.0] if mitral else [0.5, 0, 1.0]
    edits = strands(thorax, finding, [ring(centre, (radius, radius), tilt, across)], 1.7)
    return edits + (sternal_wires(thorax, finding, rng) if rng.random() < 0.6 else [])


def catheter(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """A central venous line to the superior vena cava: from the neck, the arm, or a port in the chest wall."""
    side, outward = finding.side, 1 if finding.side == "left" else -1
    way = way_to_the_heart(thorax, side)
    tip = way[-1] + [rng.uniform(-6, 8), 0, 0]
    kind = str(rng.choice(["port", "arm", "neck"], p=[0.5, 0.25, 0.25]))
    if kind == "neck":
        top, (_, y, x) = thorax.shape[0], way[1]
        line = [[top + 4, y, x + 6 * outward], [top - 10, y, x + 4 * outward], *way[1:-1], tip]
    elif kind == "arm":
        arm, shoulder = (at_lung(thorax, side, *place) for place in ((0.74, 1.5, 0.36), (0.9, 1.15, 0.45)))
        line = [arm, shoulder, *way[:-1], tip]
    else:
        port = at_lung(thorax, side, rng.uniform(0.68, 0.78), rng.uniform(0.55, 0.75))
        line = [port, (port + way[0]) / 2 + [2, 2, 3 * outward], *way[:-1], tip]
    edits = strands(thorax, finding, [smooth_path(np.array(line))], 1.5, PLASTIC)
    if kind == "port":
        rings = [ring(port + [0, depth, 0], (r, r), (1, 0, 0), (0, 0, 1)) for r in (10, 5) for depth in (-2, 0, 2)]
        edits += strands(thorax, finding, rings, 1.6, PLASTIC)
    return edits


def tube(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """An endotracheal tube, a nasogastric tube (zone abdomen) or, with a side, a chest drain."""
    if finding.zone == "abdomen":
        return _nasogastric(thorax, replace(finding, side=""), rng)
    if finding.zone == "trachea" or not finding.side:
        return _endotracheal(thorax, replace(finding, side="", zone="trachea"), rng)
    return _chest_drain(thorax, replace(finding, zone="thorax"), rng)


def _endotracheal(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    trachea = organ_middle(thorax, TRACHEA, 12)
    low = carina(thorax) + rng.uniform(9, 22)
    tip = np.array([np.interp(low, trachea[:, 0], trachea[:, axis]) for axis in range(3)])
    inside = trachea[trachea[:, 0] > low + 2]
    path = smooth_path(np.array([tip, *inside, inside[-1] + [thorax.shape[0] + 4 - inside[-1, 0], 2, 0]]))
    walls = [path + [0, 0, 2.3], path - [0, 0, 2.3]]
    stripe = path + [0, -1.5, rng.choice([-1.2, 1.2])]
    return strands(thorax, finding, walls, 1.2, 2200.0) + strands(thorax, finding, [stripe], 1.4, 9000.0)


def _nasogastric(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    gullet = organ_middle(thorax, 15, 10)[::-1]
    fundus, low = organ_part(thorax, 6, 0, 75, 100), rng.uniform(10, 40)
    body = organ_part(thorax, 6, 0, low, low + 10) + [0, 0, rng.uniform(-4, 4)]
    line = smooth_path(np.array([gullet[0] + [thorax.shape[0] + 4 - gullet[0, 0], 2, 0], *gullet[:-1], fundus, body]))
    return strands(thorax, finding, [line], 1.5, PLASTIC)


def _chest_drain(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """In between two ribs at the side, then up along the pleura; its white stripe breaks at the last side hole."""
    side, end = finding.side, rng.uniform(0.8, 0.92)
    line = [(0.24, 1.22), (0.3, 1.08), (0.42, 0.95), (0.62, 0.93), (end - 0.06, 0.88), (end, rng.uniform(0.55, 0.75))]
    path = smooth_path(np.array([at_lung(thorax, side, up, out, front=0.43) for up, out in line]))
    walls = [path + [0, 0, 2.2], path - [0, 0, 2.2]]
    hole = len(path) * 4 // 5
    stripe = [path[:hole], path[hole + 7 :]]
    return strands(thorax, finding, walls, 1.2, 1600.0) + strands(thorax, finding, stripe, 1.5, 8000.0)


def clips(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """A handful of short bright metal pieces where somebody operated."""
    anchor = _operated(thorax, finding.side, finding.zone, rng)
    lines = []
    for _ in range(int(rng.integers(4, 9))):
        middle, along = anchor + rng.normal(0, [5, 2, 4]), rng.normal(0, [1, 0.3, 1])
        half = along / np.linalg.norm(along) * rng.uniform(3, 5) / VOXEL_MM
        lines.append(np.linspace(middle - half, middle + half, 8))
    return strands(thorax, replace(finding, zone=finding.zone or "hilum"), lines, 1.3, 8000.0)


def sternal_wires(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """Five to seven loops around the breastbone, one above the other, each twisted together in front."""
    bone = organ_middle(thorax, 116, 16)
    count = int(rng.integers(5, 8))
    lines = []
    for z in np.linspace(bone[2, 0], bone[-2, 0], count) + rng.normal(0, 0.8, count):
        y, x = (np.interp(z, bone[:, 0], bone[:, i]) for i in (1, 2))
        centre = np.array([z, y, x + rng.normal(0, 0.7)])
        lines.append(ring(centre, (rng.uniform(10, 13), 8), (rng.normal(0, 0.15), 0, 1), (rng.uniform(0.3, 0.6), 1, 0)))
        lines.append(centre + np.outer(np.linspace(-1, 1, 6), [1.2, 0, rng.normal(0, 0.8)]) + [2, 4, 0])
    return strands(thorax, finding, lines, 1.1, METAL)


def _mesh(path: np.ndarray, radius_mm: float, wave_mm: float) -> list[np.ndarray]:
    """A tube of crossing wires around ``path`` (n, 3), points about 1 mm apart."""
    ahead = np.gradient(path, axis=0)
    ahead /= np.linalg.norm(ahead, axis=1, keepdims=True)
    side = np.cross(ahead, [0, 1, 0])
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    over = np.cross(ahead, side)
    fine = np.linspace(0, len(path) - 1, len(path) * 3)
    path, side, over = (
        np.stack([np.interp(fine, np.arange(len(a)), a[:, i]) for i in range(3)], 1) for a in (path, side, over)
    )
    wires = []
    for turn in (1, -1):
        for begin in (0, 2.1, 4.2):
            angle = (turn * fine * 2 * np.pi / wave_mm + begin)[:, None]
            wires.append(path + radius_mm / VOXEL_MM * (np.cos(angle) * side + np.sin(angle) * over))
    return wires


def stent(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """A mesh tube: long and wide in the aorta, short and thin on the heart or in the upper abdomen."""
    zone = finding.zone if finding.zone in ("heart", "aorta", "abdomen") else str(rng.choice(["heart", "aorta"]))
    if zone == "aorta":
        line = aorta_line(thorax)
        low = line["descending"][int(rng.integers(8, 24)) :]
        path = smooth_path(np.concatenate([low[::6], [line["knob"] - [2, 4, 5]]]))
        return strands(thorax, replace(finding, side="", zone=zone), _mesh(path, 13, 40), 1.0, 3000.0)
    if zone == "heart":
        left = finding.side == "left"
        start = heart_point(thorax, 0.7, 0.9, 0.55) if left else heart_point(thorax, 0.6, 0.9, 0.1)
        path = start + np.outer(np.linspace(0, rng.uniform(20, 30) / VOXEL_MM, 30), [-0.8, 0.1, 0.55 if left else -0.1])
        return strands(thorax, replace(finding, zone=zone), _mesh(path, 2.2, 12), 0.9, METAL)
    outward = 1 if finding.side == "left" else -1
    start = at_lung(thorax, finding.side, 0.12, 0.4, front=0.67)
    path = start + np.outer(np.linspace(0, rng.uniform(50, 70) / VOXEL_MM, 60), [-0.75, 0, -0.6 * outward])
    return strands(thorax, replace(finding, zone=zone), _mesh(path, 5, 20), 1.0, METAL)


def foreign_body(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """A bullet, shot pellets ("multiple"), or electrodes on the skin with their wires ("scattered")."""
    if "scattered" in finding.pattern:
        return _electrodes(thorax, finding, rng)
    kind = "shot" if "multiple" in finding.pattern else str(rng.choice(["bullet", "shot", "electrodes"]))
    if finding.zone:
        centre = _operated(thorax, finding.side, finding.zone, rng)
    elif kind == "electrodes":
        return _electrodes(thorax, finding, rng)
    else:
        centre = at_lung(thorax, finding.side, *rng.uniform([0.35, 0.4, 0.3], [0.8, 0.8, 0.75]))
    if kind == "bullet":
        along = rng.normal(0, [1, 0.4, 1])
        along = along / np.linalg.norm(along) * rng.uniform(4, 6) / VOXEL_MM
        return strands(thorax, finding, [np.linspace(centre - along, centre + along, 12)], 4.0, 9000.0)
    count = int(rng.integers(4, 9))
    return strands(thorax, finding, [centre + rng.normal(0, [9, 6, 7], (count, 3))], 2.2, 9000.0)


def _electrodes(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """Two metal buttons on the skin, high and low, each with a wire that leaves downwards."""
    buttons, wires = [], []
    for up in (rng.uniform(0.72, 0.88), rng.uniform(0.25, 0.45)):
        centre = at_lung(thorax, finding.side, up, rng.uniform(0.55, 0.85)) + [0, 4, 0]
        buttons += [ring(centre, (r, r), (1, 0, 0), (0, 0, 1)) for r in (1, 3, 5)]
        ends = [[0, 0, 0], [-9, 2, rng.uniform(-5, 5)], [-24, 0, rng.uniform(-9, 9)]]
        wires.append(smooth_path(centre + np.array(ends)))
    return strands(thorax, finding, buttons, 2.0, 5000.0) + strands(thorax, finding, wires, 1.0, 4000.0)


DRAWERS = {
    "Device": device,
    "Catheter": catheter,
    "Tube": tube,
    "Surgical Clips": clips,
    "Sternal Wires": sternal_wires,
    "Stent": stent,
    "Foreign Body": foreign_body,
}
