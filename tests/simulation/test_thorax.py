"""The CT behind every simulated radiograph: what is refused, and what is made of it."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest

from r2gen_lib.assets import asset
from r2gen_lib.errors import SimulationError
from r2gen_lib.simulation.anatomy.thorax import load_thorax, read_ct

LAS = np.diag([-1.0, 1.0, 1.0, 1.0])


def volume(path, values, affine=LAS):
    nibabel.save(nibabel.Nifti1Image(np.asarray(values, np.float32), affine), path)
    return path


@pytest.fixture
def good(tmp_path):
    hu = np.full((4, 5, 6), -1000.0)
    hu[1:3, 1:3] = 700
    return volume(tmp_path / "ct.nii.gz", hu), volume(tmp_path / "mask.nii.gz", hu > 0)


def test_a_ct_and_its_masks_are_read(good):
    hu, organ, spacing = read_ct(*good)
    assert hu.shape == organ.shape == (4, 5, 6)
    assert hu.max() == 700 and organ.max() == 1 and spacing.tolist() == [1, 1, 1]


def test_a_missing_truncated_or_foreign_file_is_one_clear_error(good, tmp_path):
    ct, mask = good
    with pytest.raises(SimulationError, match=r"gone\.nii\.gz.*cannot be read.*r2gen assets"):
        read_ct(tmp_path / "gone.nii.gz", mask)
    whole = asset("chest_ct_mask").read_bytes()
    (tmp_path / "half.nii.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SimulationError, match=r"half\.nii\.gz.*cannot be read"):
        read_ct(ct, tmp_path / "half.nii.gz")
    (tmp_path / "text.nii.gz").write_text("not a volume")
    with pytest.raises(SimulationError, match=r"text\.nii\.gz.*cannot be read"):
        read_ct(tmp_path / "text.nii.gz", mask)


def test_what_is_not_a_ct_in_this_pose_is_refused(good, tmp_path):
    ct, mask = good
    photograph = volume(tmp_path / "photo.nii.gz", np.arange(120.0).reshape(4, 5, 6))
    with pytest.raises(SimulationError, match="0 to 119, expected a chest CT in Hounsfield units"):
        read_ct(photograph, mask)
    turned = volume(tmp_path / "turned.nii.gz", np.zeros((4, 5, 6)), np.eye(4))
    with pytest.raises(SimulationError, match=r"\('R', 'A', 'S'\).*expected \(L, A, S\)"):
        read_ct(ct, turned)
    small = volume(tmp_path / "small.nii.gz", np.zeros((4, 5, 5)))
    with pytest.raises(SimulationError, match=r"\(4, 5, 5\), expected the CT's \(4, 5, 6\)"):
        read_ct(ct, small)


def test_the_thorax_is_clean_of_contrast_medium_and_table():
    thorax = load_thorax()
    assert thorax.hu.min() == -1000 and 800 < thorax.hu.max() <= 1500
    assert thorax.hu[thorax.heart].max() <= 81
    assert 0.35 < thorax.lung("left").sum() / thorax.lung("both").sum() < 0.55
    assert (thorax.pleura_mm[thorax.lobe == 0] == 0).all() and thorax.pleura_mm.max() > 30


def test_the_normal_chest_has_no_mass_and_no_airless_wedge():
    thorax = load_thorax()
    for z, y, x in ((113, 28, 111), (74, 84, 141)):
        around = np.s_[z - 1 : z + 2, y - 1 : y + 2, x - 1 : x + 2]
        assert thorax.hu[around].max() < -600 and thorax.lobe[around].min() > 0


def test_breasts_are_in_front_of_the_chest_and_on_both_sides():
    thorax = load_thorax()
    z, y, x = np.nonzero(thorax.breasts)
    assert (thorax.hu[z, y, x] <= -500).all()
    assert y.min() > thorax.spine_centre[:, 0].max()
    middle = thorax.spine_centre[:, 1].mean()
    assert 0.4 < (x < middle).mean() < 0.6
