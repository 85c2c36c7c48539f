"""The normal picture: which chests it is of, and who compares with it."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from tiny_system import TINY, tiny_language, tiny_model, tiny_studies

from r2gen_lib.inference import normal_picture
from r2gen_lib.inference.feature_cache import encode_studies, study_pixels
from r2gen_lib.inference.generate_reports import describe_blank, describe_features, describe_studies
from r2gen_lib.inference.normal_picture import normal_chests, normal_features, with_normal
from r2gen_lib.model.oracle_encoder import with_oracle
from r2gen_lib.model.r2gengpt import R2GenGPT

few = partial(normal_features, chests=3)  # 64 take seconds to draw


@pytest.mark.parametrize("mode", ["shallow", "delta"])
def test_it_is_the_mean_of_chests_without_findings(mode, empty_cache):
    model, chests = tiny_model(mode), normal_chests(3)
    assert [study.findings for study in chests] == [()] * 3 and {study.split for study in chests} == {"train"}
    found = few(model)
    with torch.no_grad():
        expected = model.encode(study_pixels(model, chests)).mean(dim=0, keepdim=True)
    assert torch.allclose(found, expected, atol=1e-2)
    assert torch.equal(few(model), found) and not torch.equal(few(model, seed=1), found)


def test_an_oracles_is_no_finding():
    oracle = R2GenGPT.from_preset(with_oracle(TINY), language=tiny_language(), device="cpu")
    assert not few(oracle).any()


def test_it_is_drawn_where_it_is_compared_with_and_is_not_given(monkeypatch):
    monkeypatch.setattr(normal_picture, "normal_features", lambda model: "drawn")
    model = tiny_model()  # two beams
    assert with_normal(model, {}) == {} and with_normal(model, dict(num_beams=1)) == dict(num_beams=1)
    assert with_normal(model, dict(guidance=0.5)) == dict(guidance=0.5, normal="drawn")
    assert with_normal(model, dict(rerank=0.5)) == dict(rerank=0.5, normal="drawn")
    own = dict(guidance=0.5, normal="own")
    assert with_normal(model, own) == own


def test_every_way_to_reports_of_studies_has_it(monkeypatch):
    model, studies = tiny_model(), tiny_studies(3)
    normal = torch.randn(1, 16, 16, generator=torch.Generator().manual_seed(1))
    monkeypatch.setattr(normal_picture, "normal_features", lambda model: normal)
    features = encode_studies(model, studies, progress=False)
    expected = model.generate(features=features, guidance=1.0, normal=normal)
    assert describe_features(model, features, progress=False, guidance=1.0) == expected
    assert [*describe_studies(model, studies, progress=False, guidance=1.0).values()] == expected
    assert describe_blank(model, rerank=1.0)
