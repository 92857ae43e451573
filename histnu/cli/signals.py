"""SIGINT and SIGTERM as one exception, so that files and worker processes are tidied up."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)
GRACE_S = 1.2
"""Time to tidy up after a signal, in seconds; then the process ends as it is (workers follow)."""
AGAIN_S = 0.01
"""Time after which a signal that came at the end of an object is sent again, in seconds."""


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
        self.report = sys.unraisablehook

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        for each in SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        found = Interrupted(signum)
        if self.last_resort is None:
            self.last_resort = _later(GRACE_S, os._exit, found.status)
        raise found

    def lost(self, unraisable: Any) -> None:
        """Send a signal again whose exception Python dropped.

        It drops what is raised in ``__del__`` and in callbacks of weak references, of which every
        import makes some.
        """
        if not isinstance(unraisable.exc_value, Interrupted):
            self.report(unraisable)
            return
        signum = unraisable.exc_value.signum
        signal.signal(signum, self)
        _later(AGAIN_S, os.kill, os.getpid(), signum)

    def done(self) -> None:
        """Everything is tidied up in time."""
        if self.last_resort is not None:
            self.last_resort.cancel()


def _later(seconds: float, function: Callable[..., Any], *arguments: int) -> threading.Timer:
    """Call a function in a thread that does not outlive the program."""
    timer = threading.Timer(seconds, function, arguments)
    timer.daemon = True
    timer.start()
    return timer


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
    sys.unraisablehook = ours.lost
    try:
        yield
    finally:
        ours.done()
        sys.unraisablehook = ours.report
        for each, handler in before.items():
            if handler is not None:
                signal.signal(each, handler)
