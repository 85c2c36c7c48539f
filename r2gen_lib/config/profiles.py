"""How long is trained (``PROFILES``): numbers of studies and steps, and nothing that changes what a result means."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import MappingProxyType

from r2gen_lib.config.schema import Profile, look_up

PROFILES: Mapping[str, Profile] = MappingProxyType(
    {
        "ci": Profile("ci", 96, 8, 8, train_steps=24, eval_every=12, checkpoint_every=12),
        "laptop": Profile("laptop", 960, 32, 32, train_steps=360, eval_every=90, checkpoint_every=45),
        "paper": Profile("paper", None, None, None, train_steps=None, eval_every=250, checkpoint_every=250),
    }
)


def get_profile(profile: str | Profile | None = None) -> Profile:
    """The profile of that name; None means the environment's ``R2GEN_PROFILE``, else "laptop"."""
    if isinstance(profile, Profile):
        return profile
    name = profile or os.environ.get("R2GEN_PROFILE") or "laptop"
    return look_up(name, PROFILES, "profile (R2GEN_PROFILE)")
