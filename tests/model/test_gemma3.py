"""The real Gemma 3 270M, where its optional wheels are installed (``r2gen assets --install gemma3``)."""

from __future__ import annotations

import pytest
import torch

from r2gen_lib.assets import OPTIONAL, asset, asset_sha256
from r2gen_lib.config import PRESETS
from r2gen_lib.files import sha256_of
from r2gen_lib.model.llm import language_skeleton, load_language
from r2gen_lib.model.r2gengpt import R2GenGPT

pytestmark = pytest.mark.skipif(
    any(part.locate() is None for part in OPTIONAL["gemma3"].parts),
    reason="Gemma 3 270M is optional and not installed: r2gen assets --install gemma3",
)
PRESET = PRESETS["laptop-gemma3"]
REPORT = "The heart is normal in size. There is no pleural effusion."


@pytest.fixture(scope="module")
def model():
    language = load_language(PRESET.language)
    return R2GenGPT.from_preset(PRESET, vision_weights=None, language=language, device="cpu")


def test_it_is_the_pinned_file_and_the_presets_shape(model):
    assert sha256_of(asset("gemma3")) == asset_sha256("gemma3")
    assert model.language_identity == f"gguf-sha256:{asset_sha256('gemma3')}"
    skeleton = language_skeleton(PRESET.language)
    shapes = {name: tuple(p.shape) for name, p in skeleton.named_parameters()}
    assert shapes == {name: tuple(p.shape) for name, p in model.language.named_parameters()}


def test_the_prompt_is_plain_and_the_report_stands_on_a_line_of_its_own(model):
    before, after = model.prompt
    assert model.tokenizer.decode(before) == "<bos>Chest radiograph:"
    assert model.tokenizer.decode(after + model.report_ids([REPORT])[0]) == f"\nFindings:\n{REPORT}<eos>"


def test_visual_tokens_start_with_the_norm_of_its_words_as_the_model_scales_them(model):
    tokens = model.visual_tokens(torch.randn(1, 1, 3, 224, 224))
    words = model.embed(torch.arange(model.embed.num_embeddings))
    assert tokens.std().item() == pytest.approx(words.float().std().item(), rel=0.05)
    assert words.float().std() > 20 * model.embed.weight.float().std()  # by the root of its width, 640


def test_it_knows_what_a_report_sounds_like_and_the_mapper_alone_learns(model):
    pictures = torch.randn(1, 1, 3, 224, 224)
    with model.evaluating(), torch.no_grad():
        backwards = " ".join(reversed(REPORT.rstrip(".").split())) + "."
        right, wrong = (model(pictures, [text]).loss.item() for text in (REPORT, backwards))
    assert right < wrong
    optimizer = torch.optim.AdamW(model.train().trainable_parameters().values(), lr=1e-3)
    for _ in range(3):
        optimizer.zero_grad()
        loss = model(pictures, [REPORT]).loss
        loss.backward()
        optimizer.step()
    assert loss.item() < right
    assert all(p.grad is None for p in model.language.parameters())


def test_a_report_comes_out(model):
    (report,) = model.generate_details(torch.zeros(1, 1, 3, 224, 224), max_new_tokens=6)
    assert 0 < len(report.ids) <= 6 and "<" not in report.text
