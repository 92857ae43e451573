"""Jobs in processes: order, errors, threads."""

from __future__ import annotations

import math
import os
import signal
import sys
import time
from typing import Any

import pytest

from histnu.core.errors import HistnuError
from histnu.core.executor import Local, executor
from histnu.core.pool import Job, Pool, run_jobs


def test_results_keep_their_order():
    jobs = [Job(str(n), math.factorial, (n,)) for n in range(20)]
    done: list[str] = []
    expected = [math.factorial(n) for n in range(20)]
    assert run_jobs(jobs, 2, done=lambda n, _: done.append(jobs[n].label)) == expected
    assert sorted(done, key=int) == [job.label for job in jobs]
    assert run_jobs(jobs, 1) == expected
    assert run_jobs([], 2) == []


def test_the_first_free_worker_takes_the_next_job():
    # one worker sleeps, the other does everything else meanwhile
    jobs = [Job("long", time.sleep, (1.0,)), *(Job(str(n), math.factorial, (n,)) for n in range(9))]
    done: list[str] = []
    run_jobs(jobs, 2, done=lambda n, _: done.append(jobs[n].label))
    assert done[-1] == "long"


def test_one_thread_each():
    before = os.environ.get("OMP_NUM_THREADS")
    assert run_jobs([Job("threads", os.getenv, ("OMP_NUM_THREADS",))] * 2, 2) == ["1", "1"]
    assert os.environ.get("OMP_NUM_THREADS") == before


@pytest.mark.parametrize("workers", [1, 2])
def test_the_error_of_a_job_is_raised_here(workers):
    start = time.monotonic()
    with pytest.raises(ZeroDivisionError) as caught:
        run_jobs([Job("x", divmod, (1, 0)), Job("y", time.sleep, (60,))], workers)
    assert time.monotonic() - start < 30  # the other job is not waited for
    if workers > 1:
        assert "Traceback" in caught.value.__notes__[0]


def test_a_result_that_cannot_be_sent():
    with pytest.raises(HistnuError, match=r"callable_iterator of a job cannot be sent"):
        run_jobs([Job("x", eval, ("iter(lambda: 0, 1)",))], 2)


def test_a_killed_worker_is_an_error():
    code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    with pytest.raises(HistnuError, match=r"job 'x' was ended from outside \(exit code -9\)"):
        run_jobs([Job("x", exec, (code,)), Job("y", time.sleep, (60,))], 2)


class Counted:
    """Says how often it has arrived in a process."""

    arrived = 0

    def __setstate__(self, state: Any) -> None:
        Counted.arrived += 1

    def __getstate__(self) -> str:
        return "something"  # an empty state is not restored


def arrivals(shared: Counted, nap_s: float) -> tuple[int, int]:
    time.sleep(nap_s)  # so that one worker does not take both jobs
    return os.getpid(), shared.arrived


def test_a_pool_keeps_its_workers_and_what_they_share():
    both = [Job(str(n), arrivals, (0.2,)) for n in range(2)]
    one, other = Counted(), Counted()
    with Pool(2) as pool:
        first, again = (dict(pool.run(both, one)) for _ in range(2))
        assert len(first) == 2 and os.getpid() not in first
        assert again == first == dict.fromkeys(first, 1)
        assert dict(pool.run(both, other)) == dict.fromkeys(first, 2)
        # what is not shared is no argument
        assert pool.run([Job("x", math.factorial, (5,))]) == [120]
    for pid in first:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def process_after(nap_s: float) -> int:
    time.sleep(nap_s)
    return os.getpid()


@pytest.mark.slow
def test_the_maps_of_an_executor_are_made_by_the_same_workers():
    naps = [0.2, 0.2]
    with executor(2) as local:
        assert set(local.map(process_after, naps)) == set(local.map(process_after, naps))
    alone = Local(2)  # its workers end with each map
    assert set(alone.map(process_after, naps)).isdisjoint(alone.map(process_after, naps))


def test_workers_killed_between_two_runs_are_an_error_and_then_replaced():
    both = [Job(str(n), os.getpid) for n in range(2)]
    with Pool(2) as pool:
        (pid, *_) = pool.run(both)
        os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)
        with pytest.raises(HistnuError, match=r"was ended from outside \(exit code -9\)"):
            pool.run(both)
        assert pid not in pool.run(both)


def test_a_worker_that_ends_slowly_is_not_killed(caplog):
    """As on a busy machine: longer than the second that an interrupted one has."""
    code = "import threading, time; threading.Thread(target=time.sleep, args=(1.5,)).start()"
    run_jobs([Job("x", exec, (code,)), Job("y", abs, (-1,))], 2)
    assert not caplog.records


def test_without_processes_jobs_run_one_after_the_other(monkeypatch):
    monkeypatch.setattr(sys, "platform", "emscripten")
    jobs = [Job(str(n), os.getpid) for n in range(3)]
    done: list[str] = []
    assert run_jobs(jobs, 4, done=lambda n, _: done.append(jobs[n].label)) == [os.getpid()] * 3
    assert done == ["0", "1", "2"]
