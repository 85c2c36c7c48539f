"""Findings in the lungs: on the side and in the zone they name, visible, and each told from its neighbours."""

from __future__ import annotations

import zlib
from functools import lru_cache

import numpy as np
import pytest

from r2gen_lib.findings.finding import MIDLINE, Finding
from r2gen_lib.simulation.anatomy.thorax import VOXEL_MM, load_thorax
from r2gen_lib.simulation.drawers import lung as lung_findings
from r2gen_lib.simulation.drawers import lung_markings
from r2gen_lib.simulation.simulate import simulate

DRAWERS = {**lung_findings.DRAWERS, **lung_markings.DRAWERS}
PLACED = [name for name in DRAWERS if name not in MIDLINE]


def draw(name, side="", zone="", severity=0.6, pattern=(), seed=0):
    finding = Finding(name, "left" if not side and name not in MIDLINE else side, zone, severity, pattern)
    return DRAWERS[name](load_thorax(), finding, np.random.default_rng(seed))


def volume(edits):
    """What is edited (Z, Y, X), the strongest weight in each voxel."""
    whole = np.zeros(load_thorax().shape, np.float32)
    for edit in edits:
        np.maximum(whole[edit.box], edit.weight, out=whole[edit.box])
    return whole


def hu_change(edits):
    """Sum over voxels of how far the edits pull them from the CT."""
    hu = load_thorax().hu
    return sum(float(np.abs(edit.changed(hu[edit.box]) - hu[edit.box]).sum()) for edit in edits)


def centre_height(edits):
    """z of the edited tissue's centre, in voxels."""
    planes = [(edit.weight.sum((1, 2)), np.arange(edit.box[0].start, edit.box[0].stop)) for edit in edits]
    return sum(weight @ z for weight, z in planes) / sum(weight.sum() for weight, _ in planes)


def strongest(edits, where):
    """The strongest weight among the voxels of a mask (Z, Y, X)."""
    return max(float((edit.weight * where[edit.box]).max()) for edit in edits)


@lru_cache(maxsize=2)
def normal(study):
    return simulate(study, (), "frontal", truth=False).picture.astype(int)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("name", PLACED)
def test_what_is_drawn_lies_in_the_lung_that_is_named(name, side):
    lung = load_thorax().lung(side)
    for zone in ("", "hilum", "retrocardiac"):
        edits = draw(name, side, zone, seed=zlib.crc32(zone.encode()))
        assert edits and all(edit.finding.side == side for edit in edits)
        assert strongest(edits, lung) > 0.2 and strongest(edits, ~lung) == 0


@pytest.mark.parametrize("name", sorted(DRAWERS))
def test_weights_fit_their_boxes_and_the_same_generator_gives_the_same_edits(name):
    first, again = draw(name, seed=3), draw(name, seed=3)
    for edit, other in zip(first, again, strict=True):
        assert edit.weight.dtype == np.float32
        assert edit.weight.shape == tuple(part.stop - part.start for part in edit.box)
        assert edit.weight.min() >= 0 and edit.weight.max() <= 1.0001
        assert edit.box == other.box and np.array_equal(edit.weight, other.weight)
    other = draw(name, seed=4)
    assert any(a.box != b.box or not np.array_equal(a.weight, b.weight) for a, b in zip(first, other, strict=False))


@pytest.mark.parametrize("name", sorted(DRAWERS))
def test_more_severe_is_more_tissue_or_denser(name):
    mild, moderate, severe = (
        sum(hu_change(draw(name, "left", "", s, seed=seed)) for seed in range(2)) for s in (0.2, 0.6, 1.0)
    )
    assert mild < moderate < severe


@pytest.mark.parametrize("name", PLACED)
def test_zones_are_where_their_names_say(name):
    lung = load_thorax().lung_box("right")[0]
    height = {
        zone: np.mean([centre_height(draw(name, "right", zone, 0.4, seed=s)) for s in range(3)]) - lung.start
        for zone in ("apex", "base", "upper lobe", "lower lobe")
    }
    size = lung.stop - lung.start
    assert height["apex"] > 0.7 * size and height["base"] < 0.5 * size
    assert height["upper lobe"] > height["lower lobe"] + 0.1 * size


@pytest.mark.parametrize("name", sorted(set(DRAWERS) & MIDLINE))
def test_findings_without_a_side_are_in_both_lungs_and_a_named_side_is_kept_to(name):
    thorax = load_thorax()
    left, right = thorax.lung("left"), thorax.lung("right")
    both, one = draw(name), draw(name, "left")
    assert strongest(both, left) > 0.5 and strongest(both, right) > 0.5
    assert strongest(one, left) > 0.5 and strongest(one, right) == 0


@pytest.mark.parametrize("name", sorted(DRAWERS))
def test_the_picture_changes_where_the_mask_is(name):
    drawn = simulate("lungs", (Finding(name, "" if name in MIDLINE else "right", severity=0.5),), "frontal")
    difference = np.abs(drawn.picture.astype(int) - normal("lungs"))
    mask = drawn.masks.max(0)
    inside, outside = difference[mask > mask.max() / 3].mean(), difference[mask < 0.1].mean()
    assert inside > 3 * outside and inside > 5
    if name not in MIDLINE:  # the patient's right is on the viewer's left
        assert (mask.sum(0) @ np.arange(mask.shape[1])) / mask.sum() < mask.shape[1] / 2 - 8


@pytest.mark.parametrize("name", ["Nodule", "Calcified Granuloma"])
def test_multiple_are_three_or_more_apart(name):
    from scipy import ndimage

    assert ndimage.label(volume(draw(name, "left")) > 0.3)[1] == 1
    for seed in range(4):
        assert ndimage.label(volume(draw(name, "left", "", 0.5, ("multiple",), seed)) > 0.3)[1] >= 3


def test_a_retrocardiac_opacity_lies_low_behind_the_heart():
    thorax = load_thorax()
    shadow = thorax.heart.any(1)
    planes = np.flatnonzero(shadow.any(1))
    for seed in range(6):
        weight = volume(draw("Opacity", "left", "retrocardiac", 0.7, seed=seed)).sum(1)
        z, x = (int(weight.sum(1 - axis) @ np.arange(weight.shape[axis]) / weight.sum()) for axis in (0, 1))
        assert shadow[z, x] and z < (planes[0] + planes[-1]) / 2
        assert weight[shadow].sum() > 0.75 * weight.sum()


@pytest.mark.parametrize(
    ("name", "pattern"), [("Scar", ()), ("Opacity", ("streaky",)), ("Calcified Granuloma", ()), ("Nodule", ())]
)
def test_small_findings_can_be_seen(name, pattern):
    for side in ("left", "right"):
        picture = simulate("lungs", (Finding(name, side, "", 0.5, pattern),), "frontal", truth=False).picture
        assert (picture - normal("lungs")).max() >= 35


def width_mm(edits, axis):
    return VOXEL_MM * (volume(edits) > 0.4).any(axis=tuple({0, 1, 2} - {axis})).sum()


def test_sizes_are_those_of_the_textbooks():
    for severity in (0.0, 0.5, 1.0):
        assert 6 <= width_mm(draw("Nodule", severity=severity), 0) <= 32
        assert 3 <= width_mm(draw("Calcified Granuloma", severity=severity), 0) <= 11
        assert 28 <= width_mm(draw("Mass", severity=severity), 0) <= 72


def test_neighbours_in_the_textbook_can_be_told_apart():
    def peak(name):
        hu = load_thorax().hu
        return np.mean(
            [np.percentile(e.changed(hu[e.box])[e.weight > 0.4], 80) for s in range(4) for e in draw(name, seed=s)]
        )

    assert peak("Calcified Granuloma") > peak("Nodule") + 1000
    assert peak("Consolidation") > peak("Opacity") + 100  # soft: air is left in it
    assert hu_change(draw("Edema")) > 1.5 * hu_change(draw("Vascular Congestion"))
    plate = draw("Atelectasis", "left", "", 0.2, seed=1)[:1]
    assert width_mm(plate, 2) > 2.5 * width_mm(plate, 0)


def test_a_consolidation_stops_at_the_fissure():
    thorax = load_thorax()
    for zone, number in (("upper lobe", 12), ("middle lobe", 13), ("lower lobe", 14)):
        edits = draw("Consolidation", "right", zone, 1.0)
        assert strongest(edits, thorax.lobe == number) > 0.9 and strongest(edits, thorax.lobe != number) == 0


def test_a_consolidation_thins_out_at_the_lungs_surface_and_behind_the_liver():
    thorax = load_thorax()
    weight = volume(draw("Consolidation", "right", "lower lobe", 1.0))
    rim, deep = ((thorax.lobe == 14) & where for where in (thorax.pleura_mm <= VOXEL_MM, thorax.pleura_mm > 8))
    assert weight[rim].mean() < 0.4 * weight[deep].mean()
    low = thorax.lung_box("right")[0].start + 20  # the recess, far below the dome
    assert weight[:low].max() < 0.3


def test_emphysema_darkens_the_upper_lungs():
    hu = load_thorax().hu
    edits = draw("Emphysema", severity=0.7)
    lung = load_thorax().lung_box("both")[0]
    assert np.mean([(e.weight * (e.changed(hu[e.box]) - hu[e.box])).sum() for e in edits if e.target < -900]) < 0
    assert centre_height(edits) > lung.start + 0.55 * (lung.stop - lung.start)
