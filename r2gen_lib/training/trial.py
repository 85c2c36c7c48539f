"""The first minutes of a run, measured: seconds and tokens, memory beside its estimate, and a cut run that goes on."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn

from r2gen_lib.config import Profile
from r2gen_lib.data.selection import chosen_studies
from r2gen_lib.data.study import Study
from r2gen_lib.environment import gpu
from r2gen_lib.errors import R2GenError
from r2gen_lib.model.budget.compute import GPUS
from r2gen_lib.model.budget.memory import training_memory
from r2gen_lib.model.encoder import shown_count
from r2gen_lib.model.r2gengpt import R2GenGPT
from r2gen_lib.training.trainer import TrainResult, train


class Disconnected(Exception):
    """The machine is gone: what ``trial`` raises in the middle of its run, and catches."""


@dataclass(frozen=True)
class Trial:
    """What a short run took, and what it learnt.

    Attributes:
        device: the GPU's name, or "cpu".
        result: of ``train``.
        made_again: steps that the cut lost, so that they were made twice.
        tokens: of a step, in the mean: pictures, the prompt behind them, reports. (The words before a picture are
            read once, not in every step.)
        weights: of the language model's layers, without its vocabulary: the P of 4PT.
        peak: operations a second of one large product of matrices here, in the language model's dtype.
        estimated: bytes that ``training_memory`` expects at the peak, of reports as long as the preset allows; without
            the runtime.
        measured: bytes that tensors took at the peak; None on a CPU, where nobody counts them.
    """

    device: str
    result: TrainResult
    made_again: int
    tokens: float
    weights: int
    peak: float
    estimated: int
    measured: int | None

    @property
    def step_seconds(self) -> float:
        """Median over all steps."""
        return statistics.median(self.result.history["seconds"].dropna())

    @property
    def flops(self) -> float:
        """Operations a step, by hand: 4PT."""
        return 4 * self.weights * self.tokens

    def table(self) -> pd.Series:
        """What was measured, in words."""
        history = self.result.history
        losses = history.dropna(subset="val_loss")
        card = next((one for one in GPUS if one.name.split()[0] in self.device), None)
        speed = self.flops / self.step_seconds
        best, measured = self.result.best, self.measured
        return pd.Series(
            {
                "device": self.device,
                "steps": f"{history['train_loss'].count()}, {self.made_again} of them made again after the cut",
                "seconds a step, median": f"{self.step_seconds:.3f}",
                "tokens a step": f"{self.tokens:.0f}",
                "tokens a second": f"{self.tokens / self.step_seconds:,.0f}",
                "4PT a step, TFLOP": f"{self.flops / 1e12:.3g}",
                "of a large product's speed here": f"{speed / self.peak:.1%}",
                "of the card's data sheet": f"{speed / card.teraflops / 1e12:.1%}" if card else "not in our list",
                "memory estimated, GB": f"{self.estimated / 1e9:.3f}",
                "memory measured, GB": "not measured on a CPU" if measured is None else f"{measured / 1e9:.3f}",
                "validation loss": f"{losses['val_loss'].iloc[0]:.3f} -> {best['val_loss']:.3f}",
                "looking is worth": f"{best['val_loss_shuffled'] - best['val_loss']:+.3f}",
            }
        )


def trial(
    make: Callable[[], R2GenGPT],
    studies: Sequence[Study],
    profile: Profile,
    out_dir: Path,
    *,
    cut_after: int,
    progress: bool = True,
) -> Trial:
    """Train, lose the machine after ``cut_after`` steps, go on with a new model from what is on the disk; measure.

    Args:
        make: a fresh model at every call; called twice. What is frozen may be shared.
        profile: its ``train_steps`` are the run's; studies and steps as in ``train``.
        out_dir: the run's folder. An earlier run in it is replaced.

    Raises:
        R2GenError: the cut does not lie within the run; or what ``train`` raises.
    """
    if not 0 < cut_after < (profile.train_steps or 0):
        raise R2GenError(
            f"trial: found cut_after {cut_after} and profile.train_steps {profile.train_steps}, expected a cut after "
            "at least one step and before the last. Give a profile with train_steps."
        )
    model = make()
    with suppress(Disconnected), cut_off(model, cut_after):
        train(model, studies, profile=profile, out_dir=out_dir, resume=False, progress=progress)
    kept = cut_after - cut_after % profile.checkpoint_every
    del model
    model = make()
    on_gpu = model.device.type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    result = train(model, studies, profile=profile, out_dir=out_dir, progress=progress)
    measured = torch.cuda.max_memory_allocated() if on_gpu else None
    language, preset = model.language, model.preset
    words = {id(layer.weight) for layer in (language.get_input_embeddings(), language.get_output_embeddings())}
    estimate = training_memory(preset, model.mode, "cuda" if on_gpu else "cpu")
    return Trial(
        device=gpu() if on_gpu else "cpu",
        result=result,
        made_again=cut_after - kept,
        tokens=_tokens(model, chosen_studies(studies, profile, shuffle=preset.optim.shuffle)[0]),
        weights=sum(p.numel() for p in language.parameters() if p.ndim > 1 and id(p) not in words),
        peak=product_peak(model.device, model.embed.weight.dtype),
        estimated=estimate.total - estimate.runtime,
        measured=measured,
    )


@contextmanager
def cut_off(model: R2GenGPT, steps: int) -> Iterator[None]:
    """Within it, training is ended by ``Disconnected`` in the step after this many."""
    passes = 0

    def count(module: nn.Module, inputs: tuple, output: Tensor) -> None:
        nonlocal passes
        passes += module.training
        if passes > steps * model.preset.optim.accumulate:
            raise Disconnected

    hook = model.mapper.register_forward_hook(count)
    try:
        yield
    finally:
        hook.remove()


def product_peak(device: torch.device, dtype: torch.dtype, rounds: int = 5) -> float:
    """Operations a second of the best of some products of two large square matrices."""
    size = 8192 if device.type == "cuda" else 1024
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    best = float("inf")
    for _ in range(rounds + 1):  # the first one warms up, and is hardly the best
        start = time.perf_counter()
        (a @ b)[0, 0].item()  # waits until a GPU is done
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best


def _tokens(model: R2GenGPT, studies: Sequence[Study]) -> float:
    """The mean number of tokens that go through the language model in a step on these studies."""
    reports = model.report_ids([study.report for study in studies], model.preset.target.max_tokens)
    optim = model.preset.optim
    each = shown_count(model.vision, model.mapper.pool) + len(model.prompt[1]) + statistics.mean(map(len, reports))
    return optim.batch_size * optim.accumulate * each
