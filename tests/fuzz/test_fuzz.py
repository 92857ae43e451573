"""No input ends in a traceback, in two lines, in half a file, in a minute or in a gigabyte."""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from cases import all_cases, warming
from runner import CPU_SECONDS, Case, Outcome

HERE = Path(__file__).parent
QUICK, WHOLE = 0.03, 0.75
"""Shares of the 2,033 cases in the quick suite and in the whole one."""

LONG = {"toys", "coverage"}
"""Verbs of which one case takes as long as the others of the quick suite."""


def run(cases: list[Case], warm: list[Case]) -> list[Outcome]:
    """The outcomes of the cases, from a process of their own that imports histnu once.

    It runs ``warm`` beforehand, which pays for hundreds of cases.
    """
    finished = subprocess.run(
        [sys.executable, str(HERE / "runner.py")],
        input=pickle.dumps((warm, cases)),
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE)},
        stdout=subprocess.PIPE,
        check=True,
    )
    return unpacked(finished.stdout)


def unpacked(data: bytes) -> list[Outcome]:
    """Pickled outcomes, one after the other."""
    stream, found = io.BytesIO(data), []
    while stream.tell() < len(data):
        found.append(pickle.load(stream))
    return found


def faults(outcome: Outcome) -> list[str]:
    """What is wrong with an outcome."""
    found = []
    lines = outcome.err.splitlines()
    if outcome.status not in (0, 1, 2):
        found.append(f"exit status {outcome.status}")
    if outcome.status == 1 and "--strict" not in outcome.case.arguments:
        found.append("exit status 1")
    if "Traceback" in outcome.err:
        found.append("traceback")
    validated = outcome.case.arguments[:1] == ("validate",) and outcome.out and not lines
    if outcome.status == 2 and not validated:
        mute = outcome.case.file_bytes == 0  # the error cannot be written either
        if not mute and (len(lines) != 1 or not lines[0].startswith("histnu: error: ")):
            found.append(f"{len(lines)} lines on standard error")
        if outcome.changes:
            found.append(f"left or changed {outcome.changes}")
    if outcome.status == 0 and not all(x.startswith("histnu: warning: ") for x in lines if x):
        found.append("an answer with noise on standard error")
    if any("/." in f"/{name}" for name in outcome.changes):
        found.append(f"left {outcome.changes}")
    if outcome.cpu_s > CPU_SECONDS:
        found.append(f"{outcome.cpu_s:.0f} s")
    return found


def check(cases: list[Case], warm: list[Case]) -> None:
    """Run the cases and name every one that is at fault."""
    outcomes = run(cases, warm)
    assert len(outcomes) == len(cases)
    wrong = [
        f"{o.case.name}: {' '.join(o.case.arguments)[:200]}: {', '.join(fs)}: {o.err[-300:]}"
        for o in outcomes
        if (fs := faults(o))
    ]
    counts = Counter(o.status for o in outcomes)
    assert not wrong, "\n".join([f"{len(wrong)} of {len(cases)} ({dict(counts)})", *wrong])
    # mutations that leave a document legal exist, and most do not
    assert counts[2] > len(cases) / 2
    assert counts[0] > len(cases) / 50


def test_some_inputs(request):
    if "not slow" not in request.config.getoption("markexpr"):
        pytest.skip("they are among all inputs")
    check([c for c in all_cases(QUICK) if c.arguments[0] not in LONG], [])


@pytest.mark.slow
def test_all_inputs():
    cases = all_cases(WHOLE)
    assert len(cases) >= 1500
    check(cases, warming())
