"""Build hook: a wheel carries data/ as r2gen_lib/_data; an editable install reads the checkout's data/."""

from __future__ import annotations

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class DataFolderHook(BuildHookInterface):
    """See :func:`r2gen_lib.assets.repository_data`, which looks in both places."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "standard":
            build_data["force_include"]["data"] = "r2gen_lib/_data"
