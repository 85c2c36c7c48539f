"""Every setting of DecodingConfig acts; a report depends on its picture alone; text streams."""

from __future__ import annotations

import threading
from dataclasses import asdict

import pytest
import torch
from tiny_languages import in_front_of, load_tiny
from tiny_system import tiny_model

from r2gen_lib.config import DecodingConfig
from r2gen_lib.errors import R2GenError
from r2gen_lib.model.generation import cut_to_whole
from r2gen_lib.model.logits_processors import score_processors

FEATURES = torch.randn(3, 16, 16, generator=torch.Generator().manual_seed(0))
SAMPLED = dict(do_sample=True, max_new_tokens=12)
SETTINGS = [
    dict(num_beams=1),
    dict(num_beams=3),
    dict(max_new_tokens=5),
    dict(min_new_tokens=11),
    dict(repetition_penalty=1.5),
    dict(length_penalty=-4.0),
    dict(no_repeat_ngram_size=1),
    dict(do_sample=True),
]


def test_greedy_is_what_argmax_gives():
    """One beam without penalties: each token is the likeliest one given those before."""
    model, features = tiny_model(), torch.randn(1, 16, 16)
    found = model.generate_details(features=features, num_beams=1, max_new_tokens=4)[0].ids
    visual = model.visual_tokens(features=features)
    ids = list(found)
    before, after = (model.embed(torch.tensor([part])) for part in model.prompt)
    written: list[int] = []
    with torch.no_grad():
        for expected in ids:
            words = model.embed(torch.tensor([written], dtype=torch.long))
            scores = model.language(inputs_embeds=torch.cat([before, visual, after, words], 1)).logits[0, -1]
            assert scores.argmax().item() == expected
            written.append(expected)


def test_batch_does_not_change_a_report():
    model, features = tiny_model(), torch.randn(3, 16, 16)
    together = model.generate(features=features)
    assert together == [model.generate(features=features[i : i + 1])[0] for i in range(3)]


def test_minimum_and_repetition_are_obeyed():
    model, features = tiny_model(), torch.randn(2, 16, 16)
    for one in model.generate_details(features=features, min_new_tokens=6, no_repeat_ngram_size=1):
        assert len(one.ids) >= 6 and len(set(one.ids)) == len(one.ids)


@pytest.mark.parametrize(
    "text, whole",
    [
        ("The heart is normal. The lungs are cle", "The heart is normal."),
        ("The heart is nor", "The heart is"),
        ("The heart is normal.", "The heart is normal."),
        ("Heart size 1.5 times nor", "Heart size 1.5 times"),
        ("cardiome", "cardiome"),
        ("", ""),
    ],
)
def test_unfinished_ends_are_cut_to_whole(text, whole):
    assert cut_to_whole(text) == whole


def ids(model, **decoding):
    return [one.ids for one in model.generate_details(features=FEATURES, **decoding)]


def with_ends(decoding):
    """The tiny model, so that some of its reports end by themselves."""
    model = tiny_model(decoding=decoding)
    with torch.no_grad():
        model.language.get_output_embeddings().weight[model.ends[0]] *= 2
    return model


@pytest.fixture(scope="module")
def model():
    return with_ends(DecodingConfig(num_beams=2, max_new_tokens=12))


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_every_setting_is_live(model, setting):
    assert ids(model, **setting) != ids(model)


@pytest.mark.parametrize("setting", [dict(temperature=3.0), dict(top_k=2), dict(top_p=0.3), dict(seed=1)], ids=str)
def test_every_setting_of_sampling_is_live(model, setting):
    assert ids(model, **SAMPLED, **setting) != ids(model, **SAMPLED)


def test_consistent_changes_the_text_and_nothing_that_was_written(model, monkeypatch):
    """With a stand-in for the rule; the rule is in test_consistent, the real model in test_shipped."""
    monkeypatch.setattr("r2gen_lib.model.generation.without_contradictions", lambda text: f"({text})")
    plain, mended = (model.generate_details(features=FEATURES, consistent=on) for on in (False, True))
    assert [one.ids for one in mended] == [one.ids for one in plain]
    assert [one.text for one in mended] == [f"({one.text})" for one in plain]


def test_no_field_is_left_untested():
    tested = {name for setting in SETTINGS for name in setting} | {"temperature", "top_k", "top_p", "seed"}
    elsewhere = {"cut_unfinished", "consistent", "guidance", "rerank"}  # test_original_behaviour, above, test_guidance
    assert tested | elsewhere == set(asdict(DecodingConfig()))


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_every_setting_gives_each_study_what_it_gets_alone(model, setting):
    alone = [model.generate_details(features=FEATURES[i : i + 1], **setting)[0] for i in range(3)]
    assert model.generate_details(features=FEATURES, **setting) == alone


def test_a_presets_own_settings_are_obeyed(model):
    other = with_ends(DecodingConfig(num_beams=1, do_sample=True, max_new_tokens=12, seed=4))
    assert ids(other) == ids(model, do_sample=True, seed=4)


def test_a_draw_is_the_same_again_and_leaves_torchs_own_luck_alone(model):
    state = torch.random.get_rng_state()
    assert ids(model, **SAMPLED) == ids(model, **SAMPLED)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_draws_follow_the_softmax():
    """Of 4,000 seeds, each token is drawn as often as temperature, top_k and top_p say."""
    scores = torch.tensor([[2.0, 1.0, 0.5, 0.0, -1.0]])
    drawn = torch.zeros(5)
    for seed in range(4000):
        decoding = DecodingConfig(num_beams=1, do_sample=True, temperature=2.0, top_k=4, top_p=0.8, seed=seed)
        draw = score_processors(decoding, None, [0], torch.device("cpu"))
        drawn[draw(torch.zeros(1, 0, dtype=torch.long), scores.clone()).argmax()] += 1
    among = torch.softmax(scores[0] / 2, 0)[:4] / torch.softmax(scores[0] / 2, 0)[:4].sum()
    kept = among[:3] / among[:3].sum()  # three of the four hold 80 % of the probability
    assert torch.allclose(drawn[:3] / 4000, kept, atol=0.03) and drawn[3:].sum() == 0


@pytest.mark.parametrize("setting, message", [
    (dict(do_sample=True, num_beams=2), "one beam for draws"),
    (dict(temperature=2.0), "do_sample=True"),
    (dict(num_beams=1, length_penalty=2.0), "ranks beams"),
    (dict(num_beams=1, rerank=0.5), "found rerank with num_beams=1"),
    (dict(rerank=1.5), "decoding.rerank: found 1.5"),
    (dict(guidance=-0.5), "decoding.guidance: found -0.5"),
    (dict(do_sample=True, temperature=0), "decoding.temperature: found 0"),
    (dict(do_sample=True, top_p=0), "decoding.top_p: found 0"),
    (dict(do_sample=True, top_k=-1), "decoding.top_k: found -1"),
    (dict(repetition_penalty=0), "decoding.repetition_penalty: found 0"),
    (dict(no_repeat_ngram_size=-1), "decoding.no_repeat_ngram_size: found -1"),
    (dict(num_beams=0), "decoding.num_beams: found 0"),
    (dict(min_new_tokens=9, max_new_tokens=8), "min_new_tokens=9, max_new_tokens=8"),
])  # fmt: skip
def test_settings_that_cannot_be_are_refused(model, setting, message):
    with pytest.raises(R2GenError, match=message):
        model.generate(features=FEATURES, **setting)


@pytest.mark.parametrize("decoding", [dict(num_beams=1), dict(num_beams=3), dict(do_sample=True)], ids=str)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_scores_that_are_no_numbers_are_an_error(decoding, value):
    broken = tiny_model()
    with torch.no_grad():
        broken.language.get_output_embeddings().weight[5] = value
    with pytest.raises(R2GenError, match="token 1 has scores that are not finite.*float32"):
        broken.generate(features=FEATURES, **decoding)
    if decoding != dict(num_beams=3):
        with pytest.raises(R2GenError, match="not finite"):
            list(broken.stream(features=FEATURES[:1], **decoding))


@pytest.mark.parametrize("decoding", [{}, dict(do_sample=True, seed=3), dict(repetition_penalty=1.5)], ids=str)
def test_streamed_pieces_are_the_report(model, decoding, tmp_path):
    for each in (model, in_front_of(load_tiny("qwen2", tmp_path))):
        (whole,) = each.generate_details(features=FEATURES[:1], **{"num_beams": 1, **decoding}, max_new_tokens=20)
        pieces = list(each.stream(features=FEATURES[:1], **decoding, max_new_tokens=20))
        assert "".join(pieces).strip() == each.tokenizer.decode(whole.ids, skip_special_tokens=True).strip()
        assert all(pieces) and (len(pieces) > 1 or each is not model)  # bytes that are no words wait for a space


def test_a_stream_that_is_left_stops(model):
    running = threading.active_count()
    model.train()
    stream = model.stream(features=FEATURES[:1], max_new_tokens=200, min_new_tokens=200)
    assert next(stream)
    assert torch.is_grad_enabled() and not model.training
    stream.close()
    assert threading.active_count() == running and model.training
    model.eval()


def test_what_cannot_be_streamed(model):
    with pytest.raises(R2GenError, match="num_beams=3.*Use generate"):
        next(model.stream(features=FEATURES[:1], num_beams=3))
    with pytest.raises(R2GenError, match="found 3 studies"):
        next(model.stream(features=FEATURES))
