from __future__ import annotations

import torch

from r2gen_lib.config import MODES
from r2gen_lib.model.toy import toy_model


def test_the_toy_learns_in_every_mode_and_is_the_same_each_time():
    pixels = torch.randn(2, 1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    for mode in MODES:
        model, again = toy_model(mode), toy_model(mode)
        assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
        out = model(pixels, ["The heart is normal.", "Small effusion."])
        out.loss.backward()
        assert all(p.grad is not None for p in model.trainable_parameters().values())
        assert all(p.grad is None for p in model.language.parameters())
