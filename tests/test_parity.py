"""Golden cases: what the original code computes for tiny random weights, compared with ours in fp32.

Every folder of ``R2GEN_PARITY_CASES`` (default: tests/parity) is one case. Nothing of the original is run.
"""

from __future__ import annotations

import json
import os
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
    OptimConfig,
    Preset,
    VisionConfig,
)
from r2gen_lib.model.checkpoint import load_strictly
from r2gen_lib.model.language import LanguageModel, freeze
from r2gen_lib.model.original import convert_encoder, convert_mapper
from r2gen_lib.model.r2gengpt import R2GenGPT
from r2gen_lib.model.vision import VisionEncoder

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
        self.expected = json.loads((folder / "expected.json").read_text())
        self.tensors = load_file(folder / "case.safetensors")
        self.weights = load_file(folder / "weights.safetensors")
        self.model = R2GenGPT(self._preset(), self.config["mode"], self._encoder(), self._language(folder))
        load_strictly(self.model.vision.swin, convert_encoder(self.weights), f"{folder} encoder")
        load_strictly(self.model.mapper, convert_mapper(self.weights), f"{folder} mapper")

    @property
    def pixel_values(self) -> Tensor:
        return torch.stack([self.tensors[f"image{view}"] for view in range(self.config["views"])], dim=1)

    def _vision(self) -> VisionConfig:
        swin = self.config["swin"]
        kwargs = {key: swin[key] for key in ("patch_size", "window_size", "embed_dim", "depths", "num_heads")}
        return VisionConfig("swin_tiny_patch4_window7_224", swin["image_size"], kwargs | {"drop_path_rate": 0.0})

    def _preset(self) -> Preset:
        args = self.config["args"]
        return Preset(
            name="parity",
            vision=self._vision(),
            language=LanguageConfig("tiny", "float32"),
            prompt=PRESETS["iu_xray"].prompt,
            optim=OptimConfig(args["learning_rate"], max_report_tokens=args["max_length"]),
            decoding=DecodingConfig(
                args["beam_size"],
                args["max_new_tokens"],
                args["min_new_tokens"],
                repetition_penalty=args["repetition_penalty"],
                length_penalty=args["length_penalty"],
            ),
            # one LoRA on qkv that does what the original's two on query and value do
            lora=LoraConfig(2 * args["vis_r"], 2 * args["vis_alpha"], args["lora_dropout"]),
        )

    def _encoder(self) -> VisionEncoder:
        return VisionEncoder(self._vision())

    def _language(self, folder: Path) -> LanguageModel:
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_file=str(folder / "tokenizer.json"),
            unk_token="<unk>",
            bos_token="<s>",
            eos_token="</s>",
            pad_token="<unk>",
        )
        model = LlamaForCausalLM(LlamaConfig(**self.config["llama"], attn_implementation="eager"))
        tensors = {
            name.removeprefix("llama_model."): tensor
            for name, tensor in self.weights.items()
            if name.startswith("llama_model.") and "inv_freq" not in name
        }
        load_strictly(model, tensors, f"{folder} language model")
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
    norms = gradient_norms(case)
    # a key's bias shifts every score of a row alike, so its gradient is nothing but rounding
    expected = {name: value for name, value in case.expected["grad_norm"].items() if "key.bias" not in name}
    for name, value in expected.items():
        assert norms[name] == pytest.approx(value, rel=1e-4, abs=1e-7), name


def test_generated_ids(case: Case):
    case.model.eval()
    found = [one.ids for one in case.model.generate_details(case.pixel_values)]
    end = case.model.tokenizer.eos_token_id
    expected = []
    for row in case.tensors["generated_ids"][:, 1:].tolist():  # the original's ids begin with <s>
        expected.append(row[: row.index(end)] if end in row else row)
    assert found == expected


def test_trainable_parameters(case: Case):
    count = sum(p.numel() for p in case.model.trainable_parameters().values())
    if case.config["mode"] == "delta":  # our LoRA of rank 2r holds the two of rank r and the zeros between them
        lora = sum(p.numel() for name, p in case.model.trainable_parameters().items() if "lora" in name)
        count -= lora // 2
    assert count == case.expected["trainable_parameters"]


def gradient_norms(case: Case) -> dict[str, float]:
    """Norms of our gradients under the original's names: pieces of ``qkv`` are taken apart again."""
    gradients = {name: p.grad for name, p in case.model.named_parameters() if p.grad is not None}
    return {name: _piece(name, gradients, case).norm().item() for name in case.expected["grad_norm"]}


def _piece(name: str, gradients: dict[str, Tensor], case: Case) -> Tensor:
    """Our gradient of one of the original's tensors, found by converting a marked tensor."""
    if not name.startswith("visual_encoder."):
        (ours,) = convert_mapper({name: case.weights[name]})
        return gradients[f"mapper.{ours}"]
    marked = {key: torch.full_like(value, float(key == name)) for key, value in case.weights.items()}
    for key, tensor in convert_encoder(marked).items():
        if tensor.any():
            return gradients[f"vision.swin.{key}"][tensor.bool()]
    raise AssertionError(f"{name}: has no place in ours")


def assert_close(found: Tensor, expected: Tensor):
    """Within 1e-5 of the expected values' scale."""
    assert found.shape == expected.shape
    assert (found - expected).abs().max().item() <= TOLERANCE * expected.abs().max().item()
