"""Pleura, diaphragm and lung size: each finding is where its name and side say, and shows there."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest

from r2gen_lib.findings.finding import MIDLINE, Finding
from r2gen_lib.simulation.anatomy.thorax import load_thorax
from r2gen_lib.simulation.drawers import pleura as pleura_findings
from r2gen_lib.simulation.drawers import shape as shape_findings
from r2gen_lib.simulation.simulate import simulate

DRAWERS = {**pleura_findings.DRAWERS, **shape_findings.DRAWERS}
SIDED = [name for name in DRAWERS if name not in MIDLINE]
MOVING = ["Hyperinflation", "Hypoinflation", "Flattened Diaphragm", "Elevated Diaphragm", "Eventration", "Volume Loss"]


def edits_of(name, side="", severity=0.6, zone="", seed=1):
    finding = Finding(name, "" if name in MIDLINE else side, zone, severity)
    return DRAWERS[name](load_thorax(), finding, np.random.default_rng(seed))


def weight_of(*drawing, **options):
    """The whole volume's weight, the largest of all edits."""
    volume = np.zeros(load_thorax().shape, np.float32)
    for edit in edits_of(*drawing, **options):
        np.maximum(volume[edit.box], edit.weight, out=volume[edit.box])
    return volume


@lru_cache(maxsize=32)
def picture(name="", side="", severity=0.6, zone="", view="frontal"):
    findings = (Finding(name, side, zone, severity),) if name else ()
    return simulate("patient", findings, view, 7, truth=bool(name))


def difference(*drawing, view="frontal", **options):
    return picture(*drawing, view=view, **options).picture.astype(int) - picture(view=view).picture


@pytest.mark.parametrize("name", DRAWERS)
def test_the_same_generator_draws_the_same_and_weights_fill_their_box(name):
    first, again = edits_of(name, "left"), edits_of(name, "left")
    for one, other in zip(first, again, strict=True):
        assert one.weight.dtype == np.float32 and 0 <= one.weight.min() and one.weight.max() <= 1
        assert one.weight.shape == tuple(part.stop - part.start for part in one.box)
        assert one.finding.name == name and one.finding.severity == 0.6
        assert one.box == other.box and np.array_equal(one.weight, other.weight)
        assert np.array_equal(one.target, other.target)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("name", SIDED)
def test_the_weight_lies_on_the_side_that_is_named(name, side):
    weight = weight_of(name, side)
    middle = load_thorax().spine_centre[:, 1].mean()
    right, left = weight[:, :, : int(middle)].sum(), weight[:, :, int(middle) :].sum()
    assert (left > 20 * right) if side == "left" else (right > 20 * left)


@pytest.mark.parametrize("name", pleura_findings.DRAWERS)
def test_a_graver_finding_is_larger_on_both_sides(name):
    for side in ("left", "right"):
        sizes = [weight_of(name, side, severity, "apex").sum() for severity in (0.0, 0.3, 0.6, 1.0)]
        assert sizes == sorted(sizes) and sizes[-1] > 1.5 * sizes[0]


@pytest.mark.parametrize("name", MOVING)
def test_a_graver_finding_moves_the_anatomy_further(name):
    moved = [max(np.abs(e.shift[1]).max() for e in edits_of(name, "left", s) if e.shift) for s in (0.0, 0.5, 1.0)]
    assert moved == sorted(moved) and moved[-1] > 1.5 * moved[0] > 0


@pytest.mark.parametrize("name", MOVING)
def test_displacements_leave_the_chest_wall_where_it_was_and_fold_nothing(name):
    thorax = load_thorax()
    ribs = thorax.ribs[::4, ::4, ::4]
    for edit in edits_of(name, "left", 1.0):
        if edit.shift is None or edit.shift[0] == 1:  # a barrel chest moves its front wall
            continue
        axis, voxels = edit.shift
        voxels = np.broadcast_to(voxels, ribs.shape)
        assert np.abs(voxels[ribs]).mean() < 0.25 * np.abs(voxels).max()
        assert np.diff(voxels, axis=axis).max() < 4  # grid points are four voxels apart


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_blunted_angle_is_smaller_than_any_effusion_and_lies_low_and_lateral(side):
    blunted, effusion = weight_of("Blunted Costophrenic Angle", side, 1.0), weight_of("Pleural Effusion", side, 0.3)
    assert 0 < blunted.sum() < effusion.sum()
    box = load_thorax().lung_box(side)
    z, _, x = (np.average(np.arange(n), weights=blunted.sum(axes)) for n, axes in zip(
        blunted.shape, ((1, 2), (0, 2), (0, 1)), strict=True))  # fmt: skip
    assert z < box[0].start + 0.35 * (box[0].stop - box[0].start)
    middle = (box[2].start + box[2].stop) / 2
    assert x > middle + 5 if side == "left" else x < middle - 5


def test_an_effusion_fills_from_the_base_and_a_large_one_more_than_half_of_the_lung():
    thorax = load_thorax()
    lung = thorax.lung("left")
    share = [(weight_of("Pleural Effusion", "left", severity) * lung).sum() / lung.sum() for severity in (0.3, 1.0)]
    assert 0.05 < share[0] < 0.25 and share[1] > 0.5
    changed = difference("Pleural Effusion", "left", 0.6)
    assert changed[150:180, 130:190].mean() > changed[60:90, 130:190].mean() + 10


def test_the_meniscus_climbs_the_lateral_wall():
    weight = weight_of("Pleural Effusion", "left", 0.5)
    _, _, x = load_thorax().lung_box("left")
    top = [np.flatnonzero(weight[:, 60, column] > 0.5).max() for column in (x.start + 30, x.stop - 16)]
    assert top[1] > top[0] + 5


def test_a_small_pneumothorax_lies_at_the_apex_and_its_lung_edge_is_a_bright_line_beside_dark_air():
    weight = weight_of("Pneumothorax", "left", 0.2)
    box = load_thorax().lung_box("left")[0]
    air = np.average(np.arange(len(weight)), weights=(weight * (weight > 0.5)).sum((1, 2)))
    assert air > box.start + 0.6 * (box.stop - box.start)
    changed = difference("Pneumothorax", "left", 0.5)
    assert changed.min() < -15 and changed.max() > 10


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_mask_of_a_pneumothorax_is_the_dark_band_beside_the_lung(side):
    lung = load_thorax().lung(side).any(1).sum()
    for severity, most in ((0.3, 0.25), (0.6, 0.35), (1.0, 0.75)):
        mask = picture("Pneumothorax", side, severity).masks[0]
        band = mask > mask.max() / 3
        changed = difference("Pneumothorax", side, severity)
        pixels = lung * (2 * 224 / 296) ** 2  # the lung's shadow, 2 mm voxels to pixels of 296 / 224 mm
        assert 0.02 * pixels < band.sum() < most * pixels
        assert changed[band].mean() < -8
        centre = mask.sum(0) @ np.arange(224) / mask.sum()
        assert centre > 120 if side == "left" else centre < 104


@pytest.mark.parametrize("severity", [0.3, 0.8])
def test_a_thick_lateral_pleura_is_a_bright_band(severity):
    mask = picture("Pleural Thickening", "right", severity, "base").masks[0]
    band = mask > mask.max() / 3
    width = band.sum(1)[band.any(1)].mean() * 296 / 224
    assert 2 < width < 16
    assert difference("Pleural Thickening", "right", severity, "base")[band].mean() > 25


def test_thickening_is_an_apical_cap_or_a_lateral_band():
    box = load_thorax().lung_box("right")
    apical, lateral = (weight_of("Pleural Thickening", "right", zone=zone) for zone in ("apex", "base"))
    z = np.arange(len(apical))
    height = [(np.average(z, weights=w.sum((1, 2))) - box[0].start) / (box[0].stop - box[0].start) for w in
              (apical, lateral)]  # fmt: skip
    assert height[0] > 0.8 and 0.2 < height[1] < 0.5
    assert {edits_of("Pleural Thickening", "right", seed=seed)[0].finding.zone for seed in range(8)} == {"", "apex"}


@pytest.mark.parametrize(
    ("name", "side"),
    [(name, "right") for name in SIDED] + [("Elevated Diaphragm", "left"), ("Pneumothorax", "left")],
)
def test_the_picture_changes_where_the_mask_is(name, side):
    mask = picture(name, side).masks.max(0)
    changed = np.abs(difference(name, side))
    inside = mask > mask.max() / 4
    times = 2 if name == "Volume Loss" else 3  # it draws the other lung across too
    assert changed[inside].mean() > times * changed[~inside].mean()
    assert changed[inside].mean() > 2


def test_diaphragms_go_the_way_their_names_say():
    for name, brighter in (("Elevated Diaphragm", True), ("Eventration", True), ("Flattened Diaphragm", False)):
        mask = picture(name, "right").masks[0]
        change = difference(name, "right")[mask > mask.max() / 3].mean()
        assert change > 3 if brighter else change < -3


def test_full_lungs_are_long_and_their_heart_narrow_and_empty_lungs_the_reverse():
    (down,) = {e.shift[1].min() < -5 for e in edits_of("Hyperinflation") if e.shift and e.shift[0] == 0}
    (up,) = {e.shift[1].max() > 5 for e in edits_of("Hypoinflation") if e.shift and e.shift[0] == 0}
    assert down and up
    heart_border = np.s_[120:150, 145:165]
    assert difference("Hyperinflation")[heart_border].mean() < -3 < 3 < difference("Hypoinflation")[heart_border].mean()


def test_a_lost_volume_draws_the_mediastinum_to_its_side():
    for side, sign in (("left", 1), ("right", -1)):
        (across,) = (edit.shift[1] for edit in edits_of("Volume Loss", side) if edit.shift and edit.shift[0] == 2)
        assert sign * across.sum() > 0 and np.abs(across).max() > 5
