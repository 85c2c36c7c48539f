"""Golden cases: what the original code computes for tiny random weights, compared with ours in fp32.

Every folder of ``R2GEN_PARITY_CASES`` (default: tests/parity) is one case. Sizes, mode, views, settings and special
tokens are read from it. Nothing of the original is run.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from r2gen_lib.config import (
    PRESETS,
    DecodingConfig,
    LanguageConfig,
    LoraConfig,
    MapperConfig,
    OptimConfig,
    Preset,
    TargetConfig,
    VisionConfig,
)
from r2gen_lib.config.original_behaviour import with_original_behaviour
from r2gen_lib.model.encoder import VisionEncoder
from r2gen_lib.model.llm import LanguageModel, freeze
from r2gen_lib.model.original.file import read_original
from r2gen_lib.model.original.load import load_original_checkpoint
from r2gen_lib.model.original.tensor_names import convert, original_names
from r2gen_lib.model.r2gengpt import R2GenGPT
from r2gen_lib.model.strict_loading import load_strictly

CASES = sorted(
    path.parent
    for path in Path(os.environ.get("R2GEN_PARITY_CASES") or Path(__file__).parent / "parity").glob(
        "*/case.safetensors"
    )
)
TOLERANCE = 1e-5  # relative


class Case:
    """One golden case with our model made from its weights."""

    def __init__(self, folder: Path) -> None:
        self.config = json.loads((folder / "config.json").read_text())
        self.folder = folder
        self.expected = json.loads((folder / "expected.json").read_text())
        self.tensors = load_file(folder / "case.safetensors")
        self.weights = load_file(folder / "weights.safetensors")
        self.model = self.make_model()

    def make_model(self, original_behaviour: bool = True) -> R2GenGPT:
        """The case's model; without the original's behaviour only what its weights fit is the original's."""
        preset = self._preset()
        if original_behaviour:
            mapper = preset.mapper
            preset = replace(with_original_behaviour(preset), mapper=mapper)
        model = R2GenGPT(preset, self.config["mode"], VisionEncoder(preset.vision), self._language())
        targets = {name: p for name, p in model.named_parameters() if not name.startswith("language.")}
        ours = ("visual_encoder.", "llama_proj.", "layer_norm.")
        tensors = {name: tensor for name, tensor in self.weights.items() if name.startswith(ours)}
        load_strictly(model, convert(tensors, targets, str(self.folder)), str(self.folder), set(targets))
        return model

    @property
    def pixel_values(self) -> Tensor:
        return torch.stack([self.tensors[f"image{view}"] for view in range(self.config["views"])], dim=1)

    def _vision(self) -> VisionConfig:
        swin = self.config["swin"]
        known = ("patch_size", "window_size", "embed_dim", "depths", "num_heads", "mlp_ratio", "qkv_bias")
        assert set(swin) <= {*known, "image_size", "num_channels"}, "a Swin setting that this test does not know"
        kwargs = {key: swin[key] for key in known if key in swin}
        return VisionConfig("swin_tiny_patch4_window7_224", swin["image_size"], kwargs | {"drop_path_rate": 0.0})

    def _preset(self) -> Preset:
        args = self.config["args"]
        return Preset(
            name="parity",
            vision=self._vision(),
            language=LanguageConfig(args["llama_model"], "float32"),
            prompt=PRESETS["iu_xray"].prompt,
            optim=OptimConfig(args["learning_rate"]),
            mapper=MapperConfig(pool=1 if args.get("global_only") else None),
            target=TargetConfig(max_tokens=args["max_length"]),
            decoding=DecodingConfig(
                args["beam_size"],
                args["max_new_tokens"],
                args["min_new_tokens"],
                repetition_penalty=args["repetition_penalty"],
                length_penalty=args["length_penalty"],
            ),
            lora=LoraConfig(args["vis_r"], args["vis_alpha"], args["lora_dropout"], query_value=True),
        )

    def _language(self) -> LanguageModel:
        file = self.folder / "tokenizer.json"
        words = json.loads(file.read_text())["model"]
        named = {number: word for word, number in words["vocab"].items()}
        bos, eos, pad = (named[self.config["llama"][f"{name}_token_id"]] for name in ("bos", "eos", "pad"))
        assert eos == self.config["args"]["end_sym"], "the case ends its reports with another token than the tokenizer"
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_file=str(file), unk_token=words["unk_token"], bos_token=bos, eos_token=eos, pad_token=pad
        )
        model = LlamaForCausalLM(LlamaConfig(**self.config["llama"], attn_implementation="eager"))
        tensors = {
            name.removeprefix("llama_model."): tensor
            for name, tensor in self.weights.items()
            if name.startswith("llama_model.") and "inv_freq" not in name
        }
        load_strictly(model, tensors, f"{self.folder} language model")
        return LanguageModel(freeze(model), tokenizer, "parity")


@pytest.fixture(scope="module", params=CASES, ids=lambda folder: folder.name)
def case(request) -> Case:
    return Case(request.param)


def test_there_are_cases():
    assert CASES, "no case.safetensors under R2GEN_PARITY_CASES (default: tests/parity)"


def test_visual_tokens(case: Case):
    with torch.no_grad():
        tokens = case.model.visual_tokens(case.pixel_values)
    assert_close(tokens, case.tensors["visual_tokens"])


def test_loss_and_gradients(case: Case):
    case.model.train()
    loss = case.model(case.pixel_values, case.expected["texts"]).loss
    assert loss.item() == pytest.approx(case.expected["loss"], rel=TOLERANCE)
    case.model.zero_grad()
    loss.backward()
    norms, expected = gradient_norms(case), case.expected["grad_norm"]
    assert norms.keys() == expected.keys()
    largest = max(expected.values())
    for name, value in expected.items():
        if "key.bias" in name:  # it shifts every score of a row alike, so its gradient is nothing but rounding
            assert max(value, norms[name]) < 1e-6 * largest, name
        else:
            floor = 1e-9 * largest  # what vanishes beside the others is rounding too
            assert norms[name] == pytest.approx(value, rel=TOLERANCE, abs=floor), name


def test_our_own_behaviour_is_the_same_where_no_word_is_unknown(case: Case):
    if 0 in sum(case.model.tokenizer(case.expected["texts"], add_special_tokens=False).input_ids, []):
        pytest.skip("a report has an unknown word, which the original leaves out of its loss and we do not")
    loss = case.make_model(original_behaviour=False).train()(case.pixel_values, case.expected["texts"]).loss
    assert loss.item() == pytest.approx(case.expected["loss"], rel=TOLERANCE)


def test_the_original_checkpoint_gives_the_same(case: Case):
    """Into a model that has the frozen parts and has lost what was trained."""
    if not (case.folder / "checkpoint.pth").is_file():
        pytest.skip("the case has no checkpoint.pth")
    model = case.make_model()
    with torch.no_grad():
        for parameter in model.trainable_parameters().values():
            parameter.normal_()
    load_original_checkpoint(model, case.folder / "checkpoint.pth", skip_checks=["vision_model"])
    with torch.no_grad():
        assert_close(model.visual_tokens(case.pixel_values), case.tensors["visual_tokens"])
    assert read_original(case.folder / "checkpoint.pth").tensors.keys() == case.expected["grad_norm"].keys()


def test_generated_ids(case: Case):
    case.model.eval()
    found = [one.ids for one in case.model.generate_details(case.pixel_values)]
    end = case.model.tokenizer.eos_token_id
    expected = []
    for row in case.tensors["generated_ids"].tolist():
        row = row[1:] if row[0] == case.model.tokenizer.bos_token_id else row  # the original's begin with <s>
        expected.append(row[: row.index(end)] if end in row else row)
    assert found == expected


def test_trainable_parameters(case: Case):
    count = sum(p.numel() for p in case.model.trainable_parameters().values())
    if case.config["mode"] == "delta":  # our LoRA of rank 2r holds the two of rank r and the zeros between them
        lora = sum(p.numel() for name, p in case.model.trainable_parameters().items() if "lora" in name)
        count -= lora // 2
    assert count == case.expected["trainable_parameters"]


def gradient_norms(case: Case) -> dict[str, float]:
    """Norms of our gradients under the original's names: what is fused in ours is taken apart again."""
    gradients = {name: p.grad for name, p in case.model.named_parameters() if p.grad is not None}
    norms = {}
    for full_name, weight in case.weights.items():
        plain = full_name.replace(".base_model.model", "").replace(".base_layer", "")
        for name, gradient in gradients.items():
            if plain in original_names(name):
                norms[full_name] = piece(gradient, original_names(name).index(plain), weight.shape).norm().item()
    return norms


def piece(gradient: Tensor, which: int, shape: torch.Size) -> Tensor:
    """The original's ``which``-th tensor of that shape in one of ours: query, key, value, or a LoRA on some of them."""
    if gradient.shape == shape:
        return gradient
    if gradient.shape[1:] == shape[1:]:  # qkv, or lora_A: one under another
        return gradient[which * shape[0] :][: shape[0]]
    rows = gradient[: shape[0]] if which == 0 else gradient[-shape[0] :]  # lora_B: query first, value last
    return rows[:, which * shape[1] :][:, : shape[1]]


def assert_close(found: Tensor, expected: Tensor):
    """Within 1e-5 of the expected values' scale."""
    assert found.shape == expected.shape
    assert (found - expected).abs().max().item() <= TOLERANCE * expected.abs().max().item()
