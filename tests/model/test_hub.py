from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
import torch
from tiny_system import tiny_language, tiny_model, tiny_pixels

from r2gen_lib.errors import CheckpointError
from r2gen_lib.model.r2gengpt import R2GenGPT

PARTS = dict(vision_weights=None, device="cpu")


class Hub:
    """Stands in for the hub: repositories are folders."""

    def __init__(self, root: Path) -> None:
        self.root, self.private, self.asked = root, {}, []

    def create_repo(self, repo_id, *, private, exist_ok):
        assert exist_ok
        self.private[repo_id] = private
        (self.root / repo_id).mkdir(parents=True, exist_ok=True)

    def upload_folder(self, *, repo_id, folder_path, commit_message):
        shutil.copytree(folder_path, self.root / repo_id, dirs_exist_ok=True)
        return SimpleNamespace(commit_url=f"hub:{repo_id}")

    def snapshot_download(self, repo_id, *, revision, allow_patterns):
        self.asked.append((repo_id, revision, allow_patterns))
        here = self.root / "cache"
        here.mkdir(exist_ok=True)
        for pattern in allow_patterns:
            for file in (self.root / repo_id).glob(pattern):
                shutil.copy(file, here)
        return str(here)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    stand = Hub(tmp_path / "hub")
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: stand)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", stand.snapshot_download)
    return stand


def test_there_and_back(hub):
    model = tiny_model()
    with torch.no_grad():
        model.mapper.proj.weight.normal_()
    assert model.push_to_hub("me/mine") == "hub:me/mine"
    assert hub.private == {"me/mine": True}
    there = hub.root / "me" / "mine"
    assert sorted(path.name for path in there.iterdir()) == ["README.md", "config.json", "trainable.safetensors"]
    card = (there / "README.md").read_text()
    assert 'R2GenGPT.from_pretrained("me/mine")' in card and "not for clinical use" in card
    (there / "extra.bin").write_bytes(b"a pickle, say")
    again = R2GenGPT.from_pretrained("me/mine", revision="v1", language=tiny_language(), **PARTS)
    assert torch.equal(again.visual_tokens(tiny_pixels()), model.visual_tokens(tiny_pixels()))
    assert hub.asked == [("me/mine", "v1", ["config.json", "trainable.safetensors"])]
    assert not (hub.root / "cache" / "extra.bin").exists()


def test_a_folder_needs_no_hub(tmp_path):
    model = tiny_model("delta")
    folder = model.save_trainable(tmp_path / "run")
    again = R2GenGPT.from_pretrained(folder, language=tiny_language(), **PARTS)
    assert again.mode == "delta" and torch.equal(again.visual_tokens(tiny_pixels()), model.visual_tokens(tiny_pixels()))


def test_a_repository_without_a_checkpoint(hub):
    hub.create_repo("me/empty", private=False, exist_ok=True)
    (hub.root / "me" / "empty" / "config.json").write_text(json.dumps({"model_type": "llama"}))
    with pytest.raises(CheckpointError, match="me/empty: no trainable.safetensors in it"):
        R2GenGPT.from_pretrained("me/empty", language=tiny_language(), **PARTS)


def test_offline_says_what_to_do():
    """HF_HUB_OFFLINE is set in every test, so this is the real hub client."""
    with pytest.raises(CheckpointError, match="me/mine: neither a folder, nor to be had.*HF_HUB_OFFLINE"):
        R2GenGPT.from_pretrained("me/mine", language=tiny_language(), **PARTS)
    with pytest.raises(CheckpointError, match="push_to_hub me/mine.*offline.*save_trainable"):
        tiny_model().push_to_hub("me/mine")
    with pytest.raises(CheckpointError, match="from_pretrained a/b/c"):
        R2GenGPT.from_pretrained("a/b/c", language=tiny_language(), **PARTS)
