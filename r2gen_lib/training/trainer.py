"""The training loop: what the three modes share."""

from __future__ import annotations

import hashlib
import math
import shutil
import time
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from r2gen_lib.config import Preset, Profile, get_preset, get_profile, preset_to_dict
from r2gen_lib.data.doctor import require_healthy
from r2gen_lib.data.study import Study, by_split
from r2gen_lib.data.views import with_views
from r2gen_lib.errors import CheckpointError, R2GenError
from r2gen_lib.files import atomic_write
from r2gen_lib.model import checkpoint
from r2gen_lib.model.r2gengpt import R2GenGPT
from r2gen_lib.training.examples import Examples, mean_loss
from r2gen_lib.training.resume import STATE, load_state, save_state
from r2gen_lib.training.schedule import length_batches, make_optimizer, ordered_batches, rate_at, set_rate


@dataclass(frozen=True)
class TrainResult:
    """What a run leaves behind.

    Attributes:
        history: one row a step: step, train_loss (of that step's batch, before its update), rate, seconds;
            and where the held-out studies were looked at, held_out_loss and shuffled_loss (the control: each
            report with another study's picture).
        best: step, held_out_loss and shuffled_loss of the checkpoint in ``out_dir / "best"``.
        out_dir: holds best/, state/, history.csv and loss.png.
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
) -> TrainResult:
    """Train what the model's mode trains, on the train split; look at the val split as it goes.

    Test studies are never touched. The model is left with its best weights by held-out loss.

    Args:
        preset: the model's own, or one that differs in ``optim`` alone.
        profile: how many studies and steps; by default the environment's.
        out_dir: results, and the state from which a killed run goes on when called again with ``resume``.
        seed: of the choice of studies, their order, and dropout.
        missing_view: what happens to a study that lacks a view of the preset (``r2gen_lib.data.views``).
        skip_checks: names of the doctor's checks to leave out (``r2gen_lib.data.health.PROBLEMS``).

    Raises:
        DataError: the doctor's quick checks found a problem: no studies in a split, a study or a patient in two
            splits, empty reports, missing pictures; or a picture cannot be read.
        CheckpointError: ``out_dir`` holds another run, or cannot be written.
        R2GenError: the loss is not a number.
    """
    studies = with_views(studies, model.preset.vision.views, missing_view)
    require_healthy(studies, preset or model.preset, skip_checks, tokenizer=model.tokenizer)
    run = _Run(model, studies, preset, get_profile(profile), Path(out_dir), seed, progress)
    run.start(resume)
    run.loop()
    return run.finish()


class _Run:
    """One run: its data, its optimiser and its history. ``step`` is the number of updates made."""

    def __init__(self, model, studies, preset, profile: Profile, out_dir: Path, seed: int, progress: bool) -> None:
        model.preset = _same_but_optim(model.preset, get_preset(preset or model.preset))
        self.model, self.profile, self.out_dir, self.seed, self.progress = (
            model,
            profile,
            out_dir,
            seed,
            progress,
        )
        self.optim = model.preset.optim
        chosen, held_out = chosen_studies(studies, profile, seed, self.optim.shuffle)
        self.train_set = Examples(model, chosen, "train", progress)
        self.val_set = Examples(model, held_out, "val", progress)
        self.epoch_length = len(self._batches(0))
        self.total = profile.train_steps or self.optim.epochs * self.epoch_length
        self.optimizer = make_optimizer(model, self.optim)
        self.history: list[dict[str, Any]] = []
        self.step = 0

    def start(self, resume: bool) -> None:
        """Make ``out_dir``, and go on from the state in it if there is one."""
        try:
            self.out_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CheckpointError(f"{self.out_dir}: cannot be made ({error}). Give another out_dir.") from error
        torch.manual_seed(self.seed)
        if not resume:
            for name, marker in (("state", STATE), ("best", checkpoint.CONFIG)):
                if (self.out_dir / name / marker).is_file():
                    shutil.rmtree(self.out_dir / name)
        self.history = load_state(self.out_dir / "state", self.model, self.optimizer, self._identity())
        self.step = sum("train_loss" in row for row in self.history)

    def loop(self) -> None:
        """Steps until the last, each a row of the history, with a bar that shows loss and time left."""
        self.model.train()
        with tqdm(
            total=self.total,
            initial=self.step,
            desc="training",
            unit="step",
            ncols=100,
            mininterval=1.0,
            disable=not self.progress,
        ) as bar:
            while self.step < self.total:
                if self.step % self.profile.eval_every == 0:
                    self._look_at_held_out()
                row = self._row()
                row.update(self._update())
                self.step += 1
                bar.update()
                bar.set_postfix_str(self._words(), refresh=False)
                if self.step % self.profile.checkpoint_every == 0:
                    self._save()
            self._look_at_held_out()
            bar.set_postfix_str(self._words())
        self._save()

    def finish(self) -> TrainResult:
        """Leave the model with its best weights, and draw the curve."""
        checkpoint.load_trainable(self.model, self.out_dir / "best")
        self.model.eval()
        return TrainResult(pd.DataFrame(self.history), self._best(), self.out_dir)

    def _update(self) -> dict[str, float]:
        """One step of AdamW on the next batch."""
        start = time.perf_counter()
        epoch, place = divmod(self.step, self.epoch_length)
        share = rate_at(self.step, self.total, self.optim, self.epoch_length)
        set_rate(self.optimizer, share)
        loss = self.model(**self.train_set.batch(self._batches(epoch)[place])).loss
        if not math.isfinite(loss.item()):
            raise R2GenError(
                f"training: the loss is {loss.item()} at step {self.step}. Lower OptimConfig.learning_rate "
                f"({self.optim.learning_rate}) or raise warmup_steps."
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if self.optim.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.model.trainable_parameters().values(), self.optim.clip_norm)
        self.optimizer.step()
        return {
            "train_loss": loss.item(),
            "rate": share * self.optim.learning_rate,
            "seconds": time.perf_counter() - start,
        }

    def _batches(self, epoch: int) -> list[list[int]]:
        if not self.optim.shuffle:
            return ordered_batches(len(self.train_set), self.optim.batch_size)
        return length_batches(self.train_set.lengths, self.optim.batch_size, self.seed, epoch)

    def _row(self) -> dict[str, Any]:
        """The history's row of the present step."""
        if not self.history or self.history[-1]["step"] != self.step:
            self.history.append({"step": self.step})
        return self.history[-1]

    def _look_at_held_out(self) -> None:
        """Held-out loss and the control with shuffled pictures; keep the weights if they are the best."""
        row = self._row()
        if "held_out_loss" in row:
            return
        size = 2 * self.optim.batch_size
        losses = {
            "held_out_loss": mean_loss(self.model, self.val_set, size),
            "shuffled_loss": mean_loss(self.model, self.val_set, size, shuffled=True),
        }
        row.update(losses)
        if self._best()["step"] == self.step:
            checkpoint.save_trainable(self.model, self.out_dir / "best", self._best() | {"seed": self.seed})

    def _best(self) -> dict[str, Any]:
        rows = [row for row in self.history if "held_out_loss" in row]
        best = min(rows, key=lambda row: row["held_out_loss"])
        return {key: best[key] for key in ("step", "held_out_loss", "shuffled_loss")}

    def _save(self) -> None:
        """State, history and curve, each replaced whole."""
        save_state(self.out_dir / "state", self.model, self.optimizer, self._identity(), self.history)
        table = pd.DataFrame(self.history)
        with atomic_write(self.out_dir / "history.csv") as path:
            table.to_csv(path, index=False)
        _draw(table, self.out_dir / "loss.png", f"{self.model.preset.name}, {self.model.mode}")

    def _words(self) -> str:
        recent = [row["train_loss"] for row in self.history[-10:] if "train_loss" in row]
        held_out = next((row["held_out_loss"] for row in reversed(self.history) if "held_out_loss" in row), None)
        return f"loss {np.mean(recent):.3f}" + (f", held out {held_out:.3f}" if held_out is not None else "")

    def _identity(self) -> dict[str, Any]:
        """What must be the same for a run to go on."""
        ids = "\n".join(study.id for study in [*self.train_set.studies, *self.val_set.studies])
        return {
            "preset": preset_to_dict(self.model.preset),
            "mode": self.model.mode,
            "profile": asdict(self.profile),
            "steps": self.total,
            "seed": self.seed,
            "studies": hashlib.sha256(ids.encode()).hexdigest(),
            "encoder": checkpoint.frozen_hash(self.model),
            "language": self.model.language_identity,
        }


def _same_but_optim(model_preset: Preset, preset: Preset) -> Preset:
    if replace(preset, optim=model_preset.optim) != model_preset:
        raise R2GenError(
            f"train: preset {preset.name!r} differs from the model's ({model_preset.name!r}) in more than "
            "optim. Make the model from the same preset."
        )
    return preset


def chosen_studies(
    studies: Sequence[Study], profile: Profile, seed: int = 0, shuffle: bool = True
) -> tuple[list[Study], list[Study]]:
    """The training and the held-out studies that ``train`` uses, chosen and ordered by the seed alone; without
    ``shuffle`` in the order they are given."""
    counts = {"train": profile.train_studies, "val": profile.val_studies}
    chosen = []
    for split, count in counts.items():
        of_split = by_split(studies, split)
        order = np.random.default_rng(seed).permutation(len(of_split))
        chosen.append([of_split[i] for i in (order[:count] if shuffle else sorted(order[:count]))])
    return chosen[0], chosen[1]


def _draw(history: pd.DataFrame, file: Path, title: str) -> None:
    import matplotlib.pyplot as plt

    from r2gen_lib.plots import loss_curve

    figure = loss_curve(history, title=title)
    with atomic_write(file) as path:
        figure.savefig(path)
    plt.close(figure)
