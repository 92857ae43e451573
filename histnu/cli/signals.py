"""SIGINT and SIGTERM as one exception, so that files and worker processes are tidied up."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
GRACE_S = 1.2
"""Time to tidy up after a signal, in seconds; then the process ends as it is (workers follow)."""


class Interrupted(BaseException):
    """A signal asked the program to end; no ``except Exception`` may swallow it.

    Attributes:
        signum: number of the signal.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum

    @property
    def status(self) -> int:
        """Exit status that a shell gives a process ended by the signal: 130 or 143."""
        return 128 + self.signum


class _Handler:
    """Answers the first signal with an exception; the next ones are ignored meanwhile."""

    def __init__(self) -> None:
        self.last_resort: threading.Timer | None = None

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        for each in SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        found = Interrupted(signum)
        self.last_resort = threading.Timer(GRACE_S, os._exit, (found.status,))
        self.last_resort.daemon = True
        self.last_resort.start()
        raise found

    def done(self) -> None:
        """Everything is tidied up in time."""
        if self.last_resort is not None:
            self.last_resort.cancel()


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise :class:`Interrupted` on SIGINT and SIGTERM inside; restore the handlers after.

    Signals that the caller ignores (``nohup``, a background job) stay ignored. Outside the main
    thread, where Python allows no handlers, nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {s: signal.getsignal(s) for s in SIGNALS}
    ours = _Handler()
    for each, handler in before.items():
        if handler not in (signal.SIG_IGN, None):
            signal.signal(each, ours)
    try:
        yield
    finally:
        ours.done()
        for each, handler in before.items():
            if handler is not None:
                signal.signal(each, handler)
