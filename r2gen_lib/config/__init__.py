"""What is trained (``PRESETS``), and for how long (``PROFILES``): frozen dataclasses, nothing else.

A *preset* names the encoder, the language model, the prompt, the decoding and the optimiser: it decides what
the result means. A *profile* only says how many studies and steps are spent on it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from r2gen_lib.errors import R2GenError

MODES = ("shallow", "delta", "deep")
#: The shipped model (``data/weights``) that commands and the demo take where none is named.
DEFAULT_CHECKPOINT = "laptop-shallow"


@dataclass(frozen=True)
class VisionConfig:
    """The encoder: a timm model by name (``timm.list_models()``), with the keyword arguments that make it.

    ``weights`` is a safetensors file under ``data/`` (our own pretraining), ``timm:TAG`` (timm's own pretraining of
    ``model_name``, from its hub; ``timm`` alone: timm's default tag), or None: they come from the caller.
    ``mean`` and ``std`` are the pixel normalisation, one number a channel. ``views`` are the pictures of a
    study that are read; their encoder outputs are averaged before the projection. ``fit`` is how a picture becomes
    square: "pad" (nothing is lost), "crop" (to its middle) or "stretch" (its shape is lost; the original's way).
    ``stem`` is a timm convolutional network whose first stages take the place of a Swin's patch embedding
    (``model.stem``); None: the Swin's own.
    """

    model_name: str
    image_size: int = 224
    model_kwargs: Mapping[str, Any] = field(default_factory=dict)
    weights: str | None = None
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)
    views: tuple[str, ...] = ("frontal",)
    fit: str = "pad"
    stem: str | None = None


@dataclass(frozen=True)
class LanguageConfig:
    """The frozen causal language model.

    ``source`` is ``asset:NAME`` (a GGUF file in an asset wheel), the path of a GGUF file, or a folder or id that
    transformers loads.
    ``dtype`` is "auto" (bf16 where the device multiplies it natively, else fp32), "half" (on CUDA without bf16, such
    as a T4, fp16 in place of fp32), "bfloat16", "float16" or "float32".
    ``attention`` is transformers' attention implementation, or "auto": on CPUs "eager", which trains faster there than
    "sdpa"; on CUDA FlashAttention 2 where it is installed and the GPU has it, else "sdpa".
    ``shape`` holds the model's config fields, so that parameters can be counted without loading anything; its
    ``model_type`` is transformers' name of the architecture ("llama" if it is left out).
    ``quantization`` is None, "8bit" or "4bit" (bitsandbytes, CUDA alone). ``gradient_checkpointing`` keeps one tensor a
    layer for the backward pass and computes the rest again: less memory, about a third more time.
    ``shard``: of several processes (``torchrun``) each holds its share of the decoder layers (``model.sharding``). It
    says how a run is laid out and not what it trains: checkpoints don't keep it.
    """

    source: str
    dtype: str = "auto"
    attention: str = "eager"
    shape: Mapping[str, Any] = field(default_factory=dict)
    quantization: str | None = None
    gradient_checkpointing: bool = False
    shard: bool = False


@dataclass(frozen=True)
class PromptConfig:
    """The words around the picture: ``before_image`` + visual tokens + ``after_image`` + report.

    ``chat``: these are the user's message alone, and the tokenizer's chat template writes what belongs around it.
    """

    before_image: str
    after_image: str
    chat: bool = False


@dataclass(frozen=True)
class DecodingConfig:
    """How reports are generated; the names are transformers' own. Penalties see generated tokens only.

    ``cut_unfinished``: a report that ``max_new_tokens`` ended is cut back to its last whole sentence.
    ``do_sample`` draws each token from the softmax of the scores / ``temperature``, among the ``top_k`` likeliest
    (0: all) and of those the fewest that hold ``top_p`` of the probability; ``seed`` decides the draws. It needs
    ``num_beams=1``.
    """

    num_beams: int = 3
    max_new_tokens: int = 100
    min_new_tokens: int = 0
    repetition_penalty: float = 1.0
    length_penalty: float = 1.0
    no_repeat_ngram_size: int = 0
    cut_unfinished: bool = True
    do_sample: bool = False
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0


@dataclass(frozen=True)
class LoraConfig:
    """LoRA by peft. ``target`` are the ends of the names of the layers that get one, such as ``("attn.proj",)``.

    Empty: in the encoder (delta mode) every fused ``qkv``; in the language model ``q_proj`` and ``v_proj``, or
    what peft's table has for the architecture. ``query_value``: in place of one on the fused ``qkv``, one of this rank
    on the query and one on the value, as the original has it.
    """

    rank: int = 16
    alpha: int = 16
    dropout: float = 0.1
    target: tuple[str, ...] = ()
    query_value: bool = False


@dataclass(frozen=True)
class OptimConfig:
    """AdamW with warm-up and a cosine down to ``final_rate`` times the rate.

    ``layernorm_start`` is the gain the mapper's LayerNorm starts with: "one" (the paper) or "embedding_std",
    the standard deviation of the LLM's word embeddings, so that a visual token is as loud as a word.
    ``encoder_rate`` multiplies the rate for the encoder's own tensors (delta and deep modes).
    ``epochs`` is the length of a full run, used by profiles that give no number of steps.

    ``shuffle`` to ``mask_token_0`` are habits of the original's training (``with_original_behaviour``): studies in
    their file's order, the cosine moved once an epoch, decay of biases and gains too, dropout and stochastic depth in
    a frozen encoder, no loss on token 0.

    ``batch_size`` studies go through the model at once, and a step has ``accumulate`` of these on every process; its
    loss is the mean over all of its report tokens, however they are cut.
    ``select_by`` is what makes a checkpoint the best one, on the whole validation split: "val_loss", or "bleu4+cider",
    the mean of the two (the paper's), for which every report is generated.
    ``patience`` is how many evaluations without a better one end the run; None: none do.
    ``non_finite`` is what happens when a loss or a gradient is not a number: "stop", or "skip" the step; more than
    ``max_skipped`` in a row stop too.
    ``balance`` shows studies more often whose reports call an observation present that less than this share of them
    does (``r2gen_lib.training.rare_findings.repeat_sampling``); None, as in the paper: each once an epoch.
    ``finding_weight`` is what a report token weighs in the training loss where its sentence names a finding
    (``r2gen_lib.training.rare_findings.token_weights``); 1, as in the paper: as all others. The validation loss is
    always unweighted.
    """

    learning_rate: float
    layernorm_start: str = "one"
    weight_decay: float = 0.01
    warmup_steps: int = 0
    final_rate: float = 0.01
    encoder_rate: float = 1.0
    batch_size: int = 8
    clip_norm: float | None = 1.0
    max_report_tokens: int = 100
    epochs: int = 1
    shuffle: bool = True
    rate_per_epoch: bool = False
    decay_all: bool = False
    noisy_frozen_encoder: bool = False
    mask_token_0: bool = False
    accumulate: int = 1
    select_by: str = "val_loss"
    patience: int | None = None
    non_finite: str = "stop"
    max_skipped: int = 5
    balance: float | None = None
    finding_weight: float = 1.0


@dataclass(frozen=True)
class Preset:
    """One system, from pixels to words.

    ``visual_token_pool`` is the side of the token grid the LLM is shown (None: every token; 4 on a 7 x 7 grid: 49 ->
    16). ``visual_token_bias`` gives each of them a learned vector of its own, and ``visual_token_rank`` a projection of
    its own of that rank (0: none), whose output is multiplied by ``visual_token_scale``; none of these is in the paper,
    see ``VisualMapper``. ``language_lora`` puts a LoRA on the language model too, in every mode; None, as in the paper:
    none.
    """

    name: str
    vision: VisionConfig
    language: LanguageConfig
    prompt: PromptConfig
    optim: OptimConfig
    decoding: DecodingConfig = DecodingConfig()
    lora: LoraConfig = LoraConfig()
    language_lora: LoraConfig | None = None
    visual_token_pool: int | None = None
    visual_token_bias: bool = False
    visual_token_rank: int = 0
    visual_token_scale: float = 1.0


@dataclass(frozen=True)
class Profile:
    """How long, never what. None means all of the studies, or the preset's ``optim.epochs``."""

    name: str
    train_studies: int | None
    val_studies: int | None
    test_studies: int | None
    train_steps: int | None
    eval_every: int = 50
    checkpoint_every: int = 50


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
_PAPER_PROMPT = PromptConfig(
    before_image="Human: <Img>",
    after_image="</Img> Generate a comprehensive and detailed diagnosis report for this chest xray image. \nAssistant:",
)
_CHAT_PROMPT = PromptConfig(
    before_image="<|im_start|>user\nDescribe the findings of this chest radiograph: ",
    after_image="<|im_end|>\n<|im_start|>assistant\n",
)
_IMAGENET = dict(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


def _swin_b(views: tuple[str, ...] = ("frontal",)) -> VisionConfig:
    """The paper's encoder, with the weights of its authors as timm's hub has them."""
    return VisionConfig("swin_base_patch4_window7_224", 224, weights="timm:ms_in1k", views=views, **_IMAGENET)


def _paper(name: str, new_tokens: tuple[int, int], max_report_tokens: int, epochs: int) -> Preset:
    """Swin-B in front of Llama-2-7b-chat (arXiv 2309.09812); what each number rests on: ``provenance``."""
    return Preset(
        name=name,
        vision=_swin_b(("frontal", "lateral") if name == "iu_xray" else ("frontal",)),
        language=LanguageConfig("meta-llama/Llama-2-7b-chat-hf", "bfloat16", "auto", _LLAMA_2_7B),
        prompt=_PAPER_PROMPT,
        optim=OptimConfig(
            learning_rate=1e-4,
            layernorm_start="one",
            clip_norm=None,
            max_report_tokens=max_report_tokens,
            epochs=epochs,
        ),
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
        layernorm_start="embedding_std",
        warmup_steps=10,
        encoder_rate=0.05,
        batch_size=4,
        clip_norm=1.0,
        max_report_tokens=100,
        epochs=3,
    ),
    decoding=DecodingConfig(num_beams=3, max_new_tokens=100, repetition_penalty=1.1, no_repeat_ngram_size=6),
    visual_token_pool=4,  # 16 tokens: a quarter less time a step than 49 (benchmarks/training.py)
    visual_token_bias=True,  # 0.15 nats in the first 100 steps (docs/experiments.md)
    visual_token_rank=128,  # docs/experiments.md has what it brought
    visual_token_scale=4.0,
)

_COLAB = Preset(
    name="colab",
    vision=_swin_b(),
    language=LanguageConfig("HuggingFaceTB/SmolLM2-1.7B-Instruct", "half", "auto", _SMOLLM2_1_7B),
    prompt=_CHAT_PROMPT,
    optim=OptimConfig(
        learning_rate=1e-3,
        layernorm_start="embedding_std",
        warmup_steps=100,
        encoder_rate=0.1,
        batch_size=8,
        clip_norm=1.0,
        max_report_tokens=100,
        epochs=5,
    ),
    decoding=_LAPTOP.decoding,
    visual_token_bias=True,
)

PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        "laptop": _LAPTOP,
        "colab": _COLAB,
        "iu_xray": _paper("iu_xray", (40, 100), 60, 15),
        "mimic_cxr": _paper("mimic_cxr", (80, 120), 100, 5),
    }
)

PROFILES: Mapping[str, Profile] = MappingProxyType(
    {
        "ci": Profile("ci", 96, 8, 8, train_steps=24, eval_every=12, checkpoint_every=12),
        "laptop": Profile("laptop", 960, 32, 32, train_steps=360, eval_every=90, checkpoint_every=45),
        "paper": Profile("paper", None, None, None, train_steps=None, eval_every=250, checkpoint_every=250),
    }
)


def get_preset(preset: str | Preset) -> Preset:
    """The preset of that name; a Preset is passed through."""
    return preset if isinstance(preset, Preset) else _look_up(preset, PRESETS, "preset")


def get_profile(profile: str | Profile | None = None) -> Profile:
    """The profile of that name; None means the environment's ``R2GEN_PROFILE``, else "laptop"."""
    if isinstance(profile, Profile):
        return profile
    name = profile or os.environ.get("R2GEN_PROFILE") or "laptop"
    return _look_up(name, PROFILES, "profile (R2GEN_PROFILE)")


def check_mode(mode: str) -> str:
    """``mode`` itself if it is "shallow", "delta" or "deep"."""
    if mode not in MODES:
        raise R2GenError(f"mode: found {mode!r}, expected one of {', '.join(MODES)}.")
    return mode


def _look_up(name: str, table: Mapping[str, Any], what: str) -> Any:
    if name not in table:
        raise R2GenError(f"{what}: found {name!r}, expected one of {', '.join(table)}.")
    return table[name]
