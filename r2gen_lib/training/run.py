"""The training loop: what the three modes share."""

from __future__ import annotations

import hashlib
import math
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from r2gen_lib.config import OptimConfig, Profile
from r2gen_lib.config.serialization import preset_to_dict
from r2gen_lib.data.selection import chosen_studies
from r2gen_lib.data.study import Study
from r2gen_lib.errors import CheckpointError, R2GenError
from r2gen_lib.files import atomic_write
from r2gen_lib.model import checkpoint
from r2gen_lib.model.r2gengpt import R2GenGPT
from r2gen_lib.model.sharding import unsharded
from r2gen_lib.stopping import uninterrupted
from r2gen_lib.training.examples import Examples
from r2gen_lib.training.processes import Processes
from r2gen_lib.training.rare_findings.repeat_sampling import balanced
from r2gen_lib.training.run_state import STATE, load_state, save_state
from r2gen_lib.training.schedule import length_batches, make_optimizer, ordered_batches, rate_at, set_rate
from r2gen_lib.training.step import take_step
from r2gen_lib.training.tensorboard import FOLDER, EventFiles, remove_event_files
from r2gen_lib.training.validation import best_row, out_of_patience, validate


class Run:
    """One run: its data, its optimiser and its history.

    Attributes:
        model: as it is at ``step``; its preset's ``optim`` says how it is trained.
        train_set, val_set: the studies that are trained on, and those that are held out.
        epoch_length: steps of an epoch.
        total: steps of the run.
        step: updates made.
        history: one row a step, as ``TrainResult`` says.
        out_dir: where state, best weights, history and curve go.
    """

    def __init__(
        self,
        model: R2GenGPT,
        studies: Sequence[Study],
        profile: Profile,
        out_dir: Path,
        seed: int = 0,
        progress: bool = True,
        events: EventFiles | None = None,
    ) -> None:
        self.model, self.profile, self.seed = model, profile, seed
        self.optim: OptimConfig = model.preset.optim
        self.processes = Processes.launched()
        self.out_dir: Path = self.processes.same(out_dir)
        self.progress, self.events = progress and self.processes.main, events
        chosen, validation = chosen_studies(studies, profile, seed, self.optim.shuffle)
        if self.optim.balance is not None:
            chosen = balanced(chosen, self.optim.balance, seed)
        with self.processes.main_first():
            self.train_set = Examples(model, chosen, "train", self.progress, self.optim.finding_weight)
            self.val_set = Examples(model, validation, "val", self.progress)
        self.epoch_length = len(self._batches(0))
        self.total = profile.train_steps or self.optim.epochs * self.epoch_length
        self.optimizer: torch.optim.AdamW = make_optimizer(model, self.optim)
        self.history: list[dict[str, Any]] = []
        self.step = 0

    def start(self, resume: bool) -> None:
        """Make ``out_dir``, and go on from the state in it if there is one."""
        if self.processes.main:
            self._prepare_folder(resume)
        self.processes.wait()
        torch.manual_seed(self.seed + self.processes.index)
        state = self.out_dir / "state"
        self.history = load_state(state, self.model, self.optimizer, self._identity(), self.processes.index)
        self.step = sum("train_loss" in row for row in self.history)
        if self.processes.main and not self.history:
            remove_event_files(self.out_dir / FOLDER)

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
            try:
                self._steps(bar)
            except KeyboardInterrupt:
                self._keep()
                raise
            bar.set_postfix_str(self._words())
        self._save()

    def finish(self) -> dict[str, Any]:
        """Leave the model with its best weights; step, losses and scores of these."""
        self.processes.wait()
        best = best_row(self.history, self.optim)
        if best is None:
            raise R2GenError(f"training: the validation loss was never a number. {self._advice()}")
        checkpoint.load_trainable(self.model, self.out_dir / "best")
        self.model.eval()
        return best

    def _prepare_folder(self, resume: bool) -> None:
        try:
            self.out_dir.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.out_dir):
                pass
        except OSError as error:
            raise CheckpointError(f"{self.out_dir}: cannot be written ({error}). Give another out_dir.") from error
        for name, marker in (("state", STATE), ("best", checkpoint.CONFIG)):
            checkpoint.mend(self.out_dir / name)
            if not resume and (self.out_dir / name / marker).is_file():
                shutil.rmtree(self.out_dir / name)

    def _steps(self, bar: tqdm) -> None:
        enough = out_of_patience(self.history, self.optim)  # changes with an evaluation alone
        while self.step < self.total and not enough:
            if self.step % self.profile.eval_every == 0:
                self._validate()
                enough = out_of_patience(self.history, self.optim)
                if enough:
                    break
            with uninterrupted():
                row = self._row()
                row.update(self._update())
                self.step += 1
                bar.update()
                bar.set_postfix_str(self._words(), refresh=False)
                if self.step % self.profile.checkpoint_every == 0:
                    self._save()
        self._validate()

    def _update(self) -> dict[str, float]:
        """One step of AdamW on the next batch; what the history says of it."""
        start = time.perf_counter()
        epoch, place = divmod(self.step, self.epoch_length)
        share = rate_at(self.step, self.total, self.optim, self.epoch_length)
        set_rate(self.optimizer, share)
        indices = self._batches(epoch)[place]
        loss, norm = take_step(self.model, self.optimizer, self.train_set, indices, self.optim, self.processes)
        row = {
            "train_loss": loss,
            "rate": share * self.optim.learning_rate,
            "seconds": time.perf_counter() - start,
        }
        if math.isfinite(loss) and math.isfinite(norm):
            return row
        self._refuse(indices, *(("gradient", norm) if math.isfinite(loss) else ("loss", loss)))
        return row | {"skipped": 1}

    def _refuse(self, indices: Sequence[int], what: str, value: float) -> None:
        """Say which studies gave a loss or gradient that is not a number, and stop unless it is to be skipped."""
        batch = f"studies {', '.join(self.train_set.studies[i].id for i in indices)}"
        said = f"training: the {what} is {value} at step {self.step}, {batch}."
        if self.optim.non_finite == "stop":
            raise R2GenError(f"{said} {self._advice()} OptimConfig.non_finite='skip' leaves such steps out.")
        before = (row.get("skipped") for row in reversed(self.history) if row["step"] < self.step)
        in_a_row = 1 + sum(1 for _ in takewhile(bool, before))
        if in_a_row > self.optim.max_skipped:
            raise R2GenError(
                f"training: {in_a_row} steps in a row gave no number, more than OptimConfig.max_skipped "
                f"({self.optim.max_skipped}). The last: the {what} is {value} at step {self.step}, {batch}. "
                f"{self._advice()}"
            )
        if self.progress:
            tqdm.write(f"{said} The step is skipped.")

    def _advice(self) -> str:
        return f"Lower OptimConfig.learning_rate ({self.optim.learning_rate}) or raise warmup_steps."

    def _batches(self, epoch: int) -> list[list[int]]:
        """The studies of every step of an epoch, of all processes together."""
        size = self.optim.batch_size * self.optim.accumulate * self.processes.count
        if not self.optim.shuffle:
            return ordered_batches(len(self.train_set), size)
        return length_batches(self.train_set.lengths, size, self.seed, epoch)

    def _row(self) -> dict[str, Any]:
        """The history's row of the present step."""
        if not self.history or self.history[-1]["step"] != self.step:
            self.history.append({"step": self.step})
        return self.history[-1]

    def _validate(self) -> None:
        """Validation loss and the control with shuffled pictures; keep the weights if they are the best."""
        row = self._row()
        if "val_loss" in row:
            return
        found = validate(self.model, self.val_set, self.optim, self.processes)
        loss = found["val_loss"]
        if not math.isfinite(loss) and self.optim.non_finite == "stop":
            raise R2GenError(
                f"training: the validation loss is {loss} at step {self.step}; these weights are not kept. "
                f"{self._advice()}"
            )
        with uninterrupted():  # the history must not name a best checkpoint that was not written
            row.update(found)
            best = best_row(self.history, self.optim)
            if best and best["step"] == self.step and self.processes.main:
                checkpoint.save_trainable(self.model, self.out_dir / "best", best | {"seed": self.seed})

    def _save(self) -> None:
        """State, history and curve, each replaced whole."""
        save_state(self.out_dir / "state", self.model, self.optimizer, self._identity(), self.history, self.processes)
        if not self.processes.main:
            return
        table = pd.DataFrame(self.history)
        try:
            with atomic_write(self.out_dir / "history.csv") as path:
                table.to_csv(path, index=False)
            if self.events:
                self.events.write(self.history)
            _draw(table, self.out_dir / "loss.png", f"{self.model.preset.name}, {self.model.mode}")
        except OSError as error:
            raise CheckpointError(
                f"{self.out_dir}: cannot be written ({error}). Its state of step {self.step} is kept. Free some space "
                "and call again to go on."
            ) from error

    def _keep(self) -> None:
        """Save what was trained when the run is interrupted, and say how to go on.

        Of several processes each is interrupted at a step of its own: there the last checkpoint has to do.
        """
        if self.processes.count > 1 or self.step == 0:
            return
        with uninterrupted():
            self._save()
        tqdm.write(
            f"training stopped at step {self.step} of {self.total}; its state is in {self.out_dir / 'state'}. "
            "The same call goes on from there."
        )

    def _words(self) -> str:
        recent = [row["train_loss"] for row in self.history[-10:] if math.isfinite(row.get("train_loss", math.nan))]
        val_loss = next((row["val_loss"] for row in reversed(self.history) if "val_loss" in row), None)
        words = [f"loss {np.mean(recent):.3f}"] if recent else []
        return ", ".join(words + ([f"val loss {val_loss:.3f}"] if val_loss is not None else []))

    def _identity(self) -> dict[str, Any]:
        """What must be the same for a run to go on."""
        ids = "\n".join(study.id for study in [*self.train_set.studies, *self.val_set.studies])
        several = {"processes": self.processes.count} if self.processes.count > 1 else {}
        return several | {
            "preset": preset_to_dict(unsharded(self.model.preset)),
            "mode": self.model.mode,
            "profile": asdict(self.profile),
            "steps": self.total,
            "seed": self.seed,
            "studies": hashlib.sha256(ids.encode()).hexdigest(),
            "encoder": checkpoint.frozen_hash(self.model),
            "language": self.model.language_identity,
        }


def _draw(history: pd.DataFrame, file: Path, title: str) -> None:
    import matplotlib.pyplot as plt

    from r2gen_lib.plots import loss_curve

    figure = loss_curve(history, title=title)
    with atomic_write(file) as path:
        figure.savefig(path)
    plt.close(figure)
