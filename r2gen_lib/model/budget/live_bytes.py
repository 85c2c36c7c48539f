"""How many bytes a computation needs at its peak, found by running it on the meta device: shapes, no numbers."""

from __future__ import annotations

import weakref
from collections.abc import Hashable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter


class LiveBytes(AbstractContextManager):
    """Counts the bytes of all tensors made within it that still live; ``peak`` is the most there were at once.

    A tensor counts once however many views it has. Tensors made before (``known``: the parameters) don't count.
    Attention by ``scaled_dot_product_attention`` counts as its fused kernels do, which keep no L x L matrix; with a
    bias that is trained there is no such kernel, and the matrices count.
    """

    def __init__(self, known: Iterable[Tensor] = ()) -> None:
        self.live = self.peak = 0
        self._known = list(known)  # kept alive, so that their storages' addresses stay theirs
        self._seen: set[Hashable] = {tensor.untyped_storage()._cdata for tensor in self._known}
        self._modes = ExitStack()

    def __enter__(self) -> LiveBytes:
        self._modes.enter_context(_EveryOperation(self))
        self._modes.enter_context(_fused_attention())
        return self

    def __exit__(self, *error: object) -> None:
        self._modes.close()

    def reset_peak(self) -> None:
        """Forget what was; count on from the bytes that live now."""
        self.peak = self.live

    def see(self, tensor: Tensor) -> None:
        """Count the tensor's storage if it is new, until it is freed."""
        if tensor.is_mkldnn:  # a copy for oneDNN, which has no storage that torch sees and no views
            holder, address, size = tensor, ("mkldnn", id(tensor)), tensor.numel() * tensor.element_size()
        else:
            holder = tensor.untyped_storage()
            address, size = holder._cdata, holder.nbytes()
        if address in self._seen:
            return
        self._seen.add(address)
        self.live += size
        self.peak = max(self.peak, self.live)
        weakref.finalize(holder, self._free, address, size)

    def _free(self, address: Hashable, size: int) -> None:
        self._seen.discard(address)
        self.live -= size


class _EveryOperation(TorchDispatchMode):
    def __init__(self, counter: LiveBytes) -> None:
        super().__init__()
        self.counter = counter

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for value in tree_iter(result):
            if isinstance(value, Tensor):
                self.counter.see(value)
        return result


@contextmanager
def _fused_attention() -> Iterator[None]:
    """``scaled_dot_product_attention`` replaced on the meta device, which has no fused kernel.

    Replaced by name: a mode would not reach what checkpointed layers compute again inside ``backward``.
    """
    original = nn.functional.scaled_dot_product_attention

    def attention(
        query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, *args, **kwargs
    ) -> Tensor:
        if query.is_meta and (attn_mask is None or not attn_mask.requires_grad):
            return _Fused.apply(query, key, value)
        return original(query, key, value, attn_mask, *args, **kwargs)

    nn.functional.scaled_dot_product_attention = attention
    try:
        yield
    finally:
        nn.functional.scaled_dot_product_attention = original


class _Fused(torch.autograd.Function):
    """What a fused attention kernel allocates and keeps: its inputs, its output, one number a row."""

    @staticmethod
    def forward(ctx, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        out = query.new_empty(*query.shape[:-1], value.shape[-1])
        row_sums = query.new_empty(query.shape[:-1], dtype=torch.float32)
        ctx.save_for_backward(query, key, value, out, row_sums)
        return out

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, ...]:
        return tuple(torch.empty_like(tensor) for tensor in ctx.saved_tensors[:3])
