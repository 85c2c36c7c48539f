"""One run on several processes: what each does of it, and what they tell one another.

Accelerate starts them (``accelerate launch``, ``torchrun`` or ``notebook_launcher``) and carries what they say. Not
its ``prepare`` and no DistributedDataParallel: a few tensors train in front of a frozen model, so that adding up their
gradients once a step is all there is to do, and a process may be left without a batch. Not transformers' Trainer:
batches of one length, cached features and the control with shuffled pictures would be its callbacks and overrides, and
the loop that the course teaches would be out of sight.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list, gather_object, reduce
from torch import Tensor

from r2gen_lib.model.sharding import launched


class Processes:
    """The processes of this run, and which of them this is.

    Attributes:
        count: how many there are; 1 without a launcher.
        index: this one's number, from 0.
    """

    def __init__(self, state: PartialState | None) -> None:
        self._state = state
        self.count = state.num_processes if state else 1
        self.index = state.process_index if state else 0

    @classmethod
    def launched(cls) -> Processes:
        """Those that a launcher started; without one, this process alone."""
        return cls(launched())

    @classmethod
    def alone(cls) -> Processes:
        """This process, whatever was launched beside it."""
        return cls(None)

    @property
    def main(self) -> bool:
        """Whether this is the one that writes files and shows progress."""
        return self.index == 0

    def share(self, items: Sequence[Any]) -> Sequence[Any]:
        """This process's part of ``items``: all of them together have each item once."""
        return items[self.index :: self.count]

    def turns(self, items: Sequence[Any], together: bool) -> list[tuple[Any, int]]:
        """``share``, each item with its weight, 1. ``together``: every process gets equally many; one that has fewer
        takes the first item again, with weight 0: to compute with the others, and not to count."""
        own = [(item, 1) for item in self.share(items)]
        lacking = math.ceil(len(items) / self.count) - len(own) if together else 0
        return own + [(items[0], 0)] * lacking

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over all processes, in every one of them."""
        if self.count == 1:
            return tensor
        return reduce(tensor.to(self._state.device), "sum").to(tensor.device)

    def gather(self, item: Any) -> list[Any]:
        """Every process's ``item``, by its number."""
        return [item] if self.count == 1 else gather_object([item])

    def same(self, item: Any) -> Any:
        """The first process's ``item``, in every one of them."""
        return item if self.count == 1 else broadcast_object_list([item])[0]

    def wait(self) -> None:
        """Until all have come here."""
        if self.count > 1:
            self._state.wait_for_everyone()

    @contextmanager
    def main_first(self) -> Iterator[None]:
        """The first process does it alone, then the others: they find in the cache what it made."""
        if not self.main:
            self.wait()
        yield
        if self.main:
            self.wait()

    def sum_gradients(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        """Every parameter's gradient becomes the sum over all processes (none: zero)."""
        if self.count == 1:
            return
        for parameter in parameters:
            own = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            parameter.grad = self.sum(own)
