# ruff: noqa: F722
"""R2GenGPT: encoder, mapper and frozen language model as one module."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import Cache

from r2gen_lib.config import Preset, check_mode, get_preset
from r2gen_lib.errors import AssetError, R2GenError
from r2gen_lib.model import checkpoint
from r2gen_lib.model.alignment import prompt_ids, report_ids, splice
from r2gen_lib.model.generation import Generated, generate_reports
from r2gen_lib.model.language import LanguageModel, cache_argument, checksum, load_language
from r2gen_lib.model.low_memory import GRADIENT_SCALE, checkpointed, scale_gradient
from r2gen_lib.model.tuning import make_mapper, prepare_mode, set_training
from r2gen_lib.model.vision import VisionEncoder, load_vision_weights
from r2gen_lib.model.words import nearest_words

FROM_PRESET = "preset"  # take the vision weights that the preset names


@dataclass(frozen=True)
class ReportOutput:
    """What a forward pass gives: ``R`` counts the report tokens of the batch, its ends included.

    Attributes:
        loss: mean cross-entropy over the ``R`` tokens, in nats.
        logits: ``(R, vocabulary)``, in fp32, for the report tokens alone.
        labels: ``(R,)``, the tokens to be predicted.
        rows: ``(R,)``, the row of the batch each belongs to.
    """

    loss: Float[Tensor, ""]
    logits: Float[Tensor, "R vocabulary"]
    labels: Int[Tensor, " R"]
    rows: Int[Tensor, " R"]


class R2GenGPT(nn.Module):
    """A picture becomes words of a language model that never saw one.

    Make it with ``from_preset`` or ``from_trained``. Parts: ``vision`` (encoder), ``mapper``, ``language``
    (frozen), ``tokenizer``; ``preset`` and ``mode`` say how it was made.
    """

    def __init__(self, preset: Preset, mode: str, vision: VisionEncoder, language: LanguageModel) -> None:
        super().__init__()
        self.preset, self.mode = preset, check_mode(mode)
        self.vision, self.language, self.tokenizer = vision, language.model, language.tokenizer
        self.language_identity = language.identity
        self.mapper = make_mapper(preset, vision, self.embed.embedding_dim, self._start_gain())
        prepare_mode(vision, self.mapper, mode, preset.lora)
        self.prompt = prompt_ids(self.tokenizer, preset.prompt)
        self._known: tuple[torch.device, Cache] | None = None
        self.to(self.embed.weight.device)
        self.eval()

    @classmethod
    def from_preset(
        cls,
        preset: str | Preset = "laptop",
        mode: str = "shallow",
        *,
        vision_weights: str | Path | None = FROM_PRESET,
        language: LanguageModel | None = None,
        device: str | torch.device | None = None,
        seed: int = 0,
    ) -> R2GenGPT:
        """Encoder and language model with their pretrained weights, and a mapper that knows nothing yet.

        Args:
            vision_weights: a safetensors file; ``None`` for a random encoder; by default the preset's.
            language: a loaded language model, to share it between models; by default the preset's is loaded.
            device: default: CUDA if there is one, else the CPU.
            seed: of the random initial weights.

        Raises:
            AssetError: a data wheel or the vision weights are missing.
        """
        preset = get_preset(preset)
        check_mode(mode)
        if vision_weights == FROM_PRESET:
            vision_weights = _preset_weights(preset)
        device = torch.device(device) if device is not None else default_device()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            vision = VisionEncoder(preset.vision).to(device)
            if vision_weights is not None:
                load_vision_weights(vision, vision_weights)
            return cls(preset, mode, vision, language or load_language(preset.language, device))

    @classmethod
    def from_trained(
        cls,
        folder_or_name: str | Path,
        *,
        vision_weights: str | Path | None = FROM_PRESET,
        language: LanguageModel | None = None,
        device: str | torch.device | None = None,
    ) -> R2GenGPT:
        """The model a checkpoint was saved from: a folder, or a shipped one by name ("laptop-shallow").

        Raises:
            CheckpointError: no such checkpoint, or it does not fit the frozen weights found here.
        """
        folder = checkpoint.resolve(folder_or_name)
        mode = checkpoint.read_config(folder)["mode"]
        if mode == "deep" and vision_weights == FROM_PRESET:
            vision_weights = None  # the checkpoint holds the whole encoder
        model = cls.from_preset(
            checkpoint.saved_preset(folder),
            mode,
            vision_weights=vision_weights,
            language=language,
            device=device,
        )
        checkpoint.load_trainable(model, folder)
        return model

    @property
    def embed(self) -> nn.Embedding:
        """The language model's word embeddings."""
        return self.language.get_input_embeddings()

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return self.embed.weight.device

    def train(self, mode: bool = True) -> R2GenGPT:
        """Training mode for what trains in this mode; everything frozen stays in eval mode."""
        super().train(mode)
        self.language.eval()
        set_training(self.vision, self.mode, mode)
        return self

    def encode(self, pixel_values: Float[Tensor, "B V 3 H W"]) -> Float[Tensor, "B N D_v"]:
        """Encoder outputs, averaged over the views, before the mapper; without gradient if frozen."""
        expected = (3, self.preset.vision.image_size, self.preset.vision.image_size)
        if pixel_values.ndim != 5 or tuple(pixel_values.shape[2:]) != expected:
            raise R2GenError(
                f"pixel_values: found shape {tuple(pixel_values.shape)}, expected (B, V, *{expected}): "
                "studies, views, channels, height, width."
            )
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.mode != "shallow"):
            return self.vision(pixel_values.to(self.device))

    def visual_tokens(
        self,
        pixel_values: Float[Tensor, "B V 3 H W"] | None = None,
        features: Float[Tensor, "B N D_v"] | None = None,
    ) -> Float[Tensor, "B M D_lm"]:
        """The picture as the LLM sees it: ``M`` vectors as wide as a word's. Give pictures *or* features."""
        if (pixel_values is None) == (features is None):
            raise R2GenError("visual_tokens: give either pixel_values or features (the output of encode), not both.")
        if features is None:
            features = self.encode(pixel_values)
        return self.mapper(features.to(self.device, torch.float32))

    def forward(
        self,
        pixel_values: Float[Tensor, "B V 3 H W"] | None = None,
        reports: Sequence[str] = (),
        features: Float[Tensor, "B N D_v"] | None = None,
    ) -> ReportOutput:
        """Loss of the reports given the pictures; logits only where the report is.

        Raises:
            DataError: a report is empty.
            R2GenError: as many reports as pictures are needed.
        """
        visual = self.visual_tokens(pixel_values, features)  # (B, M, D_lm)
        if len(reports) != visual.shape[0]:
            raise R2GenError(f"reports: found {len(reports)} for {visual.shape[0]} studies, expected one each.")
        ids = report_ids(self.tokenizer, reports, self.preset.optim.max_report_tokens)
        in_fp16 = self.embed.weight.dtype == torch.float16
        if in_fp16:
            visual = scale_gradient(visual, 1 / GRADIENT_SCALE)
        spliced = splice(self.embed, visual, self.prompt, ids)
        checkpoints = self.preset.language.gradient_checkpointing and visual.requires_grad
        known = 0 if checkpoints else len(self.prompt[0])  # P: what stands before the picture
        with checkpointed(self.language) if checkpoints else nullcontext():
            hidden = self.language.base_model(
                inputs_embeds=spliced.inputs_embeds[:, known:],
                attention_mask=spliced.attention_mask,
                use_cache=known > 0,
                **({} if checkpoints else self._before_picture(visual.shape[0])),
            ).last_hidden_state  # (B, L-P, D_lm)
        chosen = spliced.predicts_report  # (B, L-1)
        logits = self.language.get_output_embeddings()(hidden[:, :-1][chosen[:, known:]]).float()  # (R, vocabulary)
        labels = spliced.labels[:, 1:][chosen]  # (R,)
        loss = nn.functional.cross_entropy(logits, labels)
        if in_fp16:
            loss = scale_gradient(loss, GRADIENT_SCALE)
        return ReportOutput(loss, logits, labels, chosen.nonzero()[:, 0])

    @torch.no_grad()
    def _before_picture(self, batch: int) -> dict[str, Cache]:
        """Keys and values of the prompt's words before the picture: no picture changes them, so they are worked out
        once. As an argument for the language model, for ``batch`` rows alike; empty where there are no such words."""
        if not self.prompt[0]:
            return {}
        if self._known is None or self._known[0] != self.device:
            words = torch.tensor([self.prompt[0]], device=self.device)
            self._known = self.device, self.language.base_model(input_ids=words, use_cache=True).past_key_values
        cache = copy.deepcopy(self._known[1])
        cache.batch_repeat_interleave(batch)
        return cache_argument(self.language.base_model, cache)

    def generate(
        self,
        pixel_values: Float[Tensor, "B V 3 H W"] | None = None,
        features: Float[Tensor, "B N D_v"] | None = None,
        **decoding: Any,
    ) -> list[str]:
        """Reports for pictures; ``decoding`` overrides fields of the preset's DecodingConfig.

        Each text ends where the model ended it. One that reached ``max_new_tokens`` is cut back to its last
        whole sentence, or word; ``generate_details`` says which did.
        """
        return [one.text for one in self.generate_details(pixel_values, features, **decoding)]

    @torch.no_grad()
    def generate_details(
        self,
        pixel_values: Float[Tensor, "B V 3 H W"] | None = None,
        features: Float[Tensor, "B N D_v"] | None = None,
        **decoding: Any,
    ) -> list[Generated]:
        """As ``generate``, with each report's token ids and whether the model finished it."""
        was_training = self.training
        self.eval()
        try:
            visual = self.visual_tokens(pixel_values, features)
            spliced = splice(self.embed, visual, self.prompt)
            return generate_reports(self.language, self.tokenizer, spliced, self.preset.decoding, decoding)
        finally:
            self.train(was_training)

    def nearest_words(self, tokens: Float[Tensor, "*shape D_lm"], k: int = 5) -> list:
        """For every token the ``k`` words whose embeddings point most nearly the same way, best first.

        Only whole words of at least three letters are considered. The lists are nested as ``tokens`` is.
        """
        return nearest_words(tokens, self.embed, self.tokenizer, k)

    def trainable_parameters(self) -> dict[str, nn.Parameter]:
        """The parameters that train in this mode, by name."""
        return {name: p for name, p in self.named_parameters() if p.requires_grad}

    def llm_checksum(self) -> str:
        """SHA-256 over every value of the language model: training must not change it."""
        return checksum(self.language)

    def save_trainable(self, folder: str | Path, notes: Mapping[str, Any] | None = None) -> Path:
        """Write a checkpoint folder (see r2gen_lib.model.checkpoint)."""
        return checkpoint.save_trainable(self, folder, notes)

    def _start_gain(self) -> float:
        start = self.preset.optim.layernorm_start
        if start == "one":
            return 1.0
        if start == "embedding_std":
            return self.embed.weight.float().std().item()
        raise R2GenError(f"OptimConfig.layernorm_start: found {start!r}, expected 'one' or 'embedding_std'.")


def default_device() -> torch.device:
    """CUDA if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _preset_weights(preset: Preset) -> str:
    if preset.vision.weights is None:
        raise AssetError(
            f"preset {preset.name}: names no vision weights. Pass vision_weights=<a safetensors file of "
            f"timm's {preset.vision.model_name}>, or vision_weights=None for a random encoder."
        )
    return preset.vision.weights
