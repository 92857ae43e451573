"""What certification costs on the paper's models: processor time, two versions in turn.

    python tests/benchmarks/benchmark_certification.py
    python tests/benchmarks/benchmark_certification.py --against OTHER/.venv/bin/python

The second form runs this file with both interpreters, alternating, and prints the ratio of the
smallest times. Set OMP_NUM_THREADS=1.
"""

# ruff: noqa: T201
from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from time import process_time

import numpy as np

REPEAT = {"interval": 9, "profile": 9, "toys": 2, "region": 2, "charges": 1}


def tasks() -> dict[str, tuple[str, Callable[[], object]]]:
    """Return name -> (kind, call) of the questions."""
    from histnu.analysis.target import load_target, parameter_of_interest
    from histnu.inference import ToyOptions, coverage, interval, profile, region

    moment = parameter_of_interest(load_target("magnetic_moment_combined"), "mu_universal")
    charge = parameter_of_interest(load_target("millicharge_combined"), "q_ee")
    like, name = moment.likelihood, moment.parameter
    plane = (np.linspace(0, 3, 41), np.linspace(-2, 2, 41))
    charges = (np.linspace(-10, 15, 15), np.linspace(-10, 15, 15))
    scan = np.linspace(0, 3, 200)
    return {
        "interval mu_universal": ("interval", lambda: interval(like, None, name)),
        "profile mu_universal, 200 points": ("profile", lambda: profile(like, None, name, scan)),
        "region mu_universal b8_flux, 41 x 41": (
            "region", lambda: region(like, None, (name, "b8_flux"), plane),
        ),
        "10,000 toys mu_universal": (
            "toys", lambda: coverage(like, {name: 1.0}, name, 0.9, 1, ToyOptions(10_000)),
        ),
        "interval q_ee": ("charges", lambda: interval(charge.likelihood, None, "q_ee")),
        "profile q_ee, 200 points": (
            "charges", lambda: profile(charge.likelihood, None, "q_ee", np.linspace(-8, 12, 200)),
        ),
        "region q_ee q_mumu, 15 x 15": (
            "charges", lambda: region(charge.likelihood, None, ("q_ee", "q_mumu"), charges),
        ),
    }  # fmt: skip


def measure() -> dict[str, float]:
    """Return the smallest processor time of each question in milliseconds."""
    out = {}
    for name, (kind, call) in tasks().items():
        times = []
        for _ in range(REPEAT[kind]):
            start = process_time()
            call()
            times.append(process_time() - start)
        out[name] = 1e3 * min(times)
    return out


def compare(other: str, rounds: int) -> None:
    """Run both interpreters in turn and print the table."""
    best: list[dict[str, float]] = [{}, {}]
    for _ in range(rounds):
        for side, python in enumerate((other, sys.executable)):
            command = [python, __file__, "--json"]
            found = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
            for name, ms in found.items():
                best[side][name] = min(ms, best[side].get(name, np.inf))
    for name, before in best[0].items():
        now = best[1][name]
        print(f"{name:40s} {before:9.1f} ms {now:9.1f} ms  {now / before:5.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    if chosen.against:
        compare(chosen.against, chosen.rounds)
    else:
        print(json.dumps(measure(), indent=None if chosen.json else 2))
