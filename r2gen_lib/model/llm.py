"""The frozen language model: found, converted once, loaded in a fraction of a second, and fingerprinted."""

from __future__ import annotations

import hashlib
import inspect
import io
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from pathlib import Path

import torch
import transformers
from packaging.version import Version
from safetensors.torch import save_file
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedTokenizerBase,
)

from r2gen_lib.assets import asset, asset_sha256
from r2gen_lib.config import LanguageConfig
from r2gen_lib.config.schema import Dtype
from r2gen_lib.environment import bf16_instructions
from r2gen_lib.errors import AssetError, R2GenError
from r2gen_lib.files import cache_dir, new_folder, sha256_of, usual_permissions
from r2gen_lib.model.gguf_facts import read_facts, unread_tensors
from r2gen_lib.model.gguf_metadata import apply_facts
from r2gen_lib.model.gguf_rope import check_rope
from r2gen_lib.model.llm_weights import read_model
from r2gen_lib.model.lora_names import name_without_lora, own_lora
from r2gen_lib.model.memory_saving import choose_attention, quantization_options
from r2gen_lib.model.sharding import shard_language, whole

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_CONVERSION = "v2"  # raise it when the converted files change
_APPLIED = "applied.json"  # in a converted folder: fields of its config that transformers' reader had left out


@dataclass(frozen=True)
class LanguageModel:
    """A causal LM whose parameters never change, with its tokenizer.

    Attributes:
        model: the transformers model, in eval mode, ``requires_grad`` off everywhere.
        tokenizer: its tokenizer.
        identity: names the weights, e.g. ``"gguf-sha256:b179..."``; the same on every machine and dtype.
    """

    model: nn.Module
    tokenizer: PreTrainedTokenizerBase
    identity: str


def load_language(config: LanguageConfig, device: torch.device | str = "cpu") -> LanguageModel:
    """Load and freeze the language model that ``config`` names.

    A GGUF file is converted once (SmolLM2: about 15 s) to bf16 safetensors in the cache; later loads take 0.1 s.
    What the model's own ``generation_config`` says is dropped: DecodingConfig says how reports are generated.
    A folder may hold a PEFT adapter (LoRA, IA3): its base model is loaded with the adapter on it.

    Raises:
        AssetError: the wheel is missing, or the source cannot be loaded: its tensors are not exactly the model's (the
            message lists them), or a GGUF file asks for what transformers cannot do (the message names the key).
        CacheError: the cache folder cannot be written.
        R2GenError: quantisation is asked for without CUDA or bitsandbytes, or sharding of an architecture whose layers
            are not known.
    """
    dtype = choose_dtype(config.dtype, device)
    options = quantization_options(config.quantization, dtype, device) | _dtype_argument(dtype)
    gguf, sha256 = _gguf_file(config.source)
    folder = _converted(gguf, sha256) if gguf else config.source
    try:
        with _quiet_transformers():
            tokenizer = AutoTokenizer.from_pretrained(folder)
            model = read_model(
                str(folder), attn_implementation=choose_attention(config.attention, dtype, device), **options
            )
            identity = f"gguf-sha256:{sha256}{_applied(folder)}" if gguf else ""
    except R2GenError as error:
        if not gguf:
            raise
        raise AssetError(f"{error} Remove the folder {folder}; it is made again from {gguf}.") from error
    except Exception as error:  # transformers raises many kinds; all mean the same to the user
        advice = (
            f"Remove the folder {folder}; it is made again from {gguf}."
            if gguf
            else "Give LanguageConfig.source a GGUF file, a folder with a transformers model, or an id to download."
        )
        raise AssetError(f"language model {config.source}: cannot be loaded ({error}). {advice}") from error
    model.generation_config = GenerationConfig()
    model = freeze(model)
    if not config.quantization and not config.shard:
        model = model.to(device)
    identity = identity or f"tensors-sha256:{checksum(model)}"
    if config.shard:  # from the CPU, as the GPU need not hold it whole
        model = shard_language(model, torch.device(device)).to(device)
    return LanguageModel(model, tokenizer, identity + (f"+{config.quantization}" if config.quantization else ""))


def freeze(module: nn.Module) -> nn.Module:
    """Eval mode and ``requires_grad`` off, in place."""
    return module.eval().requires_grad_(False)


def choose_dtype(dtype: Dtype, device: torch.device | str = "cpu") -> torch.dtype:
    """The dtype to compute in: ``"auto"`` is bf16 where the device multiplies it natively, else fp32.

    fp16 has to be asked for, by ``"float16"`` or by ``"half"`` (as ``"auto"``, but fp16 on CUDA without bf16): a
    model trained in bf16 may overflow in it, and the original's fp16 runs gave NaN losses.
    """
    if dtype not in ("auto", "half"):
        return _DTYPES[dtype]
    kind = torch.device(device).type
    if kind == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:  # of CPUs Linux alone says; others count as not having it
        native = kind == "cpu" and bool(bf16_instructions())
    if native:
        return torch.bfloat16
    return torch.float16 if dtype == "half" and kind == "cuda" else torch.float32


def checksum(module: nn.Module) -> str:
    """SHA-256 over every parameter's name, shape and value (as fp32, so that a bf16 load hashes alike).

    A LoRA of our own (``lora.with_language_lora``) is not part of the module it was put on: it changes no checksum. An
    adapter that the module came with does, by its values and by what they are scaled with. Of a sharded module every
    process has to call this.
    """
    digest = hashlib.sha256()
    ours = own_lora(module)
    parameters = {name_without_lora(name): p for name, p in module.named_parameters() if name not in ours}
    for name, parameter in sorted(parameters.items()):  # shared tensors come once
        digest.update(f"{name} {tuple(parameter.shape)}\n".encode())
        digest.update(whole(parameter).detach().float().cpu().contiguous().numpy().data)
    for name, part in module.named_modules():
        scaling = getattr(part, "scaling", None)  # peft's: a number for each adapter of the layer
        if isinstance(scaling, dict) and not any(own.startswith(f"{name}.lora_") for own in ours):
            digest.update(f"{name} {sorted(scaling.items())}\n".encode())
    return digest.hexdigest()


def language_skeleton(config: LanguageConfig) -> nn.Module:
    """The model of ``config.shape`` on the meta device: parameters to count, no memory, no download."""
    if not config.shape:
        raise R2GenError("LanguageConfig.shape: found nothing, expected the model's config fields to count by.")
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(AutoConfig.for_model(**{"model_type": "llama", **config.shape}))


def cache_argument(model: nn.Module, cache: transformers.Cache) -> dict[str, transformers.Cache]:
    """``cache`` as a keyword argument of the model's ``forward``; transformers renamed it in 5.24."""
    accepted = inspect.signature(model.forward).parameters
    return {"cache" if "cache" in accepted else "past_key_values": cache}


def cache_of(output: transformers.utils.ModelOutput) -> transformers.Cache | None:
    """The keys and values a forward pass kept, under transformers' name of 5.24 or the one before; or None."""
    return output.cache if hasattr(output, "cache") else getattr(output, "past_key_values", None)


def _gguf_file(source: str) -> tuple[Path, str] | tuple[None, None]:
    """The GGUF file that ``source`` names, and its SHA-256; nothing if it names something else."""
    if source.startswith("asset:"):
        name = source.removeprefix("asset:")
        return asset(name), asset_sha256(name)
    if not source.lower().endswith(".gguf"):
        return None, None
    path = Path(source).expanduser()
    if not path.is_file():
        raise AssetError(f"language model {source}: there is no such file. Give LanguageConfig.source a GGUF file.")
    return path, sha256_of(path)


def _converted(gguf: Path, sha256: str) -> Path:
    """Folder of a GGUF file as bf16 safetensors; made in a temporary folder and renamed into place."""
    parent = cache_dir("llm")
    folder = parent / f"{gguf.stem}-{sha256[:12]}-{_CONVERSION}"
    if folder.is_dir():
        return folder
    print(f"Converting {gguf.name} ({gguf.stat().st_size / 1e6:.0f} MB) once into {folder} ...", flush=True)
    temporary = new_folder(folder)
    try:
        _convert(gguf, temporary)
        usual_permissions(temporary)
        try:
            temporary.rename(folder)
        except OSError:  # another process was first: its folder is whole
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _convert(gguf: Path, folder: Path) -> None:
    """Dequantise ``gguf`` and write model, config and tokenizer into ``folder``."""
    options = _dtype_argument(torch.float32)
    if hasattr(transformers, "GgufConfig"):  # newer transformers would leave the weights packed
        options["quantization_config"] = transformers.GgufConfig(dequantize=True)
    try:
        # transformers' own progress bar can't be turned off
        with _quiet_transformers(), redirect_stderr(io.StringIO()):
            facts = read_facts(gguf)
            tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
            config = AutoConfig.from_pretrained(gguf.parent, gguf_file=gguf.name)
            applied = apply_facts(config, facts)
            model = read_model(
                str(gguf.parent),
                gguf_file=gguf.name,
                config=config,
                unread=lambda model: unread_tensors(model, facts),
                **options,
            )
            check_rope(model, facts)
    except R2GenError:
        raise
    except Exception as error:
        raise AssetError(
            f"{gguf}: cannot be converted ({error}). Install gguf and accelerate as constraints.txt has them; the "
            "architecture must be one whose GGUF files transformers reads."
        ) from error
    tensors = {name: p.detach().bfloat16().contiguous() for name, p in model.named_parameters()}
    state = model.state_dict()
    tensors |= {name: b.contiguous() for name, b in model.named_buffers() if name in state}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer.save_pretrained(folder)
    config = model.config
    config.dtype = torch.bfloat16
    for field in ("quantization_config", "_name_or_path", "_model_name_or_path"):
        config.__dict__.pop(field, None)
    config.architectures = [type(model).__name__]
    config.save_pretrained(folder)
    (folder / _APPLIED).write_text(json.dumps(applied), encoding="utf-8")


def _applied(folder: Path) -> str:
    """What of a GGUF file was read that versions before did not read, as the end of an identity: a mapper trained in
    front of the model without it must not be put in front of this one."""
    names = json.loads((folder / _APPLIED).read_text(encoding="utf-8"))
    return "".join(f"+{name}" for name in names)


def _dtype_argument(dtype: torch.dtype) -> dict:
    """``from_pretrained``'s dtype argument, which transformers 4.56 renamed."""
    return {"dtype" if Version(transformers.__version__) >= Version("4.56") else "torch_dtype": dtype}


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """No progress bars and no advice from transformers while a model is loaded."""
    logging = transformers.utils.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
