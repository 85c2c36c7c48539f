"""The simulator on the real CT: what a picture shows, what is known about it, and what may not depend on what."""

from __future__ import annotations

import numpy as np
import pytest

from r2gen_lib.errors import CacheError, SimulationError
from r2gen_lib.simulation import batch
from r2gen_lib.simulation.findings import FINDING_NAMES, Finding
from r2gen_lib.simulation.simulate import simulate, token_labels
from r2gen_lib.simulation.thorax import load_thorax

SEED = 7


@pytest.fixture(scope="module")
def normal():
    return simulate("patient", (), "frontal", SEED).picture.astype(int)


def change(normal, *findings):
    """Mean brightening on each side of the picture (patient's right is on the left), and the simulation."""
    simulated = simulate("patient", findings, "frontal", SEED)
    difference = simulated.picture.astype(int) - normal
    return difference[:, :112], difference[:, 112:], simulated


def test_a_picture_is_a_grey_square_with_dark_lungs_beside_a_bright_spine(normal):
    assert normal.shape == (224, 224)
    assert normal.min() >= 0 and normal.max() <= 255 and normal.std() > 30
    row = normal[90:120].mean(0)
    assert row[100:124].max() > row[50:80].mean() + 40
    assert row[100:124].max() > row[150:180].mean() + 40


def test_same_study_and_seed_give_the_same_picture_and_another_seed_another():
    first = simulate("patient", (Finding("Nodule", "left"),), "frontal", SEED).picture
    again = simulate("patient", (Finding("Nodule", "left"),), "frontal", SEED).picture
    other = simulate("patient", (Finding("Nodule", "left"),), "frontal", SEED + 1).picture
    assert np.array_equal(first, again)
    assert np.abs(first.astype(int) - other).mean() > 3


@pytest.mark.parametrize("name", FINDING_NAMES)
def test_every_finding_changes_the_picture_where_its_mask_is(normal, name):
    simulated = simulate("patient", (Finding(name, "left", severity=0.7),), "frontal", SEED)
    difference = np.abs(simulated.picture.astype(int) - normal)
    assert simulated.findings and simulated.findings[0].name == name
    assert simulated.masks.max() > 0
    mask = simulated.masks.max(0) > simulated.masks.max() / 4
    inside = np.kron(mask, np.ones((4, 4), bool))
    assert difference[inside].mean() > 1.5
    assert simulated.token_labels()[FINDING_NAMES.index(name)].any()


@pytest.mark.parametrize(("side", "near", "far"), [("left", 1, 0), ("right", 0, 1)])
def test_an_effusion_brightens_its_own_base(normal, side, near, far):
    *halves, _ = change(normal, Finding("Pleural Effusion", side, severity=0.8))
    assert halves[near][110:190].mean() > 8
    assert abs(halves[far][110:190].mean()) < 4


def test_a_pneumothorax_darkens_the_edge_of_its_own_side(normal):
    right, left, simulated = change(normal, Finding("Pneumothorax", "right", severity=0.8))
    mask = np.kron(simulated.masks.max(0) > 20, np.ones((4, 4), bool))
    assert not mask[:, 125:].any()
    assert right.min() < -20 and abs(left).mean() < 3


def test_a_larger_heart_is_wider_and_severity_counts(normal):
    def brightened(severity):
        *_, simulated = change(normal, Finding("Cardiomegaly", severity=severity))
        return (simulated.picture.astype(int) - normal > 15).sum()

    assert 0 < brightened(0.2) < brightened(0.6) < brightened(1.0)


def test_both_sides_are_drawn_for_a_bilateral_finding(normal):
    right, left, simulated = change(normal, Finding("Pleural Effusion", "bilateral", severity=0.8))
    assert {finding.side for finding in simulated.findings} == {"left", "right"}
    assert right[110:190].mean() > 6 and left[110:190].mean() > 6


def test_taking_one_finding_away_leaves_the_others_where_they_were():
    both = simulate("patient", (Finding("Nodule", "left"), Finding("Opacity", "right")), "frontal", SEED)
    alone = simulate("patient", (Finding("Nodule", "left"),), "frontal", SEED)
    index = [finding.name for finding in both.findings].index("Nodule")
    assert np.array_equal(both.masks[index], alone.masks[0])


def test_lateral_and_frontal_show_the_same_patient_from_two_sides():
    lateral = simulate("patient", (Finding("Pleural Effusion", "left", severity=0.8),), "lateral", SEED)
    plain = simulate("patient", (), "lateral", SEED)
    assert lateral.picture.shape == (224, 224)
    difference = lateral.picture.astype(int) - plain.picture
    assert difference[112:200].mean() > 3 > abs(difference[:60].mean())


def test_an_unknown_view_is_refused():
    with pytest.raises(SimulationError, match="oblique.*frontal, lateral"):
        simulate("patient", (), "oblique")


def test_token_labels_put_a_finding_under_the_tokens_it_touches():
    mask = np.zeros((1, 56, 56), np.float32)
    mask[0, 40:48, 0:8] = 12.0
    labels = token_labels([Finding("Nodule", "right")], mask)
    expected = np.zeros((7, 7), np.uint8)
    expected[5, 0] = 1
    assert np.array_equal(labels[FINDING_NAMES.index("Nodule")], expected)
    assert labels.sum() == 1


def test_a_cached_picture_is_read_back_and_a_damaged_one_drawn_again(tmp_path):
    first = batch.cached_picture("patient", (), "frontal", SEED, tmp_path)
    path = batch.picture_path("patient", "frontal", SEED, tmp_path)
    assert path.exists()
    assert np.array_equal(batch.cached_picture("patient", (), "frontal", SEED, tmp_path), first)
    path.write_bytes(path.read_bytes()[:500])
    assert np.array_equal(batch.cached_picture("patient", (), "frontal", SEED, tmp_path), first)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_cache_that_cannot_be_written_is_one_clear_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("R2GEN_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(CacheError, match="R2GEN_CACHE"):
        batch.cached_picture("patient", ())


def test_the_thorax_is_clean_of_contrast_medium_and_table():
    thorax = load_thorax()
    assert thorax.hu.min() == -1000 and 800 < thorax.hu.max() <= 1500
    assert thorax.hu[thorax.heart].max() <= 81
    assert 0.35 < thorax.lung("left").sum() / thorax.lung("both").sum() < 0.55
    assert (thorax.pleura_mm[thorax.lobe == 0] == 0).all() and thorax.pleura_mm.max() > 30
