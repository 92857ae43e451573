"""Where independent calls run: in this process, in local ones, or on a Dask cluster.

A verb maps a function over items and does not know which. Results come back in the order of the
items, whatever the order in which they were found.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

from histnu.core.pool import Done, Job, Pool, ignore, run_jobs


@dataclass(frozen=True)
class Calls:
    """Calls of one function, see :meth:`Executor.map`."""

    function: Callable[..., Any]
    items: Sequence[Any]
    shared: Any
    done: Done
    labels: Sequence[str]


class Executor(ABC):
    """Maps functions over items.

    Attributes:
        remote: calls may run on machines that see no file of this one.
    """

    remote: ClassVar[bool] = False

    def map(
        self,
        function: Callable[..., Any],
        items: Sequence[Any],
        shared: Any = None,
        done: Done = ignore,
        labels: Sequence[str] = (),
    ) -> list[Any]:
        """Return ``function(item)``, or ``function(shared, item)``, of every item, in order.

        Args:
            function: importable. items: plain data, one call each.
            shared: sent once to every worker, which keeps it, with what was made of it there, for
                the maps that follow with the same object; nothing if None.
            done: called in this process with number and result of each call that has ended.
            labels: names of the items, for messages.
        """
        names = labels or [f"{function.__name__} {k + 1}" for k in range(len(items))]
        return self.run(Calls(function, items, shared, done, names))

    @abstractmethod
    def run(self, calls: Calls) -> list[Any]:
        """Results of all calls, in order."""


@dataclass(frozen=True)
class Local(Executor):
    """This process, or worker processes of this machine (:mod:`histnu.core.pool`).

    Attributes:
        workers: processes. pool: of them, kept for all maps; each map has its own if None.
    """

    workers: int = 1
    pool: Pool | None = field(default=None, compare=False, repr=False)

    def run(self, calls: Calls) -> list[Any]:
        """See :meth:`histnu.core.pool.Pool.run`."""
        named = zip(calls.labels, calls.items, strict=True)
        jobs = [Job(name, calls.function, (item,)) for name, item in named]
        if self.pool is None:
            return run_jobs(jobs, self.workers, calls.shared, calls.done)
        return self.pool.run(jobs, calls.shared, calls.done)


@contextmanager
def executor(jobs: int = 1, dask: str | None = None) -> Iterator[Executor]:
    """An executor for some time, which keeps its workers from one map to the next.

    Args:
        jobs: local processes, also of a local cluster.
        dask: address of a Dask scheduler, ``local`` for a cluster on this machine, or None.

    Raises:
        HistnuError: the extra ``dask`` is not installed, or nothing answers at the address.
    """
    if dask is None:
        with Pool(jobs) as pool:
            yield Local(jobs, pool)
        return
    from histnu.core.cluster import cluster

    with cluster(dask, jobs) as found:
        yield found
