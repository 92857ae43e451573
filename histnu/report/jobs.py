"""Independent pieces of the reproduction, run side by side on the cores of the machine."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import Any

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Job:
    """A call whose result is plain data.

    Attributes:
        label: shown while it runs.
        function: an importable function.
        arguments: its arguments.
        options: its keyword arguments.
    """

    label: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)

    def run(self) -> Any:
        """Call the function."""
        return self.function(*self.arguments, **self.options)


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Let worker processes start with one linear-algebra thread; restore the environment."""
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _run(job: Job) -> Any:
    return job.run()


def run_jobs(
    jobs: Sequence[Job], workers: int, progress: Callable[[str], None] = lambda label: None
) -> list[Any]:
    """Run jobs and return their results in the order given.

    Args:
        jobs: what to do; independent of each other.
        workers: processes; 1 runs everything in this one.
        progress: called with the label of each finished job.
    """
    if workers <= 1:
        results = []
        for job in jobs:
            results.append(job.run())
            progress(job.label)
        return results
    with (
        one_thread_each(),
        ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool,
    ):
        futures = [pool.submit(_run, job) for job in jobs]
        try:
            for job, future in zip(jobs, futures, strict=True):
                future.result()
                progress(job.label)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        return [future.result() for future in futures]
