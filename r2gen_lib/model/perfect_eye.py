# ruff: noqa: F722
"""A perfect eye: an encoder's place taken by the truth, so that what the rest can do at best is known.

Its visual tokens are a study's findings, one a token: a row of zeros and ones for name, side, zone and pattern, and the
severity. Mapper, prompt, language model and training are those of any other encoder. What such a model misses, no
better eye would have given it; what a model with pictures misses beyond that, its eye or its mapper has lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from r2gen_lib.config import Preset, VisionConfig
from r2gen_lib.data.study import Study
from r2gen_lib.errors import DataError, R2GenError
from r2gen_lib.simulation.findings import FINDING_NAMES, PATTERNS, ZONES, Finding

MODEL_NAME = "finding_labels"  # VisionConfig.model_name of a perfect eye
SLOTS = 16  # as many tokens as the laptop preset shows; the study with the most findings has fewer

_SIDES = ("left", "right", "bilateral")
_COLUMNS = (*FINDING_NAMES, *_SIDES, *ZONES, *PATTERNS, "severity is named", "severity")


def with_perfect_eye(preset: Preset) -> Preset:
    """The same system with the truth in place of its encoder; nothing else differs, but for tokens to pool."""
    vision = VisionConfig(MODEL_NAME, image_size=preset.vision.image_size, views=())
    return replace(preset, name=f"{preset.name}-perfect-eye", vision=vision, visual_token_pool=None)


class PerfectEye(nn.Module):
    """Stands where ``VisionEncoder`` does. It has no weights, and reads no pictures: ``features`` takes studies."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.config = config
        self.width = len(_COLUMNS)
        self.tokens = SLOTS

    def forward(self, pixel_values: Tensor) -> Tensor:
        """Always raises R2GenError: there is nothing to see without a study."""
        raise R2GenError(
            "perfect eye: it reads a study's findings, not pictures. Give features=encode_studies(model, studies) in "
            "place of pixel_values."
        )

    def features(self, studies: Sequence[Study]) -> Float[Tensor, "S N D_v"]:
        """What is to be seen in each study, a token a finding; a token of zeros where there is none.

        Raises:
            DataError: a study has more findings than there are tokens.
        """
        rows = torch.zeros(len(studies), self.tokens, self.width, dtype=torch.float16)
        for row, study in zip(rows, studies, strict=True):
            if len(study.findings) > self.tokens:
                raise DataError(
                    f"study {study.id}: {len(study.findings)} findings, but a perfect eye has {self.tokens} tokens."
                )
            for token, finding in zip(row, study.findings, strict=False):
                for column, value in _described(finding).items():
                    token[_COLUMNS.index(column)] = value
        return rows


def _described(finding: Finding) -> dict[str, float]:
    words = [finding.name, finding.side, finding.zone, *finding.pattern]
    known = dict.fromkeys(filter(None, words), 1.0)
    return known if finding.severity is None else known | {"severity is named": 1.0, "severity": finding.severity}
