"""Maps of toys on a real cluster of worker processes, and what happens when parts of it are lost.

Only the loopback interface is used.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from histnu.cli.main import main
from histnu.core.errors import HistnuError
from histnu.core.executor import Local, executor
from tests.inference import examples

pytestmark = [
    pytest.mark.slow,
    # looked for only, because the import takes a second
    pytest.mark.skipif(find_spec("distributed") is None, reason="the extra dask is not installed"),
    # what distributed does at the end of a cluster whose processes were killed
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

MAP = ("--x", "mu", "--x-range", "0.2", "4", "--n-toys", "4000", "--everywhere", "--json", "-q")
POINTS = 4
CHUNKS = 4 * POINTS
WAIT_S = 60


def words(folder: Path, *options: str) -> list[str]:
    """A map of a small likelihood; its chunks are kept."""
    return ["toys", str(folder / "workspace.json"), *MAP, "--points", str(POINTS), *options]


def run(folder: Path, *options: str) -> str:
    """What the command prints, from this process."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        main(words(folder, *options))
    return out.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("map")
    (path / "workspace.json").write_text(json.dumps(examples.combined()))
    return path


@pytest.fixture(scope="module")
def alone(folder: Path) -> str:
    """The map from one process."""
    return run(folder)


Processes = list[subprocess.Popen[bytes]]


@pytest.fixture(scope="module")
def processes() -> Iterator[Processes]:
    """A scheduler and two workers, as far as they are started; what is left ends with the tests."""
    started: Processes = []
    yield started
    end(started)


def end(processes: Processes) -> None:
    for process in processes:
        process.kill()
        process.wait()
    processes.clear()


@pytest.fixture
def scheduler(
    processes: Processes, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Processes]:
    """Address of a scheduler; it and two workers of one thread are processes of their own.

    They serve all tests: only what a test before has killed is started again.
    """
    folder = tmp_path_factory.getbasetemp() / "cluster"
    folder.mkdir(exist_ok=True)
    file, python = folder / "scheduler.json", [sys.executable, "-W", "ignore", "-m"]
    where = ["--scheduler-file", str(file), "--host", "127.0.0.1", "--no-dashboard"]
    worker = ["distributed.cli.dask_worker", *where, "--nthreads", "1", "--no-nanny",
              "--death-timeout", "20", "--local-directory"]  # fmt: skip
    parts = [
        ["distributed.cli.dask_scheduler", *where, "--port", "0"],
        *[[*worker, str(folder / f"w{k}")] for k in range(2)],
    ]
    if processes and processes[0].poll() is not None:
        end(processes)
        file.unlink()
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    for k, part in enumerate(parts):
        if k == len(processes) or processes[k].poll() is not None:
            processes[k : k + 1] = [subprocess.Popen([*python, *part], **quiet)]
    assert wait_for(file.exists)
    return json.loads(file.read_text())["address"], processes


def wait_for(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + WAIT_S
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


def files(chunks: Path) -> int:
    return len(list(chunks.glob("[!.]*.json"))) if chunks.exists() else 0


def started(folder: Path, chunks: Path, address: str) -> subprocess.Popen[str]:
    """A map on a cluster that has some chunks, and not all."""
    code = "from histnu.cli.main import main; main()"
    arguments = words(folder, "--dask", address, "--chunks", str(chunks))
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert wait_for(lambda: files(chunks) >= 2 or process.poll() is not None)
    assert files(chunks) < CHUNKS, "the map is over too early for this test"
    return process


def test_the_bytes_are_those_of_one_process(folder: Path, alone: str) -> None:
    assert run(folder, "--dask", "local", "-j", "2") == alone


def test_a_killed_worker_loses_nothing(folder, alone, scheduler, tmp_path) -> None:
    address, (_, worker, _) = scheduler
    process = started(folder, tmp_path / "chunks", address)
    worker.kill()
    out, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, err
    assert out == alone


def test_a_lost_client_is_resumed(folder, alone, scheduler, tmp_path) -> None:
    address, _ = scheduler
    chunks = tmp_path / "chunks"
    process = started(folder, chunks, address)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert 2 <= files(chunks) < CHUNKS
    # the same cluster goes on
    assert run(folder, "--dask", address, "--chunks", str(chunks)) == alone
    assert files(chunks) == CHUNKS


def test_a_lost_scheduler_is_one_line_and_the_run_goes_on(
    folder, alone, scheduler, tmp_path
) -> None:
    address, (boss, *_) = scheduler
    chunks = tmp_path / "chunks"
    process = started(folder, chunks, address)
    boss.kill()
    _, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 2, err
    assert "the Dask scheduler is lost" in err
    assert "Traceback" not in err
    kept = files(chunks)
    assert 2 <= kept < CHUNKS
    assert run(folder, "--chunks", str(chunks)) == alone
    assert files(chunks) == CHUNKS


# ---------------------------------------------------------------- calls


def add(shared: int, item: int) -> int:
    return shared + item


def place(shared: bytes, item: int) -> tuple[int, int]:
    """The process, and where in its memory the shared object is."""
    return os.getpid(), id(shared)


def counted(shared: dict[str, int], item: int) -> tuple[int, int]:
    """The process, and how often its shared object was used."""
    shared["uses"] += 1
    return os.getpid(), shared["uses"]


def fail(item: int) -> float:
    return 1 / item


def test_calls_share_one_object_per_worker() -> None:
    arrived: list[int] = []
    with executor(2, "local") as cluster:
        assert cluster.remote
        items = list(range(20))
        done = cluster.map(add, items, 100, lambda number, result: arrived.append(number))
        assert done == [100 + k for k in items] == Local().map(add, items, 100)
        assert sorted(arrived) == items
        places = cluster.map(place, items, b"x" * 1000)
        assert len(set(places)) == len({pid for pid, _ in places}) == 2
        assert os.getpid() not in {pid for pid, _ in places}
        uses = {"uses": 0}
        both = [*cluster.map(counted, items, uses), *cluster.map(counted, items, uses)]
        # each worker goes on with the object that it has, dict() takes the last of each
        assert sum(dict(sorted(both)).values()) == 2 * len(items)
        again = dict(sorted(cluster.map(counted, items, {"uses": 1000})))
        assert sum(again.values()) == 1000 * len(again) + len(items)
        with pytest.raises(ZeroDivisionError):
            cluster.map(fail, [1, 0, 2])
        assert cluster.map(abs, []) == []
    from histnu.core import cluster as module

    assert not module._SHARED


def test_an_address_without_a_scheduler() -> None:
    from histnu.core import cluster as module

    module.CONNECT_S, before = 1, module.CONNECT_S
    try:
        with (
            pytest.raises(HistnuError, match=r"--dask tcp://127.0.0.1:9: no scheduler answers"),
            executor(1, "tcp://127.0.0.1:9"),
        ):
            pass
    finally:
        module.CONNECT_S = before
