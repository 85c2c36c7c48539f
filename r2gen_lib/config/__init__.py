"""What is trained (``PRESETS``), and for how long (``PROFILES``): frozen dataclasses, nothing else.

A *preset* names the encoder, the language model, the prompt, the decoding and the optimiser: it decides what
the result means. A *profile* only says how many studies and steps are spent on it.
"""

from r2gen_lib.config.presets import DEFAULT_CHECKPOINT, PRESETS, get_preset
from r2gen_lib.config.profiles import PROFILES, get_profile
from r2gen_lib.config.schema import (
    MODES,
    DecodingConfig,
    LanguageConfig,
    LoraConfig,
    MapperConfig,
    OptimConfig,
    Preset,
    Profile,
    PromptConfig,
    TargetConfig,
    VisionConfig,
    check_mode,
)

__all__ = [
    "DEFAULT_CHECKPOINT",
    "MODES",
    "PRESETS",
    "PROFILES",
    "DecodingConfig",
    "LanguageConfig",
    "LoraConfig",
    "MapperConfig",
    "OptimConfig",
    "Preset",
    "Profile",
    "PromptConfig",
    "TargetConfig",
    "VisionConfig",
    "check_mode",
    "get_preset",
    "get_profile",
]
