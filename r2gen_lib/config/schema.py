"""What can be set of a system and a run: every setting with its unit, its bounds and its default.

Settings are checked where they are made, by hand, by ``dataclasses.replace`` or from a file: what cannot be is one
R2GenError that names the field (``optim.learning_rate``). Nothing that reads them checks them again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

from r2gen_lib.config.field_errors import named_errors
from r2gen_lib.errors import R2GenError

MODES = ("shallow", "delta", "deep")

Fit = Literal["pad", "crop", "stretch"]
Dtype = Literal["auto", "half", "bfloat16", "float16", "float32"]
Quantization = Literal["8bit", "4bit"]

_STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
_Positive = Annotated[float, Field(gt=0)]
_NotNegative = Annotated[float, Field(ge=0)]
_Share = Annotated[float, Field(gt=0, le=1)]
_Portion = Annotated[float, Field(ge=0, le=1)]
_Count = Annotated[int, Field(gt=0)]
_CountOrZero = Annotated[int, Field(ge=0)]
_Name = Annotated[str, Field(min_length=1)]
_Words = Annotated[tuple[str, ...], Field(strict=False)]  # a list will do: it becomes a tuple


def _one_or_three(channels: tuple[float, ...]) -> tuple[float, ...]:
    if len(channels) not in (1, 3):
        raise ValueError(f"found {len(channels)} numbers, expected one for each of three channels, or one for all")
    return channels


def _plain(kind: type[list] | type[tuple], value: Any) -> Any:
    """The same values, any mapping as a dict and any sequence as this kind: what is read from JSON equals what was
    written to it."""
    if isinstance(value, Mapping):
        return {key: _plain(kind, item) for key, item in value.items()}
    return kind(_plain(kind, item) for item in value) if isinstance(value, (tuple, list)) else value


_Arguments = Annotated[Mapping[str, Any], AfterValidator(partial(_plain, tuple))]  # timm's are tuples
_ConfigFields = Annotated[Mapping[str, Any], AfterValidator(partial(_plain, list))]  # transformers' are lists


@named_errors
@dataclass(frozen=True, config=_STRICT)
class VisionConfig:
    """The encoder: a timm model by name, with the keyword arguments that make it, and what a picture is before it.

    Attributes:
        model_name: a name of ``timm.list_models()``.
        image_size: side of the square picture, in pixels.
        model_kwargs: arguments of ``timm.create_model``.
        weights: a safetensors file under ``data/`` (our own pretraining), ``timm:TAG`` (timm's own pretraining of
            ``model_name``, from its hub; ``timm`` alone: timm's default tag), or None: they come from the caller.
        mean: of intensities in 0..1, taken off before ``std``: one number a channel, or one for all three.
        std: what they are divided by, likewise.
        views: the pictures of a study that are read; their encoder outputs are averaged before the mapper.
        fit: how a picture becomes square: "pad" (nothing is lost), "crop" (to its middle) or "stretch" (its shape is
            lost; the original's way).
        stem: a timm convolutional network whose first stages take the place of a Swin's patch embedding
            (``model.stem``); None: the Swin's own.
        noisy_when_frozen: dropout and stochastic depth act in training in an encoder that does not train, as in the
            original, which leaves it in training mode.
    """

    model_name: _Name
    image_size: _Count = 224
    model_kwargs: _Arguments = field(default_factory=dict)
    weights: str | None = None
    mean: Annotated[tuple[float, ...], Field(strict=False), AfterValidator(_one_or_three)] = (0.5, 0.5, 0.5)
    std: Annotated[tuple[_Positive, ...], Field(strict=False), AfterValidator(_one_or_three)] = (0.5, 0.5, 0.5)
    views: _Words = ("frontal",)
    fit: Fit = "pad"
    stem: str | None = None
    noisy_when_frozen: bool = False

    @model_validator(mode="after")
    def _has_one_size(self) -> VisionConfig:
        other = self.model_kwargs.get("img_size", self.image_size)
        if other != self.image_size:
            raise ValueError(f"found image_size={self.image_size}, model_kwargs img_size={other}, expected one number")
        return self


@named_errors
@dataclass(frozen=True, config=_STRICT)
class LanguageConfig:
    """The frozen causal language model.

    Attributes:
        source: ``asset:NAME`` (a GGUF file in an asset wheel), the path of a GGUF file, or a folder or id that
            transformers loads.
        dtype: "auto" (bf16 where the device multiplies it natively, else fp32), "half" (on CUDA without bf16, such as a
            T4, fp16 in place of fp32), "bfloat16", "float16" or "float32".
        attention: transformers' attention implementation, or "auto": on CPUs "eager", which trains faster there than
            "sdpa"; on CUDA FlashAttention 2 where it is installed and the GPU has it, else "sdpa".
        shape: the model's config fields, so that parameters can be counted without loading anything; its
            ``model_type`` is transformers' name of the architecture ("llama" if it is left out).
        quantization: None, "8bit" or "4bit" (bitsandbytes, CUDA alone).
        gradient_checkpointing: keep one tensor a layer for the backward pass and compute the rest again: less memory,
            about a third more time.
        shard: of several processes (``torchrun``) each holds its share of the decoder layers (``model.sharding``). It
            says how a run is laid out and not what it trains: checkpoints don't keep it.
    """

    source: str
    dtype: Dtype = "auto"
    attention: _Name = "eager"
    shape: _ConfigFields = field(default_factory=dict)
    quantization: Quantization | None = None
    gradient_checkpointing: bool = False
    shard: bool = False

    @model_validator(mode="after")
    def _can_be_cut(self) -> LanguageConfig:
        if self.shard and self.quantization:
            raise ValueError(
                f"found shard=True, quantization={self.quantization!r}, expected one of the two: bitsandbytes' packed "
                "weights cannot be cut into shares"
            )
        return self


@named_errors
@dataclass(frozen=True, config=_STRICT)
class PromptConfig:
    """The words around the picture: ``before_image`` + visual tokens + ``after_image`` + report.

    Attributes:
        before_image: what the language model reads before the visual tokens.
        after_image: what it reads after them, before it writes.
        chat: these are the user's message alone, and the tokenizer's chat template writes what belongs around it.
        question: what stands in place of ``after_image`` where the model is asked something, with ``{question}`` where
            the question goes; empty: it cannot be asked (``R2GenGPT.ask``).
    """

    before_image: str
    after_image: str
    chat: bool = False
    question: str = ""


@named_errors
@dataclass(frozen=True, config=_STRICT)
class MapperConfig:
    """What stands between encoder and language model; the defaults are the paper's (``model.alignment.VisualMapper``).

    Attributes:
        pool: side of the token grid that the language model is shown; None: every token (4 on a 7 x 7 grid: 49 -> 16).
        bias: each of these tokens has a learned vector of its own.
        rank: of a projection that each of these tokens has of its own; 0: none.
        scale: what that projection's output is multiplied by.
        start_gain: the gain that the LayerNorm starts with: "one" (the paper) or "embedding_std", the standard
            deviation of the language model's word embeddings, so that a visual token has a word's norm.
    """

    pool: _Count | None = None
    bias: bool = False
    rank: _CountOrZero = 0
    scale: _Positive = 1.0
    start_gain: Literal["one", "embedding_std"] = "one"


@named_errors
@dataclass(frozen=True, config=_STRICT)
class TargetConfig:
    """What of a report is learnt.

    Attributes:
        max_tokens: tokens of a report that are trained on, the end included; what is longer is cut.
        mask_token_0: no loss where token 0 stands, as in the original, which takes an ``<unk>`` for padding.
    """

    max_tokens: _Count = 100
    mask_token_0: bool = False


@named_errors
@dataclass(frozen=True, config=_STRICT)
class DecodingConfig:
    """How reports are generated; the names are transformers' own. Penalties see generated tokens only.

    Attributes:
        num_beams: width of the beam search; 1 is greedy, or draws with ``do_sample``.
        max_new_tokens: tokens of a report at most.
        min_new_tokens: tokens that have to be written before the report may end.
        repetition_penalty: what the score of a token that was written before is divided by (1: no penalty).
        length_penalty: the exponent of its length that a beam's score is divided by; more than 1 prefers long reports.
        no_repeat_ngram_size: so many tokens never follow each other twice in a report; 0: no limit.
        cut_unfinished: a report that ``max_new_tokens`` ended is cut back to its last whole sentence.
        do_sample: draw each token from the softmax of the scores. It needs ``num_beams=1``.
        temperature: what the scores are divided by before a token is drawn.
        top_k: a token is drawn among so many of the likeliest; 0: among all.
        top_p: and of those among the fewest that hold this share of the probability.
        seed: decides the draws.
        consistent: sentences that contradict the rest of their report are left out
            (``findings.consistent.without_contradictions``); a stream shows them.
        guidance: how much louder than a normal picture's the scores of a picture are made (``model.guidance``); 0: not.
        rerank: how much a normal picture's probability counts against each report that the beams finished
            (``model.rerank``), from 0 (not) to 1 (mutual information). It acts with ``num_beams`` over 1.
    """

    num_beams: _Count = 3
    max_new_tokens: _Count = 100
    min_new_tokens: _CountOrZero = 0
    repetition_penalty: _Positive = 1.0
    length_penalty: float = 1.0
    no_repeat_ngram_size: _CountOrZero = 0
    cut_unfinished: bool = True
    do_sample: bool = False
    temperature: _Positive = 1.0
    top_k: _CountOrZero = 0
    top_p: _Share = 1.0
    seed: int = 0
    consistent: bool = False
    guidance: _NotNegative = 0.0
    rerank: _Portion = 0.0

    @model_validator(mode="after")
    def _fits_together(self) -> DecodingConfig:
        if self.min_new_tokens > self.max_new_tokens:
            raise ValueError(
                f"found min_new_tokens={self.min_new_tokens}, max_new_tokens={self.max_new_tokens}, expected min <= max"
            )
        if self.do_sample and self.num_beams > 1:
            raise ValueError(f"found do_sample=True, num_beams={self.num_beams}, expected one beam for draws")
        return self


@named_errors
@dataclass(frozen=True, config=_STRICT)
class LoraConfig:
    """LoRA by peft.

    Attributes:
        rank: of the two matrices.
        alpha: their product is multiplied by ``alpha / rank``.
        dropout: share of their input that is dropped in training.
        target: the ends of the names of the layers that get one, such as ``("attn.proj",)``. Empty: in the encoder
            (delta mode) every fused ``qkv``; in the language model ``q_proj`` and ``v_proj``, or what peft's table has
            for the architecture.
        query_value: in place of one on the fused ``qkv``, one of this rank on the query and one on the value, as the
            original has it.
    """

    rank: _Count = 16
    alpha: _Count = 16
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    target: _Words = ()
    query_value: bool = False


@named_errors
@dataclass(frozen=True, config=_STRICT)
class OptimConfig:
    """AdamW with warm-up and a cosine down to ``final_rate`` times the rate, and how a run is fed, watched and ended.

    Attributes:
        learning_rate: the peak, of the mapper and of LoRAs.
        weight_decay: AdamW's; biases and gains are left out unless ``decay_all``.
        warmup_steps: steps in which the rate rises to its peak.
        final_rate: the share of the peak that the cosine ends at.
        encoder_rate: multiplies the rate for the encoder's own tensors (delta and deep modes).
        batch_size: studies that go through the model at once, on every process.
        clip_norm: the gradient's norm at most; None: as it is.
        epochs: the length of a full run, used by profiles that give no number of steps.
        shuffle: another order of the studies every epoch; off, as in the original: that of their file.
        rate_per_epoch: the cosine moves once an epoch, as in the original, and not every step.
        decay_all: biases and gains decay too, as in the original.
        accumulate: batches a step, on every process. Its loss is the mean over all of its report tokens, however they
            are cut.
        select_by: what makes a checkpoint the best one, on the whole validation split: "val_loss", or "bleu4+cider",
            the mean of the two (the paper's), for which every report is generated; "last": none, the last one is kept.
        patience: how many evaluations without a better one end the run; None: none do.
        non_finite: what happens when a loss or a gradient is not a number: "stop", or "skip" the step.
        max_skipped: steps in a row that may be skipped; more stop the run.
        balance: studies are shown more often whose reports call an observation present that less than this share of
            them does (``r2gen_lib.training.rare_findings.repeat_sampling``); None, as in the paper: each once an epoch.
        finding_weight: what a report token weighs in the training loss where its sentence names a finding
            (``r2gen_lib.training.rare_findings.token_weights``); 1, as in the paper: as all others. The validation
            loss is always unweighted.
    """

    learning_rate: _Positive
    weight_decay: _NotNegative = 0.01
    warmup_steps: _CountOrZero = 0
    final_rate: Annotated[float, Field(ge=0, le=1)] = 0.01
    encoder_rate: _NotNegative = 1.0
    batch_size: _Count = 8
    clip_norm: _Positive | None = 1.0
    epochs: _Count = 1
    shuffle: bool = True
    rate_per_epoch: bool = False
    decay_all: bool = False
    accumulate: _Count = 1
    select_by: Literal["val_loss", "bleu4+cider", "last"] = "val_loss"
    patience: _Count | None = None
    non_finite: Literal["stop", "skip"] = "stop"
    max_skipped: _CountOrZero = 5
    balance: _Share | None = None
    finding_weight: _Positive = 1.0


@named_errors
@dataclass(frozen=True, config=_STRICT)
class Preset:
    """One system, from pixels to words.

    Attributes:
        name: by which checkpoints know it.
        vision: the encoder.
        language: the frozen language model.
        prompt: the words around the picture.
        optim: how it is trained; the model itself never reads it.
        mapper: what stands between encoder and language model.
        target: what of a report is learnt.
        decoding: how reports are generated.
        lora: the encoder's, in delta mode.
        language_lora: a LoRA on the language model too, in every mode; None, as in the paper: none.
    """

    name: _Name
    vision: VisionConfig
    language: LanguageConfig
    prompt: PromptConfig
    optim: OptimConfig
    mapper: MapperConfig = MapperConfig()
    target: TargetConfig = TargetConfig()
    decoding: DecodingConfig = DecodingConfig()
    lora: LoraConfig = LoraConfig()
    language_lora: LoraConfig | None = None

    @model_validator(mode="after")
    def _can_be_cut(self) -> Preset:
        if self.language.shard and self.language_lora:
            raise ValueError(
                "found language.shard=True beside a language_lora, expected one of the two: what trains is whole on "
                "every process, and a share holds all of a layer"
            )
        return self


@named_errors
@dataclass(frozen=True, config=_STRICT)
class Profile:
    """How long, never what.

    Attributes:
        name: by which ``R2GEN_PROFILE`` and commands choose it.
        train_studies: studies that are trained on; None: all.
        val_studies: validation studies that are used while training; None: all.
        test_studies: studies that are evaluated; None: all.
        train_steps: None: the preset's ``optim.epochs``.
        eval_every: steps between two validations.
        checkpoint_every: steps between two times that the state is saved.
    """

    name: _Name
    train_studies: _Count | None
    val_studies: _Count | None
    test_studies: _Count | None
    train_steps: _Count | None
    eval_every: _Count = 50
    checkpoint_every: _Count = 50


def check_mode(mode: str) -> str:
    """``mode`` itself if it is "shallow", "delta" or "deep"."""
    if mode not in MODES:
        raise R2GenError(f"mode: found {mode!r}, expected one of {', '.join(MODES)}.")
    return mode


def look_up(name: str, table: Mapping[str, Any], what: str) -> Any:
    """``table[name]``, or R2GenError that says what names there are."""
    if name not in table:
        raise R2GenError(f"{what}: found {name!r}, expected one of {', '.join(table)}.")
    return table[name]
