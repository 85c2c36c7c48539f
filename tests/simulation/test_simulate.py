"""The simulator on the real CT: what a picture shows, what is known about it, and what may not depend on what."""

from __future__ import annotations

import multiprocessing
import os
from dataclasses import replace

import numpy as np
import pytest

from r2gen_lib.data.study import Picture, Study
from r2gen_lib.errors import CacheError, SimulationError
from r2gen_lib.files import cache_dir
from r2gen_lib.findings.finding import FINDING_NAMES, MIDLINE, Finding
from r2gen_lib.simulation import render as batch
from r2gen_lib.simulation.drawers.draw import DRAWERS
from r2gen_lib.simulation.projection import VIEWS
from r2gen_lib.simulation.simulate import Patient, simulate, token_labels

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
def test_every_finding_changes_a_view_where_its_mask_is(name):
    finding = Finding(name, "" if name in MIDLINE else "left", severity=0.7)
    ill, well = Patient("patient", (finding,), SEED), Patient("patient", (), SEED)
    clearest = 0.0
    for view in VIEWS:
        drawn = ill.radiograph(view)
        assert drawn.findings and drawn.findings[0].name == name
        mask = drawn.masks.max(0)
        inside = mask > mask.max() / 4
        assert mask.shape == drawn.picture.shape and inside.any()
        difference = np.abs(drawn.picture.astype(int) - well.radiograph(view, truth=False).picture)
        clearest = max(clearest, difference[inside].mean() / (difference[~inside].mean() + 1))
    assert clearest > 1.5
    assert ill.radiograph("frontal").token_labels()[FINDING_NAMES.index(name)].any()


@pytest.mark.parametrize("name", ["Pleural Effusion", "Pneumothorax", "Opacity"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_the_mask_lies_on_the_side_that_the_code_names(name, side):
    for patient in range(6):
        for zone in ("", "base", "upper lobe"):
            mask = simulate(f"side-{patient}", (Finding(name, side, zone),), truth_size=56).masks.max(0)
            centre = (mask.sum(0) * np.arange(56)).sum() / mask.sum()
            assert centre > 30 if side == "left" else centre < 26  # the patient's left is on the viewer's right


def test_the_truth_names_what_was_edited_and_by_how_much():
    effusion, heart = Finding("Pleural Effusion", "left", severity=0.6), Finding("Cardiomegaly", severity=0.8)
    large, small = (simulate("patient", (replace(effusion, severity=s), heart), seed=SEED).truth[0] for s in (0.8, 0.2))
    assert large.finding.side == "left"
    assert large.volume_ml > 2 * small.volume_ml > 0
    assert 400 < large.hu_change < 1100  # from lung to fluid
    assert large.mask.sum() > small.mask.sum()
    moved = simulate("patient", (Finding("Scoliosis", "left", severity=0.8),), seed=SEED).truth[0]
    assert moved.hu_change == 0 and moved.volume_ml > 0


@pytest.mark.parametrize(("side", "near", "far"), [("left", 1, 0), ("right", 0, 1)])
def test_an_effusion_brightens_its_own_base(normal, side, near, far):
    *halves, _ = change(normal, Finding("Pleural Effusion", side, severity=0.8))
    assert halves[near][110:190].mean() > 8
    assert abs(halves[far][110:190].mean()) < 4


def test_a_pneumothorax_darkens_the_edge_of_its_own_side(normal):
    right, left, simulated = change(normal, Finding("Pneumothorax", "right", severity=0.8))
    mask = simulated.masks.max(0) > 20
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


def test_a_counterfactual_pair_differs_in_one_thing():
    effusion, nodule = Finding("Pleural Effusion", "left", severity=0.7), Finding("Nodule", "right", "upper lobe", 0.5)
    study = Study("CXR1", "test", "report", findings=(effusion, nodule))
    both = simulate(study)
    alone = simulate(study, without="Pleural Effusion")
    assert both.findings[0].name == "Pleural Effusion" and [f.name for f in alone.findings] == ["Nodule"]
    assert np.array_equal(simulate("CXR1", (nodule,)).picture, alone.picture)
    again = simulate(study, without="Pleural Effusion", with_=effusion)
    assert {f.name for f in again.findings} == {"Pleural Effusion", "Nodule"}
    assert np.array_equal(again.masks[1], both.masks[0])
    coded = simulate("CXR1", with_="Pneumothorax/right/large")
    assert coded.findings[0].side == "right" and coded.findings[0].name == "Pneumothorax"
    assert simulate("CXR1", with_="Cardiomegaly").findings[0].name == "Cardiomegaly"


def test_what_cannot_be_left_out_or_added_is_refused():
    with pytest.raises(SimulationError, match="'Nodule': study CXR1 has no such finding; it has: Cardiomegaly"):
        simulate("CXR1", (Finding("Cardiomegaly"),), without="Nodule")
    with pytest.raises(SimulationError, match="Broken Hart"):
        simulate("CXR1", with_="Broken Hart")


def test_findings_do_not_change_build_pose_or_exposure():
    ill = Patient("patient", (Finding("Pneumothorax", "right"), Finding("Cardiomegaly")), SEED).acquisition
    well = Patient("patient", (), SEED).acquisition
    for name, value in vars(well).items():
        assert np.array_equal(value, getattr(ill, name)), name
    assert vars(Patient("other", (), SEED).acquisition)["zoom"] != well.zoom


def test_the_side_marker_and_the_shutter_are_where_they_belong():
    from r2gen_lib.simulation.acquisition import Acquisition
    from r2gen_lib.simulation.detector import develop

    drawn = Acquisition.draw(np.random.default_rng(3))
    acquisition = replace(drawn, shutter=np.array([6, 0, 4, 0]), marker=np.array([0.1, 0.08]))
    water = np.full((224, 224), 150.0) + 30 * np.random.default_rng(0).random((224, 224))
    picture = develop(water, acquisition)
    assert picture[:6].max() == 0 and picture[:, :4].max() == 0 and picture[-1].max() > 0
    letter = picture[22:36, 17:27]
    assert letter[:, :2].min() > 240 > letter[:, 5:].min()  # the R's upright


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
    path = batch.picture_path("patient", (), "frontal", SEED, tmp_path)
    assert path.exists()
    assert np.array_equal(batch.cached_picture("patient", (), "frontal", SEED, tmp_path), first)
    path.write_bytes(path.read_bytes()[:500])
    assert np.array_equal(batch.cached_picture("patient", (), "frontal", SEED, tmp_path), first)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_both_views_are_drawn_and_what_is_there_is_kept(tmp_path, monkeypatch):
    (tmp_path / "thorax").symlink_to(cache_dir("thorax"))
    monkeypatch.setenv("R2GEN_CACHE", str(tmp_path))
    studies = [Study(f"CXR{i}", "test", "report", findings=(Finding("Nodule", "left"),)) for i in range(2)]
    assert batch.render_pictures(studies[:1], None, progress=False) == 2
    assert batch.render_pictures(studies, None, progress=False) == 2
    assert batch.render_pictures(studies, progress=False) == 0
    expected = simulate(studies[1], view="lateral").picture
    files = sorted(path.stat().st_mtime_ns for path in tmp_path.rglob("*.png"))
    assert np.array_equal(batch.cached_picture("CXR1", studies[1].findings, "lateral"), expected)
    assert sorted(path.stat().st_mtime_ns for path in tmp_path.rglob("*.png")) == files  # read, not drawn


def test_other_findings_are_another_picture_of_the_same_study(tmp_path):
    nodule = Finding("Nodule", "left", severity=0.9)
    asked = [(), (nodule,), (replace(nodule, severity=0.2),), (replace(nodule, zone="upper lobe"),), (nodule, nodule)]
    first = [batch.cached_picture("patient", findings, folder=tmp_path) for findings in asked]
    assert len({picture.tobytes() for picture in first}) == len(list(tmp_path.iterdir())) == len(asked)
    for findings, picture in zip(asked, first, strict=True):
        assert np.array_equal(batch.cached_picture("patient", findings, folder=tmp_path), picture)
        assert np.array_equal(simulate("patient", findings, truth=False).picture, picture)


def test_another_version_of_the_simulator_reads_no_older_picture(tmp_path, monkeypatch):
    now = batch.picture_path("patient", (), folder=tmp_path)
    monkeypatch.setattr(batch, "VERSION", batch.VERSION + 1)
    assert batch.picture_path("patient", (), folder=tmp_path) != now


def test_rendering_draws_a_study_whose_findings_changed(tmp_path, monkeypatch):
    (tmp_path / "thorax").symlink_to(cache_dir("thorax"))
    monkeypatch.setenv("R2GEN_CACHE", str(tmp_path))
    study = Study("CXR1", "test", "report", findings=(Finding("Nodule", "left"),))
    assert [batch.render_pictures([s], progress=False) for s in (study, study, replace(study, findings=()))] == [
        1,
        0,
        1,
    ]


def test_only_simulated_pictures_are_drawn_ahead(monkeypatch):
    drawn = []
    monkeypatch.setattr(batch, "render_pictures", lambda studies, view: drawn.append(([s.id for s in studies], view)))
    views = {name: (Picture("frontal", simulated=name == "S"),) for name in "SR"}
    simulated, real = (Study(name, "test", "Clear.", pictures=pictures) for name, pictures in views.items())
    assert batch.draw_simulated([simulated, real], ("frontal", "lateral"))
    assert drawn == [(["S"], "frontal"), (["S"], "lateral")]
    assert not batch.draw_simulated([real], ("frontal",)) and len(drawn) == 2


def test_an_id_may_hold_what_a_file_name_may_not(tmp_path):
    names = ["p10/s5", "../up", "CXR1", "cxr1", "x" * 300, "é:?*"]
    paths = [batch.picture_path(name, (), folder=tmp_path) for name in names]
    assert {path.parent for path in paths} == {tmp_path} and len({path.name.lower() for path in paths}) == len(names)


def test_a_process_that_ends_from_outside_is_an_error_and_no_endless_wait():
    with pytest.raises(SimulationError, match="one of 2 processes was ended from outside"):
        list(batch.parallel(os._exit, range(1, 9), 2, chunk=1))
    assert not multiprocessing.active_children()


def test_processes_that_run_already_draw_the_same_and_end_with_the_last_job():
    workers = batch.Workers(2)
    assert list(batch.parallel(abs, range(-6, 0), workers, chunk=2)) == [6, 5, 4, 3, 2, 1]
    assert not multiprocessing.active_children()


def test_processes_that_had_nothing_to_draw_end_too():
    with batch.Workers(2):
        assert len(multiprocessing.active_children()) == 2
    assert not multiprocessing.active_children()


def test_noise_is_kept_and_a_damaged_file_of_it_made_again(tmp_path, monkeypatch):
    from r2gen_lib.simulation.anatomy import geometry

    monkeypatch.setenv("R2GEN_CACHE", str(tmp_path))
    made = geometry._noise(10.0)
    for damage in (False, True, False):
        if damage:
            next(tmp_path.rglob("noise*.npy")).write_bytes(b"no noise")
        geometry._noise_bank.cache_clear()
        assert np.array_equal(geometry._noise_bank(10.0), made)
    geometry._noise_bank.cache_clear()


def test_in_parallel_results_keep_their_order():
    assert list(batch.parallel(abs, range(-6, 0), 2, chunk=2)) == [6, 5, 4, 3, 2, 1]


def test_a_cache_that_cannot_be_written_is_one_clear_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("R2GEN_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(CacheError, match="R2GEN_CACHE"):
        batch.cached_picture("patient", ())


def test_a_finding_that_nothing_draws_is_named(monkeypatch):
    monkeypatch.delitem(DRAWERS, "Mass")
    with pytest.raises(SimulationError, match="'Mass': found no drawer, expected a line in DRAWERS"):
        Patient("patient", (Finding("Mass", "left"),))
