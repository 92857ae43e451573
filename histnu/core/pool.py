"""Independent jobs side by side in worker processes that never outlive their parent.

A pool starts its workers when they are needed and keeps them: what a worker has imported, built
and loaded serves all jobs that follow.

Workers ignore SIGINT: Ctrl-C in a terminal reaches the whole process group, and only the parent
decides. When the parent leaves the pool through an exception (an interrupt, a failed job) it ends
all workers at once. When the parent itself is killed, each worker ends on its own: on Linux the
kernel tells it (``PR_SET_PDEATHSIG``), elsewhere a thread waits for the parent's end.

Where a Python cannot start processes (in a browser) jobs run one after the other; nothing of
``multiprocessing`` is imported before it is used.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from histnu.core.errors import HistnuError

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess

log = logging.getLogger(__name__)

Done = Callable[[int, Any], None]

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
PR_SET_PDEATHSIG = 1
"""Option of Linux' ``prctl`` that names the signal a process gets when its parent ends."""
PATIENCE_S = 60.0
"""How long an idle worker may take to end before it is killed, in seconds (a busy machine)."""
CUT_SHORT_S = 1.0
"""How long a worker may take that is ended in the midst of its job: somebody waits for it."""


@dataclass(frozen=True)
class Job:
    """A call whose result is plain data.

    Attributes:
        label: for messages. function: an importable function. arguments: of it.
    """

    label: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()

    def run(self, shared: Any = None) -> Any:
        """Call the function; what jobs share is its first argument, where there is something."""
        first = () if shared is None else (shared,)
        return self.function(*first, *self.arguments)


def ignore(number: int, result: Any) -> None:
    """Do nothing with a result that has arrived."""


def processes_available() -> bool:
    """Whether this Python can start processes: not in a browser (Pyodide)."""
    return sys.platform not in ("emscripten", "wasi") and find_spec("_multiprocessing") is not None


def run_jobs(
    jobs: Sequence[Job], workers: int, shared: Any = None, done: Done = ignore
) -> list[Any]:
    """Run jobs and return their results in the order given.

    Args:
        jobs: what to do; independent of each other.
        workers: processes; 1 runs everything in this one, as does a Python without processes.
        shared: first argument of every job, sent once to each process; nothing if None.
        done: called with number and result of each job, as soon as it is there.

    Raises:
        HistnuError: if a worker process is killed from outside.
        Exception: the first one that a job raises, with the worker's traceback as a note.
    """
    with Pool(workers) as pool:
        return pool.run(jobs, shared, done)


@dataclass
class _Worker:
    """A process, this end of the pipe to it, and what it was last given to share."""

    process: SpawnProcess
    pipe: Connection
    shared: Any = None

    def send(self, job: Job, shared: Any) -> None:
        """Send a job, and with it what jobs share, if that is new."""
        new = () if shared is self.shared else (shared,)
        self.shared = shared
        with suppress(OSError):  # a worker that is gone is noticed when its answer is read
            self.pipe.send((job, new))


class Pool:
    """Worker processes for some time; an exception within it ends them at once.

    Args:
        workers: processes; 1 runs everything in this one, as does a Python without processes.
    """

    def __init__(self, workers: int) -> None:
        if workers > 1 and not processes_available():
            log.info("no processes here: jobs run one after the other")
            workers = 1
        self._size = workers
        self._running: list[_Worker] = []

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._end(at_once=kind is not None)

    def run(self, jobs: Sequence[Job], shared: Any = None, done: Done = ignore) -> list[Any]:
        """Run jobs and return their results in the order given, see :func:`run_jobs`.

        The workers stay for the jobs of the next call, with what is shared as long as that is the
        same object.
        """
        if self._size <= 1:
            results = []
            for number, job in enumerate(jobs):
                results.append(job.run(shared))
                done(number, results[-1])
            return results
        try:
            self._start(min(self._size, len(jobs)))
            return self._distribute(jobs, shared, done)
        except BaseException:
            self._end(at_once=True)
            raise

    def _start(self, number: int) -> None:
        """Start the workers that are missing."""
        with _one_thread_each(), _interrupts_held_back():
            while len(self._running) < number:
                self._running.append(_started())

    def _distribute(self, jobs: Sequence[Job], shared: Any, done: Done) -> list[Any]:
        """Give each free worker the next job until all are done."""
        from multiprocessing.connection import wait

        results: list[Any] = [None] * len(jobs)
        waiting = iter(range(len(jobs)))
        busy: dict[Any, tuple[int, _Worker]] = {}

        def give(worker: _Worker) -> None:
            number = next(waiting, None)
            if number is not None:
                busy[worker.pipe] = (number, worker)
                worker.send(jobs[number], shared)

        for worker in self._running:
            give(worker)
        while busy:
            for pipe in wait(list(busy)):
                number, worker = busy.pop(pipe)
                results[number] = _answer(worker, jobs[number])
                done(number, results[number])
                give(worker)
        return results

    def _end(self, at_once: bool) -> None:
        """End all workers: idle ones when their pipe is closed, others by a signal."""
        workers, self._running = self._running, []
        for worker in workers:
            if at_once:
                worker.process.terminate()
            worker.pipe.close()
        for worker in workers:
            _wait(worker.process, CUT_SHORT_S if at_once else PATIENCE_S)


def _answer(worker: _Worker, job: Job) -> Any:
    """The result of a job, or its exception."""
    try:
        done, value = worker.pipe.recv()
    except (EOFError, OSError):
        worker.process.join(CUT_SHORT_S)
        raise HistnuError(
            f"the process of job {job.label!r} was ended from outside (exit code "
            f"{worker.process.exitcode}); where memory is short use fewer processes (-j)"
        ) from None
    if done:
        return value
    raise value


def _started() -> _Worker:
    """Start a worker.

    ``spawn`` and not ``fork``: the parent has threads, and a child must not hold its pipes.
    """
    from multiprocessing import get_context

    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs,), daemon=True)
    process.start()
    theirs.close()
    return _Worker(process, ours)


def _wait(process: SpawnProcess, patience_s: float) -> None:
    """Wait for a worker that was told to end; kill one that does not."""
    process.join(patience_s)
    if process.is_alive():
        log.warning("worker %s did not end and is killed", process.pid)
        process.kill()
        process.join()


def _serve(pipe: Connection) -> None:
    """Life of a worker: run what comes through the pipe until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()
    shared = None
    while True:
        try:
            job, new = pipe.recv()
        except (EOFError, OSError):
            return
        if new:
            (shared,) = new
        try:
            answer = (True, job.run(shared))
        except Exception as error:
            error.add_note(traceback.format_exc())
            answer = (False, error)
        _send(pipe, answer)


def _send(pipe: Connection, answer: tuple[bool, Any]) -> None:
    """Send a result; what cannot be pickled is replaced by an error that says so."""
    try:
        pipe.send(answer)
    except (BrokenPipeError, ConnectionError):
        return
    except Exception as error:
        problem = HistnuError(f"{type(answer[1]).__name__} of a job cannot be sent ({error})")
        problem.add_note(str(answer[1]))
        pipe.send((False, problem))


def end_with_parent() -> None:
    """End this process when the process that started it ends, whatever the reason."""
    from multiprocessing import parent_process
    from multiprocessing.connection import wait

    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    parent = parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


@contextmanager
def _one_thread_each() -> Iterator[None]:
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


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Block SIGINT while processes are started; they inherit the mask.

    A child that still imports its modules would answer Ctrl-C with a traceback.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # starting it later would unblock the signal
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
