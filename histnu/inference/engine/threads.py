"""One BLAS thread around the engine's own calls.

The products of a fit are small and many: a second BLAS thread spends its time waiting and takes
a core from whoever could use it (243 bins, 10,000 fits: 9.5 s with two threads, 2.5 s with one).
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

_here = threading.local()  # whether this thread is inside such a function: limiting takes 50 us


@functools.cache
def _controller() -> Any:
    """Return the thread pools of the loaded libraries, None without threadpoolctl."""
    try:
        from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped,unused-ignore]
    except ImportError:
        return None
    return ThreadpoolController()


def one_blas_thread(function: Callable[P, R]) -> Callable[P, R]:
    """Return a function during which BLAS uses one thread; afterwards it has those it had.

    Without the package threadpoolctl nothing is limited: set ``OMP_NUM_THREADS=1``.
    """

    @functools.wraps(function)
    def limited(*args: P.args, **kwargs: P.kwargs) -> R:
        controller = _controller()
        if controller is None or getattr(_here, "limited", False):
            return function(*args, **kwargs)
        _here.limited = True
        try:
            with controller.limit(limits=1, user_api="blas"):
                return function(*args, **kwargs)
        finally:
            _here.limited = False

    return limited
