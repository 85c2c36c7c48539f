from __future__ import annotations

import os

import numpy as np
import pytest
import torch
from PIL import Image

from r2gen_lib.data.dataset import ReportDataset, collate, report_loader
from r2gen_lib.data.images.cache import PictureCache
from r2gen_lib.data.study import Picture, Study
from r2gen_lib.errors import DataError, ImageError


@pytest.fixture
def studies(tmp_path) -> list[Study]:
    """Five studies, two PNG files each; the frontal of study n is uniformly 10 n, the lateral 10 n + 5."""
    made = []
    for n in range(5):
        pictures = []
        for view, value in (("lateral", 10 * n + 5), ("frontal", 10 * n)):
            path = tmp_path / f"{n}_{view}.png"
            Image.fromarray(np.full((30, 30), value, np.uint8)).save(path)
            pictures.append(Picture(view, path))
        made.append(Study(f"S{n}", "train", f"Report {n}.", pictures=tuple(pictures)))
    return made


def test_an_item_holds_the_asked_views_in_the_asked_order(studies):
    data = ReportDataset(studies, image_size=16, mean=0.0, std=1.0, views=("frontal", "lateral"))
    item = data[2]
    assert len(data) == 5 and item["id"] == "S2" and item["report"] == "Report 2."
    assert item["pixel_values"].shape == (2, 3, 16, 16) and item["pixel_values"].dtype == torch.float32
    torch.testing.assert_close(item["pixel_values"].mean(dim=(1, 2, 3)) * 255, torch.tensor([20.0, 25.0]))
    assert ReportDataset(studies, image_size=16)[0]["pixel_values"].shape == (1, 3, 16, 16)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_keep_order_and_pair_pictures_with_reports(studies, workers):
    data = ReportDataset(studies, image_size=16, mean=0.0, std=1.0)
    batches = list(report_loader(data, 2, workers))
    assert [len(batch) for batch in batches] == [2, 2, 1]
    assert [i for batch in batches for i in batch.ids] == ["S0", "S1", "S2", "S3", "S4"]
    assert batches[0].pixel_values.shape == (2, 1, 3, 16, 16)
    for batch in batches:
        for study_id, pixels, report in zip(batch.ids, batch.pixel_values, batch.reports, strict=True):
            n = int(study_id[1])
            assert report == f"Report {n}." and round(float(pixels.mean()) * 255) == 10 * n


def test_empty_input_is_one_error(studies):
    with pytest.raises(DataError, match="found 0 studies and 1 views"):
        ReportDataset([])
    with pytest.raises(DataError, match="found 5 studies and 0 views"):
        ReportDataset(studies, views=())
    with pytest.raises(DataError, match="1 studies have an empty report, such as S9"):
        ReportDataset([*studies, Study("S9", "train", " ")])


def test_bad_pictures_name_the_study(studies, tmp_path):
    with pytest.raises(DataError, match="study S9: no frontal view; it has no pictures"):
        ReportDataset([Study("S9", "train", "Report.")])[0]
    broken = Study("S8", "train", "Report.", pictures=(Picture("frontal", tmp_path / "none.png"),))
    with pytest.raises(ImageError, match="study S8: .*none.png: found no file"):
        ReportDataset([broken])[0]


def test_missing_views_are_found_before_training_starts(studies):
    bare = Study("S9", "train", "Report.", pictures=studies[0].pictures[:1])  # its lateral only
    with pytest.raises(DataError, match="study S9: no frontal view; it has lateral"):
        ReportDataset([*studies, bare])


@pytest.mark.parametrize("policy, mean", [("blank", 0), ("other", 5)])
def test_a_missing_view_is_handled_as_its_policy_says(studies, policy, mean):
    bare = Study("S9", "train", "Report.", pictures=studies[0].pictures[:1])
    views = ("frontal", "lateral")
    data = ReportDataset([*studies, bare], 16, 0.0, 1.0, views, missing_view=policy)
    assert len(data) == 6
    torch.testing.assert_close(data[5]["pixel_values"].mean(dim=(1, 2, 3)) * 255, torch.tensor([float(mean), 5.0]))
    skipped = ReportDataset([bare, *studies], 16, 0.0, 1.0, views, missing_view="skip")
    assert len(skipped) == 5 and [skipped[i]["id"] for i in range(5)] == ["S0", "S1", "S2", "S3", "S4"]


def test_pictures_are_padded_or_cropped(tmp_path):
    wide = np.zeros((30, 60), np.uint8)
    wide[:, 15:45] = 255
    Image.fromarray(wide).save(tmp_path / "wide.png")
    study = Study("S0", "train", "Report.", pictures=(Picture("frontal", tmp_path / "wide.png"),))
    padded, cropped = (ReportDataset([study], 16, 0.0, 1.0, fit=fit)[0]["pixel_values"] for fit in ("pad", "crop"))
    assert padded[..., 0, :].max() == 0 and cropped[..., 2:-2].min() == 1
    with pytest.raises(ImageError, match="fit: found 'squeeze'"):
        ReportDataset([study], fit="squeeze")


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("fit", ["pad", "crop"])
def test_the_cache_changes_no_number(studies, tmp_path, workers, fit):
    views = ("frontal", "lateral")
    plain = [ReportDataset(studies, 16, 0.3, 0.2, views, fit=fit)[i]["pixel_values"] for i in range(5)]
    cache = PictureCache(16, fit, folder=tmp_path / "cache")
    cached = ReportDataset(studies, 16, 0.3, 0.2, views, fit=fit, cache=cache)
    loader = report_loader(cached, 2, workers)
    for _ in range(2):
        assert torch.equal(torch.cat([batch.pixel_values for batch in loader]), torch.stack(plain))
    kept = [file for file in cache.folder.rglob("*") if file.is_file()]
    assert len(kept) >= 10 and min(file.stat().st_size for file in kept) >= 16 * 16


def test_the_cache_is_for_files_and_for_the_same_preprocessing(studies, tmp_path):
    cache = PictureCache(16, folder=tmp_path / "cache")
    drawn = Picture("frontal", simulated=True, loader=lambda: np.full((30, 30), 70, np.uint8))
    study = Study("S7", "train", "Report.", pictures=(drawn,))
    item = ReportDataset([study], 16, 0.0, 1.0, cache=cache)[0]
    assert item["pixel_values"].mean() * 255 == pytest.approx(70)
    assert list(cache.folder.iterdir()) == []
    for size, fit in ((32, "pad"), (16, "crop")):
        with pytest.raises(DataError, match=rf"its cache holds pictures of 16 pixels.*PictureCache\({size}, '{fit}'\)"):
            ReportDataset(studies, size, fit=fit, cache=cache)
    missing = Study("S8", "train", "Report.", pictures=(Picture("frontal", tmp_path / "none.png"),))
    with pytest.raises(ImageError, match="study S8: .*none.png: found no file"):
        ReportDataset([missing], 16, cache=cache)[0]


class Threads(ReportDataset):
    """Says in each item's report what the process that made it may use."""

    def __getitem__(self, index: int) -> dict:
        return super().__getitem__(index) | {"report": (torch.get_num_threads(), os.nice(0))}


@pytest.mark.skipif(not hasattr(os, "nice"), reason="Windows has no niceness")
def test_workers_leave_the_cores_to_training(studies):
    before = torch.get_num_threads(), os.nice(0)
    data = Threads(studies[:3], image_size=16)
    for workers, claims in ((2, (1, min(before[1] + 10, 19))), (0, before)):
        assert [report for batch in report_loader(data, 1, workers) for report in batch.reports] == [claims] * 3
    assert (torch.get_num_threads(), os.nice(0)) == before


def test_items_of_different_shapes_are_refused(studies):
    one = ReportDataset(studies, image_size=16)[0]
    two = ReportDataset(studies, image_size=16, views=("frontal", "lateral"))[1]
    with pytest.raises(DataError, match=r"of the shapes \[\(1, 3, 16, 16\), \(2, 3, 16, 16\)\]"):
        collate([one, two])
