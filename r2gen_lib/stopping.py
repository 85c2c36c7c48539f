"""A signal that asks the process to end does what Ctrl-C does: what is finished is kept, then the process goes.

``docker stop``, a scheduler and a computer that shuts down send SIGTERM; a terminal that is closed sends SIGHUP. By
default the process ends there and then, so that nothing is saved and what it started goes on.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

#: The signals that end a process as Ctrl-C does, as far as this system has them.
STOPS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
#: Seconds in which a second signal says what the first one said: a group and its leader are often told both.
SAME_WISH = 10.0


class Stopped(KeyboardInterrupt, SystemExit):
    """The process was asked to end by one of ``STOPS``.

    A ``KeyboardInterrupt`` for all who clean up after Ctrl-C, a ``SystemExit`` where nobody catches it.

    Attributes:
        name: the signal's name, such as "SIGTERM".
        code: the exit status that a shell gives to a process ended by it: 143 for SIGTERM, 129 for SIGHUP.
    """

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.name, self.code = signal.Signals(number).name, 128 + number

    def __str__(self) -> str:
        return f"stopped by {self.name}"


@contextmanager
def as_ctrl_c() -> Iterator[None]:
    """Within the block ``STOPS`` raise ``Stopped`` in the main thread.

    A signal that is ignored stays so (``nohup``), and so does one that somebody else takes. Does nothing in another
    thread, where Python gives no signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    own, last = os.getpid(), -SAME_WISH

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal last
        if os.getpid() != own:  # a forked worker, which has nothing to save
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        again, last = time.monotonic() - last < SAME_WISH, time.monotonic()
        if not again:
            _let_go_of_closed_outputs()
            raise Stopped(number)

    taken = [number for number in STOPS if signal.getsignal(number) is signal.SIG_DFL]
    for number in taken:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C and what does the same back until the block has ended, so that what it does is done whole.

    Only the main thread gets signals; in another one nothing has to be held.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[tuple[int, FrameType | None]] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, *STOPS)}
    before = {number: handler for number, handler in before.items() if callable(handler)}  # others raise nothing here
    for number in before:
        signal.signal(number, lambda *received: held.append(received))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if held:
        before[held[0][0]](*held[0])


def _let_go_of_closed_outputs() -> None:
    """Where the terminal is gone, what is still printed goes nowhere, instead of being an error of its own."""
    if not hasattr(select, "poll"):  # Windows
        return
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # none, or one without a file behind it
            number = stream.fileno()
            asked = select.poll()
            asked.register(number, 0)
            if any(events & (select.POLLERR | select.POLLHUP) for _, events in asked.poll(0)):
                os.dup2(os.open(os.devnull, os.O_WRONLY), number)
