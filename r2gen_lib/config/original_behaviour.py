"""What the public R2GenGPT code does where we chose otherwise, as switches of a preset."""

from __future__ import annotations

from dataclasses import replace

from r2gen_lib.config import PRESETS, MapperConfig, Preset, get_preset

_ORIGINAL = "_original"  # ends the name of a preset that behaves like the original


def with_original_behaviour(preset: str | Preset) -> Preset:
    """The preset with what the public R2GenGPT code does instead of what we chose (the table is in docs/original.md).

    Which encoder, language model and words, the learning rate and the numbers of tokens and epochs stay the preset's;
    one that forces no length gets the 40 tokens that the original forces on IU-Xray.
    """
    preset = get_preset(preset)
    decoding = preset.decoding
    forced = decoding.min_new_tokens or min(PRESETS["iu_xray"].decoding.min_new_tokens, decoding.max_new_tokens)
    return replace(
        preset,
        name=preset.name.removesuffix(_ORIGINAL) + _ORIGINAL,
        vision=replace(preset.vision, fit="stretch", noisy_when_frozen=True),
        optim=replace(
            preset.optim,
            warmup_steps=0,
            encoder_rate=1.0,
            clip_norm=None,
            shuffle=False,
            rate_per_epoch=True,
            decay_all=True,
            balance=None,
            finding_weight=1.0,
        ),
        mapper=MapperConfig(),
        target=replace(preset.target, mask_token_0=True),
        decoding=replace(
            decoding,
            min_new_tokens=forced,
            no_repeat_ngram_size=0,
            cut_unfinished=False,
            consistent=False,
            guidance=0.0,
            rerank=0.0,
        ),
        lora=replace(preset.lora, query_value=True),
    )
