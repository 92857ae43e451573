"""SIGINT, SIGTERM and SIGKILL on real runs: all processes end, nothing is half-written."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from histnu.cli.signals import Interrupted, interruptible

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")

ALLOWED_S = 2.0
"""No process may be left this long after a signal."""
START_S = 120.0
"""A loaded machine may take this long to start Python and its workers."""

LISTEN = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
"""Tests that run in the background of a shell inherit an ignored SIGINT."""
HISTNU = "from histnu.cli.main import main; main()"
POOL = """
import time
from histnu.core.pool import Job, run_jobs
busy = Job("busy", exec, ({prelude!r} + "while True: pass",))
run_jobs([busy, busy], 2)
"""
IDLE = """
import os, time
from histnu.cli.signals import interruptible
from histnu.core.pool import Job, Pool
with interruptible(), Pool(2) as pool:
    pool.run([Job("pid", os.getpid)] * 2)
    print("idle", flush=True)
    while True: pass
"""
UNTIE = "import ctypes; ctypes.CDLL(None).prctl(1, 0)\n"
"""Takes PR_SET_PDEATHSIG back: as on systems that have none."""
REPRODUCE = ("reproduce", "-q", "-j", "2")
ELECTRON = ("electron", "-q", "-j", "2")
ONE_PROCESS = {
    "reproduce": ("reproduce", "-q", "-j", "1"),
    "toys": ("toys", "magnetic_moment_combined", "--poi", "mu_universal", "--n-toys", "1000000"),
    "coverage": ("coverage", "millicharge_combined", "--poi", "q_ee", "--n-toys", "1000000"),
}
Run = Callable[..., subprocess.Popen[str]]


def stat(pid: int) -> list[str] | None:
    """State, parent, ... of a process; None if there is none (a zombie is none)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == "Z" else fields


def descendants(pid: int) -> list[int]:
    """Children of a process, their children, ..."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := stat(int(entry.name))) is not None:
            parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found, todo = [], [pid]
    while todo:
        children = parents.get(todo.pop(), [])
        found += children
        todo += children
    return found


def cpu_ticks(pid: int) -> int:
    fields = stat(pid)
    return 0 if fields is None else int(fields[11]) + int(fields[12])


def wait_for(condition: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


@pytest.fixture
def start(tmp_path) -> Iterator[Run]:
    """Start Python with a program in a session of its own; kill whatever is left at the end."""
    started: list[subprocess.Popen[str]] = []

    def call(code: str, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", LISTEN + code, *arguments],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield call
    for process in started:
        for pid in [process.pid, *descendants(process.pid)]:
            if stat(pid) is not None:
                os.kill(pid, signal.SIGKILL)
        process.communicate()


def running_workers(process: subprocess.Popen[str], number: int, cpu_s: float = 0.1) -> list[int]:
    """All descendants once that many of them have computed for some time."""
    ticks = cpu_s * os.sysconf("SC_CLK_TCK")

    def busy() -> bool:
        assert process.poll() is None, process.communicate()
        return sum(cpu_ticks(p) > ticks for p in descendants(process.pid)) >= number

    assert wait_for(busy, START_S)
    return descendants(process.pid)


def ends(process: subprocess.Popen[str], others: list[int]) -> float:
    """Seconds until the process and all others are gone."""
    begin = time.monotonic()
    gone = wait_for(
        lambda: process.poll() is not None and all(stat(p) is None for p in others), START_S
    )
    assert gone
    return time.monotonic() - begin


@pytest.mark.parametrize(
    ("verb", "cpu_s", "signum"),
    [
        pytest.param(REPRODUCE, 0.1, signal.SIGINT, marks=pytest.mark.slow),
        pytest.param(REPRODUCE, 2.0, signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param(ELECTRON, 2.0, signal.SIGINT, marks=pytest.mark.slow),
        pytest.param(ELECTRON, 0.1, signal.SIGTERM, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_workers_end_with_the_command(start, tmp_path, verb, cpu_s, signum):
    """Early, while workers import their modules, and in the midst of their jobs."""
    process = start(HISTNU, *verb, "-o", "out")
    others = running_workers(process, 2, cpu_s)
    # Ctrl-C in a terminal reaches the whole process group
    if signum == signal.SIGINT:
        os.killpg(process.pid, signum)
    else:
        process.send_signal(signum)
    assert ends(process, others) < ALLOWED_S
    out, err = process.communicate()
    assert process.returncode == 128 + signum
    assert out == ""
    assert err.startswith("histnu: error: interrupted")
    assert err.count("\n") == 1
    # only whole answers stay, for the next run to go on from
    left = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert {p.parent for p in left} <= {tmp_path / "out" / "cache"}
    assert all(json.loads(p.read_text()) for p in left)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("verb", "signum"),
    [
        ("coverage", signal.SIGINT),
        ("reproduce", signal.SIGINT),
        ("reproduce", signal.SIGTERM),
        ("toys", signal.SIGTERM),
    ],
)
def test_a_computation_in_one_process_ends(start, tmp_path, verb, signum):
    process = start(HISTNU, *ONE_PROCESS[verb])
    # past the imports: 2 s of CPU time
    assert wait_for(lambda: cpu_ticks(process.pid) > 200, START_S)
    process.send_signal(signum)
    assert ends(process, []) < ALLOWED_S
    _, err = process.communicate()
    assert process.returncode == 128 + signum
    assert "histnu: error: interrupted" in err and "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "signum",
    [
        signal.SIGKILL,
        *(pytest.param(s, marks=pytest.mark.slow) for s in (signal.SIGINT, signal.SIGTERM)),
    ],
)
def test_idle_workers_end_with_their_parent(start, signum):
    """Between two maps of one run workers wait for jobs, and the parent computes."""
    process = start(IDLE)
    assert process.stdout.readline() == "idle\n"
    others = descendants(process.pid)
    assert len(others) == 3
    process.send_signal(signum)
    assert ends(process, others) < ALLOWED_S


@pytest.mark.parametrize("prelude", ["", UNTIE], ids=["kernel", "portable"])
def test_workers_end_after_their_parent_is_killed(start, prelude):
    process = start(POOL.format(prelude=prelude))
    others = running_workers(process, 2)
    assert len(others) == 3  # multiprocessing has a process that tracks shared resources
    process.kill()
    assert ends(process, others) < ALLOWED_S


def test_an_interrupt_while_a_file_is_written_leaves_nothing(start, tmp_path):
    code = (
        "import sys, time\n"
        "from histnu.cli import main\n"
        "from histnu.core.serialize import atomic_open\n"
        "def write(*arguments, **options):\n"
        "    with atomic_open('out/file.json') as stream:\n"
        "        stream.write('half')\n"
        "        stream.flush()\n"
        "        print('open', flush=True)\n"
        "        time.sleep(600)\n"
        "main._run = write\n"
        "main.main()\n"
    )
    process = start(code)
    assert process.stdout.readline() == "open\n"
    assert len(list((tmp_path / "out").iterdir())) == 1
    process.send_signal(signal.SIGTERM)
    assert ends(process, []) < ALLOWED_S
    assert process.returncode == 143
    assert not (tmp_path / "out").exists()  # the folder was made for the file


def test_tidying_up_that_hangs_is_cut_short(start):
    code = (
        "import time\n"
        "from histnu.cli.signals import interruptible\n"
        "with interruptible():\n"
        "    try:\n"
        "        print('ready', flush=True)\n"
        "        time.sleep(600)\n"
        "    finally:\n"
        "        time.sleep(600)\n"
    )
    process = start(code)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    assert ends(process, []) < ALLOWED_S
    assert process.returncode == 130


class Dying:
    """Sends a signal when it ends, where Python drops every exception."""

    def __init__(self, signum: int) -> None:
        self.signum = signum

    def __del__(self) -> None:
        signal.raise_signal(self.signum)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_at_the_end_of_an_object_is_not_lost(signum):
    """As during an import, whose locks are dropped by callbacks of weak references."""
    before = sys.unraisablehook
    with pytest.raises(Interrupted) as caught, interruptible():
        Dying(signum)
        time.sleep(5)
    assert caught.value.signum == signum
    assert sys.unraisablehook is before


def test_handlers_are_restored_and_ignored_signals_stay_ignored():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted) as caught, interruptible():
        signal.raise_signal(signal.SIGTERM)
    assert caught.value.status == 143
    assert signal.getsignal(signal.SIGINT) is before
    old = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interruptible():
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, old)
