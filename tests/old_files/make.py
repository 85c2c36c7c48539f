# ruff: noqa: E402, I001 (modules that are no more, so ruff does not know whose they are)
"""Made the files beside it, with the r2gen_lib of commit 509b05e; tests/test_old_files.py reads them with today's.

Its imports are the old ones, so it runs in a checkout of that commit alone:

    git worktree add /tmp/old 509b05e && cd /tmp/old
    HF_HUB_OFFLINE=1 PYTHONPATH=/tmp/old:/tmp/old/tests python .../tests/old_files/make.py

What is random (encoder, language model) is stored too, so that no other version of torch draws other numbers.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
CACHE = tempfile.mkdtemp()
os.environ["R2GEN_CACHE"] = CACHE

import torch
from PIL import Image
from safetensors.torch import save_file
from tiny_system import PROFILE, REPORTS, TINY, tiny_language, tiny_model, tiny_pixels, tiny_studies

from r2gen_lib.config import PRESETS
from r2gen_lib.data.picture_cache import PictureCache
from r2gen_lib.describe import evaluate
from r2gen_lib.model.r2gengpt import R2GenGPT
from r2gen_lib.preset_json import preset_to_dict
from r2gen_lib.training import trainer
from r2gen_lib.training.feature_cache import encode_studies
from r2gen_lib.training.trainer import train

VISION = HERE / "vision.safetensors"


def make(mode: str) -> R2GenGPT:
    return R2GenGPT.from_preset(TINY, mode, vision_weights=VISION, language=tiny_language(), device="cpu", seed=0)


def stopped_run(mode: str, folder: Path) -> None:
    """A run that was interrupted before its seventh step."""
    update = trainer._Run._update

    def stop(run):
        if run.step == 6:
            raise KeyboardInterrupt
        return update(run)

    trainer._Run._update = stop
    try:
        train(make(mode), tiny_studies(), TINY, PROFILE, folder, progress=False)
    except KeyboardInterrupt:
        pass
    trainer._Run._update = update


for path in HERE.iterdir():  # anew, all of it
    if path.name not in ("make.py", "README.md"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()

# the frozen parts
save_file({k: v.contiguous() for k, v in tiny_model().vision.swin.state_dict().items()}, VISION)
save_file({k: v.clone().contiguous() for k, v in tiny_language().model.state_dict().items()}, HERE / "llm.safetensors")

# runs: finished in each mode (best/ is the checkpoint), and stopped; the whole runs' losses beside them
expected: dict = {"commit": "509b05e", "torch": torch.__version__}
work = Path(tempfile.mkdtemp())
for mode in ("shallow", "delta", "deep"):
    result = train(make(mode), tiny_studies(), TINY, PROFILE, work / mode, progress=False)
    shutil.copytree(result.checkpoint, HERE / "checkpoints" / mode)
    history = result.history.set_index("step")
    losses = {
        name: {int(s): float(v) for s, v in history[name].dropna().items()} for name in ("train_loss", "held_out_loss")
    }
    model = R2GenGPT.from_trained(
        result.checkpoint, vision_weights=VISION, language=tiny_language(), device="cpu"
    ).eval()
    with torch.no_grad():
        loss = model(tiny_pixels(), list(REPORTS.values())).loss.item()
    texts = model.generate(tiny_pixels())
    expected[mode] = {"loss": loss, "generated": texts, "history": losses}
    if mode != "deep":
        stopped_run(mode, work / f"{mode}_stopped")
        for kept in ("state", "best"):
            shutil.copytree(work / f"{mode}_stopped" / kept, HERE / "stopped" / mode / kept)

# presets, each as config.json of a checkpoint holds it
presets = {name: preset_to_dict(preset) for name, preset in PRESETS.items()}
(HERE / "presets.json").write_text(json.dumps(presets, indent=1) + "\n", encoding="utf-8")

# an evaluation
model = make("shallow")
studies = tiny_studies(12)
train_reports = [s.report for s in studies if s.split == "train"]
val = [s for s in studies if s.split == "val"]
evaluate(
    model,
    val,
    train_reports,
    work / "evaluated",
    controls="quick",
    text="section findings, cleaning gentle",
    about={"checkpoint": "tiny-shallow", "split": "val", "data": "tiny"},
)
for name in ("scores.json", "reports.csv"):
    (HERE / "evaluated").mkdir(exist_ok=True)
    shutil.copy(work / "evaluated" / name, HERE / "evaluated" / name)

# caches
shutil.rmtree(CACHE)
features = encode_studies(make("shallow"), tiny_studies(2), progress=False)
shutil.copytree(Path(CACHE) / "features", HERE / "cache" / "features")
expected["features"] = features.float().mean(dim=(1, 2)).tolist()
Image.fromarray(tiny_studies(2)[1].picture("frontal").load()).save(HERE / "picture.png")
PictureCache(32, "pad").load(HERE / "picture.png")
shutil.copytree(Path(CACHE) / "pictures", HERE / "cache" / "pictures")

(HERE / "expected.json").write_text(json.dumps(expected, indent=1) + "\n", encoding="utf-8")
