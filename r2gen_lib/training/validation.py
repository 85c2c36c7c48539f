"""What is measured on the whole validation split as a run goes, and which checkpoint is the best by it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from r2gen_lib.config import OptimConfig
from r2gen_lib.environment import give_back_memory
from r2gen_lib.inference.normal_picture import with_normal
from r2gen_lib.model.r2gengpt import R2GenGPT
from r2gen_lib.model.sharding import is_sharded
from r2gen_lib.training.examples import Examples, mean_loss
from r2gen_lib.training.processes import Processes
from r2gen_lib.training.schedule import cut

#: Name -> the history's columns that it goes by.
SELECT_BY = {"val_loss": ("val_loss",), "bleu4+cider": ("bleu4", "cider"), "last": ("step",)}


def validate(model: R2GenGPT, examples: Examples, optim: OptimConfig, processes: Processes) -> dict[str, float]:
    """Loss a report token, the same with shuffled pictures, and the scores ``select_by`` asks for.

    Every study counts once, however many processes there are.
    """
    give_back_memory()  # of training's steps
    size = 2 * optim.batch_size
    row = {
        "val_loss": mean_loss(model, examples, size, processes=processes),
        "val_loss_shuffled": mean_loss(model, examples, size, shuffled=True, processes=processes),
    }
    return row | (_scores(model, examples, size, processes) if optim.select_by == "bleu4+cider" else {})


def best_row(history: Sequence[dict[str, Any]], optim: OptimConfig) -> dict[str, Any] | None:
    """Step, losses and scores of the best evaluation, the first among equals; None if no loss was a number."""
    rows = [row for row in history if math.isfinite(row.get("val_loss", math.nan))]
    if not rows:
        return None
    best = max(rows, key=lambda row: _goodness(row, optim.select_by))
    return {key: best[key] for key in ("step", "val_loss", "val_loss_shuffled", "bleu4", "cider") if key in best}


def out_of_patience(history: Sequence[dict[str, Any]], optim: OptimConfig) -> bool:
    """Whether the last ``optim.patience`` evaluations brought nothing better."""
    if optim.patience is None:
        return False
    best = best_row(history, optim)
    if best is None:
        return False
    return sum("val_loss" in row and row["step"] > best["step"] for row in history) >= optim.patience


def _goodness(row: dict[str, Any], select_by: str) -> float:
    values = [row[column] for column in SELECT_BY[select_by]]
    return -values[0] if select_by == "val_loss" else sum(values) / len(values)


def _scores(model: R2GenGPT, examples: Examples, batch_size: int, processes: Processes) -> dict[str, float]:
    """BLEU-4 (0..1) and CIDEr (0..10) of the reports the model writes, scored together in the first process."""
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider

    from r2gen_lib.metrics.nlg import tokenize

    written: dict[int, str] = {}
    normal = with_normal(model, {})
    with model.evaluating():  # as a whole: training gives back what is prepared for writing
        for indices, weight in processes.turns(cut(range(len(examples)), batch_size), is_sharded(model.language)):
            given = examples.batch(indices)
            given.pop("reports")
            texts = model.generate(**given, **normal)
            if weight:
                written |= dict(zip(indices, texts, strict=True))
    together = {i: text for each in processes.gather(written) for i, text in each.items()}
    if not processes.main:
        return processes.same(None)
    tokens = tokenize([study.report for study in examples.studies] + [together[i] for i in range(len(examples))])
    truth, guess = ({i: [text] for i, text in enumerate(half)} for half in _halves(tokens))
    bleu, cider = Bleu(4).compute_score(truth, guess, verbose=0)[0], Cider().compute_score(truth, guess)[0]
    return processes.same({"bleu4": float(bleu[3]), "cider": float(cider)})


def _halves(items: list[str]) -> tuple[list[str], list[str]]:
    return items[: len(items) // 2], items[len(items) // 2 :]
