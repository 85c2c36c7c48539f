"""Where every setting of every preset comes from, kept beside the presets as data; ``r2gen presets`` prints it.

``source_of("iu_xray", "optim.learning_rate")`` is a line that says where that number was read, measured or chosen. A
test asserts that no setting goes without. Kinds of source, the word before the colon:

- paper: arXiv 2309.09812.
- code: the public R2GenGPT code, read at the file named.
- model: what the released weights are; it follows from their name.
- measured: found here, by the benchmark or document named.
- ours: chosen here; the reason follows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from r2gen_lib.config import Preset, get_preset
from r2gen_lib.config.serialization import preset_to_dict
from r2gen_lib.errors import R2GenError

KINDS = ("paper", "code", "model", "measured", "ours")

_ANYWHERE = {  # a setting that has the same source in every preset
    "vision.fit": "ours: nothing of the picture is lost; the code's image processor stretches it to a square",
    "prompt.question": "ours: the prompt's own format, with a question in the instruction's place",
    "prompt.chat": "ours: off; the prompt is written out, template and all, so that it can be read",
    "language_lora": "paper: none, the language model is frozen; the code has it as --llm_use_lora, off",
    "language.shape.": "model: config.json of the released weights; a test compares it where the weights are here",
    "language.quantization": "ours: off; 8 and 4 bits are for small GPUs (r2gen parameters --device-memory)",
    "language.shard": "ours: off; for a language model that one GPU does not hold (r2gen train --shard)",
    "language.gradient_checkpointing": "ours: off; it takes about a third more time (r2gen parameters --device-memory)",
    "lora.rank": "code: configs/config.py, --vis_r 16; the paper's 5 M parameters in delta mode follow from it",
    "lora.alpha": "code: configs/config.py, --vis_alpha 16",
    "lora.dropout": "code: configs/config.py, --lora_dropout 0.1",
    "lora.target": "ours: the default; one LoRA on the fused qkv has as many parameters as the paper's two",
    "lora.query_value": "ours: off; as many parameters either way, and peft needs no hook",
    "optim.shuffle": "ours: on; the code reads the training split in the same order every epoch",
    "optim.rate_per_epoch": "ours: off; the code lowers its rate once an epoch, which a run of part of one never sees",
    "optim.decay_all": "ours: off; norms and biases are not decayed, as is usual; the code decays all",
    "vision.noisy_when_frozen": "ours: off; the code leaves its frozen encoder in training mode",
    "target.mask_token_0": "ours: off; the code pads with <unk>, so an <unk> in a report is masked with the padding",
    "mapper.pool": "paper: all 49 tokens are shown to the language model",
    "decoding.cut_unfinished": "ours: on; a report cut off in a word is no report; the code leaves it so",
    "decoding.do_sample": "paper: beam search, so nothing is drawn",
    "decoding.temperature": "ours: the distribution as it is, where sampling is asked for",
    "decoding.top_k": "ours: every token, where sampling is asked for",
    "decoding.top_p": "ours: every token, where sampling is asked for",
    "decoding.seed": "ours: any; one seed gives one draw",
    "decoding.guidance": "ours: off; the paper's search reads the picture alone",
    "decoding.rerank": "ours: off; the paper's search takes the likeliest report",
    "optim.weight_decay": "code: models/R2GenGPT.py names none, so torch's AdamW default acts",
    "optim.final_rate": "code: models/R2GenGPT.py, cosine down to 1e-6, a hundredth of its rate",
    "optim.accumulate": "ours: one batch a step; more is for a GPU that holds a smaller one",
    "optim.select_by": "ours: the loss costs seconds; the paper's (BLEU-4 + CIDEr) / 2 costs every report's generation",
    "optim.patience": "ours: none, the cosine needs all of its steps",
    "optim.balance": "paper: none, every study once an epoch",
    "optim.finding_weight": "paper: every token's loss weighs the same",
    "optim.non_finite": "ours: stop; a loss that is not a number is a mistake until its batch has been looked at",
    "optim.max_skipped": "ours: five in a row are no longer a single bad batch",
}
_SWIN_B = {
    "vision.model_name": "paper: Swin-B; code: --vision_model microsoft/swin-base-patch4-window7-224",
    "vision.image_size": "model: swin_base_patch4_window7_224 takes 224 x 224",
    "vision.model_kwargs": "model: none, the released architecture",
    "vision.stem": "model: none, the released architecture",
    "vision.weights": "code: microsoft/swin-base-patch4-window7-224, of ImageNet-1k; timm tags it ms_in1k",
    "vision.mean": "model: the ImageNet means it was trained with; the code's image processor has the same",
    "vision.std": "model: the ImageNet deviations it was trained with; the code's image processor has the same",
}
_PAPER = _SWIN_B | {
    "language.source": "paper: Llama-2-7b; code: configs/config.py, --llama_model meta-llama/Llama-2-7b-chat-hf",
    "language.dtype": "ours: the code's fp16 gave NaN losses; bf16 has fp32's range in the same two bytes",
    "language.attention": "ours: the same numbers from less memory",
    "prompt.": "code: models/R2GenGPT.py, its prompt word for word",
    "optim.learning_rate": "code: configs/config.py, --learning_rate 1e-4",
    "mapper.start_gain": "code: models/R2GenGPT.py, nn.LayerNorm as torch starts it",
    "optim.warmup_steps": "code: models/R2GenGPT.py has no warm-up",
    "optim.encoder_rate": "code: models/R2GenGPT.py has one rate for all",
    "optim.batch_size": "code: scripts/*_run*.sh, --batch_size 8 on each of 2 GPUs (IU-Xray) or 4 (MIMIC-CXR); deep: 6",
    "optim.clip_norm": "code: train.py never passes its --gradient_clip_val on, so nothing is clipped",
    "decoding.num_beams": "code: configs/config.py, --beam_size 3",
    "decoding.repetition_penalty": "code: scripts/*_run*.sh, --repetition_penalty 2.0",
    "decoding.length_penalty": "code: scripts/*_run*.sh, --length_penalty 2.0",
    "decoding.no_repeat_ngram_size": "code: --no_repeat_ngram_size 2 is parsed and never used, so 0 is what acts",
    "decoding.consistent": "ours: off; the code keeps what the model wrote",
    "mapper.bias": "paper: none",
    "mapper.rank": "paper: none",
    "mapper.scale": "paper: none",
}
_OURS = {
    "prompt.": "ours: SmolLM2's chat format, with the shortest instruction that names the task",
    "mapper.start_gain": "ours: the norm of a word embedding; 120 steps show no difference to 1 (convergence.csv)",
    "optim.clip_norm": "ours: the usual 1; 120 steps without it end alike (convergence.csv)",
    "target.max_tokens": "measured: 2.4 % of Open-i's findings have more SmolLM2 tokens; the median is 46",
    "decoding.num_beams": "paper: beam search of width 3",
    "decoding.max_new_tokens": "ours: as long as the reports that are trained on",
    "decoding.min_new_tokens": "ours: none; the code forces 40 or 80 tokens, also where a normal study needs ten",
    "decoding.repetition_penalty": "ours: the code's 2.0 makes a small model avoid words that it needs twice",
    "decoding.length_penalty": "ours: none; the score of a report is its mean log-probability a token",
    "decoding.no_repeat_ngram_size": "ours: no six words twice, which a small model does and a radiologist seldom",
    "decoding.consistent": "ours: on; chosen on validation chests (docs/experiments.md)",
    "mapper.bias": "measured: 0.15 nats in the first 100 steps (docs/experiments.md)",
}
_LAPTOP = _OURS | {
    "vision.model_name": "ours: the smallest Swin of timm; its shape is given by model_kwargs",
    "vision.image_size": "paper: 224 x 224",
    "vision.model_kwargs.": "ours: two stages from patches of 16 end in the paper's 7 x 7 tokens",
    "vision.stem": "measured: one epoch with it sees more than sixteen without (docs/experiments.md)",
    "vision.weights": "ours: our own pretraining on simulated radiographs (docs/experiments.md)",
    "vision.mean": "ours: radiographs are grey; 0.5 brings pixels to -1..1",
    "vision.std": "ours: radiographs are grey; 0.5 brings pixels to -1..1",
    "vision.views": "ours: one picture a study halves the simulator's work",
    "language.source": "ours: a real instruction-tuned model that the package registry carries, without a login",
    "language.dtype": "measured: bf16 is faster where a CPU multiplies it (benchmarks/training.py); else fp32",
    "language.attention": "measured: eager trains faster than sdpa on CPUs (benchmarks/training.py)",
    "optim.learning_rate": "measured: with labels for pixels, loss 2.63 after 150 steps; at 1e-3 and a gain "
    "of 1, 2.90 after 160",
    "optim.warmup_steps": "ours: a few, as the run has only some hundred",
    "optim.encoder_rate": "ours: 6e-3 is the mapper's; the encoder's own tensors get 3e-4",
    "optim.batch_size": "measured: 2.1 GB at most in training (benchmarks/memory.py); 360 steps fit a lesson",
    "optim.epochs": "ours: for the longer run; lessons stop by the profile's steps",
    "mapper.rank": "measured: rank 32 brought 0.25 nats in 120 steps, more rank more (docs/experiments.md)",
    "mapper.scale": "measured: with rank 128, 0.11 nats in 300 steps beside rank 32 (docs/experiments.md)",
}
_FOUND_WITH_SMOLLM2 = (
    *("language.dtype", "language.attention", "mapper.bias", "mapper.rank", "mapper.scale", "optim.learning_rate"),
    *("optim.clip_norm", "optim.batch_size", "decoding.repetition_penalty", "decoding.consistent"),
)

SOURCES: Mapping[str, Mapping[str, str]] = {
    "laptop": _LAPTOP,
    "laptop-gemma3": _LAPTOP
    | dict.fromkeys(_FOUND_WITH_SMOLLM2, "ours: the laptop's, found in front of SmolLM2; not looked for again")
    | {
        "prompt.": "ours: plain words, as the model was pretrained and not taught a chat format",
        "language.source": "ours: another family, twice as large, from the package registry; optional, as its terms "
        "are Google's own (data/README.md)",
        "language.shape.": "model: the GGUF file's own fields; a test compares it where the file is installed",
        "mapper.start_gain": "ours: the norm of a word embedding, as the model scales it",
        "target.max_tokens": "measured: 1.4 % of Open-i's findings have more of this model's tokens; the median is 41",
    },
    "colab": _SWIN_B
    | _OURS
    | {
        "mapper.rank": "ours: off; a language model of this size follows its tokens without it",
        "mapper.scale": "ours: nothing to multiply, with a rank of 0",
        "vision.views": "ours: one picture a study, as in the laptop preset whose data it reads",
        "language.source": "ours: 1.7 billion parameters, Apache-2.0, no gate, the laptop's tokenizer and chat format; "
        "Qwen2-1.5B-Instruct is known to give NaN in fp16 (QwenLM/Qwen3, issue 826)",
        "language.dtype": "ours: a T4 has no bf16. Measured on SmolLM2-135M: fp16 with scaled gradients is off fp32's "
        "gradient by 1 %, bf16 by 6 to 12 %, fp16 unscaled by 2 to 3 %",
        "language.attention": "ours: FlashAttention 2 where it is, else sdpa: no L x L matrix is kept",
        "optim.learning_rate": "ours, untried: between the paper's 1e-4 and the laptop's 6e-3, as its LLM is in size",
        "optim.warmup_steps": "ours, untried: as a fifth of an epoch of IU-Xray",
        "optim.encoder_rate": "ours, untried: the encoder's own tensors get the paper's 1e-4",
        "optim.batch_size": "ours: the paper's 8; it fits 16 GB in every mode by the estimate of r2gen parameters",
        "optim.epochs": "ours, untried: a free session's hours",
    },
    "iu_xray": _PAPER
    | {
        "vision.views": "code: dataset/data_helper.py reads both pictures of a study",
        "target.max_tokens": "code: scripts/1-1.shallow_run_iuxray.sh, --max_length 60",
        "optim.epochs": "code: scripts/1-1.shallow_run_iuxray.sh, --max_epochs 15",
        "decoding.min_new_tokens": "code: scripts/1-1.shallow_run_iuxray.sh, --min_new_tokens 40",
        "decoding.max_new_tokens": "code: scripts/1-1.shallow_run_iuxray.sh, --max_new_tokens 100",
    },
    "mimic_cxr": _PAPER
    | {
        "vision.views": "code: the annotation file that it reads has one picture an entry",
        "target.max_tokens": "code: scripts/4-1.shallow_run.sh, --max_length 100",
        "optim.epochs": "code: scripts/4-1.shallow_run.sh, --max_epochs 5",
        "decoding.min_new_tokens": "code: scripts/4-1.shallow_run.sh, --min_new_tokens 80",
        "decoding.max_new_tokens": "code: scripts/4-1.shallow_run.sh, --max_new_tokens 120",
    },
}


def settings(preset: str | Preset) -> Iterator[tuple[str, Any]]:
    """Every setting of a preset as ``("optim.learning_rate", 0.0001)``, its name aside."""
    values = preset_to_dict(get_preset(preset))
    values.pop("name")
    yield from _leaves(values, "")


def source_of(preset: str, setting: str) -> str:
    """Where that setting of the preset comes from.

    Raises:
        R2GenError: nothing is known of it; ``SOURCES`` lacks a line.
    """
    known = _ANYWHERE | dict(SOURCES.get(preset, {}))
    for key, source in known.items():
        if setting == key or (key.endswith(".") and setting.startswith(key)):
            return source
    raise R2GenError(f"preset {preset}: no source for {setting}. Add one to r2gen_lib/config/provenance.py.")


def _leaves(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _leaves(item, f"{name}.{key}" if name else key)
    else:
        yield name, value
