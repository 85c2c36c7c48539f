"""Training, in any of the three modes: the call, and what it leaves behind. The loop itself is ``run.Run``."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from r2gen_lib.config import Preset, Profile, get_preset, get_profile
from r2gen_lib.config.provenance import settings
from r2gen_lib.data.audit.audit import require_healthy
from r2gen_lib.data.study import Study
from r2gen_lib.data.views import with_views
from r2gen_lib.environment import give_back_memory
from r2gen_lib.errors import R2GenError
from r2gen_lib.model.r2gengpt import R2GenGPT
from r2gen_lib.training.run import Run
from r2gen_lib.training.tensorboard import FOLDER, EventFiles


@dataclass(frozen=True)
class TrainResult:
    """What a run leaves behind.

    Attributes:
        history: one row a step: step, train_loss (of that step's batch, before its update), rate, seconds;
            and at each validation val_loss and val_loss_shuffled (the control: each
            report with another study's picture), with ``select_by="bleu4+cider"`` bleu4 and cider too. Where a step
            was skipped, ``skipped`` is 1.
        best: step, val_loss and val_loss_shuffled of the checkpoint in ``out_dir / "best"``.
        out_dir: holds best/, state/, history.csv, loss.png, and tensorboard/ if that was asked for.
    """

    history: pd.DataFrame
    best: dict[str, Any]
    out_dir: Path

    @property
    def checkpoint(self) -> Path:
        """The folder for ``R2GenGPT.from_trained``."""
        return self.out_dir / "best"


def train(
    model: R2GenGPT,
    studies: Sequence[Study],
    preset: str | Preset | None = None,
    profile: str | Profile | None = None,
    out_dir: str | Path = "runs/train",
    resume: bool = True,
    *,
    seed: int = 0,
    progress: bool = True,
    missing_view: str = "error",
    skip_checks: Collection[str] = (),
    tensorboard: bool = False,
) -> TrainResult:
    """Train what the model's mode trains, on the train split; look at the val split as it goes.

    Test studies are never touched. The model is left with its best weights by ``OptimConfig.select_by``. Under a
    launcher (``torchrun``, ``accelerate launch``) every process calls this and does its part.

    An interrupt (Ctrl-C, the notebook's stop button) lets the step end, saves the state and is passed on: a notebook
    that runs all its cells must not go on as if the training had been finished. The model keeps the weights of that
    step, and the same call goes on from it.

    Args:
        preset: the model's own, or one that differs in ``optim`` alone: all else the model was made with. The run goes
            by what is given, and so it is written into the checkpoint.
        profile: how many studies and steps; by default the environment's.
        out_dir: results, and the state from which a killed run goes on when called again with ``resume``.
        seed: of the choice of studies, their order, and dropout.
        missing_view: what happens to a study that lacks a view of the preset (``r2gen_lib.data.views``).
        skip_checks: names of the doctor's checks to leave out (``r2gen_lib.data.audit.audit_report.PROBLEMS``).
        tensorboard: whenever the state is saved, write the curves to ``out_dir / "tensorboard"`` as event files too.

    Raises:
        AssetError: ``tensorboard`` is asked for, and the package is not installed.
        DataError: the doctor's quick checks found a problem: no studies in a split, a study or a patient in two
            splits, empty reports, missing pictures; or a picture cannot be read.
        CheckpointError: ``out_dir`` holds another run, or cannot be written (its last good state is kept).
        R2GenError: a loss or a gradient is not a number, and ``OptimConfig.non_finite`` says stop; or the preset asks
            for another model.
    """
    studies = with_views(studies, model.preset.vision.views, missing_view)
    chosen = get_preset(preset or model.preset)
    require_healthy(studies, chosen, skip_checks, tokenizer=model.tokenizer)
    model.preset = _same_but_optim(model.preset, chosen)
    with closing(EventFiles(Path(out_dir) / FOLDER)) if tensorboard else nullcontext() as events:
        run = Run(model, studies, get_profile(profile), Path(out_dir), seed, progress, events)
        run.start(resume)
        run.loop()
        best = run.finish()
        give_back_memory()
        return TrainResult(pd.DataFrame(run.history), best, run.out_dir)


def _same_but_optim(made: Preset, asked: Preset) -> Preset:
    """``asked``, if it differs from what the model was made with in nothing that the model reads."""
    ours, theirs = ({"name": preset.name, **dict(settings(preset))} for preset in (made, asked))
    differ = [
        f"{name} (found {theirs.get(name)!r}, the model was made with {ours.get(name)!r})"
        for name in ours | theirs
        if ours.get(name) != theirs.get(name) and not name.startswith("optim.")
    ]
    if differ:
        raise R2GenError(
            f"train: preset {asked.name!r} is not the model's: it differs in {', '.join(differ)}. Training can change "
            "optim alone: make the model from the same preset."
        )
    return asked
