"""Prompts through a tokenizer's chat template, the picture's place kept."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny_languages import KINDS, PROMPT, in_front_of, load_tiny, tiny_tokenizer

from r2gen_lib.errors import R2GenError
from r2gen_lib.model.alignment import end_ids, prompt_ids, report_ids

CHAT = replace(PROMPT, chat=True)


@pytest.mark.parametrize("name, before, after, end", [
    ("qwen2", "<|im_start|>user\nLook at this picture:\n", "\nReport: <|im_end|>\n<|im_start|>assistant\n",
     ["<|im_end|>"]),
    ("gemma", "<bos><start_of_turn>user\nLook at this picture:\n",
     "\nReport:<end_of_turn>\n<start_of_turn>model\n", ["<end_of_turn>", "<eos>"]),
])  # fmt: skip
def test_the_template_is_written_around_the_users_words(name, before, after, end):
    tokenizer = tiny_tokenizer(KINDS[name])
    assert [tokenizer.decode(ids) for ids in prompt_ids(tokenizer, CHAT)] == [before, after]
    assert tokenizer.convert_ids_to_tokens(end_ids(tokenizer, CHAT)) == end
    assert end_ids(tokenizer, PROMPT) == [tokenizer.eos_token_id]


def test_reports_are_trained_and_generated_to_the_templates_end(tmp_path):
    model = in_front_of(load_tiny("gemma", tmp_path), prompt=CHAT)
    turn, eos = model.ends
    out = model(features=torch.randn(1, 16, 16), reports=["heart"])
    assert out.labels[-1].item() == turn
    for end in (turn, eos):  # whichever comes ends the report, and neither is part of it
        head = model.language.get_output_embeddings()
        with torch.no_grad():
            head.weight[:] = 0
            head.weight[end] = torch.randn(24, generator=torch.Generator().manual_seed(0))
        reports = model.generate_details(features=torch.randn(8, 16, 16), num_beams=1)
        assert any(one.finished for one in reports)
        assert not any({turn, eos} & set(one.ids) for one in reports)


def test_the_end_is_asked_for_where_it_depends_on_the_prompt(tmp_path):
    """A tokenizer alone does not say whether a report ends as a text does or as an answer does."""
    model = in_front_of(load_tiny("gemma", tmp_path), prompt=CHAT)
    with pytest.raises(R2GenError, match="end is left out.*'<end_of_turn>' and a text with '<eos>'.*model.report_ids"):
        report_ids(model.tokenizer, ["heart"], 12)
    turn, eos = model.ends
    assert model.report_ids(["heart"])[0][-1] == turn and len(model.report_ids(["heart"], 3)[0]) == 3
    assert model.report_ids(["heart"]) == report_ids(model.tokenizer, ["heart"], 12, turn)
    plain = in_front_of(load_tiny("gemma", tmp_path))
    assert plain.report_ids(["heart"])[0][-1] == eos
    qwen2 = tiny_tokenizer(KINDS["qwen2"])  # its answers end as its texts do
    assert report_ids(qwen2, ["heart"], 12)[0][-1] == qwen2.eos_token_id
    qwen2.eos_token = None
    with pytest.raises(R2GenError, match="eos_token is not set"):
        report_ids(qwen2, ["heart"], 12)


def test_no_template_and_one_that_loses_the_words():
    with pytest.raises(R2GenError, match="chat template .* cannot be used.*before_image"):
        prompt_ids(tiny_tokenizer(KINDS["llama"]), CHAT)
    tokenizer = tiny_tokenizer(KINDS["qwen2"])
    tokenizer.chat_template = "{{ messages[0].role }}"
    with pytest.raises(R2GenError, match="wrote the message 0 times"):
        prompt_ids(tokenizer, CHAT)
    tokenizer.chat_template = "{{ raise_exception('only the system speaks') }}"
    with pytest.raises(R2GenError, match="only the system speaks"):
        prompt_ids(tokenizer, CHAT)
