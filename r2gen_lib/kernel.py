"""Kernels for `r2gen course`: always this very interpreter, and watched for the memory they take."""

from __future__ import annotations

import contextlib
from typing import Any

import psutil
from ipykernel.kernelspec import RESOURCES, get_kernel_dict
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from traitlets import default


class _OwnSpec(KernelSpecManager):
    """Whatever kernels the user has registered under the name python3, ours is the interpreter we run in."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        return self.kernel_spec_class(resource_dir=RESOURCES, **get_kernel_dict())


class OwnKernelManager(AsyncKernelManager):
    """Starts kernels of this interpreter."""

    @default("kernel_spec_manager")
    def _own_spec(self) -> KernelSpecManager:
        return _OwnSpec(parent=self)


def client(notebook: Any, **options: Any) -> NotebookClient:
    """An nbclient whose kernel is this interpreter; a progress bar leaves one line in it, not a hundred."""
    return NotebookClient(
        notebook,
        kernel_name="python3",
        kernel_manager_class=OwnKernelManager,
        coalesce_streams=True,
        store_widget_state=False,
        record_timing=False,
        **options,
    )


def execute(notebook_client: NotebookClient, **kernel_options: Any) -> None:
    """Run the notebook in place; ``kernel_options`` (env, stdout, ...) go to the kernel's process.

    Raises:
        KeyboardInterrupt: after Ctrl-C. nbclient takes that signal itself, stops the kernel and trips over
            an assertion of its own in the cleanup.
        nbclient.exceptions: CellExecutionError, CellTimeoutError, DeadKernelError.
    """
    try:
        notebook_client.execute(**kernel_options)
    except AssertionError as error:
        raise KeyboardInterrupt from error


def memory_mb(notebook_client: NotebookClient) -> int:
    """Resident memory of the kernel and every process it started, in MB; 0 while there is none."""
    provisioner = getattr(notebook_client.km, "provisioner", None)
    pid = getattr(provisioner, "pid", None)
    if pid is None:
        return 0
    total = 0
    with contextlib.suppress(psutil.Error):
        kernel = psutil.Process(pid)
        for process in [kernel, *kernel.children(recursive=True)]:
            with contextlib.suppress(psutil.Error):
                total += process.memory_info().rss
    return total // 2**20
