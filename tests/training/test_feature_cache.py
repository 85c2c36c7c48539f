from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_system import TINY, tiny_model, tiny_studies

from r2gen_lib.data.study import Picture, Study
from r2gen_lib.errors import CacheError, DataError, R2GenError
from r2gen_lib.inference import feature_cache
from r2gen_lib.inference.feature_cache import encode_studies, study_pixels

pytestmark = pytest.mark.usefixtures("empty_cache")


def encode(model, studies):
    return encode_studies(model, studies, batch_size=4, progress=False)


def forbid_encoding(model, monkeypatch):
    monkeypatch.setattr(model, "encode", lambda pixels: pytest.fail("encoded again"))


def test_features_are_the_encoders(monkeypatch):
    model, studies = tiny_model(), tiny_studies(6)
    features = encode(model, studies)
    with torch.no_grad():
        expected = model.encode(study_pixels(model, studies))
    assert features.dtype == torch.float16 and torch.allclose(features.float(), expected, atol=2e-3)
    forbid_encoding(model, monkeypatch)
    assert torch.equal(encode(model, studies[::-1]), features.flip(0))


def test_views_are_averaged():
    views = ("frontal", "lateral")
    model = tiny_model(vision=replace(TINY.vision, views=views))
    greys = [np.random.default_rng(i).integers(0, 255, (32, 32), dtype=np.uint8) for i in range(2)]
    pictures = tuple(Picture(v, loader=lambda g=g: g) for v, g in zip(views, greys, strict=True))
    study = Study("A", "train", "report", pictures=pictures)
    with torch.no_grad():
        expected = model.encode(study_pixels(model, [study]))
    assert torch.allclose(encode(model, [study]).float(), expected, atol=2e-3)


def test_other_weights_or_pixels_are_other_entries(empty_cache):
    studies = tiny_studies(2)
    first = encode(tiny_model(), studies)
    assert not torch.equal(encode(tiny_model(seed=1), studies), first)
    assert not torch.equal(encode(tiny_model(vision=replace(TINY.vision, mean=(0.1,) * 3)), studies), first)
    assert len(list((empty_cache / "features").iterdir())) == 3
    dark = [replace(s, pictures=(Picture("frontal", loader=lambda: np.zeros((9, 9), np.uint8)),)) for s in studies]
    assert not torch.equal(encode(tiny_model(), dark)[0], first[0])


def test_the_mode_of_other_presets_shares_entries(monkeypatch):
    """What the LLM is or how it is trained does not matter to the encoder's outputs."""
    studies = tiny_studies(2)
    first = encode(tiny_model(), studies)
    other = tiny_model(name="other", mapper=replace(TINY.mapper, pool=2))
    forbid_encoding(other, monkeypatch)
    assert torch.equal(encode(other, studies), first)


def test_damaged_entry_is_made_again(empty_cache):
    model, studies = tiny_model(), tiny_studies(2)
    features = encode(model, studies)
    for file in (empty_cache / "features").rglob("*.safetensors"):
        file.write_bytes(b"half")
    assert torch.equal(encode(model, studies), features)
    assert not [p for p in (empty_cache / "features").rglob("*") if p.name.startswith(".")]


def test_errors_name_the_study(monkeypatch):
    model = tiny_model()
    with pytest.raises(R2GenError, match="expected shallow"):
        encode(tiny_model("deep"), tiny_studies(1))
    with pytest.raises(DataError, match="study A: no frontal view"):
        encode(model, [Study("A", "train", "text")])
    with pytest.raises(DataError, match="study B: .*loader returned"):
        encode(
            model,
            [Study("B", "train", "text", pictures=(Picture("frontal", loader=lambda: np.zeros((2, 2))),))],
        )

    def unwritable(*parts):
        raise CacheError("cache folder /x: cannot be written")

    monkeypatch.setattr(feature_cache, "cache_dir", unwritable)
    with pytest.raises(CacheError):
        encode(model, tiny_studies(1))


def test_a_full_disk_is_named(monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(feature_cache, "save_file", full)
    with pytest.raises(CacheError, match="No space left on device.*R2GEN_CACHE"):
        encode(tiny_model(), tiny_studies(1))
