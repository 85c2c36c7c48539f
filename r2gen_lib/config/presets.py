"""The systems that can be trained by name (``PRESETS``); where each of their settings comes from: ``provenance``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from r2gen_lib.config.schema import (
    DecodingConfig,
    LanguageConfig,
    MapperConfig,
    OptimConfig,
    Preset,
    PromptConfig,
    TargetConfig,
    VisionConfig,
    look_up,
)

#: The shipped model (``data/weights``) that commands and the demo take where none is named.
DEFAULT_CHECKPOINT = "laptop-shallow"

_LLAMA_2_7B = dict(
    vocab_size=32000,
    hidden_size=4096,
    intermediate_size=11008,
    num_hidden_layers=32,
    num_attention_heads=32,
    num_key_value_heads=32,
    tie_word_embeddings=False,
)
_SMOLLM2_135M = dict(
    vocab_size=49152,
    hidden_size=576,
    intermediate_size=1536,
    num_hidden_layers=30,
    num_attention_heads=9,
    num_key_value_heads=3,
    tie_word_embeddings=True,
)
_SMOLLM2_1_7B = dict(
    vocab_size=49152,
    hidden_size=2048,
    intermediate_size=8192,
    num_hidden_layers=24,
    num_attention_heads=32,
    num_key_value_heads=32,
    tie_word_embeddings=True,
)
_GEMMA3_270M = dict(
    model_type="gemma3_text",
    vocab_size=262144,
    hidden_size=640,
    intermediate_size=2048,
    num_hidden_layers=18,
    num_attention_heads=4,
    num_key_value_heads=1,
    head_dim=256,
    tie_word_embeddings=True,
)
_PAPER_PROMPT = PromptConfig(
    before_image="Human: <Img>",
    after_image="</Img> Generate a comprehensive and detailed diagnosis report for this chest xray image. \nAssistant:",
    question="</Img> {question} \nAssistant:",
)
_CHAT_PROMPT = PromptConfig(
    before_image="<|im_start|>user\nDescribe the findings of this chest radiograph: ",
    after_image="<|im_end|>\n<|im_start|>assistant\n",
    question="\n{question}<|im_end|>\n<|im_start|>assistant\n",
)
_PLAIN_PROMPT = PromptConfig(
    before_image="Chest radiograph:",
    after_image="\nFindings:\n",
    question="\nQuestion: {question}\nAnswer:\n",
)
_IMAGENET = dict(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


def _swin_b(views: tuple[str, ...] = ("frontal",)) -> VisionConfig:
    """The paper's encoder, with the weights of its authors as timm's hub has them."""
    return VisionConfig("swin_base_patch4_window7_224", 224, weights="timm:ms_in1k", views=views, **_IMAGENET)


def _paper(name: str, new_tokens: tuple[int, int], report_tokens: int, epochs: int) -> Preset:
    """Swin-B in front of Llama-2-7b-chat (arXiv 2309.09812); what each number rests on: ``provenance``."""
    return Preset(
        name=name,
        vision=_swin_b(("frontal", "lateral") if name == "iu_xray" else ("frontal",)),
        language=LanguageConfig("meta-llama/Llama-2-7b-chat-hf", "bfloat16", "auto", _LLAMA_2_7B),
        prompt=_PAPER_PROMPT,
        optim=OptimConfig(
            learning_rate=1e-4,
            clip_norm=None,
            epochs=epochs,
        ),
        target=TargetConfig(max_tokens=report_tokens),
        decoding=DecodingConfig(3, new_tokens[1], new_tokens[0], repetition_penalty=2.0, length_penalty=2.0),
    )


_LAPTOP = Preset(
    name="laptop",
    vision=VisionConfig(
        model_name="swin_tiny_patch4_window7_224",
        image_size=224,
        model_kwargs=dict(img_size=224, patch_size=16, window_size=7, embed_dim=192, depths=(2, 2), num_heads=(6, 12)),
        stem="efficientnet_lite0",
        weights="weights/vision_laptop.safetensors",
    ),
    language=LanguageConfig("asset:smollm2_gguf", "auto", "eager", _SMOLLM2_135M),
    prompt=_CHAT_PROMPT,
    optim=OptimConfig(
        learning_rate=6e-3,
        warmup_steps=10,
        encoder_rate=0.05,
        batch_size=4,
        clip_norm=1.0,
        epochs=3,
    ),
    mapper=MapperConfig(
        bias=True,  # 0.15 nats in the first 100 steps (docs/experiments.md)
        rank=64,  # docs/experiments.md has what it brought
        scale=4.0,
        start_gain="embedding_std",
    ),
    decoding=DecodingConfig(
        num_beams=3, max_new_tokens=100, repetition_penalty=1.1, no_repeat_ngram_size=6, consistent=True
    ),
)

_LAPTOP_GEMMA3 = replace(
    _LAPTOP,
    name="laptop-gemma3",
    language=LanguageConfig("asset:gemma3", "auto", "eager", _GEMMA3_270M),
    prompt=_PLAIN_PROMPT,
)

_COLAB = Preset(
    name="colab",
    vision=_swin_b(),
    language=LanguageConfig("HuggingFaceTB/SmolLM2-1.7B-Instruct", "half", "auto", _SMOLLM2_1_7B),
    prompt=_CHAT_PROMPT,
    optim=OptimConfig(
        learning_rate=1e-3,
        warmup_steps=100,
        encoder_rate=0.1,
        batch_size=8,
        clip_norm=1.0,
        epochs=5,
    ),
    mapper=MapperConfig(bias=True, start_gain="embedding_std"),
    decoding=_LAPTOP.decoding,
)

PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        "laptop": _LAPTOP,
        "laptop-gemma3": _LAPTOP_GEMMA3,
        "colab": _COLAB,
        "iu_xray": _paper("iu_xray", (40, 100), 60, 15),
        "mimic_cxr": _paper("mimic_cxr", (80, 120), 100, 5),
    }
)


def get_preset(preset: str | Preset) -> Preset:
    """The preset of that name; a Preset is passed through."""
    return preset if isinstance(preset, Preset) else look_up(preset, PRESETS, "preset")
