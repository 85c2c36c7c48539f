"""What a command does not use, it does not load: a fresh process of each says what was loaded at its end."""

from __future__ import annotations

import gc
import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from r2gen_lib.config import PRESETS
from r2gen_lib.data.audit.token_counts import token_counter
from r2gen_lib.quick_imports import hidden, quick_imports

SCIENCE = {"pandas", "scipy", "sklearn", "matplotlib", "torchvision", "timm", "peft"}
WITHOUT = {"labels": {"torch", "transformers", *SCIENCE}, "doctor": {"torch", "transformers", "spacy", *SCIENCE}}


def loaded(*arguments: str) -> tuple[set[str], str]:
    """The packages that a command has loaded at its end, and what it printed."""
    code = "import sys; from r2gen_lib import cli; code = cli.main(sys.argv[1:]); print('LOADED', *sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; sys.exit(code)", *arguments], capture_output=True, text=True, check=True
    )
    printed, _, names = done.stdout.rpartition("LOADED")
    return {name.split(".")[0] for name in names.split()}, printed


def test_labels_are_read_without_torch_or_tables():
    packages, printed = loaded("labels", "No effusion. The heart is enlarged.")
    assert packages & WITHOUT["labels"] == set()
    assert "Cardiomegaly                present" in printed and "Pleural Effusion            absent" in printed


def test_the_doctor_opens_pictures_and_counts_tokens_without_torch(tmp_path):
    splits = {}
    for n, split in enumerate(("train", "val", "test")):
        picture = tmp_path / "images" / split / "0.png"
        picture.parent.mkdir(parents=True)
        Image.fromarray(np.add.outer(np.arange(40), np.arange(50) * (n + 1)).astype(np.uint8)).save(picture)
        splits[split] = [{"id": split, "report": f"Clear, {split}.", "image_path": [f"{split}/0.png"], "split": split}]
    (tmp_path / "annotation.json").write_text(json.dumps(splits))
    token_counter(PRESETS["laptop"].language)  # keeps the tokenizer, if it is not kept yet
    packages, printed = loaded("doctor", str(tmp_path))
    assert packages & WITHOUT["doctor"] == set()
    assert "3 files opened" in printed and "the tokenizer of asset:smollm2_gguf" in printed


@pytest.mark.parametrize("collecting", [True, False])
def test_garbage_is_collected_again_after_imports_even_if_one_fails(collecting):
    before = gc.isenabled()
    (gc.enable if collecting else gc.disable)()
    try:
        with pytest.raises(ModuleNotFoundError), quick_imports():
            assert not gc.isenabled()
            import no_such_package  # noqa: F401
        assert gc.isenabled() == collecting
    finally:
        (gc.enable if before else gc.disable)()


def test_a_hidden_package_can_be_imported_afterwards_and_a_loaded_one_is_not_hidden(tmp_path, monkeypatch):
    (tmp_path / "seldom_used.py").write_text("VALUE = 3")
    monkeypatch.syspath_prepend(tmp_path)
    with hidden("seldom_used"), pytest.raises(ModuleNotFoundError):
        import seldom_used
    import seldom_used

    with hidden("seldom_used"):
        import seldom_used as again
    assert again is seldom_used and again.VALUE == 3
