from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny_system import TINY, tiny_model, tiny_pixels

from r2gen_lib.config import PRESETS
from r2gen_lib.errors import AssetError, DataError, R2GenError
from r2gen_lib.model.alignment import report_ids, splice
from r2gen_lib.model.encoder import VisionEncoder, token_count
from r2gen_lib.model.r2gengpt import R2GenGPT

TEXTS = ["the heart is normal in size .", "no effusion"]


def test_forward_gives_report_positions_only():
    out = tiny_model()(tiny_pixels(), TEXTS)
    assert out.logits.shape == (11, 44)  # 7 + 2 words and an end each
    assert out.labels[-3:].tolist() == [32, 34, 2] and out.rows.tolist() == [0] * 8 + [1] * 3


@pytest.mark.parametrize("before", ["Human : < Img >", ""])
def test_words_before_the_picture_are_worked_out_once_and_change_nothing(before):
    model = tiny_model(prompt=replace(TINY.prompt, before_image=before)).train()
    loss = model(tiny_pixels(), TEXTS).loss
    loss.backward()
    with torch.no_grad():
        again = model(tiny_pixels(), TEXTS[::-1]).loss  # what was kept is not written to
        assert torch.equal(again, model(tiny_pixels(), TEXTS[::-1]).loss)
    quick = model.mapper.proj.weight.grad.clone()

    model.zero_grad()
    ids = report_ids(model.tokenizer, TEXTS, TINY.target.max_tokens)
    whole = splice(model.embed, model.visual_tokens(tiny_pixels()), model.prompt, ids)
    logits = model.language(inputs_embeds=whole.inputs_embeds, attention_mask=whole.attention_mask).logits
    slow = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), whole.labels[:, 1:].flatten())
    slow.backward()
    assert loss.item() == pytest.approx(slow.item(), rel=1e-6)
    assert torch.allclose(quick, model.mapper.proj.weight.grad, rtol=1e-4, atol=1e-5)


def test_they_are_worked_out_again_for_a_model_that_was_cast():
    model = tiny_model()
    with torch.no_grad():
        single = model(tiny_pixels(), TEXTS).loss
        model.language.double()
        assert model(tiny_pixels(), TEXTS).loss.item() == pytest.approx(single.item(), abs=1e-5)
        model.language.float()
        assert model(tiny_pixels(), TEXTS).loss == single


@pytest.mark.parametrize("assign", [False, True])
def test_they_are_worked_out_again_for_a_model_with_other_weights(assign):
    model, other = tiny_model(), tiny_model()
    with torch.no_grad():
        first = model(tiny_pixels(), TEXTS).loss
        for parameter in other.language.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)))
        expected = other(tiny_pixels(), TEXTS).loss
        model.language.load_state_dict(other.language.state_dict(), assign=assign)
        if assign:
            model.embed = model.language.get_input_embeddings()
        found = model(tiny_pixels(), TEXTS).loss
    assert found == expected and found != first


def test_features_stand_for_pictures():
    model, pixels = tiny_model(), tiny_pixels(views=2)
    features = model.encode(pixels)
    assert features.shape == (2, 16, 16)
    assert torch.equal(model(pixels, TEXTS).loss, model(features=features, reports=TEXTS).loss)
    assert model.generate(pixels) == model.generate(features=features)


def test_views_are_averaged_before_the_mapper():
    model, pixels = tiny_model(), tiny_pixels(views=2)
    each = [model.encode(pixels[:, view : view + 1]) for view in range(2)]
    assert torch.allclose(model.encode(pixels), (each[0] + each[1]) / 2, atol=1e-6)


def test_same_seed_same_model():
    first, second, other = tiny_model(), tiny_model(), tiny_model(seed=1)
    assert torch.equal(first.mapper.proj.weight, second.mapper.proj.weight)
    assert not torch.equal(first.mapper.proj.weight, other.mapper.proj.weight)


def test_wrong_inputs_say_what_was_expected():
    model = tiny_model()
    with pytest.raises(R2GenError, match=r"\(2, 3, 32, 32\).*\(B, V"):
        model.encode(torch.zeros(2, 3, 32, 32))
    with pytest.raises(R2GenError, match="either pixel_values or features"):
        model.visual_tokens()
    with pytest.raises(R2GenError, match="found 1 for 2"):
        model(tiny_pixels(), TEXTS[:1])
    with pytest.raises(DataError, match="empty"):
        model(tiny_pixels(), ["the heart", ""])
    with pytest.raises(R2GenError, match="warmth.*num_beams"):
        model.generate(tiny_pixels(), warmth=2)
    with pytest.raises(R2GenError, match="shallow, delta, deep"):
        R2GenGPT.from_preset("laptop", "frozen")


def test_missing_vision_weights(monkeypatch, tmp_path):
    monkeypatch.setattr("r2gen_lib.assets._data_folder", lambda: tmp_path)
    with pytest.raises(AssetError, match="vision_laptop"):
        R2GenGPT.from_preset("laptop")
    with pytest.raises(AssetError, match="vision_weights"):
        R2GenGPT.from_preset(TINY)


def test_vision_weights_that_are_no_safetensors(tmp_path):
    file = tmp_path / "weights.safetensors"
    file.write_bytes(b"nonsense")
    with pytest.raises(AssetError, match="not a readable safetensors"):
        R2GenGPT.from_preset(TINY, vision_weights=file)


def test_generation_leaves_the_mode_alone():
    model = tiny_model().train()
    model.generate(features=torch.randn(1, 16, 16))
    assert model.training and not model.language.training


def test_nearest_token_of_a_word_is_itself():
    model = tiny_model()
    words = model.nearest_tokens(model.embed.weight[[24, 29]], k=2)
    assert [best for best, _ in words] == ["heart", "lungs"]
    assert len(model.nearest_tokens(torch.randn(2, 3, 24), k=4)[1][2]) == 4


def test_laptop_encoder_has_49_tokens():
    encoder = VisionEncoder(PRESETS["laptop"].vision)
    assert token_count(encoder) == 49


def test_vision_config_errors():
    from dataclasses import replace

    with pytest.raises(R2GenError, match="nosuchmodel"):
        VisionEncoder(replace(TINY.vision, model_name="nosuchmodel"))
    with pytest.raises(R2GenError, match="image_size"):
        VisionEncoder(replace(TINY.vision, model_kwargs={"img_size": 64}))
