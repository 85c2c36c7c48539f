from __future__ import annotations

import pickle

import numpy as np
import pytest

from r2gen_lib.data.study import Picture, Study, by_split, check_leaks
from r2gen_lib.errors import DataError, ImageError


def study(study_id: str, split: str = "train", **more) -> Study:
    return Study(study_id, split, "The lungs are clear.", {"findings": "The lungs are clear."}, **more)


def test_a_picture_loads_through_its_loader_and_only_then():
    calls = []

    def render() -> np.ndarray:
        calls.append(1)
        return np.full((4, 6), 7, dtype=np.uint8)

    picture = Picture("frontal", simulated=True, loader=render)
    assert not calls
    assert picture.load().shape == (4, 6) and len(calls) == 1


@pytest.mark.parametrize(
    "returned",
    [np.zeros((4, 4), np.float32), np.zeros((4, 4, 3), np.uint8), np.zeros((0, 4), np.uint8), None],
)
def test_a_loader_that_returns_something_else_is_one_error(returned):
    with pytest.raises(ImageError, match="frontal picture: its loader returned .* expected a uint8 array"):
        Picture("frontal", loader=lambda: returned).load()


def test_a_picture_without_source_is_one_error():
    with pytest.raises(ImageError, match="neither a path nor a loader"):
        Picture("lateral").load()


def test_a_study_gives_its_views_by_name():
    frontal, lateral = Picture("frontal"), Picture("lateral")
    both = study("CXR1", pictures=(frontal, lateral))
    assert both.picture() is frontal and both.picture("lateral") is lateral
    with pytest.raises(DataError, match="study CXR2: no lateral view; it has frontal"):
        study("CXR2", pictures=(frontal,)).picture("lateral")


def test_an_unknown_split_is_refused_where_it_is_made_and_where_it_is_asked_for():
    with pytest.raises(DataError, match="study CXR1: split is 'valid', expected one of train, val, test"):
        study("CXR1", "valid")
    with pytest.raises(DataError, match="'dev'"):
        by_split([], "dev")


def test_by_split_keeps_the_order():
    studies = [study("b"), study("a", "test"), study("c"), study("a2", "val")]
    assert [s.id for s in by_split(studies, "train")] == ["b", "c"]


def test_leaks_are_found_and_named():
    check_leaks([study("CXR1"), study("CXR2", "test")])
    with pytest.raises(DataError, match=r"studies in more than one split \(1\): CXR1 \(train, test\)"):
        check_leaks([study("CXR1"), study("CXR2"), study("CXR1", "test")])
    with pytest.raises(DataError, match=r"appear more than once \(1\): CXR1 \(train x2\)"):
        check_leaks([study("CXR1"), study("CXR1")])


def test_studies_can_be_sent_to_data_loader_workers_and_hashed():
    one = study("CXR1", pictures=(Picture("frontal"),))
    assert pickle.loads(pickle.dumps(one)) == one
    assert len({one, one}) == 1
