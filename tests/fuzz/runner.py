"""Run command lines through the entry point of ``histnu`` in forked processes, each with limits.

Everything is imported and warmed up once; a few cases then share the costs of a fork. Called as a
program it reads pickled cases from standard input and writes pickled outcomes to standard output.
"""

from __future__ import annotations

import contextlib
import gc
import math
import os
import pickle
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

MEMORY_BYTES = 1 << 30
CPU_SECONDS = 10
BATCH = 10
"""Cases of one process, one after the other: a fork and its copies of pages cost as much as one."""
WALL_SECONDS = 240.0
"""CPU time is what is asserted; a machine that does other things too may need longer."""


@dataclass(frozen=True)
class Case:
    """One command line with its files.

    Attributes:
        name: what was done to which input.
        arguments: after ``histnu``.
        files: path -> content; None makes a folder.
        file_bytes: largest file that can be written (a full disk), or None.
    """

    name: str
    arguments: tuple[str, ...]
    files: dict[str, bytes | None] = field(default_factory=dict)
    file_bytes: int | None = None


@dataclass(frozen=True)
class Outcome:
    """What a case did.

    Attributes:
        case: the case.
        status: exit status; negative where a signal (the limits) ended it.
        out, err: the two outputs.
        cpu_s: CPU time.
        changes: files that appeared, vanished or changed.
    """

    case: Case
    status: int
    out: str
    err: str
    cpu_s: float
    changes: tuple[str, ...]


def snapshot(folder: Path) -> dict[str, bytes | None]:
    """Every file (content) and folder (None) below a folder."""
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() if p.is_file() else None
        for p in sorted(folder.rglob("*"))
    }


def prepare(case: Case, folder: Path) -> None:
    """Write the files of a case."""
    for name, content in case.files.items():
        path = folder / name
        if content is None:
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def limit(kind: int, most: int) -> None:
    """Set a limit of this process that can be raised again."""
    resource.setrlimit(kind, (most, resource.getrlimit(kind)[1]))


@dataclass
class Running:
    """A case at work or waiting for those before it; its status and CPU time stand in ``done``."""

    case: Case
    base: Path
    before: dict[str, bytes | None]

    @property
    def done(self) -> Path:
        return self.base / "done"


def child(batch: Sequence[Running]) -> None:
    """Run cases one after the other in this process, which ends with the last."""
    try:
        for running in batch:
            begin = time.process_time()
            status = run_case(running.case, running.base)
            limit(resource.RLIMIT_FSIZE, resource.RLIM_INFINITY)
            limit(resource.RLIMIT_AS, resource.RLIM_INFINITY)
            running.done.write_text(f"{status} {time.process_time() - begin}")
    finally:
        os._exit(0)


def run_case(case: Case, base: Path) -> int:
    """Run a case with its limits and outputs, return its exit status."""
    from histnu.cli.main import main

    for number, name in enumerate(("out", "err"), 1):
        file = os.open(base / name, os.O_WRONLY | os.O_CREAT)
        os.dup2(file, number)
        os.close(file)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    os.chdir(base / "work")
    os.environ["HOME"] = os.environ["XDG_CACHE_HOME"] = str(base)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit(resource.RLIMIT_AS, pages * resource.getpagesize() + MEMORY_BYTES)
    limit(resource.RLIMIT_CPU, math.ceil(time.process_time()) + CPU_SECONDS)
    if case.file_bytes is not None:
        limit(resource.RLIMIT_FSIZE, case.file_bytes)
    status = 99
    try:
        main(list(case.arguments))
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else 98
    except BaseException as error:
        with contextlib.suppress(BaseException):
            sys.stderr.write(f"Traceback: {type(error).__name__}: {error}\n")
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(BaseException):
            stream.close()
    return status


@dataclass
class Batch:
    """A process at work."""

    cases: list[Running]
    pidfd: int
    until: float


def prepared(case: Case, scratch: Path) -> Running:
    """A case with its files in a folder of its own."""
    base = Path(tempfile.mkdtemp(dir=scratch))
    folder = base / "work"
    folder.mkdir()
    prepare(case, folder)
    return Running(case, base, snapshot(folder))


def start(cases: Sequence[Case], scratch: Path) -> tuple[int, Batch]:
    """Fork a process for some cases."""
    batch = [prepared(case, scratch) for case in cases]
    pid = os.fork()
    if pid == 0:
        child(batch)
    return pid, Batch(batch, os.pidfd_open(pid), time.monotonic() + WALL_SECONDS)


def finish(pid: int, batch: Batch) -> tuple[list[Outcome], list[Case]]:
    """Collect what the cases of a process left, and those that it did not come to.

    One that a limit ended has the status of the process, and the CPU time that is left of it.
    """
    _, wait_status, usage = os.wait4(pid, 0)
    os.close(batch.pidfd)
    cpu_s = usage.ru_utime + usage.ru_stime
    outcomes, left = [], []
    ended = False
    for running in batch.cases:
        if running.done.exists():
            status, used = running.done.read_text().split()
            outcomes.append(outcome(running, int(status), float(used)))
            cpu_s -= float(used)
        elif not ended:
            outcomes.append(outcome(running, os.waitstatus_to_exitcode(wait_status) or 97, cpu_s))
            ended = True
        else:
            left.append(running.case)
        shutil.rmtree(running.base, ignore_errors=True)
    return outcomes, left


def outcome(running: Running, status: int, cpu_s: float) -> Outcome:
    """What a case did."""
    after = snapshot(running.base / "work")
    names = sorted(set(after) | set(running.before))
    missing = object()
    changes = [n for n in names if after.get(n, missing) != running.before.get(n, missing)]
    texts = [
        (running.base / n).read_bytes().decode("utf-8", "replace")
        if (running.base / n).exists()
        else ""
        for n in ("out", "err")
    ]
    return Outcome(running.case, status, texts[0], texts[1], cpu_s, tuple(changes))


def run_all(cases: Sequence[Case], workers: int = 2) -> Iterator[Outcome]:
    """Run cases, some at a time; outcomes come as they end."""
    waiting = list(reversed(cases))
    running: dict[int, Batch] = {}
    with tempfile.TemporaryDirectory(prefix="histnu-fuzz-") as name:
        while waiting or running:
            while waiting and len(running) < workers:
                pid, started = start([waiting.pop() for _ in waiting[-BATCH:]], Path(name))
                running[pid] = started
            ready, _, _ = select.select([r.pidfd for r in running.values()], [], [], 1.0)
            for pid, r in list(running.items()):
                if r.pidfd in ready:
                    del running[pid]
                    outcomes, left = finish(pid, r)
                    waiting += reversed(left)
                    yield from outcomes
                elif time.monotonic() > r.until:
                    os.kill(pid, signal.SIGKILL)


def warm_up(cases: Sequence[Case]) -> None:
    """Import what the verbs import and fill their caches, by running some cases here."""
    import importlib

    import histnu.cli.main as entry

    late = ("pyhf", "scipy.interpolate", "scipy.optimize")  # imported where they are used
    for name in ("histnu.plotting.studies", "histnu.studies.reproduce", *late):
        importlib.import_module(name)
    with importlib.import_module("histnu.plotting.style").figure_style():
        pass  # imports matplotlib and reads its fonts
    for verb in entry.VERBS:
        importlib.import_module(f"histnu.cli.{entry.MODULES.get(verb, verb)}")
    here = Path.cwd()
    with (
        tempfile.TemporaryDirectory(prefix="histnu-fuzz-") as name,
        open(os.devnull, "w") as sink,
        contextlib.redirect_stdout(sink),
        contextlib.redirect_stderr(sink),
    ):
        for i, case in enumerate(cases):
            folder = Path(name) / str(i)
            folder.mkdir()
            prepare(case, folder)
            os.chdir(folder)
            with contextlib.suppress(SystemExit):
                entry.main(list(case.arguments))
        os.chdir(here)


def serve() -> None:
    """Read (warming, cases) from standard input; write outcomes to standard output."""
    warming, cases = pickle.load(sys.stdin.buffer)
    stream = os.fdopen(os.dup(1), "wb")
    warm_up(warming)
    gc.collect()
    gc.freeze()  # a collection in a child would copy every page of the parent
    for outcome in run_all(cases):
        pickle.dump(outcome, stream)
        stream.flush()


if __name__ == "__main__":
    import runner  # by its name, so that outcomes can be unpickled elsewhere

    runner.serve()
