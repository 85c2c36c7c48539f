"""``r2gen convert ORIGINAL.pth --out FOLDER``: a checkpoint of the public R2GenGPT code as one of ours."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from r2gen_lib.config import PRESETS

NAME = "convert"
HELP = "turn a .pth of the public R2GenGPT into a checkpoint"


def options(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("original", type=Path, metavar="ORIGINAL.pth", help="what R2GenGPT saved; nothing in it is run")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="the checkpoint's new folder")
    words = "the encoder and language model it was trained with (default iu_xray)"
    parser.add_argument("--preset", default="iu_xray", choices=PRESETS, help=words)
    words = "the frozen Swin it was trained behind: a safetensors file of timm's or transformers'"
    parser.add_argument("--vision-weights", type=Path, metavar="FILE", help=words)
    words = "folder or id of the language model (default: the preset's)"
    parser.add_argument("--language", metavar="FOLDER", help=words)
    parser.add_argument("--merge-lora", action="store_true", help="add its LoRA into the encoder's weights (deep mode)")
    words = "a setting in the file that need not agree with the preset, such as llama_model (repeatable)"
    parser.add_argument("--skip-check", action="append", default=[], metavar="NAME", help=words)


def run(args: argparse.Namespace) -> int:
    """Convert and say what was written."""
    from r2gen_lib import R2GenGPT
    from r2gen_lib.model.original.file import read_original

    preset = PRESETS[args.preset]
    if args.language:
        preset = replace(preset, language=replace(preset.language, source=args.language))
    given = {"vision_weights": args.vision_weights} if args.vision_weights else {}
    original = read_original(args.original)
    model = R2GenGPT.from_original(original, preset, merge_lora=args.merge_lora, skip_checks=args.skip_check, **given)
    notes = {"converted_from": args.original.name, "original_config": original.config}
    folder = model.save_trainable(args.out, notes=notes)
    count = sum(parameter.numel() for parameter in model.trainable_parameters().values())
    print(f"{args.original}: {model.mode} mode, {count:,} numbers; checkpoint: {folder}")
    return 0
