"""The oracle encoder: finding labels in place of pixels, as an upper bound for what the rest of the system can do.

Each of its visual tokens holds all of a study's findings: a row of zeros and ones for names, sides, zones and patterns,
and how severe each is. Mapper, prompt, language model and training are those of any other encoder. What such a model
misses, no better encoder would have given it; what a model with pictures misses beyond that, its encoder or its mapper
has lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from r2gen_lib.config import Preset, VisionConfig
from r2gen_lib.data.study import Study
from r2gen_lib.errors import R2GenError
from r2gen_lib.findings.finding import FINDING_NAMES, PATTERNS, Finding
from r2gen_lib.findings.kinds import ZONES

MODEL_NAME = "finding_labels"  # VisionConfig.model_name of the oracle encoder, in config.json
TOKENS = 16  # as many as the laptop preset shows

_SIDES = ("left", "right", "bilateral")
_COLUMNS = (
    *FINDING_NAMES,
    *(f"{side} {name}" for name in FINDING_NAMES for side in _SIDES),
    *ZONES,
    *PATTERNS,
    *(f"severity of {name}" for name in FINDING_NAMES),
)


def with_oracle(preset: Preset) -> Preset:
    """The same system with the oracle in place of its encoder; no tokens are pooled, and a rank of 32 is enough.

    A token of labels has 260 numbers, of which a few are not zero; the file of such a mapper has 0.9 MB in fp16.
    """
    vision = VisionConfig(MODEL_NAME, image_size=preset.vision.image_size, views=())
    mapper = replace(preset.mapper, pool=None, rank=min(preset.mapper.rank, 32))
    return replace(preset, name=f"{preset.name}-oracle", vision=vision, mapper=mapper)


class OracleEncoder(nn.Module):
    """Stands where ``VisionEncoder`` does. It has no weights, and reads no pictures: ``features`` takes studies."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.config = config
        self.width = len(_COLUMNS)
        self.tokens = TOKENS

    def forward(self, pixel_values: Tensor) -> Tensor:
        """Always raises R2GenError: pixels hold no labels."""
        raise R2GenError(
            "oracle encoder: it reads a study's findings, not pictures. Give features=encode_studies(model, studies) "
            "in place of pixel_values."
        )

    def features(self, studies: Sequence[Study]) -> Float[Tensor, "S N D_v"]:
        """Each study's findings, the same in every token; zeros where there is none."""
        rows = torch.zeros(len(studies), self.width, dtype=torch.float16)
        for row, study in zip(rows, studies, strict=True):
            for finding in study.findings:
                for column, value in _described(finding).items():
                    row[_COLUMNS.index(column)] = value
        return rows[:, None].repeat(1, self.tokens, 1)


def _described(finding: Finding) -> dict[str, float]:
    words = [finding.name, finding.zone, *finding.pattern]
    if finding.side:
        words.append(f"{finding.side} {finding.name}")
    severity = {} if finding.severity is None else {f"severity of {finding.name}": finding.severity}
    return dict.fromkeys(filter(None, words), 1.0) | severity
