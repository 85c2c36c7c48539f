"""The projection against a well-kept renderer, and what may and may not change a ray."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from r2gen_lib.simulation.anatomy.thorax import load_thorax
from r2gen_lib.simulation.projection import (
    SLAB,
    attenuation,
    project,
    project_box,
    put_edits,
    rays_of,
    slabs_of,
    slabs_unedited,
)

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "simulator.py"
SIZE = 56


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("simulator_benchmark", BENCHMARK)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_straight_rays_read_what_diffdrr_reads(benchmark):
    from diffdrr.renderers import Trilinear

    thorax = load_thorax()
    own = project(slabs_of(thorax.density, "frontal"), rays_of(thorax, benchmark.straight(0), "frontal"), SIZE)
    source, targets = benchmark.source_and_targets(thorax, SIZE)
    length = (targets - source).norm(dim=-1)[:, None] * 2.0
    with torch.no_grad():
        theirs = Trilinear()(torch.from_numpy(thorax.density), source, targets, length, n_points=120)
    middle = np.s_[6:-6, 6:-6]  # rays that stay in the CT
    theirs = theirs.reshape(SIZE, SIZE).numpy()[middle]
    assert np.corrcoef(own[middle].ravel(), theirs.ravel())[0, 1] > 0.998
    assert own[middle].mean() == pytest.approx(theirs.mean(), rel=0.02)


@pytest.mark.parametrize("view", ["frontal", "lateral"])
def test_working_out_only_what_was_edited_is_the_same_as_all_of_it(benchmark, view):
    thorax = load_thorax()
    acquisition = replace(benchmark.straight(0), soft_tissue=1.0, breast=0.0)
    boxes = [(slice(60, 90), slice(40, 61), slice(100, 131)), (slice(80, 101), slice(59, 77), slice(20, 50))]
    hu = thorax.hu.copy()
    for box in boxes:
        hu[box] += 300
    quick = put_edits(slabs_unedited(thorax, acquisition, view), thorax, hu, boxes, view)
    assert np.allclose(quick, slabs_of(attenuation(hu), view), atol=1e-4)


def test_a_masks_shadow_lies_where_its_box_is(benchmark):
    thorax = load_thorax()
    box = (slice(90, 96), slice(70, 76), slice(120, 126))
    rays = rays_of(thorax, benchmark.straight(0), "frontal")
    shadow = project_box(thorax, box, np.ones((6, 6, 6), np.float32), rays, 224)
    whole = np.zeros(thorax.shape, np.float32)
    whole[box] = 1
    assert np.allclose(shadow, project(slabs_of(whole, "frontal"), rays, 224), atol=1e-3)
    assert shadow.max() == pytest.approx(12, rel=0.25)  # 6 voxels of 2 mm
    row, column = np.unravel_index(shadow.argmax(), shadow.shape)
    assert column > 112 and 90 < row < 125


def test_a_breath_moves_the_diaphragm_and_not_the_apex(benchmark):
    thorax = load_thorax()
    still = benchmark.straight(0)
    slabs = slabs_of(thorax.density, "frontal")
    low, high = (project(slabs, rays_of(thorax, replace(still, breath_mm=mm), "frontal"), 224) for mm in (-8.0, 8.0))
    change = np.abs(high - low)
    assert change[120:160, 60:90].mean() > 4 * change[:30, 60:90].mean()
    assert high[110:150, 60:90].mean() > low[110:150, 60:90].mean()  # up: abdomen where lung was
    assert thorax.shape[1] // SLAB == len(slabs)
