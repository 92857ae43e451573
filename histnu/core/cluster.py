"""Calls on a Dask cluster (the extra ``dask``).

What the calls of a map share is a plugin of the scheduler: it reaches every worker once, also
workers that join later. It stays, with all that was made of it there, for the maps that follow and
share the same, and leaves the workers with the cluster. A call whose worker dies is made again
by another one. Results come to this process one by one; the caller keeps what has arrived.
"""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager, suppress
from hashlib import sha256
from typing import Any

from histnu.core.errors import HistnuError
from histnu.core.executor import Calls, Executor
from histnu.core.pool import THREAD_VARIABLES

log = logging.getLogger(__name__)

try:
    from distributed import Client, LocalCluster, WorkerPlugin, as_completed
    from distributed.comm import CommClosedError
    from distributed.scheduler import KilledWorker
except ImportError:
    raise HistnuError("--dask needs the extra dask: pip install 'histnu[dask]'") from None

MEMORY_LIMIT = "1GiB"
"""Of a worker of a local cluster: Dask restarts one that takes more."""
CONNECT_S = 20
"""How long a scheduler may take to answer, in seconds."""
_SHARED: dict[str, Any] = {}  # in a worker: what the maps that run there share


class Shared(WorkerPlugin):
    """What the calls of maps share, in every worker."""

    def __init__(self, key: str, content: bytes) -> None:
        self.name, self.content = f"histnu-{key}", content

    def setup(self, worker: Any) -> None:
        """Unpack it in a worker."""
        _SHARED[self.name] = pickle.loads(self.content)  # noqa: S301 - sent by our own client

    def teardown(self, worker: Any) -> None:
        """Forget it."""
        _SHARED.pop(self.name, None)


def _call(name: str | None, function: Callable[..., Any], item: Any) -> Any:
    return function(item) if name is None else function(_SHARED[name], item)


class Cluster(Executor):
    """Workers of a Dask scheduler."""

    remote = True

    def __init__(self, client: Client) -> None:
        self._client = client
        self._shared: Any = None
        self._plugin: Shared | None = None

    def run(self, calls: Calls) -> list[Any]:
        """See :meth:`histnu.core.executor.Executor.map`.

        Raises:
            HistnuError: the scheduler is lost, or a call ends every worker that takes it.
        """
        try:
            return self._gather(calls, self._share(calls.shared))
        except KilledWorker as error:
            raise HistnuError(
                f"a call ended several workers; more memory may help ({error})"
            ) from None
        except (CancelledError, CommClosedError, OSError, TimeoutError) as error:
            raise HistnuError(
                f"the Dask scheduler is lost ({type(error).__name__}); what had arrived is kept, "
                "run the command again to go on"
            ) from None

    def _gather(self, calls: Calls, name: str | None) -> list[Any]:
        """Submit all calls, hand on each result when it arrives, and keep them in order."""
        results: list[Any] = [None] * len(calls.items)
        futures = {
            self._client.submit(_call, name, calls.function, item, pure=False): number
            for number, item in enumerate(calls.items)
        }
        for future, result in as_completed(futures, loop=self._client.loop, with_results=True):
            if future.status == "cancelled":  # its result is then no result
                raise CancelledError
            number = futures.pop(future)
            results[number] = result
            calls.done(number, result)
            future.release()
        return results

    def _share(self, shared: Any) -> str | None:
        """Give something to every worker, unless it has it from the map before; return its name."""
        if shared is None:
            return None
        if self._plugin is None or shared is not self._shared:
            content = pickle.dumps(shared)
            # not of another client, which may forget its own while this one goes on
            plugin = Shared(f"{self._client.id}-{sha256(content).hexdigest()}", content)
            if self._plugin is None or plugin.name != self._plugin.name:
                self.forget()
                log.info("%d bytes to each worker", len(content))
                self._client.register_plugin(plugin)
            self._shared, self._plugin = shared, plugin
        return self._plugin.name

    def forget(self) -> None:
        """Let the workers forget what they share, if the scheduler is still there."""
        plugin, self._shared, self._plugin = self._plugin, None, None
        if plugin is not None and self._client.status == "running":
            with suppress(Exception):  # the scheduler may be lost
                self._client.unregister_worker_plugin(plugin.name)


@contextmanager
def cluster(address: str, workers: int) -> Iterator[Cluster]:
    """A connection to a scheduler, or a cluster of worker processes on this machine.

    Args:
        address: of a scheduler (``tcp://HOST:PORT``), or ``local``. workers: of a local cluster.

    Raises:
        HistnuError: nothing answers at the address.
    """
    with ExitStack() as stack:
        if address == "local":
            address = stack.enter_context(
                LocalCluster(
                    n_workers=workers, threads_per_worker=1, memory_limit=MEMORY_LIMIT,
                    host="127.0.0.1", dashboard_address=None, silence_logs=logging.ERROR,
                    env=dict.fromkeys(THREAD_VARIABLES, "1"),
                )
            ).scheduler_address  # fmt: skip
        try:
            client = stack.enter_context(Client(address, timeout=CONNECT_S, set_as_default=False))
        except (OSError, ValueError, TimeoutError) as error:
            raise HistnuError(
                f"--dask {address}: no scheduler answers ({error}); give tcp://HOST:PORT or local"
            ) from None
        found = Cluster(client)
        stack.callback(found.forget)
        yield found
