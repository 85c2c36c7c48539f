"""Findings of spine, ribs and clavicles on the real CT: where they lie, that they show, and that severity counts."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest

from r2gen_lib.findings.finding import MIDLINE, Finding
from r2gen_lib.simulation.anatomy.geometry import COARSE
from r2gen_lib.simulation.anatomy.skeleton import FIRST_RIB, L2, T1, T12, vertebrae
from r2gen_lib.simulation.anatomy.thorax import load_thorax
from r2gen_lib.simulation.drawers.bones import DRAWERS
from r2gen_lib.simulation.simulate import simulate

BROKEN = ("Rib Fracture", "Clavicle Fracture")


def drawn(name, side="", severity=0.5, seed=0, **more):
    side = side or ("" if name in MIDLINE else "right")
    finding = Finding(name, side=side, severity=severity, **more)
    return DRAWERS[name](load_thorax(), finding, np.random.default_rng(seed))


@lru_cache
def normal(view):
    return simulate("p4", (), view).picture.astype(float)


def shown(name, view, severity=0.6, **more):
    """Mean change of the picture inside and outside of a finding's mask, and the mask."""
    side = "" if name in MIDLINE else "right"
    simulated = simulate("p4", [Finding(name, side=side, severity=severity, **more)], view)
    change = simulated.picture - normal(view)
    change = np.abs(change - np.median(change))  # the display's window follows what is densest
    (mask,) = simulated.masks
    inside = mask > mask.max() / 4
    return change[inside].mean(), change[~inside].mean(), mask


def middle(edits):
    """Where the edits' weight lies: its centre (z, y, x) in voxels."""
    total, moment = 0.0, np.zeros(3)
    for edit in edits:
        places = np.argwhere(edit.weight > 0.3) + [part.start for part in edit.box]
        total, moment = total + len(places), moment + places.sum(0)
    return moment / total


def spread_mm(edits):
    return sum(float(edit.weight.sum()) for edit in edits)


@pytest.mark.parametrize("name", DRAWERS)
@pytest.mark.parametrize("severity", [0.0, 1.0])
def test_weights_are_shares_of_their_box_and_the_same_seed_draws_the_same(name, severity):
    first, again = (drawn(name, severity=severity, seed=3) for _ in range(2))
    for edit, same in zip(first, again, strict=True):
        assert edit.weight.shape == tuple(part.stop - part.start for part in edit.box)
        assert edit.weight.dtype == np.float32 and 0 <= edit.weight.min() < edit.weight.max() <= 1
        assert np.array_equal(edit.weight, same.weight) and np.array_equal(edit.target, same.target)


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("pattern", [(), ("healed",), ("multiple", "healed")])
def test_a_break_lies_on_the_side_named(name, pattern):
    spine = load_thorax().spine_centre[:, 1].mean()
    for seed in range(4):
        assert middle(drawn(name, "left", seed=seed, pattern=pattern))[2] > spine + 10
        assert middle(drawn(name, "right", seed=seed, pattern=pattern))[2] < spine - 10


@pytest.mark.parametrize(("side", "towards"), [("left", 1), ("right", -1)])
def test_scoliosis_bends_the_spine_to_its_convex_side_and_more_when_severe(side, towards):
    def bend_mm(severity):
        (edit,) = drawn("Scoliosis", side, severity)
        axis, shift = edit.shift
        assert axis == 2
        return 2 * towards * (towards * shift).max()

    assert 11 < towards * bend_mm(0.0) < towards * bend_mm(1.0) < 34


def test_kyphosis_moves_the_middle_of_the_spine_back_the_head_forward_and_the_base_up():
    (_, lean), (_, rise) = (edit.shift for edit in drawn("Kyphosis", severity=1.0))
    assert lean[20].min() * 2 < -20 < 15 < lean[-1].min() * 2
    base = load_thorax().lung_box("left")[0].start // COARSE
    assert rise[base].min() * 2 > 15 and rise.max() * 2 < 25


@pytest.mark.parametrize("severity", [0.3, 1.0])
def test_kyphosis_reads_nothing_beyond_the_volumes_ends(severity):
    _, (_, rise) = (edit.shift for edit in drawn("Kyphosis", severity=severity))
    assert abs(rise[-1]).max() < 0.3 and abs(rise[0]).max() < 0.01  # the last plane would be repeated: streaks
    read = np.arange(len(rise)) * COARSE - rise[:, 0, 0]
    assert read.min() >= 0 and read.max() < load_thorax().shape[0] and (np.diff(read) > 0).all()


def test_several_ribs_break_in_a_row_when_the_code_says_multiple():
    thorax = load_thorax()
    edits = drawn("Rib Fracture", "left", pattern=("multiple", "healed"))
    ribs = []
    for edit in edits:
        labels = thorax.organ[edit.box][edit.weight > 0.9]
        ribs.append(np.bincount(labels[labels >= 92], minlength=120)[FIRST_RIB["left"] :].argmax())
    assert 3 <= len(ribs) <= 5 and list(np.diff(ribs)) == [1] * (len(ribs) - 1)
    assert len(drawn("Rib Fracture", "left")) == 1


def test_a_rib_breaks_in_the_zone_named():
    high = [middle(drawn("Rib Fracture", "left", seed=seed, zone="upper lobe"))[0] for seed in range(6)]
    low = [middle(drawn("Rib Fracture", "left", seed=seed, zone="base"))[0] for seed in range(6)]
    assert np.mean(high) > np.mean(low) + 20


def test_hardware_in_the_neck_lies_before_the_vertebrae_and_in_the_back_behind_them():
    bodies = vertebrae(load_thorax())
    neck, back, lumbar = (middle(drawn("Spinal Hardware", zone=zone)) for zone in ("neck", "", "lumbar"))
    assert neck[0] > bodies[T1].centre[0] - 4 and neck[1] > bodies[T1].centre[1]
    assert back[1] < bodies[T12 + 1].centre[1]
    assert lumbar[0] < bodies[T12].centre[0] < neck[0]


def test_vertebral_bodies_are_found_one_above_the_other():
    bodies = vertebrae(load_thorax())
    steps = np.diff([bodies[label].centre[0] for label in range(L2, T1 + 1)])
    assert (steps > 5).all() and (steps < 16).all()
    assert all(6 < body.depth < 20 and 8 < body.width < 25 and 5 < body.height < 14 for body in bodies.values())


@pytest.mark.parametrize("name", [name for name in DRAWERS if name not in ("Kyphosis", "Scoliosis")])
def test_a_severer_finding_changes_more(name):
    assert spread_mm(drawn(name, severity=1.0, seed=5)) > 1.05 * spread_mm(drawn(name, severity=0.1, seed=5))


@pytest.mark.parametrize("view", ["frontal", "lateral"])
@pytest.mark.parametrize("name", ["Degenerative Spine", "Vertebral Deformity", "Spinal Hardware"])
def test_the_spine_shows_its_findings_in_both_views(name, view):
    inside, outside, _ = shown(name, view)
    assert inside > 8 and inside > 3 * outside


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("pattern", [(), ("healed",)])
def test_a_break_shows_where_its_mask_is_and_nowhere_else(name, pattern):
    inside, outside, mask = shown(name, "frontal", pattern=pattern)
    assert inside > 5 and inside > 10 * outside
    assert (np.argwhere(mask > mask.max() / 4)[:, 1] < 112).all()  # the patient's right is on the left


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("severity", [0.3, 0.7])
def test_a_fresh_break_is_a_gap_between_dense_ends(name, severity):
    thorax = load_thorax()
    for seed in range(4):
        (edit,) = drawn(name, severity=severity, seed=seed)
        before, after = thorax.hu[edit.box], edit.changed(thorax.hu[edit.box])
        assert ((before > 150) & (after < 80)).sum() > 25  # bone that left its place
        assert (after > 1200).sum() > 10
    pairs = [
        (simulate(f"p{n}", truth=False), simulate(f"p{n}", [Finding(name, "right", "", severity)])) for n in (1, 5)
    ]
    assert all((drawn.picture - plain.picture.astype(int)).max() > 20 for plain, drawn in pairs)


def test_a_healed_break_has_callus_and_no_gap():
    thorax = load_thorax()
    (edit,) = drawn("Rib Fracture", pattern=("healed",))
    after = edit.changed(thorax.hu[edit.box])
    assert after.max() < 1500 and ((thorax.hu[edit.box] < 0) & (after > 400)).sum() > 25


def test_osteopenia_takes_contrast_from_all_bone():
    thorax = load_thorax()
    (edit,) = drawn("Osteopenia", severity=1.0)
    lost = thorax.hu[edit.box] - edit.changed(thorax.hu[edit.box])
    bone = thorax.spine[edit.box] & (thorax.hu[edit.box] > 200)
    excess = thorax.hu[edit.box][bone] - 50
    assert 0.4 < (lost[bone] / excess).mean() < 0.8
    assert abs(lost[thorax.lobe[edit.box] > 0]).mean() < 1
