# ruff: noqa: F722
"""R2GenGPT: encoder, mapper and frozen language model as one module."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from r2gen_lib.config import DecodingConfig, Preset, check_mode, get_preset
from r2gen_lib.config.original_behaviour import with_original_behaviour
from r2gen_lib.environment import give_back_memory
from r2gen_lib.errors import AssetError, R2GenError
from r2gen_lib.model import checkpoint, hub
from r2gen_lib.model.alignment import Splice, end_ids, prompt_ids, question_ids, report_ids, splice
from r2gen_lib.model.encoder import FROM_PRESET, VisionEncoder, load_vision_weights
from r2gen_lib.model.generation import (
    ENCODED_AT_ONCE,
    Generated,
    changed_decoding,
    compares_with_normal,
    generate_reports,
    stream_report,
)
from r2gen_lib.model.llama_decoder import release
from r2gen_lib.model.llm import LanguageModel, checksum, load_language
from r2gen_lib.model.lora import train_dropout, with_language_lora
from r2gen_lib.model.memory_saving import GRADIENT_SCALE, scale_gradient
from r2gen_lib.model.modes import make_mapper, prepare_mode, set_training
from r2gen_lib.model.nearest_tokens import nearest_tokens
from r2gen_lib.model.oracle_encoder import MODEL_NAME, OracleEncoder
from r2gen_lib.model.original.file import OriginalFile
from r2gen_lib.model.original.load import model_from_original
from r2gen_lib.model.report_logits import ReportReader
from r2gen_lib.model.report_loss import report_loss, weights_in_place


@dataclass(frozen=True)
class ReportOutput:
    """What a forward pass gives: ``R`` counts the report tokens of the batch, its ends included.

    Attributes:
        loss: mean cross-entropy over the ``R`` tokens, in nats; weighted if weights were given.
        labels: ``(R,)``, the tokens to be predicted.
        rows: ``(R,)``, the row of the batch each belongs to.
    """

    loss: Float[Tensor, ""]
    _logits: Float[Tensor, "R vocabulary"]
    labels: Int[Tensor, " R"]
    rows: Int[Tensor, " R"]

    @property
    def logits(self) -> Float[Tensor, "R vocabulary"]:
        """``(R, vocabulary)``, for the report tokens alone; in fp32, which they are made when they are asked for."""
        return self._logits.float()


class R2GenGPT(nn.Module):
    """A picture becomes words of a language model that never saw one.

    Make it with ``from_preset`` or ``from_trained``. Parts: ``vision`` (encoder), ``mapper``, ``language``
    (frozen), ``tokenizer``; ``preset`` and ``mode`` say how it was made.
    """

    def __init__(
        self, preset: Preset, mode: str, vision: VisionEncoder | OracleEncoder, language: LanguageModel
    ) -> None:
        super().__init__()
        self.preset, self.mode = preset, check_mode(mode)
        self.vision, self.language, self.tokenizer = vision, language.model, language.tokenizer
        self.language_identity = language.identity
        self.mapper = make_mapper(preset, vision, self.embed.embedding_dim, self._start_gain())
        prepare_mode(vision, self.mapper, mode, preset.lora)
        if preset.language_lora:  # last, so that one seed gives one mapper, with or without it
            self.language = with_language_lora(language.model, preset.language_lora)
        self.prompt = prompt_ids(self.tokenizer, preset.prompt)
        self.ends = end_ids(self.tokenizer, preset.prompt)
        self._read = ReportReader(
            self.language,
            self.prompt[0],
            constant=preset.language_lora is None,
            checkpoints=preset.language.gradient_checkpointing,
        )
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
        original_behaviour: bool = False,
    ) -> R2GenGPT:
        """Encoder and language model with their pretrained weights, and a mapper that knows nothing yet.

        Args:
            vision_weights: a safetensors file; ``None`` for a random encoder; by default the preset's.
            language: a loaded language model, to share it between models; by default the preset's is loaded.
            device: default: CUDA if there is one, else the CPU.
            seed: of the random initial weights.
            original_behaviour: do as the public R2GenGPT code does where we do otherwise (table in docs/original.md).

        Raises:
            AssetError: a data wheel or the vision weights are missing.
        """
        preset = with_original_behaviour(preset) if original_behaviour else get_preset(preset)
        check_mode(mode)
        sees = preset.vision.model_name != MODEL_NAME
        if vision_weights == FROM_PRESET:
            vision_weights = _preset_weights(preset) if sees else None
        device = torch.device(device) if device is not None else default_device()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            vision = VisionEncoder(preset.vision).to(device) if sees else OracleEncoder(preset.vision)
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
        preset = checkpoint.saved_preset(folder)
        if mode == "deep" and vision_weights == FROM_PRESET:
            vision_weights = (
                preset.vision.weights
            )  # the checkpoint holds the whole encoder, but no batch norm's statistics
        model = cls.from_preset(
            preset,
            mode,
            vision_weights=vision_weights,
            language=language,
            device=device,
        )
        checkpoint.load_trainable(model, folder)
        return model

    @classmethod
    def from_pretrained(cls, folder_or_name: str | Path, *, revision: str | None = None, **parts: Any) -> R2GenGPT:
        """A checkpoint's folder, or one on the Hugging Face hub by its name (OWNER/NAME).

        Args:
            revision: branch, tag or commit on the hub.
            parts: as ``from_trained`` takes them (``vision_weights``, ``language``, ``device``).

        Raises:
            CheckpointError: it cannot be had, or does not fit the frozen weights found here.
        """
        folder = folder_or_name if Path(folder_or_name).is_dir() else hub.pull(str(folder_or_name), revision)
        return cls.from_trained(folder, **parts)

    def push_to_hub(self, name: str, *, private: bool = True) -> str:
        """Save what was trained as OWNER/NAME on the Hugging Face hub; returns the commit's address.

        The repository is private unless you say otherwise. What was trained on credentialed data (MIMIC-CXR) may fall
        under their use agreement, and must then not be passed on, here neither.

        Raises:
            CheckpointError: the hub is switched off, cannot be reached, or refuses.
        """
        return hub.push(self, name, private=private)

    @classmethod
    def from_original(
        cls,
        path: str | Path | OriginalFile,
        preset: str | Preset = "iu_xray",
        *,
        vision_weights: str | Path | None = FROM_PRESET,
        language: LanguageModel | None = None,
        device: str | torch.device | None = None,
        merge_lora: bool = False,
        original_behaviour: bool = False,
        skip_checks: Collection[str] = (),
    ) -> R2GenGPT:
        """The model that a ``.pth`` of the public R2GenGPT code was saved from, in the mode it was trained in.

        Args:
            path: the file, or what ``read_original`` gave of it. It holds what trained; nothing in it is run
                (r2gen_lib.model.original.file).
            preset: of the same encoder and language model. A LoRA's rank, alpha and dropout are the file's own.
            vision_weights: the frozen encoder it was trained behind, as timm's or transformers' safetensors file. The
                file itself holds it in deep mode.
            merge_lora: add a LoRA into the encoder's weights; the model is then in deep mode.
            original_behaviour: go on as the original does where we do otherwise (table in docs/original.md).
            skip_checks: the file's settings that need not agree with the preset's, such as "llama_model".

        Raises:
            CheckpointError: see ``load_original_checkpoint``.
            AssetError: the language model or the encoder's weights are missing.
        """
        return model_from_original(
            cls.from_preset,
            path,
            preset,
            merge=merge_lora,
            original_behaviour=original_behaviour,
            skip_checks=skip_checks,
            vision_weights=vision_weights,
            language=language,
            device=device,
        )

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
        if mode:
            release(self.language)
        if self.preset.language_lora:  # an adapter that the model came with stays as it is
            train_dropout(self.language, mode)
        set_training(self.vision, self.mode, mode, self.preset.vision.noisy_when_frozen)
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
        weights: Sequence[Sequence[float]] | None = None,
        questions: Sequence[str] | None = None,
    ) -> ReportOutput:
        """Loss of the reports given the pictures; logits only where the report is.

        Args:
            pixel_values, features: as in ``visual_tokens``.
            reports: one a study.
            weights: what the loss of each report token weighs in the mean, the end's too; by default all the same.
            questions: one a study, asked in place of the preset's instruction, so that ``reports`` are the answers; ""
                asks for the report. By default no study has one.

        Raises:
            DataError: a report is empty.
            R2GenError: as many reports as pictures are needed, and as many weights as report tokens.
        """
        visual = self.visual_tokens(pixel_values, features)  # (B, M, D_lm)
        if len(reports) != visual.shape[0]:
            raise R2GenError(f"reports: found {len(reports)} for {visual.shape[0]} studies, expected one each.")
        ids = self.report_ids(reports)
        in_fp16 = self.embed.weight.dtype == torch.float16
        if in_fp16:
            visual = scale_gradient(visual, 1 / GRADIENT_SCALE)
        asked = None if questions is None else self._after_picture(questions)
        spliced = splice(self.embed, visual, self.prompt, ids, asked)
        if self.preset.target.mask_token_0:
            spliced = spliced.without_loss_on(0)
        chosen, logits = spliced.predicts_report, self._read(spliced)
        labels = spliced.labels[:, 1:][chosen]  # (R,)
        weighed = (
            None
            if weights is None
            else weights_in_place(weights, [len(row) for row in ids], chosen, asked and [len(row) for row in asked])
        )
        loss = report_loss(logits, labels, weighed)
        if in_fp16:
            loss = scale_gradient(loss, GRADIENT_SCALE)
        return ReportOutput(loss, logits, labels, chosen.nonzero()[:, 0])

    def generate(
        self,
        pixel_values: Float[Tensor, "B V 3 H W"] | None = None,
        features: Float[Tensor, "B N D_v"] | None = None,
        **decoding: Any,
    ) -> list[str]:
        """Reports for pictures; ``decoding`` overrides fields of the preset's DecodingConfig.

        ``guidance`` and ``rerank`` need ``normal`` beside them (``generate_details``).

        In fp32 a report does not depend on what is generated beside it; in bf16 the processor rounds a batch otherwise
        than a single study, which can turn a near tie.

        Each text ends where the model ended it. One that reached ``max_new_tokens`` is cut back to its last
        whole sentence, or word; ``generate_details`` says which did.
        """
        return [one.text for one in self.generate_details(pixel_values, features, **decoding)]

    @torch.no_grad()
    def generate_details(
        self,
        pixel_values: Float[Tensor, "B V 3 H W"] | None = None,
        features: Float[Tensor, "B N D_v"] | None = None,
        question: str = "",
        normal: Float[Tensor, "1 N D_v"] | None = None,
        **decoding: Any,
    ) -> list[Generated]:
        """As ``generate``, with each report's token ids and whether the model finished it; or the answers to a question
        (``ask``).

        Args:
            normal: features of a picture without findings, which ``guidance`` and ``rerank`` compare with.
        """
        settings = changed_decoding(self.preset.decoding, decoding)
        with self.evaluating():
            if pixel_values is not None and features is None:
                features = torch.cat([self.encode(some) for some in pixel_values.split(ENCODED_AT_ONCE)])
                pixel_values = None
            known = len(self.prompt[0])
            prompt = self.prompt[0], self._after_picture([question])[0]
            spliced = splice(self.embed, self.visual_tokens(pixel_values, features), prompt)
            without = self._spliced_normal(normal, prompt, settings)
            return generate_reports(self.language, self.tokenizer, spliced, settings, self.ends, known, without)

    def ask(
        self,
        question: str,
        pixel_values: Float[Tensor, "B V 3 H W"] | None = None,
        features: Float[Tensor, "B N D_v"] | None = None,
        **decoding: Any,
    ) -> list[str]:
        """Answers to a question about each picture, as ``generate`` writes reports; greedy unless ``decoding`` says
        otherwise.

        Args:
            question: such as "Is there a pleural effusion?": those of ``training.questions`` are the ones that a model
                has been trained with.

        Raises:
            R2GenError: the question is empty, or the model's prompt has no place for one (``PromptConfig.question``).
        """
        if not question.strip():
            question_ids(self.tokenizer, self.preset.prompt, question)  # says what is wrong
        details = self.generate_details(pixel_values, features, question, **{"num_beams": 1, **decoding})
        return [one.text for one in details]

    def stream(
        self,
        pixel_values: Float[Tensor, "1 V 3 H W"] | None = None,
        features: Float[Tensor, "1 N D_v"] | None = None,
        normal: Float[Tensor, "1 N D_v"] | None = None,
        **decoding: Any,
    ) -> Iterator[str]:
        """The report of one study, piece by piece as it is written; greedy, or sampled with ``do_sample=True``.

        Joined, the pieces are what ``generate(num_beams=1, ...)`` gives, before an unfinished end is cut back and what
        contradicts the report is left out.
        """
        settings = changed_decoding(self.preset.decoding, {"num_beams": 1, **decoding})
        with self.evaluating():
            with torch.no_grad():
                spliced = splice(self.embed, self.visual_tokens(pixel_values, features), self.prompt)
                without = self._spliced_normal(normal, self.prompt, settings)
            known = len(self.prompt[0])
            yield from stream_report(self.language, self.tokenizer, spliced, settings, self.ends, known, without)

    def report_ids(self, reports: Sequence[str], max_tokens: int | None = None) -> list[list[int]]:
        """Token ids of each report and its end, as training has them.

        Args:
            max_tokens: ids of each at most; by default the preset's ``target.max_tokens``.

        Raises:
            DataError: a report is empty.
        """
        limit = self.preset.target.max_tokens if max_tokens is None else max_tokens
        return report_ids(self.tokenizer, reports, limit, self.ends[0])

    def _spliced_normal(
        self,
        normal: Float[Tensor, "1 N D_v"] | None,
        prompt: tuple[Sequence[int], Sequence[int]],
        decoding: DecodingConfig,
    ) -> Splice | None:
        """The prompt with the normal picture, where the decoding compares with it."""
        if compares_with_normal(decoding) != (normal is not None):
            raise R2GenError(
                f"generate: found guidance={decoding.guidance}, rerank={decoding.rerank}, num_beams="
                f"{decoding.num_beams} and normal={'None' if normal is None else 'features'}. A normal picture is what "
                "guidance and, with beams, rerank compare with, and nothing else reads it: give both, or neither. "
                "normal=normal_features(model) (r2gen_lib.inference.normal_picture) is of simulated chests; for other "
                "pictures give the mean of encode's features of studies without findings, shape (1, N, D_v)."
            )
        if normal is None:
            return None
        if normal.ndim != 3 or normal.shape[0] != 1:
            raise R2GenError(
                f"generate: normal has shape {tuple(normal.shape)}, expected (1, N, D_v): one picture, as features has "
                "them. Take the mean over studies with features.mean(dim=0, keepdim=True)."
            )
        return splice(self.embed, self.visual_tokens(features=normal), prompt)

    def _after_picture(self, questions: Sequence[str]) -> list[list[int]]:
        """Token ids of what each study's report stands behind: the question, or where it is "" the instruction."""
        return [
            question_ids(self.tokenizer, self.preset.prompt, question) if question else self.prompt[1]
            for question in questions
        ]

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Eval mode in the block, whatever the model was in before and is in again after it.

        What the block no longer needs is given back to the system.
        """
        was_training = self.training
        self.eval()
        try:
            yield
        finally:
            self.train(was_training)
            give_back_memory()

    def nearest_tokens(self, tokens: Float[Tensor, "*shape D_lm"], k: int = 5) -> list:
        """For every visual token the ``k`` tokens of the vocabulary with the most similar embeddings, best first.

        Only tokens that are whole words of at least three letters are considered; they are given as texts, in lists
        nested as ``tokens`` is.
        """
        return nearest_tokens(tokens, self.embed, self.tokenizer, k)

    nearest_words = nearest_tokens  # its former name

    def trainable_parameters(self) -> dict[str, nn.Parameter]:
        """The parameters that train in this mode, by name."""
        return {name: p for name, p in self.named_parameters() if p.requires_grad}

    def llm_checksum(self) -> str:
        """SHA-256 over every value of the language model, a LoRA on it left out: training must not change it."""
        return checksum(self.language)

    def save_trainable(self, folder: str | Path, notes: Mapping[str, Any] | None = None) -> Path:
        """Write a checkpoint folder (see r2gen_lib.model.checkpoint)."""
        return checkpoint.save_trainable(self, folder, notes)

    def _start_gain(self) -> float:
        if self.preset.mapper.start_gain == "one":
            return 1.0
        words = self.embed(torch.arange(self.embed.num_embeddings, device=self.device))  # Gemma's are scaled here
        return words.float().std().item()


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
