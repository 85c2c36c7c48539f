"""Checkpoints to and from the Hugging Face hub, for those who have one. Only safetensors and JSON travel."""

from __future__ import annotations

import tempfile
from pathlib import Path

import huggingface_hub

from r2gen_lib.errors import CheckpointError
from r2gen_lib.model.checkpoint import CONFIG, TENSORS, Trained

_CARD = "README.md"


def push(model: Trained, name: str, *, private: bool = True, message: str = "Upload of an R2GenGPT checkpoint") -> str:
    """What ``R2GenGPT.push_to_hub`` does."""
    with tempfile.TemporaryDirectory() as parent:
        folder = model.save_trainable(Path(parent) / "checkpoint")
        (folder / _CARD).write_text(_card(model, name), encoding="utf-8")
        api = huggingface_hub.HfApi()
        try:
            api.create_repo(name, private=private, exist_ok=True)
            done = api.upload_folder(repo_id=name, folder_path=folder, commit_message=message)
        except Exception as error:  # the hub's, httpx's, requests' and the system's, by its version
            raise CheckpointError(
                f"push_to_hub {name}: {_first_line(error)}. Give OWNER/NAME, with the network on (no HF_HUB_OFFLINE) "
                "and after `hf auth login`; save_trainable(folder) needs none of them."
            ) from error
    return done.commit_url


def pull(name: str, revision: str | None = None) -> Path:
    """The folder of a checkpoint on the hub, downloaded once into its cache; nothing else of the repository is.

    Raises:
        CheckpointError: the hub cannot be reached (or is switched off) and the cache has not got it, there is no such
            repository, or it holds no checkpoint of ours.
    """
    try:
        folder = Path(huggingface_hub.snapshot_download(name, revision=revision, allow_patterns=[CONFIG, TENSORS]))
    except Exception as error:  # as in push
        raise CheckpointError(
            f"from_pretrained {name}: neither a folder, nor to be had from the hub ({_first_line(error)}). Give a "
            "checkpoint's folder, or OWNER/NAME with the network on (HF_HUB_OFFLINE unset) and, if it is private, "
            "`hf auth login`."
        ) from error
    missing = [file for file in (CONFIG, TENSORS) if not (folder / file).is_file()]
    if missing:
        raise CheckpointError(f"from_pretrained {name}: no {' and no '.join(missing)} in it, so it isn't a checkpoint.")
    return folder


def _card(model: Trained, name: str) -> str:
    preset = model.preset
    return f"""---
library_name: r2gen-course
tags: [radiology, report-generation, r2gengpt]
---
# {name.rpartition("/")[2]}

An R2GenGPT checkpoint (arXiv 2309.09812): only what was trained. Research and teaching only, not for clinical use.

- preset `{preset.name}`, mode `{model.mode}`
- encoder `{preset.vision.model_name}`, language model `{preset.language.source}` (frozen, not in here)

```python
from r2gen_lib import R2GenGPT

model = R2GenGPT.from_pretrained("{name}")
```
"""


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
