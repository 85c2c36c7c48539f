"""Findings of the heart and great vessels, and devices, on the real CT: where they lie, how much of them there is."""

from __future__ import annotations

import numpy as np
import pytest

from r2gen_lib.findings.finding import MIDLINE, Finding
from r2gen_lib.findings.kinds import ZONES
from r2gen_lib.simulation.anatomy.thorax import VOXEL_MM, load_thorax
from r2gen_lib.simulation.drawers import devices as device_findings
from r2gen_lib.simulation.drawers import heart as heart_findings
from r2gen_lib.simulation.drawers.draw import draw
from r2gen_lib.simulation.simulate import simulate

NAMES = [*heart_findings.DRAWERS, *device_findings.DRAWERS]
SIDED = [
    ("Epicardial Fat", ""),
    ("Enlarged Hilum", ""),
    ("Calcified Lymph Nodes", ""),
    ("Calcified Lymph Nodes", "mediastinum"),
    ("Device", ""),
    ("Catheter", ""),
    ("Tube", ""),
    ("Tube", "thorax"),
    ("Stent", "heart"),
    ("Stent", "abdomen"),
    ("Foreign Body", ""),
    *(("Surgical Clips", zone) for zone in ("", "upper lobe", "breast", "axilla", "abdomen", "neck", "mediastinum")),
]


@pytest.fixture(scope="module")
def thorax():
    return load_thorax()


def edits_of(thorax, name, side="", zone="", severity=0.6, seed=0, pattern=()):
    finding = Finding(name, side, zone, severity, pattern)
    return draw(thorax, finding, np.random.default_rng(seed))


def amount_ml(edits):
    return sum(float(edit.weight.sum()) for edit in edits) * VOXEL_MM**3 / 1000


def centre(edits):
    """(z, y, x) of the edited voxels' centre of mass, in voxels of the volume."""
    total = sum(edit.weight.sum() for edit in edits)
    moments = np.zeros(3)
    for edit in edits:
        for axis in range(3):
            line = edit.weight.sum(tuple(a for a in range(3) if a != axis))
            moments[axis] += (line * np.arange(edit.box[axis].start, edit.box[axis].stop)).sum()
    return moments / total


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("zone", ["", "heart", "aorta", "abdomen", "neck", "lingula"])
def test_every_edit_is_a_soft_mask_inside_the_volume_whatever_the_zone(thorax, name, zone):
    edits = edits_of(thorax, name, "" if name in MIDLINE else "left", zone)
    assert amount_ml(edits) > 0.03
    for edit in edits:
        assert edit.weight.dtype == np.float32
        assert edit.weight.shape == thorax.hu[edit.box].shape == tuple(part.stop - part.start for part in edit.box)
        assert 0 <= edit.weight.min() and edit.weight.max() <= 1
        assert edit.finding.name == name and (not edit.finding.zone or edit.finding.zone in ZONES)


@pytest.mark.parametrize(("name", "zone"), SIDED)
@pytest.mark.parametrize(("side", "sign"), [("left", 1), ("right", -1)])
def test_a_sided_finding_lies_on_the_side_that_is_named(thorax, name, zone, side, sign):
    for seed in range(5):
        edits = edits_of(thorax, name, side, zone, seed=seed)
        z, _, x = centre(edits)
        assert sign * (x - thorax.spine_centre[int(z), 1]) > 0
        assert {edit.finding.side for edit in edits} == {side}


@pytest.mark.parametrize("name", heart_findings.DRAWERS)
def test_more_severe_is_larger(thorax, name):
    amounts = [
        np.mean([amount_ml(edits_of(thorax, name, "", "", s, seed)) for seed in range(4)]) for s in (0.2, 0.6, 1)
    ]
    assert amounts[0] * 1.15 < amounts[1] < amounts[2] / 1.15


def test_the_heart_grows_from_half_to_seven_tenths_of_the_chest(thorax):
    across = [thorax.lung_box(side)[2] for side in ("right", "left")]

    def ratio(severity):
        (edit,) = edits_of(thorax, "Cardiomegaly", severity=severity)
        heart = thorax.heart.any((0, 1))
        heart[edit.box[2]] |= (edit.weight > 0.5).any((0, 1))
        return np.ptp(np.flatnonzero(heart)) / (across[1].stop - across[0].start)

    assert 0.53 < ratio(0.15) < 0.57 < ratio(0.5) < 0.64 < ratio(1.0) < 0.73


def test_a_paratracheal_mass_is_one_sided_and_high(thorax):
    wide, narrow = (edits_of(thorax, "Enlarged Mediastinum", zone=zone) for zone in ("", "paratracheal"))
    assert amount_ml(narrow) < amount_ml(wide) / 2
    assert centre(narrow)[2] < centre(wide)[2] and centre(narrow)[0] > centre(wide)[0]


def test_a_wide_mediastinum_lies_above_the_heart_with_nearly_straight_borders(thorax):
    for seed in range(2):
        simulated = simulate(f"p{seed}", (Finding("Enlarged Mediastinum", severity=0.5),))
        drawn = simulated.masks[0] > simulated.masks[0].max() / 4
        rows = np.flatnonzero(drawn.any(1))
        middle = rows[len(rows) // 4 : -len(rows) // 4]
        for borders in ([np.flatnonzero(drawn[row])[0] for row in middle],
                        [np.flatnonzero(drawn[row])[-1] for row in middle]):  # fmt: skip
            straight = np.polyval(np.polyfit(middle, borders, 1), middle)
            assert np.abs(borders - straight).max() < 5 and len(middle) > 25  # pixels of 1.3 mm
        edits = edits_of(thorax, "Enlarged Mediastinum", seed=seed)
        heart = np.argwhere(thorax.heart)[:, 0]
        assert min(edit.box[0].start for edit in edits) > np.percentile(heart, 50)


def test_the_hernia_is_an_uneven_oval_behind_the_heart(thorax):
    for seed in range(4):
        (edit,) = edits_of(thorax, "Hiatal Hernia", seed=seed)
        tall, wide = (np.ptp(np.flatnonzero((edit.weight > 0.5).any(axes))) for axes in ((1, 2), (0, 1)))
        assert wide > 1.1 * tall
        z, y, _ = centre([edit])
        assert y < np.argwhere(thorax.heart)[:, 1].mean() and abs(z - np.argwhere(thorax.heart)[:, 0].min()) < 15


def test_the_hernia_has_gas_above_fluid(thorax):
    (edit,) = edits_of(thorax, "Hiatal Hernia")
    height = np.arange(edit.weight.shape[0])[:, None, None]
    gas, fluid = ((edit.target < -800) & (edit.weight > 0.9)), ((edit.target > 0) & (edit.weight > 0.9))
    assert gas.any() and (height * gas).sum() / gas.sum() > (height * fluid).sum() / fluid.sum()


def test_each_kind_of_tube_lies_where_it_belongs(thorax):
    trachea = np.flatnonzero((thorax.organ == 16).any((1, 2)))
    breathing = edits_of(thorax, "Tube", "left", "trachea")
    feeding = edits_of(thorax, "Tube", "left", "abdomen")
    drain = edits_of(thorax, "Tube", "left", "thorax")
    assert min(edit.box[0].start for edit in breathing) > trachea[0] + 10  # it ends above the carina
    assert min(edit.box[0].start for edit in feeding) < np.flatnonzero((thorax.organ == 6).any((1, 2)))[-1]
    assert centre(drain)[2] > centre(breathing)[2] + 30
    assert {edit.finding.side for edit in [*breathing, *feeding]} == {""}


def test_clips_and_stents_are_drawn_in_the_zone_that_is_named(thorax):
    height = {
        zone: centre(edits_of(thorax, "Surgical Clips", "right", zone))[0] for zone in ("abdomen", "axilla", "neck")
    }
    assert height["abdomen"] < thorax.lung_box("right")[0].start + 25 < height["axilla"] < height["neck"]
    mesh = edits_of(thorax, "Stent", "left", "aorta")
    assert abs(centre(mesh)[2] - np.argwhere(thorax.aorta)[:, 2].mean()) < 8


def test_sternal_wires_surround_the_breastbone(thorax):
    sternum = np.argwhere(thorax.organ == 116).mean(0)
    assert np.abs(centre(edits_of(thorax, "Sternal Wires")) - sternum).max() < 8


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_draws_the_same(thorax, name):
    first, again = (edits_of(thorax, name, seed=3) for _ in range(2))
    assert all(np.array_equal(a.weight, b.weight) and a.box == b.box for a, b in zip(first, again, strict=True))


@pytest.mark.parametrize(
    ("name", "zone"),
    [
        *((name, "") for name in NAMES),
        ("Device", "heart"),
        ("Tube", "trachea"),
        ("Stent", "aorta"),
        ("Tube", "abdomen"),
    ],
)
def test_the_picture_changes_where_the_mask_is(name, zone):
    plain = simulate("p1", (), truth=False).picture.astype(int)
    drawn = simulate("p1", (Finding(name, "" if name in MIDLINE else "right", zone, 0.6),))
    mask = drawn.masks.max(0)
    change = drawn.picture.astype(int) - plain
    change = np.abs(change - np.median(change))  # metal makes the display darken the rest a little
    inside = mask > mask.max() / 4
    assert change[inside].mean() > 3 * change[~inside].mean()
    assert change[inside].mean() > 8
